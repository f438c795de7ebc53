"""Files that are there whole or not at all, whenever the process is killed. Imports neither torch nor Lightning."""

import errno
import os
import secrets
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
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):  # a write that fails does not say where
            error.filename, error.filename2 = str(path), None
        raise


def temporary_for(path: Path) -> Path:
    """Hidden, beside it, nobody else's: two containers on one disk may have the same process number."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


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
