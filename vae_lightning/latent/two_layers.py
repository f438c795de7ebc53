"""Two stochastic layers: p(z) is itself a model with a latent variable.

B batch, L samples, J latent dims, T dims of the top layer. Nats.
"""

import itertools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from vae_lightning import equations
from vae_lightning.errors import ConfigError
from vae_lightning.latent.diagonal_gaussian import Gaussian, Posterior
from vae_lightning.latent.vamp import Mixture
from vae_lightning.noise import generator as numbers
from vae_lightning.rules import Count, check, wholes
from vae_lightning.shapes import Codes, Encoded, PerSample, PerUnit, at_least_float32


class TwoLayers(nn.Module):
    """Follows Burda et al. (2016), two stochastic layers: p(z) = E_p(t)[ p(z|t) ], t ~ N(0, I) of `top` dims.

    p(z|t) and q(t|z) are Gaussians with diagonal covariance, each made by tanh layers of `hidden` units. q(z|x) is the
    encoder's. log p(z) has no closed form: one t ~ q(t|z) estimates it, log p(t) + log p(z|t) - log q(t|z), so that a
    weight p(x|z) p(z) / q(z|x) is that of both layers and every bound stays one. The noise of t comes with that of z.
    Another z than the one drawn last gets a t of its own, the same in each call. The KL is estimated from samples.
    Raises ConfigError when a number is not a whole number >= 1.
    """

    title: ClassVar[str] = "{dim} latent units below {top} others"
    closed_kl: ClassVar[bool] = False

    def __init__(
        self, dim: Count = 100, top: Count = 50, hidden: Annotated[Sequence[int], wholes(1)] = (100, 100)
    ) -> None:
        super().__init__()
        self.dim, self.top, self.hidden = dim, top, list(hidden)
        check(self, "latent")
        self.upwards, self.downwards = layers(dim, self.hidden, 2 * top), layers(top, self.hidden[::-1], 2 * dim)
        self._last: tuple[Any, Tensor] | None = None  # the z that was drawn last, and the noise of its t

    @property
    def num_parameters(self) -> int:
        """How many numbers the encoder returns for each datapoint: mean and log_var of z."""
        return 2 * self.dim

    def posterior(self, params: Encoded) -> "TwoLayerPosterior":
        """The encoder's output as a distribution, in float32 at least."""
        mean, log_var = at_least_float32(params).chunk(2, dim=-1)
        return TwoLayerPosterior(mean, log_var, self)

    def noise(self, num_samples: int, batch: int, generator: torch.Generator) -> Tensor:
        """eps ~ N(0, I) of z and t, [L, B, J + T]; it is no draw of the prior."""
        return torch.randn(num_samples, batch, self.dim + self.top, generator=generator, device=generator.device)

    def prior(self, encode: Callable[[Tensor], Tensor]) -> "TwoLayerPrior":
        """p(z), with the weights as they are now."""
        return TwoLayerPrior(self)

    def log_pz(self, z: Codes) -> PerSample:
        """An unbiased estimate of p(z) from one t ~ q(t|z), as its log."""
        above, eps = self.above(z), self.noise_of(z)
        t = above.draw(eps)
        return equations.log_pz(t) + self.below(t).log_density(z) - above.log_density(t)

    def above(self, z: Codes) -> "Moments":
        """q(t|z)."""
        return Moments(*at_least_float32(self.upwards(z)).chunk(2, dim=-1))

    def below(self, t: Tensor) -> "Moments":
        """p(z|t)."""
        return Moments(*at_least_float32(self.downwards(t)).chunk(2, dim=-1))

    def drawn(self, z: Codes, eps: Tensor) -> Codes:
        """Keeps the noise of t beside the z that was drawn with it."""
        self._last = (weakref.ref(z), eps)
        return z

    def noise_of(self, z: Codes) -> Tensor:
        """The noise that was drawn with z, else the same noise in each call."""
        if self._last is not None and self._last[0]() is z:
            return self._last[1]
        shape = (*z.shape[:-1], self.top)
        return torch.randn(shape, generator=numbers(z.device, "two layers"), device=z.device)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": None}  # the z that was drawn last stays here

    def unit_kl(self, posterior: "TwoLayerPosterior", z: Codes) -> PerUnit:
        """Raises ConfigError: the layer above couples the units."""
        raise ConfigError(
            "latent=two_layers: its KL has no share of each latent unit, which this bound (free_bits) needs; use "
            "bound=elbo or bound=iwae"
        )


@dataclass(frozen=True)
class Moments:
    """A Gaussian with diagonal covariance for each sample of the layer that it is made of, [L, B, J] or [L, B, T]."""

    mean: Tensor
    log_var: Tensor

    def draw(self, eps: Tensor) -> Tensor:
        """mean + sigma * eps, Eq. (4)."""
        return self.mean + (0.5 * self.log_var).exp() * eps

    def log_density(self, value: Tensor) -> PerSample:
        """The log density, the sum over units."""
        return equations.normal_log_density(value, self.mean, self.log_var).sum(-1)


@dataclass(frozen=True)
class TwoLayerPrior:
    """p(z) = E_p(t)[ p(z|t) ]."""

    latent: TwoLayers

    def log_pz(self, z: Codes) -> PerSample:
        """An estimate of log p(z)."""
        return self.latent.log_pz(z)

    def draw(self, num_samples: int, batch: int, generator: torch.Generator) -> Codes:
        """z ~ p(z): t ~ N(0, I), then z ~ p(z|t)."""
        eps = self.latent.noise(num_samples, batch, generator)
        own, t = eps.split([self.latent.dim, self.latent.top], -1)
        return self.latent.below(t).draw(own)

    def sketch(self, number: int) -> Mixture:
        """p(z|t) of so many t ~ N(0, I), the same in each call: a mixture that is drawn from as p(z) is."""
        weights = next(self.latent.parameters())
        t = torch.randn(number, self.latent.top, generator=numbers(weights.device, "sketch"), device=weights.device)
        below = self.latent.below(t)
        return Mixture(below.mean, below.log_var)


@dataclass(frozen=True)
class TwoLayerPosterior(Gaussian):
    """q(z|x), and the noise of t that comes with that of z."""

    latent: TwoLayers

    def rsample(self, eps: Tensor) -> Codes:
        """z = mean + sigma * eps, Eq. (4). The noise of t is kept for log p(z)."""
        own, above = eps.split([self.latent.dim, self.latent.top], -1)
        return self.latent.drawn(equations.reparameterise(self.mean, self.log_var, own), above)

    def kl(self) -> PerUnit:
        """KL( q(z_j|x) || N(0, 1) ) of each unit by itself: what it carries, not the KL of the bound."""
        return Posterior(self.mean, self.log_var).kl()

    def detach(self) -> "TwoLayerPosterior":
        """The same distribution as a constant: no gradient reaches its parameters."""
        return TwoLayerPosterior(self.mean.detach(), self.log_var.detach(), self.latent)


def layers(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """Dense tanh layers, with Glorot's weights as those of the network."""
    sizes, made = [inputs, *hidden, outputs], []
    for before, after in itertools.pairwise(sizes):
        layer = nn.Linear(before, after)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
        made += [layer, nn.Tanh()]
    return nn.Sequential(*made[:-1])
