"""A walk through latent space: the plane of a 2-D model, or the most informative units of a larger one."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from vae_lightning.callbacks import pictures
from vae_lightning.equations import kl_standard_normal
from vae_lightning.errors import ConfigError, check_whole, did_you_mean

SPANS = ("icdf", "linear")
COLUMNS = 11


class LatentTraversal(pl.Callback):
    """Writes `traversals/epoch_XXXX.png`.

    Two dimensions: a `size` x `size` plane, z_1 to the right and z_2 upwards, spaced by the inverse Gaussian CDF of the
    unit square (`span="icdf"`, Fig. 4 of the paper) or evenly over [-limit, limit] (`span="linear"`). More: one row for
    each of the `rows` units with the largest KL, that unit walking evenly over [-limit, limit] while the others stay at
    the posterior mean of the first test image. `decode` maps z [N, J] to images, `encode` maps x to (mean, log_var) or
    to an object with these attributes; each is a method's name or a function.
    """

    def __init__(
        self,
        latent_dim: int,
        decode: str | Callable[[Tensor], Tensor] = "decode",
        encode: str | Callable[[Tensor], Any] = "encode",
        span: str = "icdf",
        limit: float = 3.0,
        size: int = 20,
        rows: int = 10,
        every_n_epochs: int = 1,
        dirpath: str | PathLike | None = None,
    ) -> None:
        if span not in SPANS:
            raise ConfigError(f"LatentTraversal.span={span}: {did_you_mean(span, SPANS)}")
        self.latent_dim, self.decode, self.encode = latent_dim, decode, encode
        self.span, self.limit, self.size, self.rows = span, limit, size, rows
        self.every_n_epochs, self.dirpath = every_n_epochs, dirpath
        check_whole(type(self).__name__, latent_dim=latent_dim, size=size, rows=rows, every_n_epochs=every_n_epochs)

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._decode = pictures.method(pl_module, self, "decode", self.decode)
        if self.latent_dim != 2:
            self._encode = pictures.method(pl_module, self, "encode", self.encode)
            with pictures.looking(trainer, pl_module, seed=0):
                self._images = pictures.held_out_images(trainer, 256)
        if trainer.current_epoch == 0:
            self._draw(trainer, pl_module, epoch=0)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs == 0:
            self._draw(trainer, pl_module, epoch)

    def axis(self) -> Tensor:
        """The values of z along one side of the plane."""
        if self.span == "linear":
            return torch.linspace(-self.limit, self.limit, self.size)
        return torch.special.ndtri((torch.arange(self.size) + 0.5) / self.size)

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch: int) -> None:
        with pictures.looking(trainer, pl_module, seed=0):
            walk = self._plane() if self.latent_dim == 2 else self._rows()
            images = self._decode(walk.z.to(pl_module.device))
        canvas = pictures.grid(images, walk.columns, walk.scale, gap=0)
        image = pictures.captioned(canvas, pictures.caption(trainer, walk.what, epoch), walk.row_labels)
        pictures.publish(trainer, image, "traversal", pictures.run_dir(trainer, self.dirpath) / "traversals", epoch)

    def _plane(self) -> "Walk":
        axis = self.axis()
        z = torch.cartesian_prod(axis.flip(0), axis).flip(1)  # top row first: z_2 falls, z_1 rises
        what = f"E[x|z], z1 right, z2 up: {self.span}, {axis[0]:.2f} to {axis[-1]:.2f}"
        return Walk(z, self.size, 1, what)

    def _rows(self) -> "Walk":
        mean, log_var = pictures.mean_and_log_var(self._encode(self._images))
        kl, units = kl_standard_normal(mean, log_var).mean(0).sort(descending=True)
        kl, units = kl[: self.rows].tolist(), units[: self.rows].tolist()
        z = mean[0].repeat(len(units), COLUMNS, 1)
        for row, unit in enumerate(units):
            z[row, :, unit] = torch.linspace(-self.limit, self.limit, COLUMNS)
        labels = [f"z{unit + 1}  {nats:.2f}" for unit, nats in zip(units, kl, strict=True)]
        what = f"E[x|z], one unit at a time, {-self.limit:g} to {self.limit:g}; its KL in nats"
        return Walk(z.flatten(0, 1), COLUMNS, 2, what, labels)


@dataclass(frozen=True)
class Walk:
    """Points z [N, J] and how their pictures are laid out."""

    z: Tensor
    columns: int
    scale: int
    what: str
    row_labels: list[str] | None = None
