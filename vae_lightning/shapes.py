"""The shapes that repeat in the mathematics, each with one name, and the number types of images and parameters.

B batch, L samples of z, J latent dims, P parameters per pixel, C H W image. Only the tests check them. A vector of D
numbers is an image of 1 x 1 x D.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Image = Float[Tensor, "B C H W"]  # x
Picture = Float[Tensor, "*batch C H W"]  # a mean of p(x|z), or a draw
Params = Float[Tensor, "*batch P C H W"]  # of p(x|z) at every pixel: what the decoder returns
Encoded = Float[Tensor, "B params"]  # parameters of q(z|x): what the encoder returns
Codes = Float[Tensor, "L B J"]  # z, and the noise eps that z is a function of
PerSample = Float[Tensor, "L B"]  # nats of each sample of each datapoint
PerDatum = Float[Tensor, " B"]  # nats of each datapoint
PerUnit = Float[Tensor, "B J"]  # one number of each latent unit of each datapoint


def as_numbers(images: Tensor) -> Tensor:
    """Bytes become numbers in [0, 1]; numbers stay what they are."""
    return images / 255 if images.dtype == torch.uint8 else images


def as_x(images: Tensor) -> Tensor:
    """What a network takes: numbers, vectors [B, D] as [B, 1, 1, D], and grey images [B, H, W] as [B, 1, H, W]."""
    return as_numbers(images[:, None, None] if images.ndim == 2 else images[:, None] if images.ndim == 3 else images)


def at_least_float32(params: Tensor) -> Tensor:
    """16-bit numbers become float32, which `exp` and log densities need; float64 stays float64."""
    return params.to(torch.promote_types(params.dtype, torch.float32))
