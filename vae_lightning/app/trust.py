"""Which classes a configuration may name, and which YAML may be read: checked before anything is imported or expanded.

A `_target_` is code that somebody else may have written into a YAML file, a saved run or a command line.
"""

import importlib
import inspect
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vae_lightning.errors import ConfigError
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
        home = f"{getattr(kind, '__module__', '')}."
        if not inspect.isclass(kind) or not home.startswith(tuple(allowed)):
            raise ConfigError(f"{place}={name}: there is no such class; --cfg job shows those in use")


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
        except ImportError as error:
            if f"{module}.".startswith(f"{error.name}."):  # this module or its package does not exist
                continue
            raise cannot_import(place, name, module, error) from error
        except Exception as error:  # in the module itself
            raise cannot_import(place, name, module, error) from error
        for part in parts[size:]:
            holder = getattr(holder, part, None)
        return holder
    return None


def cannot_import(place: str, name: str, module: str, error: Exception) -> ConfigError:
    """The answer to a module that fails while it is imported."""
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return ConfigError(f"{place}={name}: {module} cannot be imported ({what}); HYDRA_FULL_ERROR=1 shows where")


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
