"""Samples from the prior, decoded, epoch by epoch."""

from collections.abc import Callable
from os import PathLike
from typing import Any

import lightning.pytorch as pl

from vae_lightning.batch import images_of
from vae_lightning.callbacks.curves import vectors
from vae_lightning.callbacks.foreign import method
from vae_lightning.callbacks.pictures import Picture, PictureCallback
from vae_lightning.callbacks.sheet import sheet
from vae_lightning.rules import Count, check
from vae_lightning.runs.files import SAMPLES


class SampleGrid(PictureCallback):
    """Follows Fig. 5 of the paper: `samples/epoch_XXXX.png`, `num_images` images that `sample` draws from the prior.

    `sample` is the name of a method or a function, n -> [n, C, H, W] in [0, 1]. torch is seeded with `seed` before it,
    so the noise is the same in every epoch and every run. 0000 is the untrained model. Images of another kind become
    pixels as `pixels` says; vectors become curves, or bars if they are short.
    """

    folder = key = SAMPLES

    def __init__(
        self,
        sample: str | Callable[[int], Any] = "sample",
        num_images: Count = 64,
        columns: Count = 8,
        seed: int = 0,
        every_n_epochs: Count = 1,
        dirpath: str | PathLike[str] | None = None,
    ) -> None:
        super().__init__(every_n_epochs, dirpath)
        self.sample, self.num_images, self.columns, self.seed = sample, num_images, columns, seed
        check(self, type(self).__name__)

    def look_up(self, pl_module: pl.LightningModule) -> None:
        self._sample = method(pl_module, self, "sample", self.sample, takes="n")

    def picture(self, pl_module: pl.LightningModule) -> Picture:
        samples, owner = images_of(self._sample(self.num_images)), f"SampleGrid(sample={self.sample!r})"
        canvas, notes = sheet(samples, self.columns, owner, self.undo)
        cells = None if vectors(samples) is not None else (-(-len(samples) // self.columns), self.columns)
        return Picture(canvas, "E[x|z], z ~ p(z)", notes=notes, cells=cells)
