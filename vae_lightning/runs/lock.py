"""The lock of a folder, held by one process, and the first process of a distributed run."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from vae_lightning.errors import CheckpointError
from vae_lightning.runs.place import own_file

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def is_first_process() -> bool:
    """Whether this process is the one that claims folders and writes files in a distributed run."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(os.environ.get(rank, "0") == "0" for rank in ranks)


class Lock:
    """A lock file. The system releases the lock when its process ends. Without fcntl (Windows) there is no lock."""

    def __init__(self, folder: Path, name: str = ".lock") -> None:
        self.path = folder / name
        self._file: Any = None

    def take(self) -> None:
        """Takes the lock. Raises CheckpointError where another process holds it, FolderError where it is a link."""
        file = os.fdopen(own_file(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "a+", encoding="utf-8")
        if fcntl is not None:
            try:
                for _ in range(5):  # a process that only asks `held` holds the lock for a moment
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
        if os.fstat(file.fileno()).st_nlink == 1:  # else the file has a second name, perhaps elsewhere
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        self._file = file

    def release(self) -> None:
        """Releases the lock. The file stays."""
        if self._file is not None:
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
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return False
        finally:
            os.close(descriptor)
        return False
