"""The latent variable z: its prior p(z) and its approximate posterior q(z|x). <-> conf/latent/

B batch, L samples, J latent dims. Nats.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning import equations
from vae_lightning.errors import check_whole


@dataclass(frozen=True)
class Posterior:
    """q(z|x) = N(mean, exp(log_var) I) of each datapoint, Eq. (9)."""

    mean: Float[Tensor, "B J"]
    log_var: Float[Tensor, "B J"]

    def rsample(self, eps: Float[Tensor, "L B J"]) -> Float[Tensor, "L B J"]:
        """z = mean + sigma * eps, Eq. (4)."""
        return equations.reparameterise(self.mean, self.log_var, eps)

    def kl(self) -> Float[Tensor, "B J"]:
        """KL( q(z_j|x) || p(z_j) ) of each latent unit, Appendix B."""
        return equations.kl_standard_normal(self.mean, self.log_var)

    def detach(self) -> "Posterior":
        """The same distribution, as a constant."""
        return Posterior(self.mean.detach(), self.log_var.detach())

    def log_qz_x(self, z: Float[Tensor, "L B J"]) -> Float[Tensor, "L B"]:
        """log q(z|x), Eq. (9)."""
        return equations.log_qz_x(z, self.mean, self.log_var)


@dataclass(frozen=True)
class DiagonalGaussian:
    """The paper's latent space: prior N(0, I), posterior a Gaussian with diagonal covariance (Sec. 3).

    Raises ConfigError where `dim` is not a whole number >= 1.
    """

    dim: int = 20

    def __post_init__(self) -> None:
        check_whole("latent", dim=self.dim)

    @property
    def num_parameters(self) -> int:
        """How many numbers the encoder returns for each datapoint: mean and log_var."""
        return 2 * self.dim

    def posterior(self, params: Float[Tensor, "B params"]) -> Posterior:
        """The encoder's output as a distribution, in float32 whatever the precision: exp(log_var) needs its range."""
        mean, log_var = params.float().chunk(2, dim=-1)
        return Posterior(mean, log_var)

    def log_pz(self, z: Float[Tensor, "L B J"]) -> Float[Tensor, "L B"]:
        """log p(z)."""
        return equations.log_pz(z)

    def noise(self, num_samples: int, batch: int, generator: torch.Generator) -> Float[Tensor, "L B J"]:
        """eps ~ N(0, I) on the generator's device, of which z is a function; itself a draw of z ~ p(z)."""
        return torch.randn(num_samples, batch, self.dim, generator=generator, device=generator.device)
