"""Configurations as plain values: dotted keys, differences, and the keys that do not change what a run is."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

PLACE = ("run_dir", "resume", "allow_drift", "allow_targets", "project_dir", "group", "name", "date_prefix", "save_dir")
PLACE += ("sweep",)
DATA_SOURCES = ("data.dir", "data.mirrors", "data.sources")  # where data come from: their checksum says what they are
DATA_PLACE = (*DATA_SOURCES, "data.cache_dir", "data.cache_gib", "data.num_workers", "data.on_device")
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


def essential(words: Iterable[str], swept: Sequence[str] = ()) -> tuple[str, ...]:
    """The words of a job that say which job of its sweep it is, sorted, with beta=1 for beta=1.0.

    A word that does not change the run counts only where the sweep varies its key.
    """
    keys = {word: key_of(word).replace("/", ".") for word in words}
    return tuple(sorted(plain_word(w) for w, k in keys.items() if among(k, swept) or not among(k, NOT_THE_RUN)))


def plain_word(word: str) -> str:
    """An override with the comparable value of its key."""
    start, equals, value = word.partition("=")
    try:
        return f"{start}{equals}{json.dumps(comparable(key_of(word), json.loads(value)))}"
    except (ValueError, RecursionError):  # a text
        return word


def key_of(override: str) -> str:
    """The key of an override: +loss.variance=0.1 -> loss.variance."""
    return override.lstrip("+~").partition("=")[0]
