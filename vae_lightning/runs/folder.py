"""The folder of a run: project_dir/group/YYYYMMDD-NNN-name, claimed by one process; `latest` points at the newest."""

import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from itertools import count
from pathlib import Path

from vae_lightning.errors import ConfigError, FolderError, shown
from vae_lightning.runs.atomic import atomically, leftovers, write_text
from vae_lightning.runs.contents import foreign
from vae_lightning.runs.files import LATEST, LATEST_TEXT, OF_TRAINING, RECORD
from vae_lightning.runs.lock import Lock, is_first_process
from vae_lightning.runs.place import at_home, check_links
from vae_lightning.runs.regular import content_of

JOINED = "VAE_LIGHTNING_RUN_DIR"  # tells the other processes of a distributed run the folder of the first process
LONGEST = 200  # bytes of a name: file systems take 255, and the date and the number come before the name
DEVICES = re.compile(r"(?i)(CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(COM|LPT)[0-9¹²³]) *(\..*)?")  # names that Windows keeps


def nobody(folder: Path) -> bool:
    """No run gives way."""
    return False


def claim(
    project_dir: str,
    group: str,
    name: str,
    date_prefix: bool = True,
    save_dir: str | None = None,
    gives_way: Callable[[Path], bool] = nobody,
) -> Path:
    """Makes the run's folder and points the group's `latest` at it.

    NNN counts the group's runs of the day. `mkdir` is the lock, so parallel starts never share a number. Without
    `date_prefix` the folder is project_dir/group/name. With `save_dir` the folder is `save_dir`, without a `latest`. In
    these two, a run that `gives_way` is replaced. Raises ConfigError where the folder already holds another run or a
    name is not valid, FolderError where the folder cannot be made.
    """
    if not is_first_process():
        return Path(os.environ.get(JOINED, project_dir))
    try:
        if save_dir:
            folder = claim_unnumbered(Path(save_dir), f"save_dir={save_dir}", gives_way)
        else:
            parent, name = Path(project_dir) / check_name("group", group), check_name("name", name)
            parent.mkdir(parents=True, exist_ok=True)
            unnumbered = partial(claim_unnumbered, parent / name, f"name={name}", gives_way)
            folder = claim_number(parent, name) if date_prefix else unnumbered()
            point_latest(parent, folder.name)
    except OSError as error:
        raise FolderError(f"{error.filename}: {error.strerror}; choose another project_dir or save_dir") from error
    os.environ[JOINED] = str(folder.resolve())
    return folder


def claim_number(parent: Path, name: str) -> Path:
    """Makes parent/YYYYMMDD-NNN-name with the next free number of the day."""
    today = date.today().strftime("%Y%m%d")
    for number in count(max(taken(parent, today), default=0) + 1):
        lock = parent / f".{today}-{number:03d}.claim"
        try:
            lock.mkdir()
        except FileExistsError:
            continue
        try:
            if number in taken(parent, today):  # another process claimed it before this one had the lock
                continue
            folder = parent / f"{today}-{number:03d}-{name}"
            folder.mkdir()
            return folder
        finally:
            lock.rmdir()
    raise AssertionError("the numbers do not end")


def taken(parent: Path, today: str) -> set[int]:
    """The numbers of today's folders."""
    matches = (re.match(rf"{today}-(\d{{3,}})-", entry.name) for entry in parent.iterdir())
    return {int(match[1]) for match in matches if match}


def claim_unnumbered(folder: Path, named: str, gives_way: Callable[[Path], bool] = nobody) -> Path:
    """Makes a folder without a number. Raises ConfigError where it holds a run that stays, or anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    if names and RECORD not in names:
        found = foreign(folder) or ", ".join(names[:3])
        raise ConfigError(f"{named}: {folder} holds other things ({shown(found)}); name an empty or a new folder")
    try:
        (folder / RECORD).open("x", encoding="utf-8").close()
    except FileExistsError:
        if not gives_way(folder):
            said = f"{named}: {folder} already holds a run; choose another folder, or remove it first"
            raise ConfigError(said) from None
    return folder


def point_latest(parent: Path, target: str) -> None:
    """Points parent/latest at `target` in one step. latest.txt holds the name where links are not allowed.

    A file or folder of the user's that is called `latest` stays.
    """
    link = parent / LATEST
    try:
        if link.exists() and not link.is_symlink():
            raise FileExistsError
        with atomically(link) as temporary:
            temporary.symlink_to(target, target_is_directory=True)
    except OSError:
        write_text(parent / LATEST_TEXT, target + "\n")


def resolved(folder: str | os.PathLike[str]) -> Path:
    """The folder itself, or the folder that a link or latest.txt points at. `.` becomes an absolute path.

    Raises ConfigError where nothing is named, and where the user after `~` does not exist.
    """
    if not str(folder).strip():
        raise ConfigError("no folder is named; say . for the current folder")
    path = Path(at_home(os.fspath(folder)))
    path = path if path.name not in ("", "..") else path.resolve()
    if path.name == LATEST and not os.path.lexists(path / RECORD):
        try:
            named = content_of(path.parent / LATEST_TEXT, LONGEST + 2).decode("utf-8", "replace").strip()
            return path.parent / check_name(LATEST_TEXT, named)
        except (OSError, ConfigError):
            pass
    return path.parent / os.readlink(path) if os.path.islink(path) else path


def check_name(key: str, value: str) -> str:
    """The name itself. Raises ConfigError unless it can be the name of one folder on any file system."""
    unseen = any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in value)
    edges = value.startswith((".", "-", " ")) or value.endswith((".", " "))
    if not value or edges or unseen or re.search(r'[/\\=:*?"<>|]', value):
        raise ConfigError(
            f'{key}={shown(value)}: must be the name of one folder on every system: no slash, none of = : * ? " < > |, '
            "no control characters, not starting with '.', '-' or a space, not ending with '.' or a space"
        )
    if DEVICES.fullmatch(value):
        raise ConfigError(f"{key}={shown(value)}: Windows keeps this name for a device; add a letter to it")
    if len(value.encode()) > LONGEST:
        raise ConfigError(f"{key}={shown(value)}: {len(value.encode())} bytes long; must be at most {LONGEST}")
    return value


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Locks the folder for this process until the block ends, and removes the temporary files of killed trainings.

    In a distributed run the first process holds the lock, and the others share the folder. Raises CheckpointError where
    another process holds the lock, FolderError for a link that leads out of the folder.
    """
    if not is_first_process():
        yield
        return
    check_links(folder)
    lock = Lock(folder)
    lock.take()
    try:
        for name, files in OF_TRAINING.items():
            for leftover in leftovers(folder / name, files):
                leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()
