"""MNIST and Fashion-MNIST as LightningDataModules. <-> conf/data/"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vae_lightning.data.dataset import EpochShuffle, ImagesInMemory, loader, seen_of_epoch
from vae_lightning.data.files import IdxFiles
from vae_lightning.data.protocol import PROTOCOLS
from vae_lightning.data.sources import Found, Source, declared_files, declared_sources, obtain
from vae_lightning.errors import ConfigError, DataError, check_whole, did_you_mean
from vae_lightning.noise import generator


class MNISTDataModule(pl.LightningDataModule):
    """Handwritten digits (LeCun et al. 1998): x [B, 1, 28, 28] in [0, 1] and labels [B].

    `files` and `sources` are those of conf/data where they are not given. `val_size` images are held out of the
    training set by `split_seed`, the same ones in every run; 0 trains on all. `on_device` keeps the bytes of all splits
    in the accelerator's memory (55 MB): a batch is then indexed there, and only the indices are transferred.
    Raises ConfigError for values that cannot work, DataError where no source has the data.
    """

    name = "mnist"
    title = "MNIST"
    image_shape = (1, 28, 28)
    class_names = tuple("0123456789")

    def __init__(
        self,
        files: IdxFiles | None = None,
        sources: Mapping[str, Source] | None = None,
        dir: str = "~/.cache/vae_lightning",
        protocol: str = "grey",
        val_size: int = 5000,
        split_seed: int = 0,
        batch_size: int = 128,
        num_workers: int = 0,
        seed: int = 0,
        allow_subset: bool = True,
        on_device: bool = False,
    ) -> None:
        super().__init__()
        if protocol not in PROTOCOLS:
            raise ConfigError(f"data.protocol={protocol}: {did_you_mean(protocol, PROTOCOLS)}")
        check_whole("data", 0, val_size=val_size, num_workers=num_workers)
        check_whole("data", batch_size=batch_size)
        if num_workers > (most := 8 * (os.cpu_count() or 1)):
            raise ConfigError(f"data.num_workers={num_workers}: must be at most {most}, 8 for each core")
        if on_device and num_workers:
            raise ConfigError(f"data.num_workers={num_workers}: must be 0 with data.on_device=true, nothing is loaded")
        self.files = files or declared_files(str(self.name))
        self.sources = sources or declared_sources(str(self.name))
        self.root = Path(dir).expanduser()
        self.protocol, self.val_size, self.split_seed = protocol, val_size, split_seed
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.allow_subset, self.on_device = allow_subset, on_device
        self._found: Found | None = None
        self._splits: dict[str, ImagesInMemory] = {}
        self._resident: dict[str, ImagesInMemory] = {}

    # --- what Lightning calls ----------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Fetches the files where no process of this machine has them yet."""
        self._find()

    def setup(self, stage: str | None = None) -> None:
        """Loads the three splits, once."""
        if self._splits:
            return
        found = self._find()
        check_images(found.tensors, self.image_shape, str(self.name))
        train, test = (self._images(found, part) for part in ("train", "test"))
        if found.subset:
            self.val_size = min(self.val_size, len(train.images) // 10)
        if self.val_size >= len(train.images):
            raise ConfigError(f"data.val_size={self.val_size}: must be less than the {len(train.images)} images")
        order = torch.randperm(len(train.images), generator=generator("cpu", "split", self.split_seed))
        held_out, kept = order[: self.val_size], order[self.val_size :].sort().values
        grey = unsqueezed(found.tensors["train_images"]) if PROTOCOLS[self.protocol].resample else train.images
        self._splits = {
            "train": ImagesInMemory(grey, train.labels, kept),
            "val": ImagesInMemory(train.images, train.labels, held_out),
            "test": test,
        }
        self._found = replace(found, tensors={})  # the splits hold what is needed of them
        if self.batch_size > len(kept):
            raise ConfigError(f"data.batch_size={self.batch_size}: more than the {len(kept)} training images")

    def train_dataloader(self) -> DataLoader:
        # the epoch is given here too, since workers start before Lightning calls set_epoch
        epoch, seen = seen_of_epoch(self.trainer, self.batch_size)
        return self._loader("train", sampler=EpochShuffle(len(self._splits["train"]), self.seed, epoch, seen))

    def val_dataloader(self) -> DataLoader | list:
        return self._loader("val") if self.val_size else []

    def test_dataloader(self) -> DataLoader:
        return self._loader("test")

    def transfer_batch_to_device(
        self, batch: tuple[Tensor, Tensor], device: torch.device, dataloader_idx: int
    ) -> tuple[Tensor, Tensor]:
        """As bytes, without waiting; Lightning's own looks for tensors in whatever a batch may be."""
        images, labels = batch
        return images.to(device, non_blocking=True), labels.to(device, non_blocking=True)

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> tuple[Tensor, Tensor]:
        """Bytes to floats in [0, 1], and the draw of the dynamic protocol, on the device the batch is on."""
        images, labels = batch
        x = images / 255
        if PROTOCOLS[self.protocol].resample and self.trainer is not None and self.trainer.training:
            step = self.trainer.fit_loop.total_batch_idx
            x = torch.bernoulli(x, generator=generator(x.device, "x", self.seed, self.trainer.global_rank, step))
        return x, labels

    # --- what the rest of the package asks ----------------------------------------------------------------------------

    def images(self, split: str) -> Tensor:
        """All x of a split, [N, 1, 28, 28] in [0, 1]; what is resampled in training is drawn once here."""
        images = self._splits[split].images
        if split == "train" and PROTOCOLS[self.protocol].resample:
            images = PROTOCOLS[self.protocol].once(images, generator("cpu", "once", split))
        return images.float() / 255

    def labels(self, split: str) -> Tensor:
        """The class of each image of a split, [N]: its place in `class_names`."""
        return self._splits[split].labels

    @property
    def description(self) -> str:
        """One line for figures and results: which data, under which protocol."""
        subset = " subset (5,000 + 1,000)" if self._found and self._found.subset else ""
        return f"{self.title}{subset}, {self.protocol}"

    def describe(self) -> dict[str, Any]:
        """What a result must say of its data."""
        found = self._find()
        sizes = {split: len(dataset) for split, dataset in self._splits.items()}
        facts = {"name": self.name, "protocol": self.protocol, "source": found.source, "subset": found.subset}
        return {**facts, "sizes": sizes, "split_seed": self.split_seed, "sha256": dict(found.sha256)}

    def _find(self) -> Found:
        if self.root.exists() and not self.root.is_dir():
            raise DataError(f"data.dir={self.root}: is a file; name the folder that holds the four idx files")
        if self._found is None:
            self._found = obtain(self.sources, self.files, self.root, str(self.name), self.allow_subset)
            if self._found.subset:
                print(subset_warning(self.title, self._found.problems), file=sys.stderr, flush=True)
        return self._found

    def _images(self, found: Found, part: str) -> ImagesInMemory:
        images, labels = unsqueezed(found.tensors[f"{part}_images"]), found.tensors[f"{part}_labels"].long()
        return ImagesInMemory(PROTOCOLS[self.protocol].once(images, generator("cpu", "once", part)), labels)

    def _loader(self, split: str, sampler: EpochShuffle | None = None) -> DataLoader:
        images = self._splits[split]
        if self.on_device and self.trainer is not None:
            images = self._resident.setdefault(split, images.to(self.trainer.strategy.root_device))
        return loader(images, self.batch_size, sampler, self.num_workers)


class FashionMNISTDataModule(MNISTDataModule):
    """Articles of clothing in MNIST's format (Xiao et al. 2017)."""

    name = "fashion_mnist"
    title = "Fashion-MNIST"
    class_names = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot")


def check_images(tensors: Mapping[str, Tensor], image_shape: Sequence[int], name: str) -> None:
    """Raises DataError unless both splits are images of that shape, each with a label from 0 to 9."""
    for split in ("train", "test"):
        images, labels = tensors[f"{split}_images"], tensors[f"{split}_labels"]
        if not len(images) or images.shape[1:] != torch.Size(image_shape[1:]):
            expected = "x".join(map(str, image_shape[1:]))
            raise DataError(f"{name}: its {split} images are {list(images.shape)}, must be [N, {expected}] with N >= 1")
        if labels.shape != images.shape[:1]:
            raise DataError(f"{name}: {len(labels)} labels for {len(images)} {split} images; take files that fit")
        if labels.max() > 9:
            first = int((labels > 9).nonzero()[0])
            raise DataError(f"{name}: {split} label {first} is {int(labels[first])}, must be 0 to 9")


def unsqueezed(images: Tensor) -> Tensor:
    """[N, H, W] -> [N, C=1, H, W]."""
    return images.unsqueeze(1)


def subset_warning(title: str, problems: Sequence[str]) -> str:
    """What is printed where only the bundled digits are left."""
    bar = "!" * 80
    tried = "\n".join(f"!!   {problem}" for problem in problems)
    return (
        f"{bar}\n!! The full {title} could not be had. Using the BUNDLED SUBSET:\n"
        f"!! 5,000 training and 1,000 test digits. Results are NOT comparable with {title}'s.\n{tried}\n"
        f"!! To mend: put the four files into a folder and say data.dir=FOLDER.\n{bar}"
    )
