"""Likelihoods on the real line: Gaussians of fixed, shared, optimal or learned variance, and Laplace. <-> conf/loss/

Shapes and units: `vae_lightning.loss`. All are densities with their constants, so their values can be compared.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_lightning import equations
from vae_lightning.errors import ConfigError
from vae_lightning.loss.common import bounded_log, check_finite, check_reduction, mean_and_log, sigmoid_mean


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
        check_finite(x, "mse")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log p(x|z), nats."""
        mean = sigmoid_mean(params).flatten(-3)
        return equations.gaussian_log_px_z(x.flatten(-3), mean, mean.new_tensor(self.log_var))

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """E[x|z]."""
        return sigmoid_mean(params)

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ p(x|z): the mean and noise of variance 1/2, so it may leave [0, 1]."""
        return normal_draw(sigmoid_mean(params), self.log_var, generator)


@dataclass(frozen=True)
class Gaussian:
    """Implements Eq. (12): mean and log variance of every pixel from z; the mean passes through a sigmoid.

    The log variance is held in (-12, 12), in the density and in the draws alike.
    """

    reduction: str = "mean"
    num_parameters: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def check(self, x: Float[Tensor, "B C H W"]) -> None:
        """Raises DataError where x is not finite."""
        check_finite(x, "gaussian")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log p(x|z), nats."""
        mean, log_var = mean_and_log(params)
        return equations.gaussian_log_px_z(x.flatten(-3), mean.flatten(-3), log_var.flatten(-3))

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """E[x|z]."""
        return mean_and_log(params)[0]

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ p(x|z)."""
        return normal_draw(*mean_and_log(params), generator)


@dataclass(frozen=True)
class FixedGaussian:
    """Implements Eq. (12) with one given `variance`: small ones weigh the reconstruction, as a small beta does.

    Raises ConfigError where `variance` is not a finite number > 0.
    """

    variance: float = 0.1
    reduction: str = "mean"
    num_parameters: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_reduction(self.reduction)
        check_variance(self.variance)

    def check(self, x: Float[Tensor, "B C H W"]) -> None:
        """Raises DataError where x is not finite."""
        check_finite(x, "gaussian_fixed")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log p(x|z), nats."""
        mean = sigmoid_mean(params).flatten(-3)
        return equations.gaussian_log_px_z(x.flatten(-3), mean, mean.new_tensor(math.log(self.variance)))

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """E[x|z]."""
        return sigmoid_mean(params)

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ p(x|z)."""
        return normal_draw(sigmoid_mean(params), math.log(self.variance), generator)


@dataclass(frozen=True)
class UnboundedGaussian:
    """Implements Eq. (12) with one given `variance` and a mean that may be any number: for data that are no images.

    Raises ConfigError where `variance` is not a finite number > 0.
    """

    variance: float = 1.0
    reduction: str = "mean"
    num_parameters: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_reduction(self.reduction)
        check_variance(self.variance)

    def check(self, x: Float[Tensor, "B C H W"]) -> None:
        """Raises DataError where x is not finite."""
        check_finite(x, "gaussian_unbounded")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log p(x|z), nats."""
        mean = self.mean(params).flatten(-3)
        return equations.gaussian_log_px_z(x.flatten(-3), mean, mean.new_tensor(math.log(self.variance)))

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """E[x|z]: the decoder's output itself."""
        return params.float().squeeze(-4)

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ p(x|z)."""
        return normal_draw(self.mean(params), math.log(self.variance), generator)


class SharedGaussian(nn.Module):
    """Implements Eq. (12) with one variance for all pixels, which does not depend on z and is learned with the weights.

    Its log is held in (-12, 12).
    """

    num_parameters: ClassVar[int] = 1

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction = reduction
        self.log_var = nn.Parameter(torch.zeros(()))

    def check(self, x: Float[Tensor, "B C H W"]) -> None:
        """Raises DataError where x is not finite."""
        check_finite(x, "gaussian_shared")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log p(x|z), nats."""
        mean = sigmoid_mean(params).flatten(-3)
        return equations.gaussian_log_px_z(x.flatten(-3), mean, bounded_log(self.log_var))

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """E[x|z]."""
        return sigmoid_mean(params)

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ p(x|z)."""
        return normal_draw(sigmoid_mean(params), bounded_log(self.log_var), generator)


class OptimalGaussian(nn.Module):
    """Follows Rybkin et al. (2021), the sigma-VAE: one variance for all pixels, in closed form the mean squared error.

    In training that of the batch; its running mean (over about the last 1/`momentum` batches) is kept and used in
    evaluation, so that the value of an image does not depend on its neighbours.
    """

    num_parameters: ClassVar[int] = 1
    variance: Tensor

    def __init__(self, reduction: str = "mean", momentum: float = 0.01) -> None:
        super().__init__()
        check_reduction(reduction)
        self.reduction, self.momentum = reduction, momentum
        self.register_buffer("variance", torch.ones(()))

    def check(self, x: Float[Tensor, "B C H W"]) -> None:
        """Raises DataError where x is not finite."""
        check_finite(x, "sigma")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log p(x|z), nats."""
        mean = sigmoid_mean(params).flatten(-3)
        variance = self.variance
        if self.training:
            variance = (x.flatten(-3) - mean).square().mean().clamp(min=1e-5)
            self.variance.lerp_(variance.detach(), self.momentum)
        return equations.gaussian_log_px_z(x.flatten(-3), mean, variance.log())

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """E[x|z]."""
        return sigmoid_mean(params)

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ p(x|z)."""
        return normal_draw(sigmoid_mean(params), self.variance.log(), generator)


@dataclass(frozen=True)
class Laplace:
    """The Laplace density, mean and log scale of every pixel from z: absolute in place of squared errors."""

    reduction: str = "mean"
    num_parameters: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_reduction(self.reduction)

    def check(self, x: Float[Tensor, "B C H W"]) -> None:
        """Raises DataError where x is not finite."""
        check_finite(x, "laplace")

    def log_px_z(self, x: Float[Tensor, "B C H W"], params: Float[Tensor, "L B P C H W"]) -> Float[Tensor, "L B"]:
        """log p(x|z) = sum_i -log 2 - log b_i - |x_i - mean_i| / b_i, nats."""
        mean, log_b = mean_and_log(params)
        return (-math.log(2) - log_b - (x - mean).abs() * (-log_b).exp()).flatten(-3).sum(-1)

    def mean(self, params: Float[Tensor, "... P C H W"]) -> Float[Tensor, "... C H W"]:
        """E[x|z]."""
        return mean_and_log(params)[0]

    def sample(self, params: Float[Tensor, "... P C H W"], generator: torch.Generator) -> Float[Tensor, "... C H W"]:
        """x ~ p(x|z), by the inverse of its distribution function."""
        mean, log_b = mean_and_log(params)
        u = torch.rand(mean.shape, generator=generator, device=mean.device) - 0.5
        return mean - log_b.exp() * u.sign() * torch.log1p(-2 * u.abs())


def check_variance(variance: float) -> None:
    """Raises ConfigError unless it is a finite number > 0."""
    if not 0 < variance < math.inf:
        raise ConfigError(f"loss.variance={variance}: must be a finite number > 0")


def normal_draw(
    mean: Float[Tensor, "..."], log_var: Float[Tensor, "..."] | float, generator: torch.Generator
) -> Float[Tensor, "..."]:
    """mean + sigma * eps."""
    eps = torch.randn(mean.shape, generator=generator, device=mean.device)
    return mean + torch.as_tensor(0.5 * log_var).exp() * eps
