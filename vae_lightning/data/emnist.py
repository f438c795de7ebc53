"""EMNIST: digits and letters, six splits of them in one archive. <-> conf/data/"""

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Annotated, Any, BinaryIO, ClassVar

from torch import Tensor

from vae_lightning.data.files import MEND, Content, Found, Get, known_file, store, unpacked, unreadable
from vae_lightning.data.from_files import CACHE, Dir, FilesDataModule, MirrorList
from vae_lightning.data.idx import parse_idx
from vae_lightning.errors import DataError
from vae_lightning.rules import check, one_of

ALL = digits + ascii_uppercase + ascii_lowercase
MERGED = "".join(letter for letter in ALL if letter not in "cijklmopsuvwxyz")  # both cases of these look alike
CLASSES: Mapping[str, str] = {
    "balanced": MERGED,
    "byclass": ALL,
    "bymerge": MERGED,
    "digits": digits,
    "letters": ascii_lowercase,
    "mnist": digits,
}
PARTS = {
    f"{split}_{kind}": f"{split}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"
    for split in ("train", "test")
    for kind in ("images", "labels")
}


def emnist_sum() -> str:
    """The MD5 of the archive, as torchvision knows it."""
    from torchvision.datasets import EMNIST

    return EMNIST.md5


@dataclass(frozen=True)
class EmnistFiles:
    """One split in `gzip.zip`, which is read where it lies. `known` returns the MD5 of the archive."""

    names: ClassVar[Sequence[str]] = ("gzip.zip",)
    kind: ClassVar[str] = "gzip.zip"
    wanted: ClassVar[str] = "the archive gzip.zip"
    largest: ClassVar[int] = 547_178_704  # bytes of the training images of byclass; no more is unpacked
    archive: ClassVar[int] = 600_000_000  # bytes; the archive has 562 MB
    split: str = "balanced"
    known: Callable[[], str] = emnist_sum
    place: str = "EMNIST/raw"

    def find(self, folder: Path) -> Found | None:
        path = folder / self.names[0]
        if not path.is_file():
            return None
        with known_file(path, self.known(), self.archive) as file:
            return self._parts(file, path)

    def _parts(self, file: BinaryIO, path: Path) -> Found:
        tensors, sums = {}, {}
        try:
            with zipfile.ZipFile(file) as archive:
                for part, filename in PARTS.items():
                    with archive.open(f"gzip/emnist-{self.split}-{filename}.gz") as packed:
                        content = unpacked(packed, self.largest, path)  # type: ignore[arg-type]
                    tensors[part] = as_mnist(parse_idx(memoryview(content), path), self.split)
                    sums[part] = hashlib.sha256(content).hexdigest()
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
            raise unreadable(path, error) from error
        except KeyError as error:
            raise DataError(f"{path}: {error.args[0]}; {MEND}") from error
        return Found(tensors, f"{path}, split {self.split}", sums)

    def fetch(self, get: Get, folder: Path) -> None:
        """Downloads the archive of all splits."""
        content: Content = get(self.names[0], self.archive)
        store(content, self.known(), folder / self.names[0])


def as_mnist(values: Tensor, split: str) -> Tensor:
    """Images [N, 28, 28] upright, as the archive has rows and columns exchanged; labels that begin with 0."""
    if values.ndim == 3:
        for part in values.split(10_000):
            part.copy_(part.transpose(1, 2).clone())
        return values
    return values - 1 if split == "letters" else values


class EMNISTDataModule(FilesDataModule):
    """Digits and letters in the format of MNIST (Cohen et al. 2017): x [B, 1, 28, 28] in [0, 1] and labels [B].

    `split` is balanced (47 classes, 112,800 + 18,800 images), byclass (62 classes, 697,932 + 116,323), bymerge (the
    same images in 47 classes), letters (26 classes), digits or mnist (10 classes). The archive of all splits has
    562 MB; `byclass` and `bymerge` take 640 MB of memory. Errors: as `FilesDataModule`.
    """

    name = "emnist"
    title = "EMNIST"
    image_shape = (1, 28, 28)
    archive: ClassVar[EmnistFiles] = EmnistFiles()
    files = archive
    known_mirrors = ("https://biometrics.nist.gov/cs_links/EMNIST",)
    timeout = 1800

    def __init__(
        self,
        split: Annotated[str, one_of(CLASSES)] = "balanced",
        dir: Dir = CACHE,
        mirrors: MirrorList | None = None,
        **options: Any,
    ) -> None:
        super().__init__(dir, mirrors, **options)
        self.split = split
        check(self, "data")
        self.title, self.class_names = f"EMNIST {split}", tuple(CLASSES[split])
        self.files = replace(self.archive, split=split)
