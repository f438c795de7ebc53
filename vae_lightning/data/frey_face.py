"""Frey Face: 1,965 frames of one face, the second data set of the paper. <-> conf/data/"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from vae_lightning.data.files import MEND, Found, Get, check_known, content_in, store
from vae_lightning.data.from_files import CACHE, Dir, FilesDataModule, MirrorList
from vae_lightning.data.splits import Splits, apart
from vae_lightning.errors import DataError
from vae_lightning.rules import check, whole

FILENAME, KEY, PIXELS = "frey_rawface.mat", "ff", 560
PACKED = 15  # the type of an element in a MAT-file that unpacks to any size
SHA256 = "2438ba4f0d2a6bd8bac43de756141eaa33c8d248dd613d464bdb1210d9b7af78"


@dataclass(frozen=True)
class FreyFile:
    """The MAT-file of the author. `checksum` is the SHA-256 of its array as [images, 560] bytes."""

    names: ClassVar[Sequence[str]] = (FILENAME,)
    kind: ClassVar[str] = FILENAME
    wanted: ClassVar[str] = f"the file {FILENAME}"
    largest: ClassVar[int] = 1_200_000  # bytes; the file has 1,100,584
    checksum: str = SHA256
    place: str = "frey_face"

    def find(self, folder: Path) -> Found | None:
        path = folder / FILENAME
        if not path.is_file():
            return None
        images = self.images_in(content_in(path, self.largest), path)
        return Found({"images": images.view(-1, 28, 20)}, str(folder), {KEY: self.checksum})

    def images_in(self, content: bytes, path: Path) -> Tensor:
        """The images of a MAT-file, [N, 560]. Raises DataError unless they are the expected ones."""
        pixels = pixels_in(content, path)
        check_known(pixels.numpy().tobytes(), self.checksum, path)
        return pixels

    def fetch(self, get: Get, folder: Path) -> None:
        """Downloads the file. Its array is checked before it is stored."""
        content = bytes(get(FILENAME, self.largest))
        self.images_in(content, Path(FILENAME))
        store(content, hashlib.sha256(content).hexdigest(), folder / FILENAME)


def pixels_in(content: bytes, path: Path) -> Tensor:
    """The array `ff` of a MAT-file, a column an image, as [N, 560]. Raises DataError where there is none."""
    from scipy.io import loadmat, whosmat

    try:
        if PACKED in (*content[128:129], *content[131:132]):
            raise ValueError("its array is packed")
        named = {name: (shape, kind) for name, shape, kind in whosmat(io.BytesIO(content))}
        shape, kind = named.get(KEY, ((), "nothing"))
        if kind != "uint8" or len(shape) != 2 or shape[0] != PIXELS:
            raise ValueError(f"{KEY} is {kind} {list(shape)}, not uint8 [{PIXELS}, N]")
        array = loadmat(io.BytesIO(content), variable_names=[KEY])[KEY]
        return torch.from_numpy(array.T.copy())
    except Exception as error:  # the parts of a damaged file may fail in any way
        raise DataError(f"{path}: cannot be read ({type(error).__name__}: {error}); {MEND}") from error


class FreyFaceDataModule(FilesDataModule):
    """Frames of a film of one face (Roweis & Saul 2000), the paper's Frey Face: x [B, 1, 28, 20] in [0, 1], labels 0.

    The film has no split of its own. `split_seed` draws `test_size` of the 1,965 images for the test, then `val_size`
    of the others for validation; both are said by `describe`. Neighbouring frames are alike, so a test image has near
    copies in the training images. Errors: as `FilesDataModule`.
    """

    name = "frey_face"
    title = "Frey Face"
    image_shape = (1, 28, 20)
    files = FreyFile()
    known_mirrors = ("https://cs.nyu.edu/~roweis/data",)

    def __init__(
        self,
        dir: Dir = CACHE,
        mirrors: MirrorList | None = None,
        test_size: Annotated[int, whole(1, 1964)] = 365,
        val_size: int = 200,
        **options: Any,
    ) -> None:
        super().__init__(dir, mirrors, val_size=val_size, **options)
        self.test_size = test_size
        check(self, "data")

    def read(self) -> Splits:
        """Reads the file and draws the test images. The checksums are those of the split."""
        found = self._find()
        self._found = replace(found, tensors={})
        faces = found.tensors["images"].unsqueeze(1)
        kept, drawn = apart(len(faces), self.test_size, self.split_seed)
        images = {"train": faces[kept], "test": faces[drawn]}
        sums = {split: hashlib.sha256(part.numpy().tobytes()).hexdigest() for split, part in images.items()}
        return Splits(images, source=found.source, sha256={**found.sha256, **sums})
