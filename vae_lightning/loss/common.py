"""What the likelihoods share: reductions, ranges, bounded log scales, units."""

import math
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning.errors import ConfigError, DataError, did_you_mean

REDUCTIONS = {"mean": torch.mean, "sum": torch.sum}
LOG_LIMIT = 12.0


@runtime_checkable
class Likelihood(Protocol):
    """What the bound and the module ask of p(x|z)."""

    num_parameters: ClassVar[int]

    @property
    def reduction(self) -> str: ...
    def check(self, x: Tensor) -> None: ...
    def log_px_z(self, x: Tensor, params: Tensor) -> Tensor: ...
    def mean(self, params: Tensor) -> Tensor: ...
    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor: ...


def reduce(objective: Float[Tensor, " B"], reduction: str) -> Float[Tensor, ""]:
    """The batch's objective: `mean` or `sum` over B. Neither touches the balance of recon and kl."""
    return REDUCTIONS[reduction](objective)


def sigmoid_mean(params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
    """The decoder's one number per pixel (P = 1) as a mean in (0, 1); float32 whatever the precision."""
    return params.squeeze(-4).float().sigmoid()


def check_reduction(reduction: str) -> None:
    """Raises ConfigError unless the batch is averaged or added up."""
    if reduction not in REDUCTIONS:
        raise ConfigError(
            f"loss.reduction={reduction}: {did_you_mean(reduction, REDUCTIONS)}; averaging over pixels is not offered: "
            "on 784 pixels it would make beta 784 times as large"
        )


def check_unit_interval(x: Float[Tensor, "B C H W"], loss: str) -> None:
    """Raises DataError where x leaves [0, 1], on which Eq. (11) is defined. NaN leaves it too."""
    low, high = x.min().item(), x.max().item()
    if not (low >= 0 and high <= 1):
        raise DataError(
            f"loss={loss}: the batch ranges over [{low:.4g}, {high:.4g}], but a Bernoulli needs values in [0, 1]; "
            "divide by 255, take the normalisation away, or use loss=mse"
        )


def check_finite(x: Float[Tensor, "B C H W"], loss: str) -> None:
    """Raises DataError where x is not finite."""
    if not x.isfinite().all():
        raise DataError(f"loss={loss}: the batch holds values that are not finite; clean the data")


def bounded_log(params: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """A log variance or log scale in (-12, 12), in float32: near the identity, and `exp` of it never overflows."""
    return LOG_LIMIT * torch.tanh(params.float() / LOG_LIMIT)


def mean_and_log(params: Float[Tensor, "... P C H W"]) -> tuple[Float[Tensor, "... C H W"], Float[Tensor, "... C H W"]]:
    """Two numbers per pixel (P = 2): a mean in (0, 1), and a bounded log variance or log scale."""
    mean, log_scale = params.float().unbind(-4)
    return mean.sigmoid(), bounded_log(log_scale)


def bits_per_dimension(nll: float, dims: int, levels: int | None = None) -> float:
    """Nats per datapoint -> bits per dimension, for a mass function (`discretized_logistic`).

    For a density on [0, 1] say how many `levels` the data was quantised to: a level has the volume 1/levels, which adds
    log2(levels). Without that statement a density has no bits.
    """
    return nll / (dims * math.log(2)) + (math.log2(levels) if levels else 0.0)
