"""The four idx files of an MNIST-like data set: their names, their checksums, how to read them. <-> conf/data/files/"""

import gzip
import hashlib
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
        content = unpack(path)
        found, expected = hashlib.sha256(content).hexdigest(), self.checksum(part)
        if found != expected:
            looks_like = " (a web page?)" if content.lstrip()[:1] == b"<" else ""
            raise DataError(
                f"{path}: {len(content)} bytes with SHA-256 {found[:12]}..., not {expected[:12]}...{looks_like}; "
                "delete it, or point data.dir at the original"
            )
        return parse_idx(content, path)


def unpack(path: Path) -> bytes:
    """The file's content, uncompressed where its name ends in .gz. Raises DataError where that fails."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it, or point data.dir at the original") from error


def parse_idx(content: bytes, path: Path) -> Tensor:
    """An idx file of unsigned bytes as a uint8 tensor. Raises DataError where header and length disagree."""
    if len(content) < 4 or content[:3] != b"\0\0\x08" or len(content) < 4 + 4 * content[3]:
        raise DataError(f"{path}: not an idx file, it starts with {content[:6]!r}; point data.dir at the original")
    dims = struct.unpack_from(f">{content[3]}I", content, 4)
    payload = bytearray(content[4 + 4 * content[3] :])
    tensor = torch.frombuffer(payload, dtype=torch.uint8) if payload else torch.empty(0, dtype=torch.uint8)
    if tensor.numel() != torch.Size(dims).numel():
        raise DataError(f"{path}: the header says {'x'.join(map(str, dims))}, the file holds {tensor.numel()} bytes")
    return tensor.view(dims)
