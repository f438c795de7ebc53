"""What the latent variables carry: the KL taken apart into information and mismatch.

N images, J latent dims. Nats.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning import equations
from vae_lightning.latent import Posterior
from vae_lightning.model import Model
from vae_lightning.noise import generator


@torch.no_grad()
def posterior_of(model: Model, x: Float[Tensor, "N C H W"], batch: int = 1000) -> Posterior:
    """q(z|x) of all images."""
    parts = [model.latent.posterior(model.network.encode(part)) for part in x.split(batch)]
    return Posterior(torch.cat([part.mean for part in parts]), torch.cat([part.log_var for part in parts]))


@dataclass(frozen=True)
class Surgery:
    """The share of every image in I(x; z) and in KL( q(z) || p(z) ). The mean over images is the quantity itself."""

    information: Float[Tensor, " N"]
    marginal_kl: Float[Tensor, " N"]

    @property
    def most(self) -> float:
        """The largest value that I(x; z) of N images can have, log N."""
        return math.log(len(self.information))


@torch.no_grad()
def surgery(posterior: Posterior, seed: int = 0, rows: int = 500) -> Surgery:
    """Follows Hoffman & Johnson (2016): the mean KL( q(z|x) || p(z) ) is I(x; z) + KL( q(z) || p(z) ).

    q(z) is the mixture of the posteriors of these N images, exactly; one z is drawn from each. I(x; z) of N images
    is at most log N; a value near log N says more about N than about z. float64.
    """
    mean, log_var = posterior.mean.double(), posterior.log_var.double()
    eps = torch.randn(1, *mean.shape, generator=generator("cpu", "surgery", seed)).to(mean)
    z = equations.reparameterise(mean, log_var, eps)
    log_qz = torch.cat([log_mixture(part, mean, log_var) for part in z.squeeze(0).split(rows)])
    marginal_kl = log_qz - equations.log_pz(z).squeeze(0)
    return Surgery(equations.kl_standard_normal(mean, log_var).sum(-1) - marginal_kl, marginal_kl)


def log_mixture(z: Float[Tensor, "B J"], mean: Float[Tensor, "N J"], log_var: Float[Tensor, "N J"]) -> Tensor:
    """log 1/N sum_n N(z; mean_n, sigma_n^2 I), [B]: the square is multiplied out, so that it is two matrix products."""
    precision = (-log_var).exp()
    constant = -0.5 * (equations.LOG_2PI + log_var + mean.square() * precision).sum(-1)
    log_each = -0.5 * z.square() @ precision.T + z @ (mean * precision).T + constant
    return log_each.logsumexp(-1) - math.log(len(mean))
