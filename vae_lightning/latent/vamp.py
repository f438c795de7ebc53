"""A learned prior: the mixture of the posteriors of learned pseudo-inputs.

B batch, L samples, J latent dims, K pseudo-inputs, C H W image. Nats.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_lightning import equations
from vae_lightning.errors import ConfigError
from vae_lightning.latent.diagonal_gaussian import Gaussian
from vae_lightning.rules import Count, check, wholes
from vae_lightning.shapes import Codes, Encoded, PerSample, PerUnit, at_least_float32

NOISE = 0.01  # of the first pseudo-inputs, so that two of the same image can grow apart


class Vamp(nn.Module):
    """Follows Tomczak & Welling (2018): the prior p(z) = 1/K sum_k q(z|u_k) of K = `components` pseudo-inputs u_k.

    q(z|x) is a Gaussian with diagonal covariance. The u_k [K, C, H, W] are weights, any real numbers; a step encodes
    them with the batch. They start as training images, see `begin`, and without images as uniform noise. The KL to a
    mixture has no closed form: samples estimate it. It has no share of each unit, so `bound=free_bits` is refused.
    Raises ConfigError when `dim` or `components` is not a whole number >= 1.
    """

    title: ClassVar[str] = "{dim} latent units, their prior a mixture of the posteriors of {components} pseudo-inputs"
    closed_kl: ClassVar[bool] = False
    begun: Tensor

    def __init__(
        self, image_shape: Annotated[Sequence[int], wholes(1)], dim: Count = 20, components: Count = 500
    ) -> None:
        super().__init__()
        self.image_shape, self.dim, self.components = list(image_shape), dim, components
        check(self, "latent")
        self.pseudo_inputs = nn.Parameter(torch.rand(components, *image_shape))
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))  # a checkpoint says that they are not new

    @property
    def num_parameters(self) -> int:
        """How many numbers the encoder returns for each datapoint: mean and log_var."""
        return 2 * self.dim

    def posterior(self, params: Encoded) -> "VampPosterior":
        """The encoder's output as a distribution, in float32 at least."""
        mean, log_var = at_least_float32(params).chunk(2, dim=-1)
        return VampPosterior(mean, log_var)

    def noise(self, num_samples: int, batch: int, generator: torch.Generator) -> Codes:
        """eps ~ N(0, I) on the generator's device, of which z ~ q(z|x) is a function; it is no draw of the prior."""
        return torch.randn(num_samples, batch, self.dim, generator=generator, device=generator.device)

    def log_pz(self, z: Codes) -> PerSample:
        """Raises ConfigError: the prior is made of the encoder, `prior(encode).log_pz` is its density."""
        raise ConfigError("latent=vamp: log p(z) needs the encoder; take the prior of a model: module.model.prior")

    def prior(self, encode: Callable[[Tensor], Tensor]) -> "Mixture":
        """p(z), with the encoder and the pseudo-inputs as they are now."""
        return Mixture(*at_least_float32(encode(self.pseudo_inputs)).chunk(2, dim=-1))

    def unit_kl(self, posterior: "VampPosterior", z: Codes) -> PerUnit:
        """Raises ConfigError: a mixture does not factorise over the units."""
        raise ConfigError(
            "latent=vamp: its KL has no share of each latent unit, which this bound (free_bits) needs; use "
            "bound=elbo with a schedule, or bound=capacity"
        )

    @torch.no_grad()
    def begin(self, images: Callable[[int], Tensor | None]) -> None:
        """Takes the first K training images for the pseudo-inputs, with noise of sigma 0.01, once in the weights' life.

        `images(n)` returns the first n images or fewer, which are then taken several times, or None.
        """
        if self.begun or (found := images(self.components)) is None:
            return
        noise = NOISE * torch.randn(self.pseudo_inputs.shape, generator=torch.Generator().manual_seed(0))
        index = torch.arange(self.components, device=found.device) % len(found)
        self.pseudo_inputs.copy_(found[index].to(self.pseudo_inputs) + noise.to(self.pseudo_inputs))
        self.begun.fill_(True)


@dataclass(frozen=True)
class Mixture:
    """p(z) = 1/K sum_k N(mean_k, exp(log_var_k) I)."""

    mean: Float[Tensor, "K J"]
    log_var: Float[Tensor, "K J"]

    def log_pz(self, z: Codes) -> PerSample:
        """log p(z)."""
        return log_mixture(z.flatten(0, -2), self.mean, self.log_var).view(z.shape[:-1])

    def draw(self, num_samples: int, batch: int, generator: torch.Generator) -> Codes:
        """z ~ p(z): a component, then a draw of it."""
        at = {"generator": generator, "device": generator.device}
        k = torch.randint(len(self.mean), (num_samples, batch), **at)
        eps = torch.randn(num_samples, batch, self.mean.shape[1], **at)
        return self.mean[k] + (0.5 * self.log_var[k]).exp() * eps

    @property
    def moments(self) -> tuple[Float[Tensor, " J"], Float[Tensor, " J"]]:
        """Mean and variance of each unit."""
        return self.mean.mean(0), self.log_var.exp().mean(0) + self.mean.var(0, correction=0)

    def unit_kl(self, mean: PerUnit, log_var: PerUnit) -> PerUnit:
        """KL of q(z_j|x) to the Gaussian with the mean and variance of p(z_j), for each unit by itself."""
        centre, variance = self.moments
        return equations.kl_standard_normal((mean - centre) / variance.sqrt(), log_var - variance.log())


@dataclass(frozen=True)
class VampPosterior(Gaussian):
    """Follows Tomczak & Welling (2018): q(z|x), a Gaussian with diagonal covariance, and a way to its prior."""

    prior: Callable[[], Mixture] | None = None

    def against(self, prior: Callable[[], Mixture]) -> "VampPosterior":
        """The same distribution beside its prior."""
        return replace(self, prior=prior)

    def kl(self) -> PerUnit:
        """The KL of each unit by itself, to a Gaussian like p(z_j): it orders the units. Their sum is not the KL."""
        if self.prior is None:
            raise ConfigError("latent=vamp: the KL needs the prior; take q(z|x) of a model: module.encode(x)")
        return self.prior().unit_kl(self.mean, self.log_var)

    def detach(self) -> "VampPosterior":
        """The same distribution as a constant: no gradient reaches its parameters."""
        return VampPosterior(self.mean.detach(), self.log_var.detach(), self.prior)


def log_mixture(z: Float[Tensor, "B J"], mean: Float[Tensor, "K J"], log_var: Float[Tensor, "K J"]) -> Tensor:
    """log 1/K sum_k N(z; mean_k, sigma_k^2 I), [B].

    The square is multiplied out, so that it is two matrix products; in float64, where that loses no digits, if the
    device has it.
    """
    wide = torch.float32 if z.device.type == "mps" else torch.float64
    kind, z, mean, log_var = z.dtype, z.to(wide), mean.to(wide), log_var.to(wide)
    precision = (-log_var).exp()
    constant = -0.5 * (equations.LOG_2PI + log_var + mean.square() * precision).sum(-1)
    log_each = -0.5 * z.square() @ precision.T + z @ (mean * precision).T + constant
    return (log_each.logsumexp(-1) - math.log(len(mean))).to(kind)
