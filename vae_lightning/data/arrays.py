"""Arrays of one's own: images and vectors from .npy, .npz, NumPy or torch. <-> conf/data/arrays.yaml

N datapoints, C channels, H W pixels, D numbers.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from vae_lightning.data.array_sources import collected
from vae_lightning.data.array_tensors import classes_of, images_of, value_range
from vae_lightning.data.from_files import FOLDER
from vae_lightning.data.images import ImageDataModule
from vae_lightning.data.in_memory import ImagesInMemory
from vae_lightning.data.protocol import OF_BYTES, PROTOCOLS, STANDARDISED
from vae_lightning.data.splits import Images, Splits, apart
from vae_lightning.data.standard import Standard
from vae_lightning.errors import ConfigError
from vae_lightning.output import say
from vae_lightning.rules import FLAG, Positive, check, whole
from vae_lightning.runs.digest import sha256

A_TENTH = 10
MOST_VAL, MOST_TEST = 5_000, 10_000  # of the tenths


class ArraysDataModule(ImageDataModule):
    """Arrays of one's own: images x [B, C, H, W] or vectors x [B, 1, 1, D], and labels [B].

    `file` is an array or a tensor [N, H, W], [N, C, H, W] or [N, D], the name of a .npy or .npz in the folder `dir`, or
    a mapping of names to these. A .npz and a mapping hold `train` and, if they are there, `val` and `test`, each with
    labels (`train_labels`, ...); or `images` and `labels`. `labels` are those of a single array. Without a test or a
    validation split, `test_size` and `val_size` datapoints are held out by `split_seed`; None is a tenth, at most
    10,000 and 5,000.

    Bytes, and whole numbers of 0 to 255, are pixels; floats stay what they are. `scale` divides all numbers.
    `standardise` gives every number of a vector mean 0 and deviation 1 over the training split; `undo` maps x back, and
    a checkpoint keeps what it needs. A .npy of bytes or float32 stays on disk and is mapped; other numbers are
    converted in memory. Raises ConfigError for values that cannot work, DataError for arrays that cannot be x.
    """

    name = "arrays"
    title: Any = "arrays"
    protocols: ClassVar = tuple(PROTOCOLS)
    class_names: Any = ()

    def __init__(
        self,
        file: Any = None,
        labels: Any = None,
        dir: Annotated[str, FOLDER] = ".",
        scale: Positive | None = None,
        standardise: Annotated[bool, FLAG] = False,
        val_size: Annotated[int, whole(0)] | None = None,
        test_size: Annotated[int, whole(1)] | None = None,
        protocol: str | None = None,
        **options: Any,
    ) -> None:
        self.file, self.labels_given, self.dir, self.scale = file, labels, dir, scale
        self.standardise, self.val_size, self.test_size = standardise, val_size, test_size
        check(self, "data")
        super().__init__(val_size=val_size or 0, protocol=protocol, **options)
        self._sizes, self._protocol = {"val": val_size, "test": test_size}, protocol
        self.standard: Standard | None = None
        self.value_range: tuple[float, float] | None = None
        self.root = Path(dir).expanduser()
        if file is None:
            raise ConfigError("data.file=null: must be a .npy or .npz, such as data.file=faces.npy")

    def read(self) -> Splits:
        """Opens the arrays, looks at every number once, and holds a test split out if there is none."""
        arrays = collected(self.file, self.labels_given, self.root)
        self.title = arrays.title
        whose = {split: f"{self.title}, {split}" if len(arrays.x) > 1 else self.title for split in arrays.x}
        notes: list[str] = []
        images = {split: images_of(x, whose[split], self.scale, notes.append) for split, x in arrays.x.items()}
        labels, self.class_names = classes_of(arrays.labels, self.title)
        self.protocol = self._protocol_of(images["train"])
        if self.standardise:
            images = {split: x.double() for split, x in images.items()}
        else:
            images = {split: x if x.dtype == torch.uint8 else x.float() for split, x in images.items()}
        ranges = [value_range(x, whose[split]) for split, x in images.items() if x.dtype != torch.uint8]
        self.value_range = (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None
        splits = self._held_out(Splits(images, labels, arrays.source, sha256=arrays.sha256))
        for note in notes:
            say(note, error=True)
        return splits

    def undo(self, x: Tensor) -> Tensor:
        """x in the data's own units: [..., D] of standardised vectors is mapped back, other x stays as it is."""
        return x if self.standard is None else self.standard.undo(x)

    def state_dict(self) -> dict[str, Any]:
        """Mean and scale of standardised vectors, for a checkpoint."""
        return {} if self.standard is None else self.standard.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the mean and the scale of a checkpoint in place of the training split's."""
        standard = Standard.from_state(state_dict)
        if self.standardise and standard != self.standard:
            own = self.standard
            undone = self._splits if own is None else {split: mapped(x, own.undo) for split, x in self._splits.items()}
            self._splits = {split: mapped(x, standard.apply) for split, x in undone.items()}
            self._resident = {}
            self.standard = standard

    def describe(self) -> dict[str, Any]:
        """What a result must say of its data."""
        facts = super().describe()
        own = {} if self.standard is None else {"log_scale": round(self.standard.log_scale, 6)}
        return {**facts, **own}

    def _protocol_of(self, train: Tensor) -> str:
        """The protocol that was asked for, else the one of the numbers. Raises ConfigError where they do not fit."""
        is_vector, of_bytes = tuple(train.shape[1:3]) == (1, 1), train.dtype == torch.uint8
        if self.standardise and not is_vector:
            raise ConfigError(
                f"data.standardise=true: is for vectors [N, D], and {self.title} holds images {list(train.shape)}; "
                "scale images to [0, 1] with data.scale"
            )
        own = STANDARDISED if self.standardise else "grey" if of_bytes else "real"
        allowed = tuple(OF_BYTES) if of_bytes and not self.standardise else (own,)
        if self._protocol not in (None, *allowed):
            kind = "standardised vectors" if self.standardise else "bytes" if of_bytes else "floats"
            raise ConfigError(
                f"data.protocol={self._protocol}: {self.title} holds {kind}; choose {' or '.join(allowed)}"
            )
        return self._protocol or own

    def _held_out(self, splits: Splits) -> Splits:
        """The splits with a test split, and `val_size` as it is. Raises ConfigError for a size that cannot be."""
        for split, size in self._sizes.items():
            if size is not None and split in splits.images:
                raise ConfigError(f"data.{split}_size={size}: {self.title} holds a {split} split; leave the size out")
        left = len(splits.images["train"])
        if "test" not in splits.images:
            self.test_size = self._sizes["test"] or min(MOST_TEST, max(1, left // A_TENTH))
            if self.test_size >= left:
                raise ConfigError(f"data.test_size={self.test_size}: must be less than the {left} rows of {self.title}")
            kept, held_out = apart(left, self.test_size, self.split_seed)
            left, images = len(kept), {**splits.images, "test": splits.images["train"]}
            labels = {**splits.labels, **({"test": splits.labels["train"]} if "train" in splits.labels else {})}
            sums = {**splits.sha256, "test rows": sha256(held_out.numpy().tobytes())}  # another test set is other data
            rows = {"train": kept, "test": held_out}
            splits = replace(splits, images=images, labels=labels, rows=rows, sha256=sums)
        val, given = splits.images.get("val"), self._sizes["val"]
        tenth = min(MOST_VAL, max(1, left // A_TENTH))
        self.val_size = len(val) if val is not None else tenth if given is None else given
        return splits

    def _prepared(self, read: Splits) -> dict[str, Images]:
        splits = super()._prepared(read)
        self._split_by_seed = self._split_by_seed or bool(read.rows)
        if self.standardise:
            standard = self.standard = Standard.of(splits["train"].images[:, 0, 0])
            splits = {split: mapped(x, standard.apply) for split, x in splits.items()}
            self.value_range = value_range(splits["train"].images, self.title)
        return splits


def mapped(x: Images, function: Callable[[Tensor], Tensor]) -> Images:
    """The same split with other numbers in memory."""
    return ImagesInMemory(function(x.images), x.labels)
