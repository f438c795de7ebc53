"""A module in a notebook: `fit` trains it on images in memory, without a configuration and without a run folder."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import lightning.pytorch as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from vae_lightning.callbacks.progress import Progress
from vae_lightning.errors import ConfigError, DataError, nearest, shown
from vae_lightning.output import warn
from vae_lightning.parts import describe
from vae_lightning.quiet import quietly
from vae_lightning.rules import whole

M = TypeVar("M", bound="Fitting")
Loaded: TypeAlias = Tensor | NDArray[Any] | DataLoader[Any]  # images in memory, or a loader of them
NOTHING_ON_DISK = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}


class Fitting(pl.LightningModule):
    """What a module has beside its mathematics: a learning rate that others may set, and a way to train in one line."""

    network: Any
    optimizer: Any
    seed: int

    @property
    def lr(self) -> float:
        """The learning rate. `Tuner.lr_find` sets it. Raises AttributeError when the optimizer has none."""
        return self.optimizer.lr

    @lr.setter
    def lr(self, value: float) -> None:
        self.optimizer = replace(self.optimizer, lr=value)
        self.hparams["optimizer"] = describe(self.optimizer)

    def fit(
        self: M,
        images: Loaded | pl.LightningDataModule,
        max_epochs: int = 20,
        batch_size: int = 128,
        val_images: Loaded | None = None,
        callbacks: Sequence[pl.Callback] = (),
        **trainer: Any,
    ) -> M:
        """Trains on images, and returns the module itself, in evaluation mode. A second call trains it further.

        `images` are a tensor or an array [N, C, H, W], [N, H, W] or [N, D], bytes or floats; or a DataLoader; or a
        LightningDataModule, which has its own batch size and validation images. `trainer` holds arguments of
        Lightning's Trainer, such as accelerator="cpu". Nothing is written to disk. Raises ConfigError for an argument
        that cannot work, DataError for images that cannot be x.
        """
        whole(1).check("max_epochs", max_epochs)
        given = batches(images, batch_size, self.seed, val_images)
        check_shape(given, self.network)
        options = {**NOTHING_ON_DISK, "num_sanity_val_steps": 0, **trainer, "max_epochs": max_epochs}
        bar = [Progress()] if options.get("enable_progress_bar", True) else []
        with quietly():
            made_trainer(callbacks=[*bar, *callbacks], **options).fit(self, **given)
        return self.eval()


def batches(images: Any, batch_size: int, seed: int, val_images: Any) -> dict[str, Any]:
    """What `Trainer.fit` gets of data: its arguments."""
    if isinstance(images, pl.LightningDataModule):
        if val_images is not None:
            raise ConfigError("fit(val_images=...): the data module has its own; leave one of them out")
        images.prepare_data()
        images.setup("fit")
        return {"datamodule": images}
    from vae_lightning.data.in_memory import EpochShuffle, ImagesInMemory, loader

    whole(1).check("batch_size", batch_size)
    made = {}
    for name, x in (("train_dataloaders", images), ("val_dataloaders", val_images)):
        if x is None or isinstance(x, DataLoader):
            made[name] = x
            continue
        x = in_memory(x, "images" if x is images else "val_images")
        order = EpochShuffle(len(x), seed) if name == "train_dataloaders" else None
        made[name] = loader(ImagesInMemory(x, torch.zeros(len(x), dtype=torch.long)), batch_size, order)
    if made["train_dataloaders"] is None:
        raise DataError(
            "fit(images=None): must be images [N, C, H, W] or [N, D], a DataLoader or a LightningDataModule"
        )
    return made


def in_memory(images: Any, name: str) -> Tensor:
    """Images of any kind as bytes or float32 [N, C, H, W]. Raises DataError."""
    from vae_lightning.data.array_tensors import as_array, images_of

    x = images_of(as_array(images, f"fit({name}=...)"), f"fit({name}=...)", None, warn)
    return x if x.dtype == torch.uint8 else x.float()


def check_shape(given: dict[str, Any], network: Any) -> None:
    """Raises DataError for images of another shape than the network's; a loader shows its own in its first batch."""
    dataset = getattr(given.get("train_dataloaders"), "dataset", None)
    shape = getattr(given.get("datamodule"), "image_shape", None) or getattr(dataset, "shape", (0,))[1:]
    size = getattr(network, "image_shape", None)
    if shape and size is not None and list(shape) != list(size):
        raise DataError(
            f"fit: an image is {list(shape)}, but the network takes {list(size)}; say VAE(image_shape={list(shape)})"
        )


def made_trainer(**options: Any) -> pl.Trainer:
    """Lightning's Trainer. Raises ConfigError for an argument that it does not take, or refuses."""
    known = inspect.signature(pl.Trainer.__init__).parameters
    for name in options:
        if name not in known:
            near = nearest(name, inspect.signature(Fitting.fit).parameters) or nearest(name, known)
            raise ConfigError(
                f"fit({name}={shown(options[name])}): neither fit nor Lightning's Trainer takes it; {near}"
                "see docs/without_hydra.md"
            )
    return pl.Trainer(**options)
