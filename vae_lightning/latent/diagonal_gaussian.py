"""The paper's latent space: a standard normal prior and a Gaussian posterior with diagonal covariance.

B batch, L samples, J latent dims. Nats.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from vae_lightning import equations
from vae_lightning.rules import Count, check
from vae_lightning.shapes import Codes, Encoded, PerSample, PerUnit, at_least_float32


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian with diagonal covariance for each datapoint, N(mean, exp(log_var) I)."""

    mean: PerUnit
    log_var: PerUnit

    def rsample(self, eps: Codes) -> Codes:
        """z = mean + sigma * eps, Eq. (4)."""
        return equations.reparameterise(self.mean, self.log_var, eps)

    def log_qz_x(self, z: Codes) -> PerSample:
        """log q(z|x), Eq. (9)."""
        return equations.log_qz_x(z, self.mean, self.log_var)


@dataclass(frozen=True)
class Posterior(Gaussian):
    """Implements Eq. (9): q(z|x) = N(mean, exp(log_var) I) of each datapoint."""

    def kl(self) -> PerUnit:
        """KL( q(z_j|x) || p(z_j) ) of each latent unit, Appendix B."""
        return equations.kl_standard_normal(self.mean, self.log_var)

    def detach(self) -> "Posterior":
        """The same distribution as a constant: no gradient reaches its parameters."""
        return Posterior(self.mean.detach(), self.log_var.detach())


@dataclass(frozen=True)
class DiagonalGaussian:
    """Implements Eq. (9) with the prior of Sec. 3: p(z) = N(0, I), q(z|x) a Gaussian with diagonal covariance.

    Raises ConfigError when `dim` is not a whole number >= 1.
    """

    dim: Count = 20
    title: ClassVar[str] = "{dim} latent units"

    def __post_init__(self) -> None:
        check(self, "latent")

    @property
    def num_parameters(self) -> int:
        """How many numbers the encoder returns for each datapoint: mean and log_var."""
        return 2 * self.dim

    def posterior(self, params: Encoded) -> Posterior:
        """The encoder's output as a distribution, in float32 at least: exp(log_var) needs its range."""
        mean, log_var = at_least_float32(params).chunk(2, dim=-1)
        return Posterior(mean, log_var)

    def log_pz(self, z: Codes) -> PerSample:
        """log p(z)."""
        return equations.log_pz(z)

    def noise(self, num_samples: int, batch: int, generator: torch.Generator) -> Codes:
        """eps ~ N(0, I) on the generator's device, of which z is a function; eps is itself a draw of z ~ p(z)."""
        return torch.randn(num_samples, batch, self.dim, generator=generator, device=generator.device)
