"""Networks of residual blocks. <-> conf/network/ (shapes: `vae_lightning.network`)"""

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

from torch import Tensor, nn

from vae_lightning.errors import ConfigError, shown
from vae_lightning.network.convolutional import Convolutional
from vae_lightning.network.dense import as_list
from vae_lightning.rules import Count, check, wholes

CHANNELS = 4  # of a group, at least; eight groups at most


class Residual(nn.Sequential):
    """x + f(x): the layers compute what is added to their input."""

    def forward(self, input: Tensor) -> Tensor:
        return input + super().forward(input)


class ResNet(Convolutional):
    """Follows He et al. (2016): residual blocks of norm, activation, convolution, norm, activation, convolution.

    A level is a strided convolution to `widths[i]` channels, which halves the image, and `depths[i]` blocks of 3 x 3
    convolutions; one depth counts for all levels. The norm is group norm (Wu & He 2018), which reads one image at a
    time, and the activation is SiLU. `hidden` lists the units of the dense layers between the last level and the code.
    The decoder mirrors the encoder, with transposed convolutions that double the image. A block begins as the identity.
    Raises ConfigError for depths that are not as many as the widths, for data that are no images, and for images whose
    sides are odd or too small for so many widths.
    """

    title: ClassVar[str] = "Residual blocks of {widths} channels ({depths} a level) and {hidden} units on each side"

    def __init__(
        self,
        image_shape: Annotated[Sequence[int], wholes(1)],
        latent_dim: Count,
        num_parameters: Count = 1,
        widths: Annotated[Sequence[int] | int, wholes(CHANNELS)] = (32, 64),
        depths: Annotated[Sequence[int] | int, wholes(0)] = (1, 1),
        hidden: Annotated[Sequence[int] | int, wholes(1)] = (256,),
    ) -> None:
        super().__init__(image_shape, latent_dim, num_parameters)
        self.widths, self.depths, self.hidden = as_list(widths), depths, hidden
        check(self, "network")
        levels = len(self.widths)
        self.depths = counts = [depths] * levels if isinstance(depths, int) else list(depths)
        if len(counts) != levels:
            raise ConfigError(
                f"network.depths={shown(counts)}: must be one number, or as many as network.widths={shown(self.widths)}"
            )
        self.build(lambda level: blocks(self.widths[level], counts[level]), nn.SiLU())


def blocks(width: int, count: int) -> list[nn.Module]:
    """The inside of a level: its blocks, then norm and activation."""
    return [*(block(width) for _ in range(count)), norm(width), nn.SiLU()]


def block(width: int) -> Residual:
    """A residual block. Its last convolution begins at 0, and so the block as the identity."""
    last = convolution(width)
    for parameter in last.parameters():
        nn.init.zeros_(parameter)
    return Residual(norm(width), nn.SiLU(), convolution(width), norm(width), nn.SiLU(), last)


def norm(width: int) -> nn.GroupNorm:
    """Group norm of at most eight groups, each of four channels or more."""
    return nn.GroupNorm(max(1, math.gcd(width, 8 * CHANNELS) // CHANNELS), width)


def convolution(width: int) -> nn.Conv2d:
    """A 3 x 3 convolution that keeps the size."""
    return nn.Conv2d(width, width, 3, padding=1)
