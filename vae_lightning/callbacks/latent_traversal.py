"""A walk through latent space: the plane of a 2-D model, or the most informative units of a larger model."""

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Annotated, Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from vae_lightning.batch import Place
from vae_lightning.callbacks.curves import CELL, SMALL
from vae_lightning.callbacks.foreign import looking, method
from vae_lightning.callbacks.held_out import decoded, encoded, held_out, in_parts
from vae_lightning.callbacks.pictures import Picture, PictureCallback
from vae_lightning.callbacks.sheet import sheet
from vae_lightning.rules import Count, check, one_of
from vae_lightning.runs.files import TRAVERSALS

SPANS = ("icdf", "linear")
COLUMNS = 11
NUM_IMAGES = 256  # whose mean KL orders the units


class LatentTraversal(PictureCallback):
    """`traversals/epoch_XXXX.png`. With two latent dimensions it follows Fig. 4 of the paper.

    Rows and columns carry the values of z. Two dimensions: a plane of `size` x `size` images, z_1 to the right and z_2
    upwards, spaced by the inverse Gaussian CDF of the unit square (`span="icdf"`, Fig. 4) or evenly over
    [-limit, limit] (`span="linear"`). More dimensions: one row for each of the `rows` units with the largest KL. The
    unit walks evenly over [-limit, limit]; the other units stay at the posterior mean of the first test image. `decode`
    maps z [N, J] to images, `encode` maps x to (mean, log_var), to an object with these attributes, or to a Normal;
    both are names of methods or functions. `batch` is the key or index of the images in a batch, or a function of the
    batch. Vectors become curves, or bars if they are short.
    """

    folder, key = TRAVERSALS, "traversal"

    def __init__(
        self,
        latent_dim: Count,
        decode: str | Callable[[Tensor], Any] = "decode",
        encode: str | Callable[[Tensor], Any] = "encode",
        span: Annotated[str, one_of(SPANS)] = "icdf",
        limit: float = 3.0,
        size: Count = 20,
        rows: Count = 10,
        every_n_epochs: Count = 1,
        dirpath: str | PathLike[str] | None = None,
        batch: Place = None,
    ) -> None:
        super().__init__(every_n_epochs, dirpath)
        self.latent_dim, self.decode, self.encode, self.batch = latent_dim, decode, encode, batch
        self.span, self.limit, self.size, self.rows = span, limit, size, rows
        check(self, type(self).__name__)

    def look_up(self, pl_module: pl.LightningModule) -> None:
        self._decode = method(pl_module, self, "decode", self.decode, takes="z")
        if self.latent_dim != 2:
            self._encode = method(pl_module, self, "encode", self.encode, takes="x")

    def prepare(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().prepare(trainer, pl_module)
        if self.latent_dim != 2:
            with looking(trainer, pl_module, seed=0):
                self._images = in_parts(held_out(trainer, NUM_IMAGES, self.batch, self))

    def picture(self, pl_module: pl.LightningModule) -> Picture:
        walk = self._plane() if self.latent_dim == 2 else self._rows(pl_module.device)
        z = walk.z.to(pl_module.device).to(pl_module.dtype)
        images, owner = decoded(self._decode, z), f"LatentTraversal(decode={self.decode!r})"
        canvas, notes = sheet(images, walk.columns, owner, self.undo, walk.scale, gap=0, cell=walk.cell)
        return Picture(canvas, walk.what, walk.row_labels, notes, walk.column_labels)

    def axis(self) -> Tensor:
        """The values of z along one side of the plane."""
        if self.span == "linear":
            return torch.linspace(-self.limit, self.limit, self.size, dtype=torch.float32)
        return torch.special.ndtri((torch.arange(self.size, dtype=torch.float32) + 0.5) / self.size)

    def _plane(self) -> "Walk":
        axis = self.axis()
        z = torch.cartesian_prod(axis.flip(0), axis).flip(1)  # top row first: z_2 falls, z_1 rises
        what = f"E[x|z], z1 right, z2 up: {self.span}, {axis[0]:.2f} to {axis[-1]:.2f}"
        values = tuple(f"{value:.1f}" for value in axis.tolist())
        return Walk(z, self.size, 1, what, values[::-1], values, cell=SMALL)

    def _rows(self, device: torch.device) -> "Walk":
        owner = f"LatentTraversal(encode={self.encode!r})"
        mean, _, unit_kl = encoded(self._encode, self._images, device, owner)
        kl, units = unit_kl.mean(0).sort(descending=True)
        kl, units = kl[: self.rows].tolist(), units[: self.rows].tolist()
        z = mean[0].repeat(len(units), COLUMNS, 1)
        values = torch.linspace(-self.limit, self.limit, COLUMNS, dtype=torch.float32)
        for row, unit in enumerate(units):
            z[row, :, unit] = values
        labels = tuple(f"z{unit + 1}  {nats:.2f}" for unit, nats in zip(units, kl, strict=True))
        what = f"E[x|z], one unit at a time, {-self.limit:g} to {self.limit:g}; its KL in nats"
        columns = tuple(f"{round(value, 6) + 0.0:.3g}" for value in values.tolist())  # 0 and not -1e-7
        return Walk(z.flatten(0, 1), COLUMNS, 2, what, labels, columns)


@dataclass(frozen=True)
class Walk:
    """Points z [N, J] and the layout of their images."""

    z: Tensor
    columns: int
    scale: int
    what: str
    row_labels: tuple[str, ...] = ()
    column_labels: tuple[str, ...] = ()
    cell: tuple[int, int] = CELL
