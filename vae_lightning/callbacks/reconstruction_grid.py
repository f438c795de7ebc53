"""Test images above their reconstructions, epoch by epoch."""

from collections.abc import Callable
from os import PathLike

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from vae_lightning.callbacks import pictures
from vae_lightning.errors import ConfigError, check_whole


class ReconstructionGrid(pl.Callback):
    """Writes `reconstructions/epoch_XXXX.png`: rows of images x, each above a row of what `reconstruct` makes of them.

    The images are the same in every epoch and every run: `images` [N, C, H, W], or the first `num_images` of the test
    set (else validation, else training set). `reconstruct` is a method's name or a function; of x it makes [N, C, H, W]
    in [0, 1], flat or not, alone or first in a tuple. XXXX counts the epochs of training behind the picture; 0000 is
    the untrained model.
    """

    def __init__(
        self,
        reconstruct: str | Callable[[Tensor], Tensor] = "reconstruct",
        images: Tensor | None = None,
        num_images: int = 20,
        columns: int = 10,
        every_n_epochs: int = 1,
        dirpath: str | PathLike | None = None,
    ) -> None:
        self.reconstruct, self.images, self.num_images, self.columns = reconstruct, images, num_images, columns
        self.every_n_epochs, self.dirpath = every_n_epochs, dirpath
        check_whole(type(self).__name__, num_images=num_images, columns=columns, every_n_epochs=every_n_epochs)

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        reconstruct = pictures.method(pl_module, self, "reconstruct", self.reconstruct)
        with pictures.looking(trainer, pl_module, seed=0):
            if self.images is None:
                self.images = pictures.held_out_images(trainer, self.num_images)
            self.images = self.images.to(pl_module.device)
        self._reconstruct = reconstruct
        if trainer.current_epoch == 0:
            self._draw(trainer, pl_module, epoch=0)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs == 0:
            self._draw(trainer, pl_module, epoch)

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch: int) -> None:
        assert self.images is not None
        with pictures.looking(trainer, pl_module, seed=0):
            reconstructions = pictures.first_tensor(self._reconstruct(self.images))
        if reconstructions.numel() != self.images.numel():
            sizes = f"{list(self.images.shape)} -> {list(reconstructions.shape)}"
            raise ConfigError(
                f"ReconstructionGrid(reconstruct={self.reconstruct!r}): {sizes}; it must keep the shape of x"
            )
        reconstructions = reconstructions.reshape(self.images.shape)
        rows = zip(self.images.split(self.columns), reconstructions.split(self.columns), strict=True)
        both = [torch.cat([padded(x, self.columns), padded(y, self.columns)]) for x, y in rows]
        text = pictures.caption(trainer, "x, and E[x|z] below it", epoch)
        image = pictures.captioned(pictures.grid(torch.cat(both), self.columns), text, ["x", "E[x|z]"] * len(both))
        pictures.publish(
            trainer, image, "reconstructions", pictures.run_dir(trainer, self.dirpath) / "reconstructions", epoch
        )


def padded(row: Tensor, columns: int) -> Tensor:
    """A row of images filled up with white ones."""
    return torch.cat([row, row.new_ones(columns - len(row), *row.shape[1:])])
