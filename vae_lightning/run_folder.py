"""Run folders: project_dir/group/YYYYMMDD-NNN-name, each claimed by one process; `latest` points at the newest.

Claimed by a run that starts, opened by whatever looks at it afterwards.
"""

import json
import math
import os
import re
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from vae_lightning.errors import CheckpointError, ConfigError, FolderError, shown
from vae_lightning.runs.atomic import atomically

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

JOINED = "VAE_LIGHTNING_RUN_DIR"  # tells the other processes of a distributed run which folder the first one claimed
LONGEST = 200  # bytes of a name: file systems take 255, and the date and number come before it


def claim(project_dir: str, group: str, name: str, date_prefix: bool = True, save_dir: str | None = None) -> Path:
    """Makes the run's folder and points the group's `latest` at it.

    The number NNN counts the group's runs of the day; `mkdir` is the lock, so parallel starts never share one. Without
    `date_prefix` the folder is project_dir/group/name; with `save_dir` it is that folder and there is no `latest`.
    Raises ConfigError where that folder holds a run already or a name is not one, FolderError where it cannot be made.
    """
    if not is_first_process():
        return Path(os.environ.get(JOINED, project_dir))  # the first process claims, and it alone writes
    try:
        if save_dir:
            folder = claim_whole(Path(save_dir), f"save_dir={save_dir}")
        else:
            parent, name = Path(project_dir) / check_name("group", group), check_name("name", name)
            parent.mkdir(parents=True, exist_ok=True)
            folder = numbered(parent, name) if date_prefix else claim_whole(parent / name, f"name={name}")
            point_latest(parent, folder.name)
    except OSError as error:
        raise FolderError(f"{error.filename}: {error.strerror}; choose another project_dir or save_dir") from error
    os.environ[JOINED] = str(folder.resolve())
    return folder


def is_first_process() -> bool:
    """Whether this is the one process of a distributed run that claims folders and writes."""
    return all(os.environ.get(rank, "0") == "0" for rank in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))


def numbered(parent: Path, name: str) -> Path:
    """parent/YYYYMMDD-NNN-name with the next free number of the day."""
    today = date.today().strftime("%Y%m%d")
    for number in iter_numbers(parent, today):
        lock = parent / f".{today}-{number:03d}.claim"
        try:
            lock.mkdir()
        except FileExistsError:
            continue
        try:
            if number in taken(parent, today):  # claimed between our look and our lock
                continue
            folder = parent / f"{today}-{number:03d}-{name}"
            folder.mkdir()
            return folder
        finally:
            lock.rmdir()
    raise AssertionError("the numbers do not end")


def iter_numbers(parent: Path, today: str) -> Iterator[int]:
    """Numbers after those of today's folders, upwards."""
    number = max(taken(parent, today), default=0)
    while True:
        yield (number := number + 1)


def taken(parent: Path, today: str) -> set[int]:
    """The numbers of today's folders."""
    found = (re.match(rf"{today}-(\d{{3,}})-", entry.name) for entry in parent.iterdir())
    return {int(match[1]) for match in found if match}


def claim_whole(folder: Path, named: str) -> Path:
    """A folder without a number. Raises ConfigError where it holds a run."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / "run_meta.json").open("x", encoding="utf-8").close()
    except FileExistsError:
        raise ConfigError(f"{named}: {folder} holds a run already; choose another, or remove it first") from None
    return folder


def point_latest(parent: Path, target: str) -> None:
    """parent/latest -> target, swapped in one step; latest.txt with the name where links are not allowed."""
    try:
        with atomically(parent / "latest") as temporary:
            temporary.symlink_to(target, target_is_directory=True)
    except OSError:
        with atomically(parent / "latest.txt") as temporary:
            temporary.write_text(target + "\n", encoding="utf-8")


def check_name(key: str, value: str) -> str:
    """Raises ConfigError unless `value` can be one folder's name, on any file system."""
    unseen = any(unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") for each in value)
    if not value or value.startswith((".", "-")) or value.endswith((".", " ")) or re.search(r"[/\\=]", value) or unseen:
        raise ConfigError(
            f"{key}={shown(value)}: must be one folder's name: no slash, no '=', no control characters, not starting "
            "with '.' or '-', not ending with '.' or a space"
        )
    if len(value.encode()) > LONGEST:
        raise ConfigError(f"{key}={shown(value)}: {len(value.encode())} bytes long; must be at most {LONGEST}")
    return value


@dataclass(frozen=True)
class Run:
    """A run folder as it was found: its path and what run_meta.json says."""

    path: Path
    meta: dict[str, Any]

    @property
    def score(self) -> float:
        """The last validation ELBO, training ELBO where nothing was held out; nan where neither was reached."""
        metrics = self.meta.get("metrics", {})
        return float(metrics.get("val/elbo") or metrics.get("train/elbo") or math.nan)

    def checkpoint(self, asked: str | None = None) -> Path:
        """The file asked for, or the best checkpoint, or the last. Raises ConfigError where there is none."""
        known = [self.path / "checkpoints" / name for name in ("best.ckpt", "last.ckpt")]
        found = next((path for path in ([Path(asked)] if asked else known) if path.is_file()), None)
        if found is None:
            where = f"checkpoint={asked}: no such file" if asked else f"run={self.path}: it holds no checkpoint"
            raise ConfigError(f"{where}; runs keep {known[0].name} and {known[1].name} in {known[0].parent}")
        return found


def open_run(folder: str | os.PathLike, key: str = "run") -> Run:
    """Reads a run folder, or the one that a group's `latest` means. Raises ConfigError where it is not one."""
    path = Path(folder)
    pointer = path.with_name("latest.txt")
    if path.name == "latest" and not path.exists() and pointer.is_file():
        path = path.with_name(pointer.read_text(encoding="utf-8").strip())
    elif path.is_symlink():
        path = path.parent / os.readlink(path)
    try:
        meta = json.loads((path / "run_meta.json").read_text(encoding="utf-8"))
        if not isinstance(meta.get("config"), dict):
            raise ValueError
    except OSError:
        what = "not a run folder, it has no run_meta.json" if path.is_dir() else "no such folder"
        raise ConfigError(f"{key}={folder}: {what}; name a run's folder, or its group's latest") from None
    except (ValueError, AttributeError):
        raise ConfigError(f"{key}={folder}: run_meta.json is damaged, or not one of our command line's") from None
    return Run(path, meta)


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """This process's folder until the block ends; what killed processes left half-written in it is removed.

    The other processes of a distributed run share it with the first, which alone holds the lock.
    """
    if not is_first_process():
        yield
        return
    lock = Lock(folder)
    lock.take()
    try:
        for leftover in folder.glob("**/.*.tmp"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


class Lock:
    """Held by the process that works in a folder, and let go by the system when it ends, however it ends."""

    def __init__(self, folder: Path, name: str = ".lock") -> None:
        self.path = folder / name
        self._file: Any = None

    def take(self) -> None:
        """Raises CheckpointError where another process has it. Without fcntl (Windows) there is no lock."""
        file = self.path.open("a+", encoding="utf-8")
        if fcntl is not None:
            try:
                for _ in range(5):  # whoever only asks `held` has it for a moment
                    with suppress(BlockingIOError):
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    time.sleep(0.02)
                else:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                pid = file.read().strip() or "unknown"
                file.close()
                raise CheckpointError(f"{self.path.parent}: in use by process {pid}; wait for it, or stop it") from None
            except OSError:  # a file system without locks
                pass
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        """Lets it go; the file stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def held(self) -> bool:
        """Whether a living process has it."""
        if fcntl is None or not self.path.is_file():
            return False
        with self.path.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False
