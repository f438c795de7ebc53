"""Files whose digests are known in advance: how they are read, unpacked, checked and written."""

import gzip
import hashlib
import io
import mmap
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EFBIG
from functools import partial
from pathlib import Path
from typing import BinaryIO, ClassVar, Protocol

from torch import Tensor

from vae_lightning.errors import DataError
from vae_lightning.runs.atomic import atomically
from vae_lightning.runs.regular import content_of, opened, reason

Content = bytes | bytearray | memoryview
Get = Callable[[str, int], Content]  # the name of a file on a mirror, the most bytes it may have -> its content
UNPACKED = (OSError, EOFError, zlib.error)  # the errors of a file that cannot be unpacked
MEND = "delete it, or point data.dir at the original"
ALGORITHMS = {32: ("md5", "MD5"), 64: ("sha256", "SHA-256")}  # by the length of a digest


@dataclass(frozen=True)
class Found:
    """The tensors of a data set, their source, and the SHA-256 of each; `problems` says why earlier sources failed."""

    tensors: Mapping[str, Tensor]
    source: str
    sha256: Mapping[str, str]
    subset: bool = False
    problems: Sequence[str] = ()


class Files(Protocol):
    """The files of a data set.

    `place` is the folder below `data.dir` that a download goes to, where torchvision has it too. `names` are all names
    that the files may have, `kind` and `wanted` say in words what they are and what to put into a folder. `find` reads
    the files in a folder, or returns None where there is none of them. `fetch` downloads them into a folder. Both raise
    DataError for files that are damaged or missing.
    """

    names: ClassVar[Sequence[str]]
    kind: ClassVar[str]
    wanted: ClassVar[str]

    @property
    def place(self) -> str: ...
    def find(self, folder: Path) -> Found | None: ...
    def fetch(self, get: Get, folder: Path) -> None: ...


def paths_in(folder: Path, spellings: Mapping[str, Sequence[str]]) -> dict[str, Path]:
    """The path of each part in a folder, under one of its spellings; empty where the folder has none of them.

    Raises DataError where the folder has some of them only.
    """
    found = {
        part: next((folder / name for name in names if (folder / name).is_file()), None)
        for part, names in spellings.items()
    }
    paths = {part: path for part, path in found.items() if path}
    if paths and (missing := [names[0] for part, names in spellings.items() if part not in paths]):
        raise DataError(f"{folder} lacks {', '.join(missing)}")
    return paths


# --- reading ----------------------------------------------------------------------------------------------------------


def mapped(path: Path, most: int) -> memoryview:
    """The content of a file, mapped: all processes that map one file share one copy of it in the page cache.

    torch takes only writable memory. A write is private to this process and does not reach the file. Raises DataError
    for a file of more than `most` bytes, or one that cannot be read.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size <= most:
                access = mmap.PROT_READ | mmap.PROT_WRITE
                return memoryview(mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=access))
    except (AttributeError, OSError, ValueError):  # Windows, a file system that cannot map, an empty file
        pass
    return memoryview(bytearray(unpack(path, most)))


def unpack(path: Path, most: int) -> Content:
    """The content of a file, uncompressed if its name ends in .gz.

    Raises DataError if it cannot be read, or unpacks to more than `most` bytes.
    """
    content = content_in(path, most + most // 64)  # packing makes noise a little longer
    return unpacked(io.BytesIO(content), most, path) if path.suffix == ".gz" else content


def content_in(path: Path, most: int) -> bytes:
    """The content of a file as it lies there. Raises DataError if it cannot be read or has more than `most` bytes."""
    try:
        return content_of(path, most)
    except OSError as error:
        raise unreadable(path, error) from error


def unpacked(packed: BinaryIO, most: int, path: Path) -> bytearray:
    """The content of a .gz in `path`. Raises DataError if there is none, or more than `most` bytes."""
    try:
        return gunzipped(packed, most)
    except UNPACKED as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> DataError:
    """The error of a file that cannot be read."""
    return DataError(f"{path}: cannot be read ({reason(error)}); {MEND}")


def gunzipped(packed: BinaryIO, most: int) -> bytearray:
    """The content of a .gz. Raises OSError, EOFError or zlib.error where there is none, or more than `most` bytes."""
    content = bytearray()
    with gzip.GzipFile(fileobj=packed) as file:
        while chunk := file.read(1 << 20):
            content += chunk
            if len(content) > most:
                raise OSError(EFBIG, f"it unpacks to more than {most:,} bytes")
    return content


# --- digests ----------------------------------------------------------------------------------------------------------


def digest_like(pieces: Iterable[Content], digest: str) -> str:
    """The digest of some pieces, of the same kind as `digest`: SHA-256, or MD5 if it is that short."""
    algorithm = hashlib.new(ALGORITHMS[len(digest)][0], usedforsecurity=False)
    for piece in pieces:
        algorithm.update(piece)
    return algorithm.hexdigest()


def check_known(content: Content, digest: str, path: Path) -> None:
    """Raises DataError unless the content of `path` has the digest."""
    if (found := digest_like([content], digest)) != digest:
        raise unknown(path, len(content), found, digest, bytes(content[:100]))


@contextmanager
def known_file(path: Path, digest: str, most: int) -> Iterator[BinaryIO]:
    """A file, open for reading: one that is too large to have it in memory. Raises DataError as `check_known`."""
    try:
        file = opened(path)
    except OSError as error:
        raise unreadable(path, error) from error
    with file:
        if (size := os.fstat(file.fileno()).st_size) > most:
            raise DataError(f"{path}: more than {most:,} bytes; {MEND}")
        if (found := digest_like(iter(partial(file.read, 1 << 20), b""), digest)) != digest:
            file.seek(0)
            raise unknown(path, size, found, digest, file.read(100))
        file.seek(0)
        yield file


def unknown(path: Path, size: int, found: str, digest: str, start: bytes) -> DataError:
    """The error of a file that has another digest."""
    looks_like = " (a web page?)" if start.lstrip()[:1] == b"<" else ""
    title = ALGORITHMS[len(digest)][1]
    return DataError(f"{path}: {size} bytes with {title} {found[:12]}..., not {digest[:12]}...{looks_like}; {MEND}")


def store(content: Content, digest: str, path: Path) -> None:
    """Writes `path` atomically. Raises DataError if the digest differs, OSError if the file cannot be written."""
    if digest_like([content], digest) != digest:
        raise DataError(f"{path.name}: wrong checksum ({len(content)} bytes)")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomically(path, durable=True) as temporary:
        temporary.write_bytes(content)
