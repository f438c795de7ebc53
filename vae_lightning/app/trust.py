"""Which classes a configuration may name, and which YAML may be read: checked before anything is imported or expanded.

A `_target_` is code that somebody else may have written into a YAML file, a saved run or a command line.
"""

import importlib
import inspect
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vae_lightning.errors import ConfigError, nearest, with_place
from vae_lightning.runs.regular import content_of

ALLOWED = ("vae_lightning.", "lightning.pytorch.", "torch.nn.", "torch.optim.")
MOST_NODES, MOST_BYTES = 10_000, 2**20  # of one YAML file


def check_targets(node: Any, allowed: Sequence[str] = ALLOWED) -> None:
    """Raises ConfigError unless every `_target_` in plain values is a class of one of the `allowed` packages.

    The beginning of the name is checked before the name is imported: `vae_lightning.train.os.system` begins well, but
    it is neither a class nor of this package.
    """
    for place, target in targets(node):
        name = str(target)
        if not (isinstance(target, str) and re.fullmatch(r"\w+(\.\w+)+", name) and name.startswith(tuple(allowed))):
            package = re.match(r"\w+(?=\.)", name)
            raise ConfigError(
                f"{place}={name}: not among the packages a configuration may use ({', '.join(allowed)}); if you trust "
                f"it, name its package: allow_targets=[{package[0] if package else 'my_package'}.]"
            )
        kind = located(name, place)
        if not inspect.isclass(kind):
            raise ConfigError(f"{place}={name}: {no_class(name, kind)}")
        if not f"{kind.__module__}.".startswith(tuple(allowed)):
            home = kind.__module__.partition(".")[0]
            raise ConfigError(
                f"{place}={name}: its class is of the package {home}, which is not among those a configuration may use "
                f"({', '.join(allowed)}); if you trust it, add {home}. to allow_targets"
            )


def targets(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every `_target_`, at any depth."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in items:
        place = f"{path}.{key}" if path else str(key)
        if key == "_target_":
            yield place, value
        else:
            yield from targets(value, place)


def located(name: str, place: str) -> Any:
    """The object of a dotted name, or None. Raises ConfigError where one of its modules fails to import."""
    parts = name.split(".")
    for size in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:size])
        try:
            holder: Any = importlib.import_module(module)
        except (Exception, SystemExit) as error:
            if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
                continue  # this module or its package does not exist
            raise ConfigError(f"{place}={name}: {module} cannot be imported ({with_place(error)})") from error
        for part in parts[size:]:
            holder = getattr(holder, part, None)
        return holder
    return None


def no_class(name: str, found: Any) -> str:
    """Why a dotted name, whose modules are imported, is no class."""
    if found is not None:
        return f"it is a {type(found).__name__}, not a class"
    parts = name.split(".")
    beginnings = (".".join(parts[:size]) for size in range(len(parts) - 1, 0, -1))
    module = next((beginning for beginning in beginnings if beginning in sys.modules), "")
    if not module:
        return (
            f"there is no package {parts[0]}; run the command in the folder that holds it, install it, or add that "
            "folder to PYTHONPATH"
        )
    missing = name.removeprefix(f"{module}.").partition(".")[0]
    return f"there is no {missing} in {module}; {nearest(missing, dir(sys.modules[module]))}a _target_ names a class"


def check_yaml(folder: Path) -> None:
    """Raises ConfigError for a YAML file below the folder whose aliases expand to too many nodes.

    OmegaConf 2.3 expands aliases without limit: a kilobyte can keep it busy for minutes.
    """
    import yaml

    for path in sorted((*folder.rglob("*.yaml"), *folder.rglob("*.yml"))):
        try:
            root = yaml.compose(content_of(path, MOST_BYTES).decode("utf-8"), Loader=yaml.SafeLoader)
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            raise ConfigError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from error
        if expanded(root, {}) > MOST_NODES:
            raise ConfigError(f"{path}: its aliases expand to more than {MOST_NODES:,} nodes; write it without them")


def expanded(node: Any, known: dict[int, float]) -> float:
    """The number of nodes of a YAML node with every alias copied; `known` holds the counts so far."""
    if id(node) not in known:
        known[id(node)] = math.inf  # an alias to a node around it has no end
        pairs = node.value if isinstance(getattr(node, "value", None), list) else []
        children = [child for pair in pairs for child in (pair if isinstance(pair, tuple) else (pair,))]
        known[id(node)] = 1 + sum(expanded(child, known) for child in children)
    return known[id(node)]
