"""A sheet of pictures: images as pixels, vectors as curves or bars.

N images [N, C, H, W] or vectors [N, D], also as [N, 1, 1, D].
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vae_lightning.callbacks.curves import CELL, FEW, plots, vectors
from vae_lightning.callbacks.pictures import grid
from vae_lightning.callbacks.pixels import pixels

Undo = Callable[[Tensor], Tensor]


def sheet(
    images: Tensor,
    columns: int,
    owner: str,
    undo: Undo | None = None,
    scale: int = 2,
    gap: int = 2,
    cell: tuple[int, int] = CELL,
) -> tuple[np.ndarray, list[str]]:
    """Images or vectors in columns, [H, W, 3] in bytes, and notes. `cell` is the size of a plot, `scale` of a pixel."""
    rows = vectors(images)
    if rows is not None:
        return plots([undone(rows, undo)], columns, cell=cell, gap=gap)
    values, notes = pixels(images, owner)
    return grid(values, columns, scale, gap), notes


def pairs(x: Tensor, y: Tensor, columns: int, owner: str, undo: Undo | None = None) -> tuple[np.ndarray, list[str]]:
    """Rows of images x, each above a row of y; of vectors, y on top of x in one plot. x gives the range."""
    rows = vectors(x)
    if rows is not None:
        below, above = undone(rows, undo), undone(y.reshape(x.shape).detach().float().flatten(1).cpu(), undo)
        return plots([below, above], columns, reference=below)
    images, notes = pixels(x, owner)
    others, more = pixels(y, owner, reference=x)
    both = zip(images.split(columns), others.split(columns), strict=True)
    stacked = [torch.cat([padded(upper, columns), padded(lower, columns)]) for upper, lower in both]
    return grid(torch.cat(stacked), columns), [*notes, *more]


def padded(row: Tensor, columns: int) -> Tensor:
    """A row of images, filled up with white images."""
    return torch.cat([row, row.new_ones(columns - len(row), *row.shape[1:])])


def undone(rows: Tensor, undo: Undo | None) -> Tensor:
    """Curves in the data's own units. Bars stay as they are: the numbers of a table have units that differ."""
    return rows if undo is None or rows.shape[1] <= FEW else undo(rows)
