"""Atomic writes: a killed process leaves the old file or the new one, never a part of it."""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomically(path: Path, durable: bool = False) -> Iterator[Path]:
    """A hidden path beside `path`. When the block succeeds it replaces `path`; when the block fails it is removed.

    With `durable` the content and the folder's entry are synced to the disk. Raises OSError with the name of `path`.
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
        if isinstance(error, OSError):  # a write that fails does not name its file
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def folder_atomically(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path`. When the block succeeds it is renamed to `path`; when it fails it is removed.

    Raises OSError with the name of `path`, also if a folder of that name holds something.
    """
    temporary = temporary_for(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        rename(temporary, path)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError):
            error.filename, error.filename2 = str(path), None
        raise


def rename(folder: Path, path: Path) -> None:
    """Gives a folder the name `path`. Raises FileExistsError if a folder of that name holds something."""
    try:
        os.rename(folder, path)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8. A character that UTF-8 has not, of a file's name, becomes "?"."""
    with atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")


def temporary_for(path: Path) -> Path:
    """A hidden path beside `path`. Its name is random: two containers on one disk may have the same process number."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def leftovers(folder: Path, names: str) -> Iterator[Path]:
    """The temporary files in a folder of those files whose names match the regular expression `names`.

    Subfolders and links are not looked into. The caller knows that nobody is writing one of these files.
    """
    ours = re.compile(rf"\.({names})\.[0-9a-f]{{8}}\.tmp")
    if folder.is_dir() and not folder.is_symlink():
        files = (path for path in folder.glob(".*.tmp") if ours.fullmatch(path.name))
        yield from (path for path in files if path.is_file() and not path.is_symlink())


def sync(path: Path) -> None:
    """Syncs a file's content, or a folder's entries, to the disk. Does nothing where the system cannot."""
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
