"""The protocols of MNIST: how grey bytes become x. Results of different protocols must never be compared.

`once` is applied to a whole split when it is loaded, with a fixed seed; `resample` draws the training images anew at
every visit. Bytes in, bytes out: a binary pixel is 0 or 255.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Protocol:
    """How a split is prepared (`once`), and whether training images are binarised at every visit (`resample`)."""

    once: Callable[[Tensor, torch.Generator], Tensor]
    resample: bool = False


def as_they_are(images: Tensor, generator: torch.Generator) -> Tensor:
    """Grey values."""
    return images


def threshold(images: Tensor, generator: torch.Generator) -> Tensor:
    """White where x > 1/2."""
    return (images > 127).to(torch.uint8) * 255


def binarise(images: Tensor, generator: torch.Generator) -> Tensor:
    """White with probability x (Salakhutdinov & Murray 2008); each pixel is drawn on its own."""
    drawn = torch.empty_like(images)
    for part, out in zip(images.split(10_000), drawn.split(10_000), strict=True):
        out.copy_(torch.bernoulli(part / 255, generator=generator) * 255)
    return drawn


PROTOCOLS = {
    "grey": Protocol(as_they_are),
    "threshold": Protocol(threshold),
    "static": Protocol(binarise),
    "dynamic": Protocol(binarise, resample=True),
}
