"""The lock of a folder, held by one process, and the first process of a distributed run.

A file system may keep the locks of one machine only, or none: NFS mounted with `nolock`, Lustre without `flock`, FUSE.
So two marks say that a lock is held:

* `flock`, which the system ends with the process, on every machine if the file system honours it;
* the claim in the lock file, `PID HOST`. Its process renews the file's time every BEAT seconds. The claim of another
  machine counts while it is younger than SILENCE. Where there is no `flock`, so does a claim of this machine. The
  clocks of the machines must agree to half a minute.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from vae_lightning.errors import CheckpointError, shown
from vae_lightning.output import warn
from vae_lightning.runs.place import own_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

BEAT, SILENCE, TAKING = 20.0, 90.0, 10.0  # seconds; a process that takes longer to take a lock is dead
MOST_CLAIM = 400  # bytes


def is_first_process() -> bool:
    """Whether this process is the one that claims folders and writes files in a distributed run."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(os.environ.get(rank, "0") == "0" for rank in ranks)


class Lock:
    """A lock file. The system releases the lock when its process ends. Without fcntl (Windows) there is no lock."""

    def __init__(self, folder: Path, name: str = ".lock") -> None:
        self.path = folder / name
        self._file: Any = None
        self._over, self._closing = threading.Event(), threading.Lock()

    def take(self) -> None:
        """Takes the lock. Raises CheckpointError where another process holds it, FolderError where it is a link."""
        file = os.fdopen(own_file(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "a+", encoding="utf-8")
        try:
            locks = flocked(file.fileno())
            with nullcontext() if locks else alone(self.path):
                if fcntl is not None and claimed(file.fileno(), locks):
                    raise BlockingIOError
                if is_ours := os.fstat(file.fileno()).st_nlink == 1:  # else it has a second name, perhaps elsewhere
                    file.truncate(0)
                    file.write(own_claim())
                    file.flush()
        except BlockingIOError:
            pid, host = claim_in(file.fileno()) or ("unknown", "")
            where = f" on {shown(host)}" if host not in ("", socket.gethostname()) else ""
            file.close()
            raise CheckpointError(
                f"{self.path.parent}: in use by process {pid}{where}; wait for it, or stop it"
            ) from None
        self._file = file
        self._over.clear()
        if is_ours:
            threading.Thread(target=self._renew, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Takes the lock once it is free; False where another process still holds it after so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.take()
                return True
            except CheckpointError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.1)

    def release(self) -> None:
        """Releases the lock. The file stays, without a claim."""
        with self._closing:
            self._over.set()
            if self._file is not None:
                with suppress(OSError):
                    if claim_in(self._file.fileno()) == tuple(own_claim().split()):
                        self._file.truncate(0)
                self._file.close()
                self._file = None

    @property
    def held(self) -> bool:
        """Whether a living process holds the lock, also that of another user or of a disk that is read-only.

        A lock that may not even be looked at counts as held: nobody can say that its process is dead.
        """
        if fcntl is None or not os.path.isfile(self.path):
            return False
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        try:
            return claimed(descriptor, flocked(descriptor, shared=True, tries=1))
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)

    def _renew(self) -> None:
        """Renews the claim until the lock is released, or until another process wrote its own claim over it."""
        while not self._over.wait(BEAT):
            with self._closing, suppress(OSError):
                if self._file is None:
                    return
                os.utime(self._file.fileno())
                claim = claim_in(self._file.fileno())
                if claim is not None and claim != tuple(own_claim().split()):
                    warn(
                        f"{self.path.parent}: process {shown(' on '.join(claim))} uses it as well, since its file "
                        "system keeps no locks between machines; stop one of the two"
                    )
                    return


def flocked(descriptor: int, shared: bool = False, tries: int = 6) -> bool:
    """Locks an open file; False where the file system has no locks. Raises BlockingIOError where another process did.

    A process that only asks `held` holds the lock for a moment, so there are several tries.
    """
    if fcntl is None:
        return True
    for left in reversed(range(tries)):
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if not left:
                raise
            time.sleep(0.02)
        except OSError:
            return False
    return False


def claimed(descriptor: int, locks: bool) -> bool:
    """Whether the claim in a lock file counts, where the system's lock is free (`locks`) or does not exist."""
    claim = claim_in(descriptor)
    if claim is None or time.time() - os.fstat(descriptor).st_mtime > SILENCE:
        return False
    pid, host = claim
    return host != socket.gethostname() or (not locks and is_alive(int(pid)))


def claim_in(descriptor: int) -> tuple[str, str] | None:
    """(PID, HOST) in a lock file, or None."""
    os.lseek(descriptor, 0, os.SEEK_SET)  # a claim is appended, wherever the position is
    words = os.read(descriptor, MOST_CLAIM).decode("utf-8", "replace").split()
    return (words[0], words[1]) if len(words) == 2 and words[0].isdecimal() and len(words[0]) < 10 else None


def own_claim() -> str:
    """The claim of this process."""
    return f"{os.getpid()} {socket.gethostname()}\n"


def is_alive(pid: int) -> bool:
    """Whether a process of this machine lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # that of another user
    return True


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keeps other processes out of this block by a file that only one can make: every file system has that."""
    guard = path.with_name(f"{path.name}.taking")
    while True:
        try:
            os.close(os.open(guard, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            break
        except FileExistsError:
            with suppress(FileNotFoundError):
                if time.time() - os.stat(guard).st_mtime > TAKING:
                    guard.unlink()
            time.sleep(0.02)
    try:
        yield
    finally:
        guard.unlink(missing_ok=True)
