"""Test images above their reconstructions, epoch by epoch."""

from collections.abc import Callable
from os import PathLike
from typing import Any

import lightning.pytorch as pl
from torch import Tensor

from vae_lightning.batch import Place, tensors
from vae_lightning.callbacks.curves import vectors
from vae_lightning.callbacks.foreign import encodes, looking, method
from vae_lightning.callbacks.held_out import held_out_images
from vae_lightning.callbacks.pictures import Picture, PictureCallback
from vae_lightning.callbacks.sheet import pairs
from vae_lightning.errors import ConfigError
from vae_lightning.rules import Count, check
from vae_lightning.runs.files import RECONSTRUCTIONS


class ReconstructionGrid(PictureCallback):
    """`reconstructions/epoch_XXXX.png`: rows of images x, each above a row of their reconstructions.

    The images are the same in every epoch and every run: `images` [N, C, H, W], or the first `num_images` of the test
    set (else validation, else training set). `reconstruct` is the name of a method or a function, x -> [N, C, H, W] in
    [0, 1]; its result may be flat, or a part of a tuple or dict. `batch` is the key or index of the images in a batch,
    or a function of the batch. XXXX counts the epochs of training; 0000 is the untrained model. Images of another kind
    become pixels as `pixels` says. Vectors become curves or bars, of x in grey and of its reconstruction in blue.
    """

    folder = key = RECONSTRUCTIONS

    def __init__(
        self,
        reconstruct: str | Callable[[Tensor], Any] = "reconstruct",
        images: Tensor | None = None,
        num_images: Count = 20,
        columns: Count = 10,
        every_n_epochs: Count = 1,
        dirpath: str | PathLike[str] | None = None,
        batch: Place = None,
    ) -> None:
        super().__init__(every_n_epochs, dirpath)
        self.reconstruct, self.images, self.num_images, self.columns = reconstruct, images, num_images, columns
        self.batch = batch
        check(self, type(self).__name__)

    def look_up(self, pl_module: pl.LightningModule) -> None:
        self._reconstruct = method(pl_module, self, "reconstruct", self.reconstruct, takes="x")

    def shows(self, pl_module: pl.LightningModule) -> bool:
        return encodes(pl_module)

    def prepare(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().prepare(trainer, pl_module)
        if self.images is None:
            with looking(trainer, pl_module, seed=0):
                self._images = held_out_images(trainer, self.num_images, self.batch, self)
        else:
            self._images = trainer.precision_plugin.convert_input(self.images).to(pl_module.device)

    def picture(self, pl_module: pl.LightningModule) -> Picture:
        name, result = f"ReconstructionGrid(reconstruct={self.reconstruct!r})", self._reconstruct(self._images)
        found = {tensor.numel(): tensor for _, tensor in reversed([*tensors(result)])}  # the first of each size
        if self._images.numel() not in found:
            sizes = ", ".join(str([*tensor.shape]) for _, tensor in tensors(result)) or type(result).__name__
            raise ConfigError(f"{name}: {[*self._images.shape]} -> {sizes}; it must keep the shape of x")
        y = found[self._images.numel()].reshape(self._images.shape)
        canvas, notes = pairs(self._images, y, self.columns, name, self.undo)
        if vectors(self._images) is not None:
            return Picture(canvas, "x grey, E[x|z] blue", notes=notes)
        rows = -(-len(self._images) // self.columns)
        labels, cells = ["x", "E[x|z]"] * rows, (2 * rows, self.columns)
        return Picture(canvas, "x, and E[x|z] below it", labels, notes, cells=cells)
