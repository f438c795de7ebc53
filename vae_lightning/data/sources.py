"""Sources of the files of a data set: a folder, the bundled subset, and those of mirrors.py.

`find(files, root, name)` of a source returns all files with the right checksums, or raises DataError with the reason.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol

from vae_lightning.data.files import Files, Found
from vae_lightning.data.idx import NAMES, IdxFiles
from vae_lightning.errors import DataError, shown
from vae_lightning.runs.contents import foreign

SUBSET = Path(__file__).parent / "subset"


class Source(Protocol):
    """`label` stands before the reason when the source fails."""

    label: ClassVar[str]

    def find(self, files: Files, root: Path, name: str) -> Found: ...


def obtain(sources: Sequence[Source], files: Files, root: Path, name: str, allow_subset: bool = True) -> Found:
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
        f"{name} was not found. Put {files.wanted} into {root}, or name the folder with data.dir=DIR or "
        f"VAE_LIGHTNING_DATA. Tried: {' | '.join(problems)}"
    )


@dataclass(frozen=True)
class Folder:
    """Local files: in `root` itself, in `root/<name>`, or in torchvision's layout."""

    label: ClassVar = "folder"

    def find(self, files: Files, root: Path, name: str) -> Found:
        problems = []
        for folder in places(files, root, name):
            try:
                if found := files.find(folder):
                    return found
            except DataError as error:
                problems.append(str(error))
        raise DataError("; ".join(problems) or f"no files in {root}")


@dataclass(frozen=True)
class Subset:
    """The digits that this package ships: 5,000 to train and 1,000 to test, equally many of each class."""

    label: ClassVar = "subset"

    def find(self, files: Files, root: Path, name: str) -> Found:
        return replace(Folder().find(shipped_files(), SUBSET, name), source="bundled subset", subset=True)


def shipped_files() -> IdxFiles:
    """The checksums of the bundled digits, which `make_subset` wrote beside them."""
    lines = (SUBSET / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    sums = {filename: digest for digest, filename in (line.split() for line in lines)}
    return IdxFiles("MNIST", **{part: sums[filename] for part, filename in NAMES.items()})


def places(files: Files, root: Path, name: str) -> Sequence[Path]:
    """The folders that may hold the files: `root` itself, `root/<name>`, and torchvision's."""
    return (root, root / name, root / files.place)


def check_root(files: Files, root: Path, name: str, ours: Collection[str]) -> None:
    """Raises DataError for a file in place of a folder, and for a folder that holds other files and none of `files`.

    A download would mix its files with the user's, and the user would train on other data than the folder holds. The
    names in `ours`, the files of all data sets, are not other files.
    """
    if root.exists() and not root.is_dir():
        raise DataError(f"data.dir={root}: is a file; name the folder that holds {files.wanted}")
    if any((folder / spelled).is_file() for folder in places(files, root, name) for spelled in files.names):
        return
    if found := foreign(root, ours):
        raise DataError(
            f"data.dir={root}: it holds other files ({shown(found)}) and no {files.kind} of {name}, so nothing is read "
            f"there or written there; name the folder with {files.wanted}, or an empty or new folder for the download; "
            f"images of your own are data=image_folder data.dir={root}"
        )
