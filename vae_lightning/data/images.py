"""What every data set of images shares: splits in memory, protocol, loaders, transfer, facts. <-> conf/data/

N images, B batch, C channels, H W pixels.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import replace
from typing import Annotated, Any, ClassVar

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vae_lightning.data.as_numbers import AsNumbers
from vae_lightning.data.in_memory import EpochShuffle, begin_next_epoch, loader, seen_of_epoch
from vae_lightning.data.protocol import OF_BYTES, PROTOCOLS, unchanged
from vae_lightning.data.splits import Images, Splits, apart
from vae_lightning.errors import ConfigError
from vae_lightning.noise import generator
from vae_lightning.rules import FLAG, Count, Rule, Seed, one_of, rules_of, whole
from vae_lightning.shapes import as_numbers
from vae_lightning.share import Share

MOST_WORKERS = 8 * (os.cpu_count() or 1)
WORKERS = Rule(
    lambda v: type(v) is int and 0 <= v <= MOST_WORKERS,
    f"must be a whole number >= 0 and at most {MOST_WORKERS}, 8 for each core",
)


class ImageDataModule(pl.LightningDataModule, ABC):
    """The base of all data sets. A data set is a subclass with a `name`, a `title` and `read`.

    A batch is x [B, C, H, W] and labels [B]; the processes of a distributed run share it. Bytes become numbers in
    [0, 1] on the trainer's device; without a running trainer, the loaders themselves yield the numbers. Without
    validation images of its own, the data set holds `val_size` training images out by `split_seed`: the same images in
    every run; 0 trains on all images. The order of the training images is a function of `seed` and the epoch.
    `on_device` keeps all splits in the accelerator's memory: a batch is indexed there, and only its indices are
    transferred. The default `protocol` is the first of `protocols`. `image_shape` is known after `setup`, or earlier.
    Raises ConfigError for values that cannot work, DataError for images or labels that do not fit each other.
    """

    title: str
    protocols: ClassVar[Collection[str]] = tuple(OF_BYTES)
    class_names: tuple[str, ...] = ()
    image_shape: tuple[int, ...] = ()

    def __init__(
        self,
        protocol: str | None = None,
        val_size: Annotated[int, whole(0)] = 5000,
        split_seed: Seed = 0,
        batch_size: Count = 128,
        num_workers: Annotated[int, WORKERS] = 0,
        seed: Seed = 0,
        on_device: Annotated[bool, FLAG] = False,
    ) -> None:
        super().__init__()
        self.protocol = next(iter(self.protocols)) if protocol is None else protocol
        self.val_size, self.split_seed = val_size, split_seed
        self.batch_size, self.num_workers, self.seed, self.on_device = batch_size, num_workers, seed, on_device
        one_of(self.protocols).check("data.protocol", self.protocol)
        for argument, rule in rules_of(ImageDataModule):  # a subclass hands them on as **options
            rule.check(f"data.{argument}", getattr(self, argument))
        if on_device and num_workers:
            raise ConfigError(f"data.num_workers={num_workers}: must be 0 with data.on_device=true, nothing is loaded")
        self._splits: dict[str, Images] = {}
        self._resident: dict[str, Images] = {}

    @abstractmethod
    def read(self) -> Splits:
        """Reads the data set. `setup` calls it once. Raises DataError if the data set is not there."""

    def setup(self, stage: str | None = None) -> None:
        """Loads the three splits, once."""
        if self._splits:
            return
        read = self.read()
        self.image_shape = read.check(str(self.name), self.image_shape, len(self.class_names), self.protocol)
        self._splits, self._facts = self._prepared(read), replace(read, images={}, labels={})
        if self.batch_size > (size := len(self._splits["train"])):
            self._splits = {}
            raise ConfigError(f"data.batch_size={self.batch_size}: more than the {size} training images")

    def train_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        # the epoch is given here too, since workers start before Lightning calls set_epoch
        begin_next_epoch(self.trainer)
        epoch, seen = seen_of_epoch(self.trainer, self.batch_size)
        return self._loader("train", self.order(epoch, seen, not self._overfits))

    def val_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]] | list[Any]:
        return self._loader("val") if self.val_size else []

    def test_dataloader(self) -> DataLoader[tuple[Tensor, Tensor]]:
        return self._loader("test")

    def transfer_batch_to_device(
        self, batch: tuple[Tensor, Tensor], device: torch.device, dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        """Transfers bytes, without waiting. Lightning's own method searches the batch for tensors."""
        images, labels = batch
        return images.to(device, non_blocking=True), labels.to(device, non_blocking=True)

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Turns bytes into x, and draws x for the dynamic protocol, on the device of the batch."""
        images, labels = batch
        x = as_numbers(images)
        if PROTOCOLS[self.protocol].resample and self.trainer is not None and self.trainer.training:
            loop = self.trainer.fit_loop
            step = loop.batch_idx if self._overfits else loop.total_batch_idx
            several = self.trainer.world_size > 1
            share = self.share("train", loop.batch_idx + 1) if several else None  # the loop counts it a little later
            noise = generator(x.device, "x", self.seed, 0 if share else self.trainer.global_rank, step)
            x = drawn(x, noise, share)
        return x, labels

    def share(self, split: str, batch_idx: int) -> Share | None:
        """What this process takes of a batch of an epoch; None in a run of one process."""
        if self.trainer is None or self.trainer.world_size == 1:
            return None
        total = min(self.batch_size, len(self._splits[split]) - batch_idx * self.batch_size)
        return Share(self.trainer.global_rank, self.trainer.world_size, total)

    def order(self, epoch: int, seen: int = 0, shuffle: bool = True) -> EpochShuffle:
        """The order of the training images in an epoch, without the first `seen` of that epoch."""
        return EpochShuffle(len(self._splits["train"]), self.seed, epoch, seen, shuffle)

    def stored(self, split: str) -> Images:
        """The images of a split as they are kept: bytes or numbers, and labels."""
        return self._splits[split]

    def images(self, split: str, most: int | None = None) -> Tensor:
        """All x of a split, [N, C, H, W], or its first `most`. The dynamic protocol draws training images once here."""
        chosen, protocol = self._splits[split], PROTOCOLS[self.protocol]
        if split == "train" and protocol.resample:
            return as_numbers(protocol.once(chosen.images, generator("cpu", "once", split))[:most])
        return as_numbers(chosen.images if most is None else chosen.only(torch.arange(min(most, len(chosen)))).images)

    def labels(self, split: str) -> Tensor:
        """The class of each image of a split, [N]: its place in `class_names`."""
        return self._splits[split].labels

    @property
    def description(self) -> str:
        """The data set and its protocol in one line, for figures and results."""
        return f"{self.title}, {self.protocol}"

    def describe(self) -> dict[str, Any]:
        """What a result must say of its data."""
        self.setup()
        facts = {"name": self.name, "title": self.title, "protocol": self.protocol}
        facts |= {"source": self._facts.source, "subset": self._facts.subset}
        sizes = {split: len(images) for split, images in self._splits.items()}
        split_by = {"split_seed": self.split_seed} if self._split_by_seed else {}
        return {**facts, "sizes": sizes, **split_by, "sha256": dict(self._facts.sha256)}

    @property
    def _overfits(self) -> bool:
        """Whether the trainer overfits some batches: every epoch then has the same ones."""
        return self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]

    def _prepared(self, read: Splits) -> dict[str, Images]:
        """The three splits under the protocol."""
        protocol = PROTOCOLS[self.protocol]
        splits = {split: read.after(split, protocol.once) for split in read.images}
        train = read.after("train", unchanged) if protocol.resample else splits["train"]
        self._split_by_seed = "val" not in splits
        if self._split_by_seed:
            if self.val_size >= len(train):
                raise ConfigError(f"data.val_size={self.val_size}: must be less than the {len(train)} images")
            kept, held_out = apart(len(train), self.val_size, self.split_seed)
            train, splits["val"] = train.only(kept), splits["train"].only(held_out)
        return {"train": train, "val": splits["val"], "test": splits["test"]}

    def _loader(self, split: str, order: EpochShuffle | None = None) -> DataLoader[tuple[Tensor, Tensor]]:
        images = self._splits[split]
        if self.trainer is None or self.trainer.state.status.stopped:  # nobody calls `on_after_batch_transfer`
            return loader(AsNumbers(images), self.batch_size, order, self.num_workers)
        if self.on_device:
            images = self._resident.setdefault(split, images.to(self.trainer.strategy.root_device))
        return loader(images, self.batch_size, order, self.num_workers)


def drawn(x: Tensor, noise: torch.Generator, share: Share | None) -> Tensor:
    """Bernoulli draws of means x [B, C, H, W]; of a share, those that one process would draw for the whole batch."""
    if share is None:
        return torch.bernoulli(x, generator=noise)
    whole = x.new_zeros(share.total, *x.shape[1:])
    share.of(whole).copy_(x)
    return share.of(torch.bernoulli(whole, generator=noise))


def first_images(data: Any, split: str, most: int) -> Tensor:
    """The first x of a split of any data module with a method `images(split)`; of ours, no others are read."""
    return data.images(split, most) if isinstance(data, ImageDataModule) else data.images(split)[:most]
