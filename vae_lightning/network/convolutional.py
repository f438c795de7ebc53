"""Networks that see an image as a plane. <-> conf/network/ (shapes: `vae_lightning.network`)"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from vae_lightning.errors import ConfigError, shown
from vae_lightning.network.dense import ACTIVATIONS, as_list, stack
from vae_lightning.rules import Count, check, one_of, wholes
from vae_lightning.shapes import Encoded, Image, Params

KERNEL = 4  # a multiple of the stride 2: each pixel lies under equally many kernels


class Convolutional(nn.Module):
    """What convolutional networks share: the sizes, the levels, and any number of leading dimensions of z.

    A level halves the image in the encoder and doubles it in the decoder. Dense layers stand between the last level and
    the code. A final class says what else is inside a level, and calls `build`.
    """

    encoder: Any
    decoder: Any
    widths: Any
    hidden: Any

    def __init__(self, image_shape: Sequence[int], latent_dim: int, num_parameters: int) -> None:
        super().__init__()
        self.image_shape, self.latent_dim, self.num_parameters = list(image_shape), latent_dim, num_parameters

    def encode(self, x: Image) -> Encoded:
        """The parameters of q(z|x): mean and log_var side by side."""
        return self.encoder(x)

    def decode(self, z: Float[Tensor, "*batch J"]) -> Params:
        """The parameters of p(x|z) at every pixel."""
        params = self.decoder(z.reshape(-1, self.latent_dim))
        return params.reshape(*z.shape[:-1], self.num_parameters, *self.image_shape)

    def build(self, inside: Callable[[int], list[nn.Module]], activation: nn.Module) -> None:
        """Makes encoder and decoder. `inside(i)` are the layers between two changes of size at level i.

        Raises ConfigError for data that are no images, and for images that cannot be halved so often.
        """
        self.widths, self.hidden = as_list(self.widths), as_list(self.hidden)
        sides = halved(self.image_shape, self.widths, type(self).__name__.lower())
        channels, outputs = self.image_shape[0], [self.num_parameters * self.image_shape[0], *self.widths]
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for level, width in enumerate(self.widths):
            down += [nn.Conv2d([channels, *self.widths][level], width, KERNEL, stride=2, padding=1), *inside(level)]
            up = [*inside(level), doubling(width, outputs[level], sides[level]), *up]
        inner = (self.widths[-1], *sides[-1])
        sizes = [math.prod(inner), *self.hidden]
        code = stack(*sizes, 2 * self.latent_dim, activation=activation)
        start = stack(self.latent_dim, *sizes[::-1], activation=activation)
        self.encoder = nn.Sequential(*down, nn.Flatten(), *code)
        self.decoder = nn.Sequential(*start, nn.Unflatten(1, inner), *up)


class Conv(Convolutional):
    """Inspired by Radford et al. (2016): strided convolutions, dense layers, and the same in reverse, transposed.

    `widths` lists the channels of the encoder's convolutions, each of which halves the image; `hidden` lists the units
    of the dense layers between the last convolution and the code. One number means one layer. The decoder mirrors the
    encoder: widths=[32, 64], hidden=[256] is 1x28x28, 32x14x14, 64x7x7, 256, z, 256, 64x7x7, 32x14x14, 1x28x28. Inside
    the network a side may be odd: the half of 7 is 3. An activation, a key of ACTIVATIONS, follows each layer but the
    last. No layer mixes the images of a batch. Raises ConfigError for data that are no images, and for images whose
    sides are odd or too small for so many widths.
    """

    title: ClassVar[str] = "Strided convolutions of {widths} channels and {hidden} {activation} units on each side"

    def __init__(
        self,
        image_shape: Annotated[Sequence[int], wholes(1)],
        latent_dim: Count,
        num_parameters: Count = 1,
        widths: Annotated[Sequence[int] | int, wholes(1)] = (32, 64, 128),
        hidden: Annotated[Sequence[int] | int, wholes(1)] = (256,),
        activation: Annotated[str, one_of(ACTIVATIONS)] = "silu",
    ) -> None:
        super().__init__(image_shape, latent_dim, num_parameters)
        self.widths, self.hidden, self.activation = widths, hidden, activation
        check(self, "network")
        act = ACTIVATIONS[activation]()
        self.build(lambda level: [act], act)


def doubling(inputs: int, outputs: int, sides: tuple[int, int]) -> nn.ConvTranspose2d:
    """The transpose of the convolution that halves an image of these sides. An odd side needs one row more."""
    odd = (sides[0] % 2, sides[1] % 2)
    return nn.ConvTranspose2d(inputs, outputs, KERNEL, stride=2, padding=1, output_padding=odd)


def halved(image_shape: Sequence[int], widths: Sequence[int], option: str) -> list[tuple[int, int]]:
    """The sides (H, W) of an image, then those after each of the convolutions.

    28 x 28 -> [(28, 28), (14, 14), (7, 7)]. A convolution halves an odd side downwards. Raises ConfigError where the
    data are no images, and where a side is odd or becomes smaller than 1; it names the nearest sides that work.
    """
    if len(image_shape) != 3 or 1 in image_shape[1:]:
        raise ConfigError(
            f"network={option}: takes images [C, H, W], and the data are {list(image_shape)}; use network=mlp"
        )
    if not widths:
        raise ConfigError("network.widths=[]: must name the channels of at least one convolution, such as [32, 64]")
    _, height, width = image_shape
    least, given = 2 ** len(widths), f"network={option} network.widths={shown(list(widths))}"
    if height % 2 or width % 2 or min(height, width) < least:
        below, above = (tuple(max(least, side + step * (side % 2)) for side in (height, width)) for step in (-1, 1))
        nearest = " or ".join(dict.fromkeys(f"{h} x {w}" for h, w in (below, above)))
        raise ConfigError(
            f"{given}: the sides of the images must be even and >= {least}, and they are {height} x {width}; "
            f"the nearest that work are {nearest}" + ("; or give fewer widths" if min(height, width) < least else "")
        )
    return [(height >> level, width >> level) for level in range(len(widths) + 1)]
