"""Test images above their reconstructions, epoch by epoch."""

from collections.abc import Callable
from os import PathLike

import lightning.pytorch as pl
import torch
from torch import Tensor

from vae_lightning.callbacks.foreign import first_tensor, held_out_images, looking, method
from vae_lightning.callbacks.pictures import Picture, PictureCallback, grid
from vae_lightning.errors import ConfigError
from vae_lightning.rules import Count, check
from vae_lightning.runs.files import RECONSTRUCTIONS


class ReconstructionGrid(PictureCallback):
    """`reconstructions/epoch_XXXX.png`: rows of images x, each above a row of their reconstructions.

    The images are the same in every epoch and every run: `images` [N, C, H, W], or the first `num_images` of the test
    set (else validation, else training set). `reconstruct` is the name of a method or a function, x -> [N, C, H, W] in
    [0, 1]; its result may be flat, or first in a tuple. XXXX counts the epochs of training; 0000 is the untrained
    model.
    """

    folder = key = RECONSTRUCTIONS

    def __init__(
        self,
        reconstruct: str | Callable[[Tensor], Tensor] = "reconstruct",
        images: Tensor | None = None,
        num_images: Count = 20,
        columns: Count = 10,
        every_n_epochs: Count = 1,
        dirpath: str | PathLike | None = None,
    ) -> None:
        super().__init__(every_n_epochs, dirpath)
        self.reconstruct, self.images, self.num_images, self.columns = reconstruct, images, num_images, columns
        check(self, type(self).__name__)

    def prepare(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._reconstruct = method(pl_module, self, "reconstruct", self.reconstruct)
        with looking(trainer, pl_module, seed=0):
            images = held_out_images(trainer, self.num_images) if self.images is None else self.images
        self._images = images.to(pl_module.device)

    def picture(self, pl_module: pl.LightningModule) -> Picture:
        reconstructions = first_tensor(self._reconstruct(self._images))
        if reconstructions.numel() != self._images.numel():
            sizes = f"{list(self._images.shape)} -> {list(reconstructions.shape)}"
            raise ConfigError(
                f"ReconstructionGrid(reconstruct={self.reconstruct!r}): {sizes}; it must keep the shape of x"
            )
        reconstructions = reconstructions.reshape(self._images.shape)
        rows = zip(self._images.split(self.columns), reconstructions.split(self.columns), strict=True)
        pairs = [torch.cat([padded(x, self.columns), padded(y, self.columns)]) for x, y in rows]
        canvas = grid(torch.cat(pairs), self.columns)
        return Picture(canvas, "x, and E[x|z] below it", ["x", "E[x|z]"] * len(pairs))


def padded(row: Tensor, columns: int) -> Tensor:
    """A row of images, filled up with white images."""
    return torch.cat([row, row.new_ones(columns - len(row), *row.shape[1:])])
