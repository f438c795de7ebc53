"""What is maximised: a lower bound of log p(x). <-> conf/bound/

B batch, L samples, J latent dims. Nats per datapoint, never weighted by beta.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from vae_lightning import equations
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import Likelihood
from vae_lightning.network import Network


@dataclass(frozen=True)
class Terms:
    """The two terms of the bound of each datapoint: recon = -E_q log p(x|z) (distortion), kl (rate), and the bound."""

    recon: Float[Tensor, " B"]
    kl: Float[Tensor, " B"]
    bound: Float[Tensor, " B"]


@dataclass(frozen=True)
class Elbo:
    """Implements Eq. (7), SGVB estimator B with L = `num_samples`; Algorithm 1 has L = 1.

    Raises ValueError where `num_samples` is not a whole number >= 1.
    """

    num_samples: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.num_samples, int) or self.num_samples < 1:
            raise ValueError(f"bound.num_samples={self.num_samples}: must be a whole number >= 1")

    def __call__(
        self,
        network: Network,
        latent: DiagonalGaussian,
        loss: Likelihood,
        x: Float[Tensor, "B C H W"],
        eps: Float[Tensor, "L B J"],
    ) -> Terms:
        posterior = latent.posterior(network.encode(x))
        z = posterior.rsample(eps)
        log_px_z = loss.log_px_z(x, network.decode(z))
        kl = posterior.kl().sum(-1)
        return Terms(recon=-log_px_z.mean(0), kl=kl, bound=equations.sgvb_b(log_px_z, kl))
