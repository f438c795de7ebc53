"""The images of a folder: which files they are, in which split, with which label. Nothing is opened.

A folder holds images directly, or one folder a class, at any depth below it; or it holds `train/` and perhaps `val/`
and `test/`, each of which is such a folder. Hidden files and files of other kinds are ignored.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from vae_lightning.errors import DataError, shown
from vae_lightning.output import warn
from vae_lightning.runs.contents import foreign
from vae_lightning.runs.regular import reason

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif")
SUFFIXES += (".pgm", ".ppm", ".pbm", ".pnm")
SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
DEEPEST = 32  # folders in one another
IGNORED = ("__MACOSX",)  # what an archive of another system leaves


class ImageFile(NamedTuple):
    """A file, by its path below the folder. What cannot be asked for its size is -1 bytes long."""

    name: str
    size: int
    mtime: int  # nanoseconds


@dataclass(frozen=True)
class Listing:
    """The files in a fixed order; the files of each split as a range of them; the class of each file.

    Without class folders `classes` is empty, and all labels are 0.
    """

    files: list[ImageFile]
    splits: dict[str, range]
    labels: list[int]
    classes: tuple[str, ...]

    @cached_property
    def key(self) -> str:
        """A digest of names, sizes and times: it changes when the folder does."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(os.fsencode(file.name) + f"\0{file.size}\0{file.mtime}\n".encode())
        return digest.hexdigest()[:16]


def listed(root: Path) -> Listing:
    """The images below `root`.

    Raises DataError if `root` is no folder or holds no image, for `val/` or `test/` without `train/`, for a class
    folder without images, and for folders that cannot be read, that lead back into themselves or lie too deep.
    """
    if not root.is_dir():
        is_file = "is a file; name the folder that holds the images" if root.exists() else "no such folder"
        raise DataError(f"data.dir={root}: {is_file}")
    folders = split_folders(root)
    found = {split: by_class(root / name if name else root, name) for split, name in folders.items()}
    classes = tuple(sorted({label for split in found.values() for label, _ in split if label}))
    number = {label: i for i, label in enumerate(classes)}
    files: list[ImageFile] = []
    splits, labels = {}, []
    for split, pairs in found.items():
        splits[split] = range(len(files), len(files) + len(pairs))
        files += [file for _, file in pairs]
        labels += [number.get(label, 0) for label, _ in pairs]
        if not pairs:
            place = root / folders[split]
            kinds = foreign(place)
            raise DataError(
                f"data.dir={root}: {place} holds {f'no image ({shown(kinds)})' if kinds else 'nothing'}; "
                "PNG, JPEG, WebP, BMP, TIFF, GIF and PNM files are read"
            )
    return Listing(files, splits, labels, classes)


def split_folders(root: Path) -> dict[str, str]:
    """{split: name of its folder}; {"train": ""} for a folder that is not divided into splits."""
    folders = {entry.name for entry in entries(root) if is_folder(entry)}
    own = {split: [name for name in names if name in folders] for split, names in SPLITS.items()}
    for names in own.values():
        if len(names) > 1:
            raise DataError(f"data.dir={root}: it holds {' and '.join(names)}, which are one split; keep one of them")
    own = {split: names for split, names in own.items() if names}
    if not own:
        return {"train": ""}
    if "train" not in own:
        lone = ", ".join(f"{names[0]}/" for names in own.values())
        raise DataError(f"data.dir={root}: it holds {lone} but no train/; add train/, or give the folder another name")
    used = {name for names in own.values() for name in names}
    beside = [entry.name for entry in entries(root) if entry.name not in used and is_part(entry)]
    if beside:
        more = f" and {len(beside) - 1:,} more" if len(beside) > 1 else ""
        warn(f"data.dir={root}: {shown(beside[0])}{more} beside train/ is not read")
    return {split: names[0] for split, names in own.items()}


def by_class(folder: Path, below: str) -> list[tuple[str, ImageFile]]:
    """(class, file) of the images of a split, sorted; the class is "" where the folders are no classes."""
    inside = {entry.name for entry in entries(folder) if is_folder(entry)}
    files = [(file.name[len(below) :].lstrip("/").partition("/")[0], file) for file in below_folder(folder, below)]
    direct = [name for name, _ in files if name not in inside]
    if not direct and (empty := inside - {name for name, _ in files}):
        if not files:
            return []
        raise DataError(f"{folder / min(empty)}: this class folder holds no image; fill it, or move it away")
    if direct and len(direct) < len(files):
        warn(f"{folder}: images lie in it and in its folders, so its folders are no classes; all labels are 0")
    return [("" if direct else name, file) for name, file in files]


def below_folder(folder: Path, below: str, above: tuple[tuple[int, int], ...] = ()) -> Iterator[ImageFile]:
    """The images below a folder, in the order of their names; a link to a folder is followed."""
    inside, status = entries(folder), folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise DataError(f"{folder}: a link back to a folder that holds it; remove it")
    if len(above) == DEEPEST:
        raise DataError(f"{folder}: more than {DEEPEST} folders in one another; name a folder that is nearer")
    for entry in inside:
        name = f"{below}/{entry.name}".lstrip("/")
        if is_folder(entry):
            yield from below_folder(folder / entry.name, name, (*above, here))
        elif entry.name.lower().endswith(SUFFIXES):
            try:
                status = entry.stat()
                yield ImageFile(name, status.st_size, status.st_mtime_ns)
            except OSError:  # a link to nothing: decoding names it
                yield ImageFile(name, -1, 0)


def entries(folder: Path) -> list[os.DirEntry]:
    """What lies in a folder, sorted by name, without hidden entries. Raises DataError if it cannot be read."""
    try:
        with os.scandir(folder) as scan:
            kept = [entry for entry in scan if not entry.name.startswith(".") and entry.name not in IGNORED]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({reason(error)}); make it readable, or move it away") from error
    return sorted(kept, key=lambda entry: entry.name)


def is_part(entry: os.DirEntry) -> bool:
    """Whether an entry may hold images: a folder, or a file with the name of an image."""
    return is_folder(entry) or entry.name.lower().endswith(SUFFIXES)


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder or a link to one; False where the link leads nowhere."""
    try:
        return entry.is_dir()
    except OSError:
        return False
