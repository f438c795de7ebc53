"""A mass function on the 256 levels of a byte. <-> conf/loss/ (shapes and units: `vae_lightning.loss`)"""

from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid, softplus

from vae_lightning.loss.common import BYTES, UNIT_INTERVAL, Likelihood, mean_and_log
from vae_lightning.shapes import Image, Params, PerSample, Picture

LEVELS = 256


@dataclass(frozen=True)
class DiscretizedLogistic(Likelihood):
    """Follows Salimans et al. (2017): the mass that a logistic distribution puts on the level of each pixel.

    x is k/255 for k = 0..255; level k has the mass between k - 1/2 and k + 1/2, an outer level also all mass beyond it.
    Mean and log scale of every pixel come from z; the mean is that of the logistic distribution before it is cut into
    levels. A mass, so bits per dimension are defined.
    """

    name, num_parameters, link, support = "discretized_logistic", 2, "sigmoid", UNIT_INTERVAL
    measure, levels = BYTES, LEVELS
    title = "a logistic on 256 levels"

    def log_px_z(self, x: Image, params: Params) -> PerSample:
        """log P(x|z), nats: log( F(upper) - F(lower) ), without a difference of numbers near one another."""
        mean, log_scale = mean_and_log(params)
        half, inverse = 0.5 / (LEVELS - 1), (-log_scale).exp()
        upper, lower = (x + half - mean) * inverse, (x - half - mean) * inverse
        # F(u) - F(l) = F(u) F(-l) (1 - exp(l - u)), and u - l is the width of a level in scales
        inner = logsigmoid(upper) - softplus(lower) + torch.log(-torch.expm1(-2 * half * inverse))
        first, last = x < half, x > 1 - half
        mass = torch.where(first, logsigmoid(upper), torch.where(last, -softplus(lower), inner))
        return mass.flatten(-3).sum(-1)

    def sample(self, params: Params, generator: torch.Generator) -> Picture:
        """x ~ P(x|z): a level, k/255."""
        mean, log_scale = mean_and_log(params)
        u = torch.rand(mean.shape, generator=generator, device=mean.device).clamp(1e-7, 1 - 1e-7)
        drawn = mean + log_scale.exp() * torch.logit(u)
        return drawn.mul(LEVELS - 1).round().clamp(0, LEVELS - 1) / (LEVELS - 1)
