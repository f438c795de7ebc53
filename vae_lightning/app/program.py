"""What the results of a run depend on beside its configuration: the files of the package, and the packages below it."""

from collections.abc import Mapping
from functools import cache

from vae_lightning.options import PACKAGE
from vae_lightning.runs.digest import sha256
from vae_lightning.version import installed

BELOW = ("torch", "torchvision", "lightning", "numpy")
NO_PART = ("pages", "formats", "prediction")  # what a run only shows


@cache
def program() -> dict[str, str]:
    """{file or package: the beginning of its SHA-256, or its version}."""
    files = (path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in NO_PART)
    known = {path.relative_to(PACKAGE).as_posix(): sha256(path.read_bytes())[:8] for path in files}
    return {**known, **installed(BELOW)}


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """bound.py, or torch 2.9.0 -> 2.10.0: what is not as it was."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)] if before else []
    return [name if name.endswith(".py") else f"{name} {before.get(name)} -> {now.get(name)}" for name in names]
