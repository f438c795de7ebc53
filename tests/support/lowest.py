"""The lowest version of each dependency that pyproject.toml allows, as pip's constraints: `make test-lowest`."""

from pathlib import Path

import tomllib
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]


def lowest(root: Path = ROOT) -> list[str]:
    """NAME==VERSION of each dependency. Raises ValueError for a dependency without a lower bound."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [pinned(Requirement(line)) for line in project["dependencies"]]


def pinned(requirement: Requirement) -> str:
    versions = [each.version for each in requirement.specifier if each.operator == ">="]
    if not versions:
        raise ValueError(f"{requirement}: no lower bound; write NAME>=VERSION")
    return f"{requirement.name}=={versions[0]}"


if __name__ == "__main__":
    print("\n".join(lowest()))
