"""CIFAR-10: small photographs in ten classes, in the files of torchvision. <-> conf/data/"""

import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from vae_lightning.data.files import MEND, Found, Get, check_known, content_in, paths_in, store
from vae_lightning.data.from_files import FilesDataModule
from vae_lightning.errors import DataError

BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
ARCHIVE = "cifar-10-python.tar.gz"
SHAPE = (3, 32, 32)


def cifar10_sums() -> dict[str, str]:
    """{file name: MD5} of the archive and of the six batches in it, as torchvision knows them."""
    from torchvision.datasets import CIFAR10

    return {ARCHIVE: CIFAR10.tgz_md5, **dict(CIFAR10.train_list), **dict(CIFAR10.test_list)}


@dataclass(frozen=True)
class CifarFiles:
    """The six batches, pickles of arrays. `known` returns the MD5 of each by file name; no other file is unpickled."""

    names: ClassVar[Sequence[str]] = (*BATCHES, ARCHIVE)
    kind: ClassVar[str] = "batch"
    wanted: ClassVar[str] = f"the six files {', '.join(BATCHES)} of {ARCHIVE}"
    largest: ClassVar[int] = 32_000_000  # bytes of a batch; no more is read
    archive: ClassVar[int] = 180_000_000  # bytes; the archive has 170 MB
    known: Callable[[], Mapping[str, str]] = cifar10_sums
    place: str = "cifar-10-batches-py"

    def find(self, folder: Path) -> Found | None:
        paths = paths_in(folder, {name: (name,) for name in BATCHES})
        return self._read(paths) if paths else None

    def _read(self, paths: Mapping[str, Path]) -> Found:
        known, sums, parts = self.known(), {}, {"train": [], "test": []}
        for name, path in paths.items():
            content = content_in(path, self.largest)
            check_known(content, known[name], path)
            parts["test" if name == "test_batch" else "train"].append(arrays_in(content, path))
            sums[name] = hashlib.sha256(content).hexdigest()
        tensors = {}
        for split, batches in parts.items():
            tensors[f"{split}_images"] = torch.cat([images for images, _ in batches])
            tensors[f"{split}_labels"] = torch.cat([labels for _, labels in batches])
        return Found(tensors, str(next(iter(paths.values())).parent), sums)

    def fetch(self, get: Get, folder: Path) -> None:
        """Downloads the archive and stores its six batches."""
        known, content = self.known(), get(ARCHIVE, self.archive)
        check_known(content, known[ARCHIVE], Path(ARCHIVE))
        try:
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                for name in BATCHES:
                    member = archive.extractfile(f"{self.place}/{name}")
                    store(member.read(self.largest + 1) if member else b"", known[name], folder / name)
        except (tarfile.TarError, KeyError) as error:
            raise DataError(f"{ARCHIVE}: {error}") from error


def arrays_in(content: bytes, path: Path) -> tuple[Tensor, Tensor]:
    """Images [N, 3, 32, 32] and labels [N] of a batch. Raises DataError if it holds anything else."""
    try:
        batch = OneArray(io.BytesIO(content), encoding="latin1").load()
        images, labels = torch.from_numpy(batch["data"]), torch.tensor(batch["labels"])
        return images.view(-1, *SHAPE), labels
    except Exception as error:  # the content of a pickle may fail in any way
        raise DataError(f"{path}: not a batch of CIFAR-10 ({error}); {MEND}") from error


class OneArray(pickle.Unpickler):
    """Reads dicts, lists, numbers, texts and arrays of bytes. Everything else is refused, so no code of a file runs."""

    def find_class(self, module: str, name: str) -> Any:
        known = {"_reconstruct": empty_array, "ndarray": np.ndarray, "dtype": byte_type}
        if module.partition(".")[0] != "numpy" or name not in known:
            raise ValueError(f"it asks for {module}.{name}")
        return known[name]


def empty_array(*_: Any) -> np.ndarray:
    """The array that a pickle fills."""
    return np.ndarray(0, np.uint8)


def byte_type(kind: str, *_: Any) -> np.dtype:
    """The type of bytes, a copy of its own: a pickle sets its state."""
    if kind != "u1":
        raise ValueError(f"its array is {kind}, not u1")
    return np.dtype("u1", copy=True)


class CIFAR10DataModule(FilesDataModule):
    """Photographs of ten classes (Krizhevsky 2009): x [B, 3, 32, 32] in [0, 1] and labels [B].

    50,000 images to train and 10,000 to test, 184 MB in memory. Errors: as `FilesDataModule`.
    """

    name = "cifar10"
    title = "CIFAR-10"
    image_shape = SHAPE
    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    files = CifarFiles()
    known_mirrors = ("https://www.cs.toronto.edu/~kriz",)
    timeout = 900
