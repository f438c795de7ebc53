"""Bernoulli likelihoods, binary and continuous. <-> conf/loss/ (shapes and units: `vae_lightning.loss`)"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning import equations
from vae_lightning.loss.common import BERNOULLI, UNIT_INTERVAL, Likelihood
from vae_lightning.shapes import Image, Params, PerSample, Picture, at_least_float32

LEAST = 2**-24  # 1 - 2^-24 is the largest float32 below 1


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Implements Eq. (11) on probabilities, y = sigmoid(params): the binary cross entropy of the PyTorch example.

    float32 cannot tell y from 1 above a logit of 17, so y is kept 2^-24 away from 0 and 1: no pixel costs more than
    16.6 nats, and its gradient ends there. `BernoulliLogits` is the same density without that limit.
    """

    name, link, support, measure = "bce", "sigmoid", UNIT_INTERVAL, BERNOULLI
    title = "Bernoulli, on probabilities"

    def log_px_z(self, x: Image, params: Params) -> PerSample:
        y = self.mean(params).clamp(LEAST, 1 - LEAST)
        return equations.bernoulli_log_px_z(x.flatten(-3), y.flatten(-3))

    def sample(self, params: Params, generator: torch.Generator) -> Picture:
        return torch.bernoulli(self.mean(params), generator=generator)


@dataclass(frozen=True)
class BernoulliLogits(Likelihood):
    """Implements Eq. (11) on logits: numerically stable, and one pass over the pixels."""

    name, link, support, measure = "bce_logits", "sigmoid", UNIT_INTERVAL, BERNOULLI
    title = "Bernoulli, on logits"

    def log_px_z(self, x: Image, params: Params) -> PerSample:
        return equations.bernoulli_log_px_z_from_logits(x.flatten(-3), at_least_float32(params).squeeze(-4).flatten(-3))

    def sample(self, params: Params, generator: torch.Generator) -> Picture:
        return torch.bernoulli(self.mean(params), generator=generator)


@dataclass(frozen=True)
class ContinuousBernoulli(Likelihood):
    """Follows Loaiza-Ganem & Cunningham (2019): the density on [0, 1] that is proportional to Eq. (11), normalised.

    With a = params (logits), log p(x|z) = sum_i a_i x_i - log( (exp(a_i) - 1) / a_i ). `bce` on grey values lacks the
    normaliser.
    """

    name, link, support = "continuous_bernoulli", "continuous_bernoulli", UNIT_INTERVAL
    title = "continuous Bernoulli"

    def log_px_z(self, x: Image, params: Params) -> PerSample:
        logits = at_least_float32(params).squeeze(-4).flatten(-3)
        return (x.flatten(-3) * logits - log_normaliser(logits)).sum(-1)

    def sample(self, params: Params, generator: torch.Generator) -> Picture:
        """x ~ p(x|z), by the inverse of its distribution function: log(1 + u (exp(a) - 1)) / a."""
        a = at_least_float32(params).squeeze(-4)
        u = torch.rand(a.shape, generator=generator, device=a.device)
        small, flipped = a.abs() < 1e-3, a > 0  # for a > 0, 1 - x has -a: exp cannot overflow
        safe = torch.where(small, -torch.ones_like(a), -a.abs())
        x = torch.where(small, u, torch.log1p(u * torch.expm1(safe)) / safe)
        return torch.where(flipped & ~small, 1 - x, x)


def log_normaliser(a: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """log( (exp(a) - 1) / a ) of each element: its series where a is near 0, and without overflow far from it."""
    size = a.abs()
    small = size < 0.1
    safe = torch.where(small, torch.ones_like(a), size)
    far = (a + size) / 2 + torch.log1p(-torch.exp(-safe)) - safe.log()
    return torch.where(small, a / 2 + a**2 / 24 - a**4 / 2880, far)
