"""Sources of the four idx files: a folder, the bundled subset, and those of mirrors.py.

`find(files, root, name)` of a source returns all four files with the right checksums, or raises DataError with the
reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

from torch import Tensor

from vae_lightning.data.idx import NAMES, IdxFiles
from vae_lightning.errors import DataError, shown
from vae_lightning.runs.contents import foreign

SUBSET = Path(__file__).parent / "subset"


@dataclass(frozen=True)
class Found:
    """The tensors of `NAMES`, their source, and their checksums; `problems` says why earlier sources failed."""

    tensors: Mapping[str, Tensor]
    source: str
    sha256: Mapping[str, str]
    subset: bool = False
    problems: Sequence[str] = ()


class Source(Protocol):
    """`label` stands before the reason when the source fails."""

    label: ClassVar[str]

    def find(self, files: IdxFiles, root: Path, name: str) -> Found: ...


def obtain(sources: Sequence[Source], files: IdxFiles, root: Path, name: str, allow_subset: bool = True) -> Found:
    """Tries the sources in order. Returns the first result, with the reasons why the sources before it failed.

    Raises DataError with all reasons if every source fails.
    """
    problems: list[str] = []
    for source in sources:
        try:
            found = source.find(files, root, name)
        except DataError as error:
            problems.append(f"{source.label}: {error}")
            continue
        if allow_subset or not found.subset:
            return replace(found, problems=problems)
        problems.append(f"{source.label}: refused by data.allow_subset=false")
    raise DataError(
        f"{name} was not found. Put its four idx files ({', '.join(NAMES.values())}; raw or .gz) into {root}, or name "
        f"their folder with data.dir=DIR or VAE_LIGHTNING_DATA. Tried: {' | '.join(problems)}"
    )


@dataclass(frozen=True)
class Folder:
    """Local files, raw or .gz: in `root` itself, in `root/<name>`, or in torchvision's layout."""

    label: ClassVar = "folder"

    def find(self, files: IdxFiles, root: Path, name: str) -> Found:
        problems = []
        for folder in places(files, root, name):
            paths = {part: locate(folder, NAMES[part]) for part in NAMES}
            if all(paths.values()):
                try:
                    tensors = {part: files.read(part, path) for part, path in paths.items() if path}
                    return Found(tensors, str(folder), {part: files.checksum(part) for part in NAMES})
                except DataError as error:
                    problems.append(str(error))
            elif any(paths.values()):
                missing = ", ".join(NAMES[part] for part, path in paths.items() if not path)
                problems.append(f"{folder} lacks {missing}")
        raise DataError("; ".join(problems) or f"no files in {root}")


@dataclass(frozen=True)
class Subset:
    """The digits that this package ships: 5,000 to train and 1,000 to test, equally many of each class."""

    label: ClassVar = "subset"

    def find(self, files: IdxFiles, root: Path, name: str) -> Found:
        return replace(Folder().find(shipped_files(), SUBSET, name), source="bundled subset", subset=True)


def shipped_files() -> IdxFiles:
    """The checksums of the bundled digits, which `make_subset` wrote beside them."""
    lines = (SUBSET / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    sums = {filename: digest for digest, filename in (line.split() for line in lines)}
    return IdxFiles("MNIST", **{part: sums[filename] for part, filename in NAMES.items()})


def locate(folder: Path, filename: str) -> Path | None:
    """The path of `filename` in `folder`, under one of its spellings, or None."""
    return next((folder / name for name in spellings(filename) if (folder / name).is_file()), None)


def spellings(filename: str) -> Sequence[str]:
    """The names of a file, raw and .gz. Some archives have a dot in place of the last hyphen."""
    dotted = ".idx".join(filename.rsplit("-idx", 1))
    return (filename, filename + ".gz", dotted, dotted + ".gz")


def places(files: IdxFiles, root: Path, name: str) -> Sequence[Path]:
    """The folders that may hold the four files: `root` itself, `root/<name>`, and torchvision's."""
    return (root, root / name, root / files.folder / "raw")


def check_root(files: IdxFiles, root: Path, name: str) -> None:
    """Raises DataError for a file in place of a folder, and for a folder that holds other files and none of the four.

    A download would mix the four files with the user's, and the user would train on other data than the folder holds.
    """
    if root.exists() and not root.is_dir():
        raise DataError(f"data.dir={root}: is a file; name the folder that holds the four idx files")
    if any(locate(folder, filename) for folder in places(files, root, name) for filename in NAMES.values()):
        return
    if found := foreign(root, [spelled for filename in NAMES.values() for spelled in spellings(filename)]):
        raise DataError(
            f"data.dir={root}: it holds other files ({shown(found)}) and no idx file of {name}, so nothing is read "
            "there or written there; name the folder with the four idx files, or an empty or new folder for the "
            f"download; images of your own are data=image_folder data.dir={root}"
        )
