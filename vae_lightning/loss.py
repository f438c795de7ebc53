"""The reconstruction term: which distribution p(x|z) is. <-> conf/loss/

B batch, L samples, P parameters per pixel, C H W image. The decoder's output is [L, B, P, C, H, W]; every class turns
it into log p(x|z), into the mean of p(x|z) (the reconstruction) and into a draw. Values are nats per datapoint, [L, B];
`reduction` only says how the objective is put together over the batch.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning import equations
from vae_lightning.errors import ConfigError, DataError, did_you_mean

REDUCTIONS = {"mean": torch.mean, "sum": torch.sum}


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


@dataclass(frozen=True)
class Bernoulli:
    """Implements Eq. (11) on probabilities, y = sigmoid(params): the binary cross entropy of the PyTorch example.

    float32 cannot tell y from 1 above a logit of 17, so y is kept 2^-24 away from 0 and 1: no pixel costs more than
    16.6 nats. `BernoulliLogits` is the same density without that limit.
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
        y = self.mean(params).clamp(2**-24, 1 - 2**-24)
        return equations.bernoulli_log_px_z(x.flatten(-3), y.flatten(-3))

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
class SquaredError:
    """Implements Eq. (12) with variance 1/2: -log p(x|z) is the squared error plus D/2 log pi (`mse`).

    The mean passes through a sigmoid, as the paper's does for Frey Face. The constant changes no gradient; it makes the
    value a log density. Not an average over pixels: that would be another beta.
    """

    reduction: str = "mean"
    num_parameters: ClassVar[int] = 1
    log_var: ClassVar[float] = math.log(0.5)

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def check(self, x: Float[Tensor, "B C H W"]) -> None:
        """Raises DataError where x is not finite."""
        if not x.isfinite().all():
            raise DataError("loss=mse: the batch holds values that are not finite; clean the data")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log p(x|z), nats."""
        mean = sigmoid_mean(params).flatten(-3)
        return equations.gaussian_log_px_z(x.flatten(-3), mean, mean.new_tensor(self.log_var))

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """E[x|z]."""
        return sigmoid_mean(params)

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ p(x|z): the mean and noise of variance 1/2, so it may leave [0, 1]."""
        mean = sigmoid_mean(params)
        eps = torch.randn(mean.shape, generator=generator, device=mean.device)
        return mean + math.exp(0.5 * self.log_var) * eps


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
