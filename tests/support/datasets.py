"""A small copy of every data set of conf/data, in the format of the original, for the tests that all of them pass.

A data set of files gets files of its own and their checksums. To add one: a function (folder) -> Made, and its line in
`MAKERS`.
"""

import gzip
import hashlib
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.io import savemat
from torch import Tensor

from vae_lightning.data import (
    ArraysDataModule,
    CIFAR10DataModule,
    EMNISTDataModule,
    FashionMNISTDataModule,
    FreyFaceDataModule,
    ImageDataModule,
    ImageFolderDataModule,
    KMNISTDataModule,
    MNISTDataModule,
    PPCADataModule,
    ShardsDataModule,
    SpritesDataModule,
)
from vae_lightning.data.cifar10 import ARCHIVE, BATCHES, CifarFiles
from vae_lightning.data.emnist import EmnistFiles
from vae_lightning.data.frey_face import FreyFile
from vae_lightning.data.idx import NAMES, IdxFiles, PackedIdxFiles
from vae_lightning.data.write_shards import write_shards

TRAIN, TEST, VAL, BATCH = 60, 20, 8, 16


@dataclass(frozen=True)
class Made:
    """`make(**options)` is a data module of the small data set; `sizes` are those of train, val and test.

    `files` are the files that it reads and whose checksums it knows, `mirror` is what a web folder has of it: {file
    name: content}.
    """

    make: Callable[..., ImageDataModule]
    sizes: tuple[int, int, int] = (TRAIN - VAL, VAL, TEST)
    files: Sequence[Path] = ()
    mirror: dict[str, bytes] = field(default_factory=dict)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def idx(tensor: Tensor) -> bytes:
    return struct.pack(f">BBBB{tensor.dim()}I", 0, 0, 8, tensor.dim(), *tensor.shape) + tensor.numpy().tobytes()


def four(classes: int = 10, first: int = 0) -> dict[str, bytes]:
    """The contents of four idx files, by the keys of NAMES."""
    contents = {}
    for seed, (split, n) in enumerate((("train", TRAIN), ("test", TEST))):
        contents[f"{split}_images"] = idx(noise(n, 28, 28, seed=seed))
        contents[f"{split}_labels"] = idx((torch.arange(n) % classes + first).byte())
    return contents


