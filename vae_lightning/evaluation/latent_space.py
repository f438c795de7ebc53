"""What the latent variables carry: the KL taken apart into information and mismatch.

N images, J latent dims. Nats.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning import equations
from vae_lightning.latent import Posterior, Prior, vamp
from vae_lightning.latent.diagonal_gaussian import Gaussian
from vae_lightning.model import Model
from vae_lightning.noise import generator


@dataclass(frozen=True)
class Codes:
    """Mean and log variance of q(z|x) of all images, and the KL of each unit: what pages and tables read of it."""

    mean: Float[Tensor, "N J"]
    log_var: Float[Tensor, "N J"]
    unit_kl: Float[Tensor, "N J"]
    is_gaussian: bool = True

    def kl(self) -> Float[Tensor, "N J"]:
        """The KL of each latent unit."""
        return self.unit_kl


@torch.no_grad()
def posterior_of(model: Model, x: Float[Tensor, "N C H W"], batch: int = 1000) -> Codes:
    """q(z|x) of all images."""
    parts = [model.posterior(part) for part in x.split(batch)]
    each = [(part.mean, part.log_var, part.kl()) for part in parts]
    mean, log_var, unit_kl = (torch.cat(tensors) for tensors in zip(*each, strict=True))
    return Codes(mean, log_var, unit_kl, is_gaussian=all(isinstance(part, Gaussian) for part in parts))


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
def surgery(posterior: Codes | Posterior, seed: int = 0, rows: int = 500, prior: Prior | None = None) -> Surgery:
    """Follows Hoffman & Johnson (2016): the mean KL( q(z|x) || p(z) ) is I(x; z) + KL( q(z) || p(z) ).

    q(z|x) is a Gaussian with diagonal covariance, and q(z) the mixture of those of these N images, exactly; one z is
    drawn from each. Without a `prior`, p(z) = N(0, I) and the KL is in closed form; else the same z estimate it.
    I(x; z) of N images is at most log N; a value near log N says more about N than about z. float64.
    """
    mean, log_var = posterior.mean.double(), posterior.log_var.double()
    eps = torch.randn(1, *mean.shape, generator=generator("cpu", "surgery", seed)).to(mean)
    z = equations.reparameterise(mean, log_var, eps)
    log_qz = torch.cat([vamp.log_mixture(part, mean, log_var) for part in z.squeeze(0).split(rows)])
    if prior is None:
        marginal_kl = log_qz - equations.log_pz(z).squeeze(0)
        return Surgery(equations.kl_standard_normal(mean, log_var).sum(-1) - marginal_kl, marginal_kl)
    information = equations.log_qz_x(z, mean, log_var).squeeze(0) - log_qz
    return Surgery(information, log_qz - prior.log_pz(z.to(posterior.mean)).squeeze(0).double())
