"""A mass function on the 256 levels of a byte. <-> conf/loss/ (shapes and units: `vae_lightning.loss`)"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from vae_lightning.loss.common import check_reduction, check_unit_interval, mean_and_log


@dataclass(frozen=True)
class DiscretizedLogistic:
    """Follows Salimans et al. (2017): the mass a logistic distribution puts on the level of each pixel.

    x is k/255 for k = 0..255; level k has the mass between k - 1/2 and k + 1/2, the outer levels all that lies beyond.
    Mean and log scale of every pixel come from z. A mass, so bits per dimension are defined.
    """

    reduction: str = "mean"
    num_parameters: ClassVar[int] = 2
    levels: ClassVar[int] = 256

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def check(self, x: Float[Tensor, "B C H W"]) -> None:
        """Raises DataError where x leaves [0, 1]."""
        check_unit_interval(x, "discretized_logistic")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log P(x|z), nats: log( F(upper) - F(lower) ), without a difference of numbers near one another."""
        mean, log_scale = mean_and_log(params)
        half, inverse = 0.5 / (self.levels - 1), (-log_scale).exp()
        upper, lower = (x + half - mean) * inverse, (x - half - mean) * inverse
        # F(u) - F(l) = F(u) F(-l) (1 - exp(l - u)), and u - l is the width of a level in scales
        inner = logsigmoid(upper) - softplus(lower) + torch.log(-torch.expm1(-2 * half * inverse))
        first, last = x < half, x > 1 - half
        mass = torch.where(first, logsigmoid(upper), torch.where(last, -softplus(lower), inner))
        return mass.flatten(-3).sum(-1)

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """The mean of the logistic distribution before it is cut into levels."""
        return mean_and_log(params)[0]

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ P(x|z): a level, k/255."""
        mean, log_scale = mean_and_log(params)
        u = torch.rand(mean.shape, generator=generator, device=mean.device).clamp(1e-7, 1 - 1e-7)
        drawn = mean + log_scale.exp() * torch.logit(u)
        return drawn.mul(self.levels - 1).round().clamp(0, self.levels - 1) / (self.levels - 1)
