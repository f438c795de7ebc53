"""Configurations as plain values: dotted keys, differences, and the keys that do not change what a run is."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

PLACE = ("run_dir", "resume", "allow_drift", "allow_targets", "project_dir", "group", "name", "date_prefix", "save_dir")
PLACE += ("sweep",)
DATA_PLACE = (
    "data.dir",
    "data.cache_dir",
    "data.cache_gib",
    "data.mirrors",
    "data.sources",
    "data.num_workers",
    "data.on_device",
)  # data are known by their checksums
LOG_PLACE = ("logger.mode", "logger.wandb.mode")  # where W&B keeps the run
LARGEST_WHOLE = 1e15  # a larger float is shown with its exponent
NOT_THE_RUN = (*PLACE, "report", *DATA_PLACE, *LOG_PLACE)


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of each value that is not a dictionary; a list counts as one value."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def at(tree: Any, path: str) -> Any:
    """The value at a dotted key, or None."""
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """The dotted keys at which two trees of plain values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif json.dumps(comparable(path, old)) != json.dumps(comparable(path, new)):
        yield path


def comparable(key: str, value: Any) -> Any:
    """1.0 as 1, so that beta=1 is beta=1.0. Below `trainer` they differ: 1 is one batch there, and 1.0 are all."""
    if isinstance(value, list):
        return [comparable(key, item) for item in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < LARGEST_WHOLE
    return int(value) if whole and not among(key, ["trainer"]) else value


def without_place(value: Any, folder: str) -> Any:
    """RUN in place of a run's folder, where a text is that folder or a path below it; so in each text of a list."""
    if isinstance(value, list):
        return [without_place(item, folder) for item in value]
    below = folder and isinstance(value, str) and f"{value}/".startswith(f"{folder.rstrip('/')}/")
    return f"RUN{value[len(folder.rstrip('/')) :]}" if below else value


def among(key: str, keys: Sequence[str]) -> bool:
    """Whether a dotted key is one of `keys`, or below one."""
    return any(key == known or key.startswith(f"{known}.") for known in keys)


def key_of(override: str) -> str:
    """The key of an override: +loss.variance=0.1 -> loss.variance."""
    return override.lstrip("+~").partition("=")[0]
