"""Samples from the prior, decoded, epoch by epoch."""

from collections.abc import Callable
from os import PathLike

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from vae_lightning.callbacks import pictures
from vae_lightning.errors import check_whole


class SampleGrid(pl.Callback):
    """Writes `samples/epoch_XXXX.png` (Fig. 5 of the paper): `num_images` pictures that `sample` makes from the prior.

    `sample` is a method's name or a function, n -> [n, C, H, W] in [0, 1]; torch is seeded with `seed` before it, so
    the noise is the same in every epoch and every run. 0000 is the untrained model.
    """

    def __init__(
        self,
        sample: str | Callable[[int], Tensor] = "sample",
        num_images: int = 64,
        columns: int = 8,
        seed: int = 0,
        every_n_epochs: int = 1,
        dirpath: str | PathLike | None = None,
    ) -> None:
        self.sample, self.num_images, self.columns, self.seed = sample, num_images, columns, seed
        self.every_n_epochs, self.dirpath = every_n_epochs, dirpath
        check_whole(type(self).__name__, num_images=num_images, columns=columns, every_n_epochs=every_n_epochs)

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._sample = pictures.method(pl_module, self, "sample", self.sample)
        if trainer.current_epoch == 0:
            self._draw(trainer, pl_module, epoch=0)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs == 0:
            self._draw(trainer, pl_module, epoch)

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch: int) -> None:
        with pictures.looking(trainer, pl_module, self.seed):
            samples = self._sample(self.num_images)
        text = pictures.caption(trainer, "E[x|z], z ~ p(z)", epoch)
        image = pictures.captioned(pictures.grid(samples, self.columns), text)
        pictures.publish(trainer, image, "samples", pictures.run_dir(trainer, self.dirpath) / "samples", epoch)
