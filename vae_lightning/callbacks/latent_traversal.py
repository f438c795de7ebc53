"""A walk through latent space: the plane of a 2-D model, or the most informative units of a larger model."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Annotated, Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from vae_lightning.callbacks.foreign import held_out_images, looking, mean_and_log_var, method
from vae_lightning.callbacks.pictures import Picture, PictureCallback, grid
from vae_lightning.equations import kl_standard_normal
from vae_lightning.rules import Count, check, one_of
from vae_lightning.runs.files import TRAVERSALS

SPANS = ("icdf", "linear")
COLUMNS = 11


class LatentTraversal(PictureCallback):
    """`traversals/epoch_XXXX.png`. With two latent dimensions it follows Fig. 4 of the paper.

    Two dimensions: a `size` x `size` plane, z_1 to the right and z_2 upwards, spaced by the inverse Gaussian CDF of the
    unit square (`span="icdf"`, Fig. 4) or evenly over [-limit, limit] (`span="linear"`). More dimensions: one row for
    each of the `rows` units with the largest KL. The unit walks evenly over [-limit, limit]; the other units stay at
    the posterior mean of the first test image. `decode` maps z [N, J] to images, `encode` maps x to (mean, log_var) or
    to an object with these attributes; both are names of methods or functions.
    """

    folder, key = TRAVERSALS, "traversal"

    def __init__(
        self,
        latent_dim: Count,
        decode: str | Callable[[Tensor], Tensor] = "decode",
        encode: str | Callable[[Tensor], Any] = "encode",
        span: Annotated[str, one_of(SPANS)] = "icdf",
        limit: float = 3.0,
        size: Count = 20,
        rows: Count = 10,
        every_n_epochs: Count = 1,
        dirpath: str | PathLike | None = None,
    ) -> None:
        super().__init__(every_n_epochs, dirpath)
        self.latent_dim, self.decode, self.encode = latent_dim, decode, encode
        self.span, self.limit, self.size, self.rows = span, limit, size, rows
        check(self, type(self).__name__)

    def prepare(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._decode = method(pl_module, self, "decode", self.decode)
        if self.latent_dim != 2:
            self._encode = method(pl_module, self, "encode", self.encode)
            with looking(trainer, pl_module, seed=0):
                self._images = held_out_images(trainer, 256)

    def picture(self, pl_module: pl.LightningModule) -> Picture:
        walk = self._plane() if self.latent_dim == 2 else self._rows()
        images = self._decode(walk.z.to(pl_module.device))
        return Picture(grid(images, walk.columns, walk.scale, gap=0), walk.what, walk.row_labels)

    def axis(self) -> Tensor:
        """The values of z along one side of the plane."""
        if self.span == "linear":
            return torch.linspace(-self.limit, self.limit, self.size)
        return torch.special.ndtri((torch.arange(self.size) + 0.5) / self.size)

    def _plane(self) -> "Walk":
        axis = self.axis()
        z = torch.cartesian_prod(axis.flip(0), axis).flip(1)  # top row first: z_2 falls, z_1 rises
        what = f"E[x|z], z1 right, z2 up: {self.span}, {axis[0]:.2f} to {axis[-1]:.2f}"
        return Walk(z, self.size, 1, what)

    def _rows(self) -> "Walk":
        mean, log_var = mean_and_log_var(self._encode(self._images))
        kl, units = kl_standard_normal(mean, log_var).mean(0).sort(descending=True)
        kl, units = kl[: self.rows].tolist(), units[: self.rows].tolist()
        z = mean[0].repeat(len(units), COLUMNS, 1)
        for row, unit in enumerate(units):
            z[row, :, unit] = torch.linspace(-self.limit, self.limit, COLUMNS)
        labels = tuple(f"z{unit + 1}  {nats:.2f}" for unit, nats in zip(units, kl, strict=True))
        what = f"E[x|z], one unit at a time, {-self.limit:g} to {self.limit:g}; its KL in nats"
        return Walk(z.flatten(0, 1), COLUMNS, 2, what, labels)


@dataclass(frozen=True)
class Walk:
    """Points z [N, J] and the layout of their images."""

    z: Tensor
    columns: int
    scale: int
    what: str
    row_labels: tuple[str, ...] = ()
