"""What a folder of shards is: `index.json`, and `SPLIT.npy`, which says where each image of a split is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from vae_lightning.data.splits import SPLITS
from vae_lightning.errors import DataError
from vae_lightning.runs.digest import sha256
from vae_lightning.runs.regular import json_in, reason

INDEX, VERSION = "index.json", 1
COLUMNS = ("shard", "offset", "size", "label")  # of SPLIT.npy, [N, 4] int64: a shard's number, bytes, bytes, a class
Value = TypeVar("Value")


@dataclass(frozen=True)
class Shard:
    """A tar file: its name, how many images it has, its size, and its checksum."""

    file: str
    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """The shards of a split, and the checksum of `SPLIT.npy`."""

    shards: tuple[Shard, ...]
    sha256: str

    @property
    def images(self) -> int:
        """How many images the split has."""
        return sum(shard.images for shard in self.shards)


@dataclass(frozen=True)
class Index:
    """What `index.json` says: the shape [C, H, W], the classes, what the images are, and the splits."""

    image_shape: tuple[int, ...]
    classes: tuple[str, ...]
    images_of: str
    splits: Mapping[str, Part]

    def text(self) -> str:
        """The content of `index.json`."""
        return json.dumps({"version": VERSION, **asdict(self)}) + "\n"


def read_index(root: Path) -> Index:
    """The index of a folder of shards. Raises DataError unless every file that it names is there, with its size.

    The checksum of `SPLIT.npy` is compared too; those of the shards are not, each image in them has its own.
    """
    if not (root / INDEX).exists():
        raise DataError(
            f"data.dir={root}: no shards, there is no {INDEX}; write them: "
            "python -m vae_lightning.shard data.dir=IMAGES output=DIR"
        )
    try:
        index = index_of(json_in(root / INDEX))
    except (OSError, ValueError) as error:
        raise DataError(f"{root / INDEX}: cannot be read ({reason(error)}); write the shards again") from error
    files = {shard.file: shard.bytes for part in index.splits.values() for shard in part.shards}
    wrong = {file: size for file in files if (size := size_of(root / file)) != files[file]}
    for file, size in wrong.items():
        what = "is not there" if size is None else f"has {size:,} of {files[file]:,} bytes"
        raise DataError(
            f"data.dir={root}: {len(wrong)} of {len(files)} shards are not complete, first {file}, which {what}; copy "
            "them again, or write them again"
        )
    for split, part in index.splits.items():
        path = root / f"{split}.npy"
        if size_of(path) is None or sha256(path) != part.sha256:
            raise DataError(f"{path}: not there, or damaged; copy it again, or write the shards again")
    return index


def size_of(path: Path) -> int | None:
    """The size of a regular file in bytes, or None."""
    return path.stat().st_size if path.is_file() else None


def index_of(content: Any) -> Index:
    """The index in a JSON file. Raises ValueError with the reason."""
    known = of(content, dict, "an index")
    if known.get("version") != VERSION:
        raise ValueError(f"version {known.get('version')}, not {VERSION}")
    splits = {}
    for name, split in of(known.get("splits"), dict, "splits").items():
        shards = tuple(shard_of(shard) for shard in of(split.get("shards"), list, "shards"))
        splits[name] = Part(shards, of(split.get("sha256"), str, "sha256"))
    if not {"train", "test"} <= splits.keys() <= set(SPLITS):
        raise ValueError(f"splits {', '.join(splits) or 'missing'}, not {', '.join(SPLITS)}")
    shape = each(known.get("image_shape"), int, "image_shape")
    return Index(
        shape, each(known.get("classes"), str, "classes"), of(known.get("images_of"), str, "images_of"), splits
    )


def shard_of(content: Any) -> Shard:
    """A shard of the index. Its file lies in the folder of the index."""
    fields = of(content, dict, "a shard")
    file = of(fields.get("file"), str, "file")
    if Path(file).name != file:
        raise ValueError(f"{file}: not a name in the same folder")
    images, size = (of(fields.get(name), int, name) for name in ("images", "bytes"))
    return Shard(file, images, size, of(fields.get("sha256"), str, "sha256"))


def each(value: Any, kind: type[Value], named: str) -> tuple[Value, ...]:
    """The items of a list, which are of one type."""
    items: Sequence[Any] = of(value, list, named)
    return tuple(of(item, kind, named) for item in items)


def of(value: Any, kind: type[Value], named: str) -> Value:
    """A value of a type. Raises ValueError for another one."""
    if type(value) is not kind:
        raise ValueError(f"no {named}")
    return value
