"""The idx format of MNIST: names, checksums and content of the four files of a data set."""

import gzip
import hashlib
import io
import math
import mmap
import os
import struct
import zlib
from dataclasses import dataclass
from errno import EFBIG
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from vae_lightning.errors import DataError
from vae_lightning.runs.regular import content_of, reason

UNPACKED = (OSError, EOFError, zlib.error)  # the errors of a file that cannot be unpacked
NAMES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


@dataclass(frozen=True)
class IdxFiles:
    """The SHA-256 of each of the four files, unpacked, the largest size, and torchvision's folder for the data set."""

    largest: ClassVar[int] = 47_040_016  # bytes of the largest file, unpacked; no more is read
    folder: str
    train_images: str
    train_labels: str
    test_images: str
    test_labels: str

    def checksum(self, part: str) -> str:
        """The SHA-256 of `part`, a key of `NAMES`."""
        return getattr(self, part)

    def read(self, part: str, path: Path) -> Tensor:
        """The tensor in `path`. Raises DataError unless `path` is exactly the expected file."""
        content = unpack(path, self.largest) if path.suffix == ".gz" else mapped(path, self.largest)
        found, expected = hashlib.sha256(content).hexdigest(), self.checksum(part)
        if found != expected:
            looks_like = " (a web page?)" if bytes(content[:100]).lstrip()[:1] == b"<" else ""
            raise DataError(
                f"{path}: {len(content)} bytes with SHA-256 {found[:12]}..., not {expected[:12]}...{looks_like}; "
                "delete it, or point data.dir at the original"
            )
        return parse_idx(content, path)


MNIST = IdxFiles(
    folder="MNIST",
    train_images="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    train_labels="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    test_images="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    test_labels="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
FASHION_MNIST = IdxFiles(
    folder="FashionMNIST",
    train_images="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    train_labels="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    test_images="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    test_labels="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)


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


def unpack(path: Path, most: int) -> bytes:
    """The content of a file, uncompressed if its name ends in .gz.

    Raises DataError if it cannot be read, or unpacks to more than `most` bytes.
    """
    try:
        content = content_of(path, most + most // 64)  # packing makes noise a little longer
        return gunzipped(content, most) if path.suffix == ".gz" else content
    except UNPACKED as error:
        why = reason(error)
        raise DataError(f"{path}: cannot be read ({why}); delete it, or point data.dir at the original") from error


def gunzipped(content: bytes, most: int) -> bytes:
    """The content of a .gz. Raises OSError, EOFError or zlib.error where there is none, or more than `most` bytes."""
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        unpacked = file.read(most + 1)
    if len(unpacked) > most:
        raise OSError(EFBIG, f"it unpacks to more than {most:,} bytes")
    return unpacked


def parse_idx(content: bytes | memoryview, path: Path) -> Tensor:
    """An idx file of unsigned bytes as a uint8 tensor. The tensor shares the memory of a memoryview.

    Raises DataError if header and length disagree, or if there are no dimensions.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise DataError(
            f"{path}: not an idx file, it starts with {bytes(content[:6])!r}; point data.dir at the original"
        )
    if content[3] == 0:
        raise DataError(f"{path}: an idx file of 0 dimensions holds no images; point data.dir at the original")
    shape = struct.unpack_from(f">{content[3]}I", content, 4)
    payload = content[4 + 4 * content[3] :]
    payload = payload if isinstance(payload, memoryview) else bytearray(payload)
    if len(payload) != math.prod(shape):
        raise DataError(f"{path}: the header says {'x'.join(map(str, shape))}, the file holds {len(payload)} bytes")
    tensor = torch.frombuffer(payload, dtype=torch.uint8) if payload else torch.empty(0, dtype=torch.uint8)
    return tensor.view(shape)
