"""Where the program writes: a path is read in one way, no link leads out of a run folder, and there is room."""

import os
import re
import stat
import tempfile
from collections.abc import Iterator, Sequence
from errno import ELOOP
from pathlib import Path

from vae_lightning.errors import ConfigError, FolderError, shown

ROOM = 2**18  # bytes of a trial file
OTHERS = ("wandb",)  # a folder of W&B's: its links to its own logs lead out, and only W&B writes there


def at_home(path: str, named: str = "") -> str:
    """~/runs -> /home/me/runs, and ./~runs -> its absolute path: a Path forgets the `./`. Other texts stay as they are.

    Raises ConfigError, which names `named`, where the user after `~` does not exist.
    """
    whole = os.path.expanduser(path)
    if whole.startswith("~"):
        user = path.partition("/")[0]
        raise ConfigError(
            f"{named or shown(path)}: there is no user {shown(user[1:])}; a folder of that name is ./{shown(path)}"
        )
    return os.path.abspath(path) if re.match(r"(\./+)+~", path) else whole


def own_file(path: str | os.PathLike[str], flags: int) -> int:
    """The opener of a file that belongs to a run folder. Raises FolderError where a link or a device has its name."""
    try:
        if os.path.islink(path):
            raise OSError(ELOOP, os.strerror(ELOOP))
        descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    except OSError as error:
        if error.errno != ELOOP:
            raise
        raise FolderError(f"{path}: a link, and nothing is written through a link; remove it") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FolderError(f"{path}: not a regular file; remove it")
    return descriptor


def check_links(folder: Path, names: Sequence[str] | None = None) -> None:
    """Raises FolderError for a link that leads out of a run folder. `names`: only the folders of these names in it."""
    home = folder.resolve()
    for path in links(home) if names is None else (link for name in names for link in links(home / name)):
        if not Path(os.path.realpath(path)).is_relative_to(home):
            raise FolderError(
                f"{path}: a link out of the run folder, to {shown(os.readlink(path))}; nothing is written through it: "
                "put a folder or file in its place"
            )


def links(folder: Path) -> Iterator[str]:
    """The folder itself if it is a link, else the links below it."""
    if folder.is_symlink():
        yield str(folder)
        return
    for path, folders, files in os.walk(folder):
        yield from (link for name in (*folders, *files) if os.path.islink(link := os.path.join(path, name)))
        folders[:] = [name for name in folders if name not in OTHERS]


def check_writable(run: Path, file: str, folder: str) -> None:
    """Raises FolderError where a file and a folder of these names could not be written into a run folder."""
    check_links(run, [folder])
    if (run / file).is_dir():
        raise FolderError(f"{run / file}: a folder has the name of a file; move it away")
    if os.path.lexists(run / folder) and not (run / folder).is_dir():
        raise FolderError(f"{run / folder}: a file has the name of a folder; move it away")
    for place in (run, run / folder):
        if place.is_dir():
            check_room(place)


def check_output(output: Path, overwrite: bool | None = None) -> None:
    """Raises ConfigError where an output is there already, FolderError where nothing can be written in its place.

    `overwrite` replaces a file, never a folder; None: it is not offered. Folders that do not exist yet may be made.
    """
    if os.path.lexists(output) and not (overwrite and output.is_file()):
        fix = "overwrite=true replaces it" if overwrite is False and output.is_file() else "remove it first"
        raise ConfigError(f"output={shown(output)}: is there already; choose another name, or {fix}")
    parent = next(folder for folder in (*output.absolute().parents, Path()) if os.path.lexists(folder))
    if not parent.is_dir():
        raise FolderError(f"{parent}: a file has the name of a folder; choose another output")
    check_room(parent, "make room, or choose another output")


def check_room(folder: Path, fix: str = "make room, or copy the run to a folder of yours") -> None:
    """Raises FolderError where a file cannot be written into a folder. The trial file has no name, or a moment's."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise FolderError(f"{folder}: {error.strerror}; {fix}") from error
