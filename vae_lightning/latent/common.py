"""What the model asks of a latent space, and how a latent space gets the encoder if its prior is made of posteriors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

Encode = Callable[[Tensor], Tensor]  # x [B, C, H, W] -> the parameters of q(z|x)


@runtime_checkable
class AnyPosterior(Protocol):
    """q(z|x): z as a function of eps, its log density, its mean and log variance, and the KL of each unit, [B, J].

    `detach` is the same distribution as a constant. The sum of `kl` is the KL where the latent has a closed one.
    """

    @property
    def mean(self) -> Tensor: ...
    @property
    def log_var(self) -> Tensor: ...
    def rsample(self, eps: Tensor) -> Tensor: ...
    def log_qz_x(self, z: Tensor) -> Tensor: ...
    def kl(self) -> Tensor: ...
    def detach(self) -> Any: ...


@runtime_checkable
class Latent(Protocol):
    """A prior p(z) and a family of posteriors q(z|x).

    The encoder returns `num_parameters` numbers for each datapoint; `posterior` makes q(z|x) of them. `noise` draws the
    eps [L, B, J] that `Posterior.rsample` turns into z. `log_pz` is the prior's log density, [L, B], in nats.

    Three more members are optional. `prior(encode)` makes the prior of the encoder; it is then asked for log p(z)
    and for draws in place of `log_pz` and `noise`. `closed_kl` is false if the posterior has no KL in closed form:
    samples then estimate it. `unit_kl(posterior, z)` is that estimate for each unit, [B, J].
    """

    @property
    def dim(self) -> int: ...
    @property
    def num_parameters(self) -> int: ...
    def posterior(self, params: Tensor) -> AnyPosterior: ...
    def log_pz(self, z: Tensor) -> Tensor: ...
    def noise(self, num_samples: int, batch: int, generator: torch.Generator) -> Tensor: ...


@runtime_checkable
class Prior(Protocol):
    """p(z): its log density, [L, B], in nats, and draws z [L, B, J] of it.

    One more member is optional: `sketch(K)` is a `Mixture` that stands for the prior on a page, which draws from it.
    """

    def log_pz(self, z: Tensor) -> Tensor: ...
    def draw(self, num_samples: int, batch: int, generator: torch.Generator) -> Tensor: ...


@dataclass(frozen=True)
class OfNoise:
    """The prior of a latent space whose noise eps is itself a draw of z ~ p(z)."""

    latent: Latent

    def log_pz(self, z: Tensor) -> Tensor:
        return self.latent.log_pz(z)

    def draw(self, num_samples: int, batch: int, generator: torch.Generator) -> Tensor:
        return self.latent.noise(num_samples, batch, generator)


def prior_of(latent: Any, encode: Encode) -> Prior:
    """p(z) of a latent space, which may be made of the encoder."""
    return latent.prior(encode) if hasattr(latent, "prior") else OfNoise(latent)


def posterior_of(latent: Any, params: Tensor, encode: Encode) -> AnyPosterior:
    """q(z|x). A posterior whose prior is made of the encoder gets that prior for its KL, which asks for it."""
    posterior = latent.posterior(params)
    return posterior.against(lambda: latent.prior(encode)) if hasattr(posterior, "against") else posterior


def has_closed_kl(latent: Any) -> bool:
    """Whether KL( q(z|x) || p(z) ) is `posterior.kl()`, in closed form; else samples estimate it."""
    return getattr(latent, "closed_kl", True)
