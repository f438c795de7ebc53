"""Probabilistic PCA: every quantity has a closed form, so every estimator can be measured against it.

B batch, J latent dims, D data dims. Nats. float64 throughout.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from vae_lightning.loss import UnboundedGaussian
from vae_lightning.network import Linear


@dataclass(frozen=True)
class LinearGaussian:
    """Follows Tipping & Bishop (1999): z ~ N(0, I), x|z ~ N(weight z + mean, variance I), weight [D, J], mean [D]."""

    weight: Tensor
    mean: Tensor
    variance: float

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n draws of x, [n, D]."""
        dims, latent = self.weight.shape
        z, noise = (torch.randn(n, size, generator=generator, dtype=torch.float64) for size in (latent, dims))
        return z @ self.weight.T + self.mean + math.sqrt(self.variance) * noise

    @property
    def marginal(self) -> MultivariateNormal:
        """p(x) = N(mean, weight weight^T + variance I)."""
        covariance = self.weight @ self.weight.T + self.variance * torch.eye(len(self.mean), dtype=torch.float64)
        return MultivariateNormal(self.mean, covariance)

    def log_px(self, x: Tensor) -> Tensor:
        """log p(x), [B, D] -> [B]."""
        return self.marginal.log_prob(x.double())

    @property
    def precision(self) -> Tensor:
        """The inverse covariance of p(z|x), [J, J]; the same for every x."""
        return torch.eye(self.weight.shape[1], dtype=torch.float64) + self.weight.T @ self.weight / self.variance

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """p(z|x), [B, D] -> B distributions of z."""
        mean = (x.double() - self.mean) @ self.best_encoder.weight.T
        return MultivariateNormal(mean, precision_matrix=self.precision)

    @property
    def best_encoder(self) -> "LinearEncoder":
        """The diagonal Gaussian q(z|x) nearest to p(z|x): its mean, and the diagonal of its precision."""
        weight = torch.linalg.solve(self.precision, self.weight.T / self.variance)
        return LinearEncoder(weight, -self.precision.diagonal().log())

    def optimal_elbo(self, x: Tensor) -> Tensor:
        """The highest ELBO of a diagonal Gaussian q(z|x): log p(x) - KL( q(z|x) || p(z|x) ), [B, D] -> [B]."""
        gap = 0.5 * (self.precision.diagonal().log().sum() - torch.logdet(self.precision))
        return self.log_px(x) - gap

    @property
    def mutual_information(self) -> float:
        """I(x; z) of the model itself, 1/2 log det( I + weight^T weight / variance )."""
        return 0.5 * float(torch.logdet(self.precision))

    def aggregate(self, encoder: "LinearEncoder") -> MultivariateNormal:
        """q(z) = E_p(x)[ q(z|x) ] of a linear encoder."""
        covariance = encoder.weight @ self.marginal.covariance_matrix @ encoder.weight.T
        return MultivariateNormal(torch.zeros(len(covariance), dtype=torch.float64), covariance + encoder.covariance)

    def encoded_information(self, encoder: "LinearEncoder") -> float:
        """I(x; z) under p(x) q(z|x): the entropy of q(z) less that of q(z|x)."""
        noise = Normal(torch.zeros_like(encoder.log_var), (0.5 * encoder.log_var).exp())
        return float(self.aggregate(encoder).entropy() - noise.entropy().sum())

    def marginal_kl(self, encoder: "LinearEncoder") -> float:
        """KL( q(z) || p(z) )."""
        aggregate = self.aggregate(encoder)
        prior = MultivariateNormal(
            torch.zeros_like(aggregate.mean), torch.eye(len(aggregate.mean), dtype=torch.float64)
        )
        return float(kl_divergence(aggregate, prior))


@dataclass(frozen=True)
class LinearEncoder:
    """q(z|x) = N(weight (x - mean), exp(log_var) I), weight [J, D], log_var [J]."""

    weight: Tensor
    log_var: Tensor

    @property
    def covariance(self) -> Tensor:
        """The covariance of q(z|x), [J, J]."""
        return torch.diag(self.log_var.exp())


def of(network: object, loss: object, latent: object = None) -> LinearGaussian | None:
    """The p(x, z) of a linear network under `UnboundedGaussian`; None for every other pair, and for a learned prior."""
    if not (isinstance(network, Linear) and isinstance(loss, UnboundedGaussian)) or hasattr(latent, "prior"):
        return None
    decoder = network.decoder
    return LinearGaussian(decoder.weight.detach().double().cpu(), decoder.bias.detach().double().cpu(), loss.variance)
