"""Likelihoods on the real line: Gaussians of fixed, shared, optimal or learned variance, and Laplace. <-> conf/loss/

Shapes and units: `vae_lightning.loss`. All are densities with their constants, so their values can be compared.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from vae_lightning import equations
from vae_lightning.loss.common import Likelihood, bounded_log, linked, mean_and_log
from vae_lightning.rules import Positive, check, number
from vae_lightning.shapes import Image, Params, PerSample, Picture


class Normal:
    """Implements Eq. (12), which all Gaussians share: log p(x|z) = log N(x; mean, exp(log_var) I), and its draws."""

    link: ClassVar[str]
    variance: Any  # one for all pixels: a number, or a tensor without dimensions

    def mean_and_log_var(self, params: Params, x: Image | None = None) -> tuple[Picture, Tensor]:
        """The mean, and log sigma^2 of every pixel or one for all. `x` is given for a density, not for a draw."""
        mean = linked(params, self.link)
        return mean, mean.new_tensor(math.log(self.variance))

    def log_px_z(self, x: Image, params: Params) -> PerSample:
        mean, log_var = self.mean_and_log_var(params, x)
        log_var = log_var.flatten(-3) if log_var.ndim else log_var
        return equations.gaussian_log_px_z(x.flatten(-3), mean.flatten(-3), log_var)

    def sample(self, params: Params, generator: torch.Generator) -> Picture:
        """x ~ p(x|z), mean + sigma * eps: it may leave [0, 1]."""
        mean, log_var = self.mean_and_log_var(params)
        eps = torch.randn(mean.shape, generator=generator, device=mean.device)
        return mean + (0.5 * log_var).exp() * eps


@dataclass(frozen=True)
class SquaredError(Normal, Likelihood):
    """Implements Eq. (12) with variance 1/2: -log p(x|z) is the squared error plus D/2 log pi (`mse`).

    The mean passes through a sigmoid, as the paper's for Frey Face. Not an average over pixels, which changes beta.
    """

    name, link, variance = "mse", "sigmoid", 0.5
    title = "Gaussian of variance 1/2 (squared error)"


@dataclass(frozen=True)
class Gaussian(Normal, Likelihood):
    """Implements Eq. (12): a mean through a sigmoid and a log variance in (-12, 12) of every pixel, both from z."""

    name, num_parameters, link = "gaussian", 2, "sigmoid"
    title = "Gaussian, mean and variance from z"

    def mean_and_log_var(self, params: Params, x: Image | None = None) -> tuple[Picture, Tensor]:
        return mean_and_log(params)


@dataclass(frozen=True)
class FixedGaussian(Normal, Likelihood):
    """Implements Eq. (12) with one given `variance`: a small one weighs the reconstruction, as a small beta does.

    Raises ConfigError when `variance` is not a finite number > 0.
    """

    variance: Positive = 0.1
    name, link = "gaussian_fixed", "sigmoid"
    title = "Gaussian, of one given variance"


@dataclass(frozen=True)
class UnboundedGaussian(Normal, Likelihood):
    """Implements Eq. (12) with one given `variance` and the decoder's output as the mean: for data that are no images.

    Raises ConfigError when `variance` is not a finite number > 0.
    """

    variance: Positive = 1.0
    name, link = "gaussian_unbounded", "identity"
    title = "Gaussian with an unbounded mean"


class SharedGaussian(Normal, Likelihood, nn.Module):
    """Implements Eq. (12) with one variance for all pixels, learned with the weights; its log is held in (-12, 12)."""

    name, link = "gaussian_shared", "sigmoid"
    title = "Gaussian, of one learned variance"

    def __init__(self) -> None:
        super().__init__()
        self.log_var = nn.Parameter(torch.zeros(()))

    def mean_and_log_var(self, params: Params, x: Image | None = None) -> tuple[Picture, Tensor]:
        return linked(params, self.link), bounded_log(self.log_var)


class OptimalGaussian(Normal, Likelihood, nn.Module):
    """Follows Rybkin et al. (2021), the sigma-VAE: one variance for all pixels, in closed form the mean squared error.

    In training it is that of the batch. Its running mean (over about the last 1/`momentum` batches) is kept and used in
    evaluation, so that the value of an image does not depend on its neighbours.
    Raises ConfigError when `momentum` is not in (0, 1].
    """

    name, link = "sigma", "sigmoid"
    title = "Gaussian, of the optimal shared variance"
    variance: Tensor

    def __init__(self, momentum: Annotated[float, number(above=0, most=1)] = 0.01) -> None:
        super().__init__()
        self.momentum = momentum
        check(self, "loss")
        self.register_buffer("variance", torch.ones(()))

    def mean_and_log_var(self, params: Params, x: Image | None = None) -> tuple[Picture, Tensor]:
        mean, variance = linked(params, self.link), self.variance
        if self.training and x is not None:
            variance = (x.flatten(-3) - mean.flatten(-3)).square().mean().clamp(min=1e-5)
            self.variance.lerp_(variance.detach(), self.momentum)
        return mean, variance.log()


class UnboundedOptimalGaussian(OptimalGaussian):
    """Follows Rybkin et al. (2021) as `OptimalGaussian`, with the decoder's output as the mean: any numbers."""

    name, link = "sigma_unbounded", "identity"
    title = "Gaussian of the optimal variance, with an unbounded mean"


@dataclass(frozen=True)
class Laplace(Likelihood):
    """The Laplace density, mean and log scale of every pixel from z: absolute errors in place of squared ones."""

    name, num_parameters, link = "laplace", 2, "sigmoid"
    title = "Laplace, mean and scale from z"

    def log_px_z(self, x: Image, params: Params) -> PerSample:
        """log p(x|z) = sum_i -log 2 - log b_i - |x_i - mean_i| / b_i, nats."""
        mean, log_b = mean_and_log(params)
        return (-math.log(2) - log_b - (x - mean).abs() * (-log_b).exp()).flatten(-3).sum(-1)

    def sample(self, params: Params, generator: torch.Generator) -> Picture:
        """x ~ p(x|z), by the inverse of its distribution function."""
        mean, log_b = mean_and_log(params)
        u = torch.rand(mean.shape, generator=generator, device=mean.device) - 0.5
        return mean - log_b.exp() * u.sign() * torch.log1p(-2 * u.abs())