def write(folder: Path, contents: dict[str, bytes]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def small(kind: type[ImageDataModule], folder: Path, **attributes) -> Callable[..., ImageDataModule]:
    """A maker of a data module of `kind` with other files, which are in a folder."""
    own = type(kind.__name__, (kind,), attributes)
    return partial(own, dir=str(folder), mirrors=[], val_size=VAL, batch_size=BATCH)


# --- one function a data set ------------------------------------------------------------------------------------------


def mnist(folder: Path, kind: type[ImageDataModule] = MNISTDataModule, place: str = "MNIST") -> Made:
    contents = four()
    files = IdxFiles(place, **{part: hashlib.sha256(content).hexdigest() for part, content in contents.items()})
    paths = write(folder, {NAMES[part]: content for part, content in contents.items()})
    packed = {f"{NAMES[part]}.gz": gzip.compress(content) for part, content in contents.items()}
    return Made(partial(small(kind, folder, files=files), allow_subset=False), files=paths, mirror=packed)


def kmnist(folder: Path) -> Made:
    packed = {f"{NAMES[part]}.gz": gzip.compress(content) for part, content in four().items()}
    sums = {name: hashlib.md5(content).hexdigest() for name, content in packed.items()}
    files = PackedIdxFiles("KMNIST", lambda: sums)
    return Made(small(KMNISTDataModule, folder, files=files), files=write(folder, packed), mirror=packed)


def emnist(folder: Path) -> Made:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for split, classes, first in (("balanced", 47, 0), ("letters", 26, 1), ("digits", 10, 0)):
            for part, content in four(classes, first).items():
                name = f"gzip/emnist-{split}-{NAMES[part].replace('t10k', 'test')}.gz"
                file.writestr(name, gzip.compress(content))
    digest = hashlib.md5(archive.getvalue()).hexdigest()
    mirror = {"gzip.zip": archive.getvalue()}
    files = EmnistFiles(known=lambda: digest)
    made = small(EMNISTDataModule, folder, archive=files, files=files)
    return Made(made, files=write(folder, mirror), mirror=mirror)


def cifar10(folder: Path) -> Made:
    contents = {}
    for seed, name in enumerate(BATCHES):
        n = TEST if name == "test_batch" else TRAIN // 5
        contents[name] = old_pickle(noise(n, 3072, seed=seed).numpy(), [i % 10 for i in range(n)])
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as file:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    mirror = {ARCHIVE: packed.getvalue()}
    sums = {name: hashlib.md5(content).hexdigest() for name, content in {**contents, **mirror}.items()}
    made = small(CIFAR10DataModule, folder, files=CifarFiles(lambda: sums))
    return Made(made, files=write(folder, contents), mirror=mirror)


def old_pickle(
    images: np.ndarray, labels: list[int], array: bytes = b"cnumpy.core.multiarray\n_reconstruct\n"
) -> bytes:
    """A batch as Python 2 and its NumPy wrote it, by hand: today's pickles have other names in them."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    kind = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\0K\1\x87R(K\3"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    )
    shape = struct.pack("<cici", b"J", len(images), b"J", images.shape[1]) + b"\x86"
    made = array + b"cnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R"
    made += b"(K\1" + shape + kind + b"\x89" + text(images.tobytes()) + b"tb"
    numbers = b"](" + b"".join(struct.pack("<cB", b"K", label) for label in labels) + b"e"
    return b"\x80\2}(" + text(b"labels") + numbers + text(b"data") + made + b"u."


def frey_face(folder: Path) -> Made:
    pixels = noise(TRAIN + TEST, 560)
    packed = io.BytesIO()
    savemat(packed, {"ff": pixels.numpy().T})
    mirror = {"frey_rawface.mat": packed.getvalue()}
    files = FreyFile(hashlib.sha256(pixels.numpy().tobytes()).hexdigest())
    made = partial(small(FreyFaceDataModule, folder, files=files), test_size=TEST)
    return Made(made, files=write(folder, mirror), mirror=mirror)


def ppca(folder: Path) -> Made:
    def make(val_size: int = VAL, **options) -> PPCADataModule:
        return PPCADataModule(**{"sizes": [TRAIN - val_size, val_size, TEST], "batch_size": BATCH, **options})

    return Made(make)


def sprites(folder: Path) -> Made:
    small = {"size": 16, "scales": 2, "rotations": 2, "positions": 3, "test_size": TEST}
    made = partial(SpritesDataModule, **small, val_size=VAL, batch_size=BATCH)
    return Made(made, sizes=(108 - TEST - VAL, VAL, TEST))


def arrays(folder: Path) -> Made:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "own.npz", images=noise(TRAIN + TEST, 1, 9, 7).numpy(), labels=np.arange(TRAIN + TEST) % 10)
    made = partial(ArraysDataModule, "own.npz", test_size=TEST, val_size=VAL, batch_size=BATCH)
    return Made(partial(made, dir=str(folder)))


def image_folder(folder: Path) -> Made:
    for number, image in enumerate(noise(TRAIN + TEST, 3, 9, 7).permute(0, 2, 3, 1).numpy()):
        (folder / str(number % 10)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / str(number % 10) / f"{number}.png")
    made = partial(ImageFolderDataModule, test_size=TEST, val_size=VAL, batch_size=BATCH)
    return Made(partial(made, dir=str(folder)))


def shards(folder: Path) -> Made:
    written = folder / "shards"
    if not written.exists():
        write_shards(image_folder(folder / "images").make(), written, 0.005)
    return Made(partial(ShardsDataModule, mix=2, dir=str(written), batch_size=BATCH))


MAKERS: dict[str, Callable[[Path], Made]] = {
    "arrays": arrays,
    "cifar10": cifar10,
    "emnist": emnist,
    "fashion_mnist": partial(mnist, kind=FashionMNISTDataModule, place="FashionMNIST"),
    "frey_face": frey_face,
    "image_folder": image_folder,
    "kmnist": kmnist,
    "mnist": mnist,
    "ppca": ppca,
    "shards": shards,
    "sprites": sprites,
}


def few_digits(folder: Path) -> list[str]:
    """533 digits of the bundled subset in `digits.npy`, and the words that train on 399 of them, an odd number."""
    data = MNISTDataModule(dir=str(folder / "mnist"), mirrors=())
    data.setup()
    np.save(folder / "digits.npy", (data.images("train", 533) * 255).round().byte()[:, 0].numpy())
    return ["data=arrays", f"data.dir={folder}", "data.file=digits.npy", "data.val_size=67", "data.test_size=67"]
