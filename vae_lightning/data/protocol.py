"""Protocols: how the pixels of a data set become x. Results of two protocols must never be compared.

`once` is applied to a whole split when the split is loaded, with a fixed seed. `resample` draws the training images
again at every visit. Bytes stay bytes: a binary pixel is 0 or 255.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Protocol:
    """`once` prepares a split. With `resample`, training images are binarised at every visit in place of once."""

    once: Callable[[Tensor, torch.Generator], Tensor]
    resample: bool = False


def unchanged(images: Tensor, generator: torch.Generator) -> Tensor:
    """Returns the images unchanged."""
    return images


def threshold(images: Tensor, generator: torch.Generator) -> Tensor:
    """A pixel is white if x > 1/2."""
    return (images > 127).to(torch.uint8) * 255


def binarise(images: Tensor, generator: torch.Generator) -> Tensor:
    """Follows Salakhutdinov & Murray (2008): a pixel is white with probability x, independently of the others."""
    drawn = torch.empty_like(images)
    for part, out in zip(images.split(10_000), drawn.split(10_000), strict=True):
        out.copy_(torch.bernoulli(part / 255, generator=generator) * 255)
    return drawn


OF_BYTES = {
    "grey": Protocol(unchanged),
    "threshold": Protocol(threshold),
    "static": Protocol(binarise),
    "dynamic": Protocol(binarise, resample=True),
}
OF_NUMBERS = {"real": Protocol(unchanged)}
STANDARDISED = "standardised"  # vectors, by the mean and the deviation of their training split
PROTOCOLS = {**OF_BYTES, **OF_NUMBERS, STANDARDISED: Protocol(unchanged)}
