"""The range of what the explorer draws, and the way from standardised vectors to the data's own units.

N images, C H W image, J latent dims.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vae_lightning.callbacks.curves import FEW
from vae_lightning.model import Model
from vae_lightning.pages.explorer.layers import packed


def is_vector(shape: Sequence[int]) -> bool:
    """Whether an image is a row of numbers, which is drawn as a curve."""
    return list(shape[:2]) == [1, 1]


def value_range(model: Model, x: Tensor | None, z: Tensor) -> list[float]:
    """The values of black and white: 0 and 1, or the range of data that are no images."""
    if getattr(model.network, "image_shape", [0])[:2] == [1, 1] or (x is not None and is_vector(x.shape[1:])):
        shown = x if x is not None else model.loss.mean(model.network.decode(z[:200]))
        low, high = (float(value) for value in shown.aminmax())
        low, high = (min(low, 0.0), max(high, 0.0)) if shown.shape[-1] <= FEW else (low, high)
        return [low, high] if high > low else [low - 0.5, high + 0.5]
    if x is None or (x.min() >= 0 and x.max() <= 1):
        return [0.0, 1.0]
    return [float(x.min()), float(x.max())]


def fits_half(low: float, high: float) -> bool:
    """Whether fp16 tells the numbers of a range apart well enough for a curve."""
    return max(abs(low), abs(high)) < min(60_000.0, 5 * (high - low))


def tolerated(low: float, high: float) -> float:
    """By how much the page's E[x|z] may differ, in tolerances of [0, 1]; float32 rounds numbers far from 0."""
    return max(high - low, 1e-3 * max(abs(low), abs(high)))


def undo(x: Tensor, standard: Any) -> dict[str, Any] | None:
    """Mean and scale of standardised vectors that are drawn as curves, in base64, and the range of the data."""
    if standard is None or x.shape[-1] <= FEW:
        return None
    low, high = (float(value) for value in standard.undo(x).aminmax())
    numbers = {"mean": standard.mean, "scale": standard.scale}
    return {**{key: packed(value, torch.float32) for key, value in numbers.items()}, "range": [low, high]}
