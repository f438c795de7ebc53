"""NumPy's files: .npy is mapped, .npz is unpacked up to a limit. No pickle is read."""

import lzma
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from vae_lightning.errors import DataError, shown
from vae_lightning.runs.regular import opened, reason

DAMAGED = (OSError, EOFError, ValueError, SyntaxError, tokenize.TokenError, zlib.error, zipfile.BadZipFile)
DAMAGED += (lzma.LZMAError, RuntimeError, NotImplementedError, MemoryError)  # of a header, or of the packed content
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
KINDS = "biuf"  # of the numbers that become x: flags, whole numbers, floats
LEAST_MEMORY = 8 * 2**30  # bytes, where the system does not say how much it has


class Npz(Mapping[str, np.ndarray]):
    """The arrays of a .npz by name. Each is unpacked when it is asked for.

    Raises DataError for a file that is none, a damaged array, and arrays of more than half of the machine's memory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with opened(path) as file, zipfile.ZipFile(file) as archive:
                members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        except DAMAGED as error:
            raise unreadable(path, error) from error
        self._members = {info.filename.removesuffix(".npy"): info for info in members}
        self._left = most_bytes()

    def __getitem__(self, name: str) -> np.ndarray:
        info = self._members[name]
        if info.file_size > self._left:
            size, most = info.file_size / 2**30, most_bytes() / 2**30
            raise DataError(
                f"{self.path}: {shown(name)} is {size:,.1f} GiB unpacked, and at most {most:,.1f} GiB (half of the "
                "memory) are unpacked; save it with np.save as a .npy, which is mapped"
            )
        try:
            with opened(self.path) as file, zipfile.ZipFile(file) as archive, archive.open(info) as member:
                array = unpacked(member, info.file_size)
        except DAMAGED as error:
            raise unreadable(self.path, error, name) from error
        self._left -= info.file_size
        return array

    def __iter__(self):
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


def mapped(path: Path) -> np.ndarray:
    """The array of a .npy, mapped: processes share its memory, and a write is private to its process.

    Raises DataError for a file that is none, one that is cut short, and an array of Python's objects.
    """
    try:
        with opened(path) as file:
            shape, order, kind = header(file)
            at, size = file.tell(), os.fstat(file.fileno()).st_size
            check_length(shape, kind, size - at)
            if not math.prod(shape):
                return np.empty(shape, kind)
            return np.memmap(file, kind, mode="c", offset=at, shape=shape, order=order)
    except DAMAGED as error:
        raise unreadable(path, error) from error


def unpacked(member: IO[bytes], size: int) -> np.ndarray:
    """The array of a member of an archive, of `size` bytes. Raises an error of `DAMAGED`."""
    shape, order, kind = header(member)
    check_length(shape, kind, size - member.tell())
    content = bytearray(member.read())
    check_length(shape, kind, len(content))
    return np.frombuffer(content, kind, count=math.prod(shape)).reshape(shape, order=order)


def header(file: IO[bytes]) -> tuple[tuple[int, ...], Any, np.dtype]:
    """Shape, order ("C" or "F") and type of the array that follows. Raises ValueError, also for Python's objects."""
    read = HEADERS.get(npy.read_magic(file))
    if read is None:
        raise ValueError("a header of another version")
    shape, is_fortran, kind = read(file)
    check_kind(kind)
    return shape, "F" if is_fortran else "C", kind


def check_kind(kind: np.dtype) -> None:
    """Raises ValueError for a type that holds Python's objects, or several fields."""
    if kind.hasobject:
        raise ValueError("it holds Python objects, which are not read; save numbers of one type, x.astype('float32')")
    if kind.fields or kind.subdtype:
        raise ValueError(f"it has the type {kind}; save numbers of one type")


def check_length(shape: tuple[int, ...], kind: np.dtype, found: int) -> None:
    """Raises ValueError where a file is too short for its header."""
    needed = math.prod(shape) * kind.itemsize
    if min(shape, default=1) < 0 or needed > found:
        raise ValueError(f"its header says {list(shape)} of {kind}, {needed:,} bytes, and {found:,} are there")


def unreadable(path: Path, error: Exception, name: str = "") -> DataError:
    """The answer to a file that cannot be read."""
    what = f"{path}, {shown(name)}" if name else str(path)
    if isinstance(error, FileNotFoundError):
        return DataError(f"{what}: no such file; name a .npy or .npz with data.file=FILE")
    why = reason(error).partition("\n")[0][:200] or type(error).__name__
    return DataError(f"{what}: cannot be read ({why}); save it again with np.save or np.savez")


def most_bytes() -> int:
    """Half of the machine's memory."""
    with suppress(AttributeError, ValueError, OSError):  # Windows
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return LEAST_MEMORY


def array_at(path: Path) -> np.ndarray | Mapping[str, np.ndarray]:
    """The array of a .npy, or the arrays of a .npz by name; which of the two it is, the file's first bytes say."""
    try:
        with opened(path) as file:
            start = file.read(6)
    except OSError as error:
        raise unreadable(path, error) from error
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return Npz(path)
    if start != npy.MAGIC_PREFIX:
        raise DataError(
            f"{path}: neither a .npy nor a .npz, it starts with {start!r}; save it with np.save or np.savez"
        )
    return mapped(path)
