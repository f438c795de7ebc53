"""Files that are there whole or not at all, whenever the process is killed. Imports neither torch nor Lightning."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path, durable: bool = False) -> Iterator[Path]:
    """A hidden path beside `path`, which takes its place when the block ends well and is removed otherwise.

    `durable` also asks the disk to keep it: the file's content first, then the folder's entry.
    """
    temporary = temporary_for(path)
    try:
        yield temporary
        if durable:
            sync(temporary)
        os.replace(temporary, path)
        if durable:
            sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_for(path: Path) -> Path:
    """Hidden, beside it, this process's own."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def sync(path: Path) -> None:
    """A file's content, or a folder's entries, onto the disk, where the system can."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
