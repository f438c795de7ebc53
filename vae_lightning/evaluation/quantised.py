"""Gaussian densities in bits: the mass that a Gaussian puts on the level of each pixel.

A byte is one of 256 levels, 0, 1/255, ..., 1. A level has the mass within half a level of it; an outer level also has
all mass beyond it. So P(x|z) is a mass function, and its bits can be compared with those of any other.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.special import log_ndtr

from vae_lightning.errors import ConfigError, DataError
from vae_lightning.evaluation.importance import importance_weighted
from vae_lightning.loss.common import BYTES, Likelihood, bits_per_dimension
from vae_lightning.loss.discrete import LEVELS
from vae_lightning.loss.gaussian import Normal
from vae_lightning.model import Model, option_of
from vae_lightning.shapes import Image, Params, PerSample, Picture

SMALLEST = 1e-4  # standard deviation of a fitted pixel; a pixel that never changes has none


def log_mass(x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """log( Phi(upper) - Phi(lower) ) of the level of each pixel, nats, in float64.

    Both ends lie in the tail where Phi is small, or are mirrored there.
    """
    x, mean, inverse = x.double(), mean.double(), (-0.5 * log_var.double()).exp()
    half = 0.5 / (LEVELS - 1)
    upper, lower = (x + half - mean) * inverse, (x - half - mean) * inverse
    mirrored = upper + lower > 0
    near, far = torch.where(mirrored, -lower, upper), torch.where(mirrored, -upper, lower)
    inner = log_ndtr(near) + torch.log(-torch.expm1((log_ndtr(far) - log_ndtr(near)).clamp(max=-1e-300)))
    return torch.where(x < half, log_ndtr(upper), torch.where(x > 1 - half, log_ndtr(-lower), inner))


@dataclass(frozen=True)
class Quantised(Likelihood):
    """The mass function of a Gaussian likelihood on the levels of a byte."""

    density: Normal
    name, title, measure, levels = "quantised", "a Gaussian on 256 levels", BYTES, LEVELS

    @property
    def num_parameters(self) -> int:  # type: ignore[override]
        return self.density.num_parameters  # type: ignore[attr-defined]

    def log_px_z(self, x: Image, params: Params) -> PerSample:
        return log_mass(x, *self.density.mean_and_log_var(params, x)).flatten(-3).sum(-1).float()

    def sample(self, params: Params, generator: torch.Generator) -> Picture:
        drawn = self.density.sample(params, generator)
        return drawn.mul(LEVELS - 1).round().clamp(0, LEVELS - 1) / (LEVELS - 1)

    def mean(self, params: Params) -> Picture:
        return self.density.mean_and_log_var(params)[0]


def quantised_bits(
    model: Model, x: Float[Tensor, "N C H W"], num_samples: int = 100, seed: int = 0, progress: bool = False
) -> Float[Tensor, " N"]:
    """Bits per dimension: the importance-weighted bound of P(x), with the mass function of the model's Gaussian.

    Raises ConfigError where p(x|z) is no Gaussian, and DataError for images that are not bytes over 255.
    """
    if not isinstance(model.loss, Normal):
        raise ConfigError(
            f"quantised.num_images={len(x)}: loss={option_of(model.loss)} is no Gaussian; leave it at 0"
            + (", bits_per_dimension is measured without it" if getattr(model.loss, "levels", None) else "")
        )
    levels = x.double() * (LEVELS - 1)
    if not ((levels - levels.round()).abs() < 1e-3).all():
        raise DataError(f"quantised.num_images={len(x)}: the images are not bytes over 255; leave it at 0")
    model = replace(model, loss=Quantised(model.loss))
    log_px = importance_weighted(model, x, num_samples, seed=seed, progress=progress).bounds[num_samples]
    return bits_per_dimension(-log_px.double(), x[0].numel())


def factorised_bits(train: Float[Tensor, "M C H W"], x: Float[Tensor, "N C H W"]) -> Float[Tensor, " N"]:
    """Bits per dimension of one Gaussian per pixel, fitted to the training images: what a model without z reaches."""
    mean, deviation = train.double().mean(0), train.double().std(0).clamp(min=SMALLEST)
    return bits_per_dimension(-log_mass(x, mean, 2 * deviation.log()).flatten(1).sum(1), x[0].numel())
