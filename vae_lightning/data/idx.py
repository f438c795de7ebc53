"""The idx format of MNIST: names, checksums and content of the four files of a data set."""

import hashlib
import io
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from vae_lightning.data.files import (
    Content,
    Found,
    Get,
    check_known,
    content_in,
    gunzipped,
    mapped,
    paths_in,
    store,
    unpack,
    unpacked,
)
from vae_lightning.errors import DataError

NAMES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
LARGEST = 47_040_016  # bytes of MNIST's largest file, unpacked; no more is read


def spellings(filename: str) -> Sequence[str]:
    """The names of a file, raw and .gz. Some archives have a dot in place of the last hyphen."""
    dotted = ".idx".join(filename.rsplit("-idx", 1))
    return (filename, filename + ".gz", dotted, dotted + ".gz")


class FourFiles:
    """What the data sets of four idx files share: their names and torchvision's place for them."""

    largest: ClassVar[int] = LARGEST
    kind: ClassVar[str] = "idx file"
    names: ClassVar[Sequence[str]] = tuple(spelled for name in NAMES.values() for spelled in spellings(name))
    folder: str

    @property
    def place(self) -> str:
        return f"{self.folder}/raw"


@dataclass(frozen=True)
class IdxFiles(FourFiles):
    """The SHA-256 of each of the four files, unpacked, and torchvision's folder for the data set."""

    wanted: ClassVar[str] = f"the four idx files ({', '.join(NAMES.values())}; raw or .gz)"
    folder: str
    train_images: str
    train_labels: str
    test_images: str
    test_labels: str

    def checksum(self, part: str) -> str:
        """The SHA-256 of `part`, a key of `NAMES`."""
        return getattr(self, part)

    def find(self, folder: Path) -> Found | None:
        paths = paths_in(folder, {part: spellings(name) for part, name in NAMES.items()})
        tensors = {part: self.read(part, path) for part, path in paths.items()}
        return Found(tensors, str(folder), {part: self.checksum(part) for part in NAMES}) if tensors else None

    def read(self, part: str, path: Path) -> Tensor:
        """The tensor in `path`. Raises DataError unless `path` is exactly the expected file."""
        content = unpack(path, self.largest) if path.suffix == ".gz" else mapped(path, self.largest)
        check_known(content, self.checksum(part), path)
        return parse_idx(content, path)

    def fetch(self, get: Get, folder: Path) -> None:
        """Downloads the four .gz and stores them unpacked: unpacked files can be mapped."""
        for part, name in NAMES.items():
            packed = get(f"{name}.gz", self.largest)
            store(gunzipped(io.BytesIO(packed), self.largest), self.checksum(part), folder / name)


@dataclass(frozen=True)
class PackedIdxFiles(FourFiles):
    """Four .gz of which torchvision knows the MD5: `known` returns it by file name. They are read packed only."""

    wanted: ClassVar[str] = f"the four files {', '.join(f'{name}.gz' for name in NAMES.values())}"
    folder: str
    known: Callable[[], Mapping[str, str]]

    def find(self, folder: Path) -> Found | None:
        paths = paths_in(folder, {part: (f"{name}.gz",) for part, name in NAMES.items()})
        known, tensors, sums = self.known() if paths else {}, {}, {}
        for part, path in paths.items():
            packed = content_in(path, self.largest)
            check_known(packed, known[path.name], path)
            content = unpacked(io.BytesIO(packed), self.largest, path)
            tensors[part], sums[part] = parse_idx(memoryview(content), path), hashlib.sha256(content).hexdigest()
        return Found(tensors, str(folder), sums) if tensors else None

    def fetch(self, get: Get, folder: Path) -> None:
        """Downloads the four .gz and stores them as they are."""
        for filename, digest in self.known().items():
            store(get(filename, self.largest), digest, folder / filename)


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


def kmnist_sums() -> dict[str, str]:
    """{file name: MD5} of Kuzushiji-MNIST, as torchvision knows them."""
    from torchvision.datasets import KMNIST

    return dict(KMNIST.resources)


KUZUSHIJI_MNIST = PackedIdxFiles("KMNIST", kmnist_sums)


def parse_idx(content: Content, path: Path) -> Tensor:
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
