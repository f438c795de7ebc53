"""Vectors as pictures: a curve of many numbers, bars of a few, in a grid of small plots.

N vectors, D numbers.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from vae_lightning.batch import square
from vae_lightning.callbacks.pixels import as_numbers

FEW = 24  # numbers that are drawn as bars
CELL = (104, 64)  # pixels of a plot, width and height
SMALL = (44, 30)  # of a plane of 20 x 20
FINE = 3  # every pixel is drawn as FINE x FINE, then averaged
INKS = ("#9a9a9a", "#1f6fb2")  # of the first vectors, and of those on top of them
FRAME, ZERO = "#dddddd", "#cfcfcf"
PAD = 3  # pixels between a frame and its curve


def vectors(x: Tensor) -> Tensor | None:
    """Vectors [N, D] in float32, of [N, 1, 1, D], [N, 1, D], or [N, D] that is no square; None for images."""
    flat = x.ndim in (3, 4) and set(x.shape[1:-1]) == {1}
    if not x.numel() or not (flat or (x.ndim == 2 and not square(x.shape[1]))):
        return None
    return as_numbers(x).flatten(1).cpu()


def plots(
    layers: Sequence[Tensor], columns: int, reference: Tensor | None = None, cell: tuple[int, int] = CELL, gap: int = 2
) -> tuple[np.ndarray, list[str]]:
    """One plot for each row of the layers [N, D], drawn on top of one another, as a picture [H, W, 3]; and notes.

    All plots have one range, that of `reference`, by default of the layers. The geometry is that of `pictures.grid`.
    """
    low, high = limits(torch.cat([*layers]) if reference is None else reference)
    notes = [f"from {low:.4g} to {high:.4g}"]
    n, (width, height) = len(layers[0]), cell
    rows = -(-n // columns)
    size = (columns * (width + gap) + gap, rows * (height + gap) + gap)
    fine = Image.new("RGB", (size[0] * FINE, size[1] * FINE), "white")
    pen = ImageDraw.Draw(fine)
    for i in range(n):
        left, top = gap + i % columns * (width + gap), gap + i // columns * (height + gap)
        box = tuple(FINE * edge for edge in (left, top, left + width, top + height))
        frame(pen, box, low, high)
        for layer, ink in zip(layers, INKS[-len(layers) :], strict=True):
            draw = bars if layer.shape[1] <= FEW else curve
            draw(pen, box, layer[i].numpy(), low, high, ink)
    values = torch.cat([*layers])
    if bool((values < low).any() | (values > high).any()):
        notes.append(f"cut off: {float(values.min()):.4g} to {float(values.max()):.4g}")
    if not values.isfinite().all():
        notes.append("values that are not finite are left out")
    return np.asarray(fine.reduce(FINE)), notes


def limits(values: Tensor) -> tuple[float, float]:
    """The range of the finite values; bars begin at 0, so it is inside."""
    finite = values[values.isfinite()]
    low, high = map(float, finite.aminmax()) if len(finite) else (0.0, 1.0)
    if values.shape[1] <= FEW:
        low, high = min(low, 0.0), max(high, 0.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def across(box: Sequence[int], count: int) -> np.ndarray:
    """The places of `count` numbers from left to right."""
    return np.linspace(box[0] + PAD * FINE, box[2] - PAD * FINE - 1, count)


def up(box: Sequence[int], values: np.ndarray | float, low: float, high: float) -> np.ndarray:
    """The heights of values; those outside of the range lie on its ends."""
    share = (np.clip(np.asarray(values, dtype=np.float64), low, high) - low) / (high - low)
    return box[3] - PAD * FINE - 1 - share * (box[3] - box[1] - 2 * PAD * FINE - 1)


def frame(pen: ImageDraw.ImageDraw, box: Sequence[int], low: float, high: float) -> None:
    """The frame of a plot, and a line at 0 if 0 is inside."""
    pen.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), outline=FRAME, width=FINE)
    if low < 0 < high:
        zero = float(up(box, 0.0, low, high))
        pen.line((box[0], zero, box[2], zero), fill=ZERO, width=FINE)


def curve(pen: ImageDraw.ImageDraw, box: Sequence[int], values: np.ndarray, low: float, high: float, ink: str) -> None:
    """A line through the numbers. Of more numbers than pixels it goes through the least and the largest of each."""
    values = thinned(values, (box[2] - box[0]) // FINE)
    points = np.stack([across(box, len(values)), up(box, values, low, high)], axis=1)
    for piece in np.split(points, np.flatnonzero(~np.isfinite(values))):
        piece = piece[np.isfinite(piece[:, 1])]
        if len(piece) > 1:
            pen.line([tuple(point) for point in piece.tolist()], fill=ink, width=FINE, joint="curve")


def thinned(values: np.ndarray, pixels: int) -> np.ndarray:
    """At most 2 `pixels` numbers: of each pixel the least and the largest, in their order, so that no peak is lost."""
    if len(values) <= 2 * pixels:
        return values
    each = -(-len(values) // pixels)
    parts = np.pad(values, (0, -len(values) % each), mode="edge").reshape(-1, each)
    ends = np.stack([parts.argmin(1), parts.argmax(1)], axis=1)
    return np.take_along_axis(parts, np.sort(ends, axis=1), axis=1).ravel()


def bars(pen: ImageDraw.ImageDraw, box: Sequence[int], values: np.ndarray, low: float, high: float, ink: str) -> None:
    """A bar from 0 for each number; those on top of the first ones are narrower."""
    edges = np.linspace(box[0] + PAD * FINE, box[2] - PAD * FINE, len(values) + 1)
    zero, slim = float(up(box, 0.0, low, high)), 0.14 if ink == INKS[0] else 0.32
    for left, right, value in zip(edges, edges[1:], values, strict=False):
        if np.isfinite(value):
            margin, end = slim * (right - left), float(up(box, value, low, high))
            pen.rectangle((left + margin, min(zero, end), right - margin, max(zero, end)), fill=ink)
