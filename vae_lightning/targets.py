"""Which classes a configuration may name: checked before anything is imported for it.

A `_target_` is code that somebody else may have written into a YAML file, a saved run or a command line.
"""

import importlib
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any

from vae_lightning.errors import ConfigError

ALLOWED = ("vae_lightning.", "lightning.pytorch.", "torch.nn.", "torch.optim.")


def check_targets(node: Any, allowed: Sequence[str] = ALLOWED) -> None:
    """Raises ConfigError unless every `_target_` in plain values is a class in one of the `allowed` packages.

    The name's beginning is looked at first, and only then is it imported: `vae_lightning.cli.os.system` begins well,
    but is neither a class nor one of this package.
    """
    for place, target in targets(node):
        name = str(target)
        if not (isinstance(target, str) and re.fullmatch(r"\w+(\.\w+)+", name) and name.startswith(tuple(allowed))):
            raise ConfigError(
                f"{place}={name}: not among the packages a configuration may use ({', '.join(allowed)}); if you trust "
                "it, name its package: allow_targets=[my_package.]"
            )
        found = located(name)
        home = f"{getattr(found, '__module__', '')}."
        if not inspect.isclass(found) or not home.startswith(tuple(allowed)):
            raise ConfigError(f"{place}={name}: there is no such class; --cfg job shows those in use")


def targets(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every `_target_`, wherever it stands."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    for key, value in items:
        place = f"{path}.{key}" if path else str(key)
        if key == "_target_":
            yield place, value
        else:
            yield from targets(value, place)


def located(name: str) -> Any:
    """The object of a dotted name, or None."""
    parts = name.split(".")
    for size in range(len(parts) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:size]))
        except ImportError:
            continue
        for part in parts[size:]:
            found = getattr(found, part, None)
        return found
    return None
