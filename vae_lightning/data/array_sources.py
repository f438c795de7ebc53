"""Which array is which: an array, a file, or a mapping of names to these, as splits of x and of labels."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vae_lightning.data.array_files import array_at
from vae_lightning.data.array_tensors import as_array
from vae_lightning.data.splits import SPLITS
from vae_lightning.errors import ConfigError, DataError, shown
from vae_lightning.runs.digest import sha256

X_OF = ("{}", "{}_images", "{}_x", "x_{}", "X_{}")  # names of a split's x
LABELS_OF = ("{}_labels", "labels_{}", "{}_y", "y_{}", "Y_{}")
X, LABELS = ("images", "x", "X", "data", "arr_0"), ("labels", "y", "Y", "targets", "arr_1")  # names of the only array
MEMORY = "arrays in memory"


@dataclass(frozen=True)
class Arrays:
    """x and labels by split: `train`, and `val` and `test` where they are apart. `sha256` by file, or by array."""

    x: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    title: str
    source: str
    sha256: dict[str, str]


def collected(file: Any, labels: Any, root: Path) -> Arrays:
    """The arrays that `data.file` and `data.labels` name or are. Raises DataError, ConfigError."""
    opened, paths = open_all(file, root)
    title = ", ".join(dict.fromkeys(path.name for path in paths)) or "arrays"
    held = opened if isinstance(opened, Mapping) else {X[0]: opened}
    if labels is not None:
        given, more = open_all(labels, root)
        if isinstance(given, Mapping) or (isinstance(opened, Mapping) and set(held) - {*X}):
            raise ConfigError("data.labels: goes with one array; give the labels of splits beside them in data.file")
        held, paths = {**held, LABELS[0]: given}, [*paths, *more]
    places = chosen(held.keys(), title)
    arrays = {place: as_array(held[name], named(title, name, paths)) for place, name in places.items()}
    sums = {path.name: sha256(path) for path in paths} or {place: digest(array) for place, array in arrays.items()}
    x, found = (
        {split: arrays[key] for split in SPLITS if (key := f"{split}{end}") in arrays} for end in ("", "_labels")
    )
    return Arrays(x, found, title, ", ".join(map(str, paths)) or MEMORY, sums)


def open_all(given: Any, root: Path) -> tuple[Any, list[Path]]:
    """An array, or a mapping of names to arrays, and the files that were opened."""
    if isinstance(given, str | Path):
        path = root / Path(given).expanduser()
        return array_at(path), [path]
    if not isinstance(given, Mapping):
        return given, []
    opened = {str(name): open_all(value, root) for name, value in given.items()}
    for name, (value, paths) in opened.items():
        if isinstance(value, Mapping):
            held = shown(paths[0] if paths else "a mapping")
            raise ConfigError(f"data.file.{name}={held}: holds several arrays; name a .npy, or take that file alone")
    return {name: value for name, (value, _) in opened.items()}, [
        path for _, paths in opened.values() for path in paths
    ]


def chosen(names: Collection[str], title: str) -> dict[str, str]:
    """{"train" or "train_labels", ...: the name of the array} by the known names. Raises DataError."""
    places = {}
    for split in SPLITS:
        for place, known in ((split, X_OF), (f"{split}_labels", LABELS_OF)):
            name = first(names, *(pattern.format(split) for pattern in known))
            places |= {place: name} if name else {}
    rest = [name for name in names if name not in LABELS]
    alone = first(names, *X) or (rest[0] if len(rest) == 1 else None)
    if "train" not in places and alone and not places:
        name = first(names, *LABELS)
        return {"train": alone, **({"train_labels": name} if name else {})}
    if "train" not in places:
        raise DataError(
            f"{title}: holds {shown(', '.join(sorted(names)) or 'nothing')}; name its arrays train, val and test "
            "(train_labels, ...), or images (labels): np.savez(FILE, train=x, test=y)"
        )
    return places


def first(names: Collection[str], *known: str) -> str | None:
    """The first of the known names that is there."""
    return next((name for name in known if name in names), None)


def named(title: str, name: str, paths: list[Path]) -> str:
    """An array in the words of an error."""
    return f"{title}, {shown(name)}" if paths and paths[0].suffix != ".npy" else title


def digest(array: np.ndarray) -> str:
    """The SHA-256 of an array's values."""
    return sha256(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
