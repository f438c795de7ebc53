"""The four idx files of an MNIST-like data set: their names, their checksums, how to read them. <-> conf/data/files/"""

import gzip
import hashlib
import mmap
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vae_lightning.errors import DataError

NAMES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}


@dataclass(frozen=True)
class IdxFiles:
    """What is being looked for: SHA-256 of each file, unpacked, and the folder torchvision keeps them in."""

    folder: str
    train_images: str
    train_labels: str
    test_images: str
    test_labels: str

    def checksum(self, part: str) -> str:
        """The SHA-256 of `part`, a key of `NAMES`."""
        return getattr(self, part)

    def read(self, part: str, path: Path) -> Tensor:
        """The tensor in `path`. Raises DataError unless it is exactly the expected file."""
        content = unpack(path) if path.suffix == ".gz" else mapped(path)
        found, expected = hashlib.sha256(content).hexdigest(), self.checksum(part)
        if found != expected:
            looks_like = " (a web page?)" if bytes(content[:100]).lstrip()[:1] == b"<" else ""
            raise DataError(
                f"{path}: {len(content)} bytes with SHA-256 {found[:12]}..., not {expected[:12]}...{looks_like}; "
                "delete it, or point data.dir at the original"
            )
        return parse_idx(content, path)


def mapped(path: Path) -> memoryview:
    """The content of a file as the system's page cache holds it: however many processes map it, it is there once.

    torch takes only what can be written to; what is written stays this process's own.
    """
    try:
        with path.open("rb") as file:
            access = mmap.PROT_READ | mmap.PROT_WRITE
            return memoryview(mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=access))
    except (AttributeError, OSError, ValueError):  # Windows, a file system without it, an empty file
        return memoryview(bytearray(unpack(path)))


def unpack(path: Path) -> bytes:
    """The file's content, uncompressed where its name ends in .gz. Raises DataError where that fails."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it, or point data.dir at the original") from error


def parse_idx(content: bytes | memoryview, path: Path) -> Tensor:
    """An idx file of unsigned bytes as a uint8 tensor, which shares the memory of a memoryview.

    Raises DataError where header and length disagree.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise DataError(
            f"{path}: not an idx file, it starts with {bytes(content[:6])!r}; point data.dir at the original"
        )
    dims = struct.unpack_from(f">{content[3]}I", content, 4)
    payload = content[4 + 4 * content[3] :]
    payload = payload if isinstance(payload, memoryview) else bytearray(payload)
    tensor = torch.frombuffer(payload, dtype=torch.uint8) if payload else torch.empty(0, dtype=torch.uint8)
    if tensor.numel() != torch.Size(dims).numel():
        raise DataError(f"{path}: the header says {'x'.join(map(str, dims))}, the file holds {tensor.numel()} bytes")
    return tensor.view(dims)
