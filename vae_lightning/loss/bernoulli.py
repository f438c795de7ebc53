"""Bernoulli likelihoods, binary and continuous. <-> conf/loss/ (shapes and units: `vae_lightning.loss`)"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning import equations
from vae_lightning.loss.common import check_reduction, check_unit_interval, sigmoid_mean

LOGIT_LIMIT = math.log(2**24 - 1)  # the logit of 1 - 2^-24


@dataclass(frozen=True)
class Bernoulli:
    """Implements Eq. (11) on probabilities, y = sigmoid(params): the binary cross entropy of the PyTorch example.

    float32 cannot tell y from 1 above a logit of 17, so y is kept 2^-24 away from 0 and 1: no pixel costs more than
    16.6 nats, and its gradient ends there. Computed on logits kept within the same limits, where it is the same number
    at half the cost. `BernoulliLogits` is the same density without that limit.
    """

    reduction: str = "mean"
    num_parameters: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def check(self, x: Float[Tensor, "B C H W"]) -> None:
        """Raises DataError where x leaves [0, 1]."""
        check_unit_interval(x, "bce")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log p(x|z), nats."""
        logits = params.float().squeeze(-4).clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        return equations.bernoulli_log_px_z_from_logits(x.flatten(-3), logits.flatten(-3))

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """E[x|z]: the probability of each pixel."""
        return sigmoid_mean(params)

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ p(x|z): black and white."""
        return torch.bernoulli(sigmoid_mean(params), generator=generator)


@dataclass(frozen=True)
class BernoulliLogits:
    """Implements Eq. (11) on logits: numerically stable, and one pass over the pixels."""

    reduction: str = "mean"
    num_parameters: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def check(self, x: Float[Tensor, "B C H W"]) -> None:
        """Raises DataError where x leaves [0, 1]."""
        check_unit_interval(x, "bce_logits")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log p(x|z), nats."""
        return equations.bernoulli_log_px_z_from_logits(x.flatten(-3), params.float().squeeze(-4).flatten(-3))

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """E[x|z]: the probability of each pixel."""
        return sigmoid_mean(params)

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ p(x|z): black and white."""
        return torch.bernoulli(sigmoid_mean(params), generator=generator)


@dataclass(frozen=True)
class ContinuousBernoulli:
    """Follows Loaiza-Ganem & Cunningham (2019): the density on [0, 1] that is proportional to Eq. (11), normalised.

    With a = params (logits), log p(x|z) = sum_i a_i x_i - log( (exp(a_i) - 1) / a_i ). What `bce` on grey values lacks.
    """

    reduction: str = "mean"
    num_parameters: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def check(self, x: Float[Tensor, "B C H W"]) -> None:
        """Raises DataError where x leaves [0, 1]."""
        check_unit_interval(x, "continuous_bernoulli")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log p(x|z), nats."""
        logits = params.float().squeeze(-4).flatten(-3)
        return (x.flatten(-3) * logits - log_normaliser(logits)).sum(-1)

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """E[x|z] = 1 / (1 - exp(-a)) - 1/a, not the sigmoid; its series where a is near 0."""
        a = params.float().squeeze(-4)
        small = a.abs() < 0.1
        safe = torch.where(small, torch.ones_like(a), a)
        return torch.where(small, 0.5 + a / 12 - a**3 / 720, -1 / torch.expm1(-safe) - 1 / safe)

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ p(x|z), by the inverse of its distribution function: log(1 + u (exp(a) - 1)) / a."""
        a = params.float().squeeze(-4)
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
