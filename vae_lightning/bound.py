"""What is maximised: lower bounds of log p(x), and other objectives made of their terms. <-> conf/bound/

B batch, L (or K) samples, J latent dims. Nats per datapoint. `recon`, `kl` and `bound` are never weighted; `objective`
is what is minimised, with beta in it. All samples are decoded in one call, or `chunk` at a time where memory is short.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vae_lightning import equations
from vae_lightning.errors import ConfigError, check_whole
from vae_lightning.latent import DiagonalGaussian, Posterior
from vae_lightning.loss import Likelihood
from vae_lightning.network import Network


@dataclass(frozen=True)
class Draw:
    """Samples z ~ q(z|x), reparameterised, and their log densities."""

    latent: DiagonalGaussian
    posterior: Posterior
    z: Float[Tensor, "L B J"]
    log_px_z: Float[Tensor, "L B"]

    @property
    def log_pz(self) -> Float[Tensor, "L B"]:
        """log p(z), where a bound asks for it: estimator B does not."""
        return self.latent.log_pz(self.z)


@dataclass(frozen=True)
class Model:
    """The parts a bound is made of."""

    network: Network
    latent: DiagonalGaussian
    loss: Likelihood

    def draw(self, x: Float[Tensor, "B C H W"], eps: Float[Tensor, "L B J"], chunk: int | None = None) -> Draw:
        """One sample of z for each eps. With `chunk`, the decoder's activations are computed again for the backward."""
        posterior = self.latent.posterior(self.network.encode(x))
        z = posterior.rsample(eps)
        if chunk is None:
            log_px_z = self.log_px_z(x, z)
        else:
            parts = [checkpoint(self.log_px_z, x, part, use_reentrant=False) for part in z.split(chunk)]
            log_px_z = torch.cat(parts)  # type: ignore[arg-type]
        return Draw(self.latent, posterior, z, log_px_z)

    def log_px_z(self, x: Float[Tensor, "B C H W"], z: Float[Tensor, "L B J"]) -> Float[Tensor, "L B"]:
        """log p(x|z)."""
        return self.loss.log_px_z(x, self.network.decode(z))


@dataclass(frozen=True)
class Terms:
    """Of each datapoint: recon = -E_q log p(x|z) (distortion), kl (rate), the bound, and what is minimised."""

    recon: Float[Tensor, " B"]
    kl: Float[Tensor, " B"]
    bound: Float[Tensor, " B"]
    objective: Float[Tensor, " B"]


@runtime_checkable
class Bound(Protocol):
    """What the module asks: how many samples of eps, the name under which the bound is logged, and the terms."""

    @property
    def num_samples(self) -> int: ...
    @property
    def name(self) -> str: ...
    def __call__(self, model: Model, x: Tensor, eps: Tensor, beta: float | Tensor) -> Terms: ...


@dataclass(frozen=True)
class Elbo:
    """Implements Eq. (7), SGVB estimator B with L = `num_samples`; Algorithm 1 has L = 1."""

    num_samples: int = 1
    chunk: int | None = None

    def __post_init__(self) -> None:
        check_counts(num_samples=self.num_samples, chunk=self.chunk)

    @property
    def name(self) -> str:
        return "elbo"

    def __call__(
        self, model: Model, x: Float[Tensor, "B C H W"], eps: Float[Tensor, "L B J"], beta: float | Tensor
    ) -> Terms:
        draw = model.draw(x, eps, self.chunk)
        recon, kl = -draw.log_px_z.mean(0), draw.posterior.kl().sum(-1)
        return Terms(recon, kl, equations.sgvb_b(draw.log_px_z, kl), recon + beta * kl)


@dataclass(frozen=True)
class ElboA:
    """Implements Eq. (6), SGVB estimator A: the KL is estimated from the samples too, not in closed form."""

    num_samples: int = 1
    chunk: int | None = None

    def __post_init__(self) -> None:
        check_counts(num_samples=self.num_samples, chunk=self.chunk)

    @property
    def name(self) -> str:
        return "elbo"

    def __call__(
        self, model: Model, x: Float[Tensor, "B C H W"], eps: Float[Tensor, "L B J"], beta: float | Tensor
    ) -> Terms:
        draw = model.draw(x, eps, self.chunk)
        log_pz, log_qz_x = draw.log_pz, draw.posterior.log_qz_x(draw.z)
        recon, kl = -draw.log_px_z.mean(0), (log_qz_x - log_pz).mean(0)
        return Terms(recon, kl, equations.sgvb_a(draw.log_px_z, log_pz, log_qz_x), recon + beta * kl)


@dataclass(frozen=True)
class Iwae:
    """Follows Burda et al. (2016): the importance-weighted bound of K = `num_samples`; with K = 1 it is estimator A.

    In the objective, beta weights log p(z) - log q(z|x); at 1 it is the bound.
    """

    num_samples: int = 5
    chunk: int | None = None

    def __post_init__(self) -> None:
        check_counts(num_samples=self.num_samples, chunk=self.chunk)

    @property
    def name(self) -> str:
        return f"iwae_{self.num_samples}"

    def __call__(
        self, model: Model, x: Float[Tensor, "B C H W"], eps: Float[Tensor, "L B J"], beta: float | Tensor
    ) -> Terms:
        draw = model.draw(x, eps, self.chunk)
        return importance_weighted_terms(draw, draw.log_pz - draw.posterior.log_qz_x(draw.z), beta)


@dataclass(frozen=True)
class IwaeStl:
    """Follows Roeder et al. (2017), "sticking the landing": the bound of `Iwae`, its gradient without the score term.

    log q(z|x) is differentiated through z alone. Unbiased for K = 1, where the variance vanishes at the true posterior;
    biased for the encoder beyond.
    """

    num_samples: int = 5
    chunk: int | None = None

    def __post_init__(self) -> None:
        check_counts(num_samples=self.num_samples, chunk=self.chunk)

    @property
    def name(self) -> str:
        return f"iwae_{self.num_samples}"

    def __call__(
        self, model: Model, x: Float[Tensor, "B C H W"], eps: Float[Tensor, "L B J"], beta: float | Tensor
    ) -> Terms:
        draw = model.draw(x, eps, self.chunk)
        return importance_weighted_terms(draw, draw.log_pz - draw.posterior.detach().log_qz_x(draw.z), beta)


@dataclass(frozen=True)
class IwaeDreg:
    """Follows Tucker et al. (2019): the bound of `Iwae` with the doubly reparameterised gradient, unbiased for every K.

    As `IwaeStl`, and the gradient that reaches z_k is multiplied by its normalised weight once more.
    """

    num_samples: int = 5
    chunk: int | None = None

    def __post_init__(self) -> None:
        check_counts(num_samples=self.num_samples, chunk=self.chunk)

    @property
    def name(self) -> str:
        return f"iwae_{self.num_samples}"

    def __call__(
        self, model: Model, x: Float[Tensor, "B C H W"], eps: Float[Tensor, "L B J"], beta: float | Tensor
    ) -> Terms:
        draw = model.draw(x, eps, self.chunk)
        log_ratio = draw.log_pz - draw.posterior.detach().log_qz_x(draw.z)
        if draw.z.requires_grad:
            weights = (draw.log_px_z + beta * log_ratio).detach().softmax(0)
            draw.z.register_hook(lambda gradient: gradient * weights.unsqueeze(-1))
        return importance_weighted_terms(draw, log_ratio, beta)


@dataclass(frozen=True)
class Miwae:
    """Follows Rainforth et al. (2018): the mean of M importance-weighted bounds of K samples each."""

    groups: int = 8
    samples_per_group: int = 8
    chunk: int | None = None

    def __post_init__(self) -> None:
        check_counts(groups=self.groups, samples_per_group=self.samples_per_group, chunk=self.chunk)

    @property
    def num_samples(self) -> int:
        return self.groups * self.samples_per_group

    @property
    def name(self) -> str:
        return f"miwae_{self.groups}_{self.samples_per_group}"

    def __call__(
        self, model: Model, x: Float[Tensor, "B C H W"], eps: Float[Tensor, "L B J"], beta: float | Tensor
    ) -> Terms:
        draw = model.draw(x, eps, self.chunk)
        return importance_weighted_terms(draw, draw.log_pz - draw.posterior.log_qz_x(draw.z), beta, self.groups)


@dataclass(frozen=True)
class FreeBits:
    """Follows Kingma et al. (2016): each latent unit may cost `nats` for nothing, so none is switched off early.

    The objective has sum_j max(nats, KL_j), KL_j averaged over the batch first. The bound is that of `Elbo`.
    """

    nats: float = 0.5
    num_samples: int = 1
    chunk: int | None = None

    def __post_init__(self) -> None:
        check_counts(num_samples=self.num_samples, chunk=self.chunk)
        if not self.nats >= 0:
            raise ConfigError(f"bound.nats={self.nats}: must be a number >= 0")

    @property
    def name(self) -> str:
        return "elbo"

    def __call__(
        self, model: Model, x: Float[Tensor, "B C H W"], eps: Float[Tensor, "L B J"], beta: float | Tensor
    ) -> Terms:
        draw = model.draw(x, eps, self.chunk)
        kl_units = draw.posterior.kl()
        recon, kl = -draw.log_px_z.mean(0), kl_units.sum(-1)
        floored = kl_units.mean(0).clamp(min=self.nats).sum()
        return Terms(recon, kl, equations.sgvb_b(draw.log_px_z, kl), recon + beta * floored)


@dataclass
class Capacity:
    """Follows Burgess et al. (2018): the objective is recon + gamma * |KL - capacity|, KL averaged over the batch.

    `capacity` (nats) may be annealed: `BetaAnnealing(schedule, attribute="bound.capacity")`. beta has no part in it.
    """

    gamma: float = 10.0
    capacity: float = 25.0
    num_samples: int = 1
    chunk: int | None = None

    def __post_init__(self) -> None:
        check_counts(num_samples=self.num_samples, chunk=self.chunk)
        if not (self.gamma >= 0 and self.capacity >= 0):
            raise ConfigError(f"bound.gamma={self.gamma}, bound.capacity={self.capacity}: must be numbers >= 0")

    @property
    def name(self) -> str:
        return "elbo"

    def __call__(
        self, model: Model, x: Float[Tensor, "B C H W"], eps: Float[Tensor, "L B J"], beta: float | Tensor
    ) -> Terms:
        draw = model.draw(x, eps, self.chunk)
        recon, kl = -draw.log_px_z.mean(0), draw.posterior.kl().sum(-1)
        return Terms(
            recon, kl, equations.sgvb_b(draw.log_px_z, kl), recon + self.gamma * (kl.mean() - self.capacity).abs()
        )


def importance_weighted_bound(log_w: Float[Tensor, "K B"]) -> Float[Tensor, " B"]:
    """Follows Burda et al. (2016), Eq. (8): L_K = log 1/K sum_k w_k, a lower bound of log p(x) that rises with K."""
    return log_w.logsumexp(0) - torch.tensor(float(len(log_w))).log()


def importance_weighted_terms(
    draw: Draw, log_ratio: Float[Tensor, "L B"], beta: float | Tensor, groups: int = 1
) -> Terms:
    """The terms of importance-weighted bounds; log_ratio = log p(z) - log q(z|x). `groups` bounds are averaged."""

    def bound(log_w: Tensor) -> Tensor:
        return torch.stack([importance_weighted_bound(group) for group in log_w.chunk(groups)]).mean(0)

    recon, kl = -draw.log_px_z.mean(0), draw.posterior.kl().sum(-1)
    return Terms(recon, kl, bound(draw.log_px_z + log_ratio), -bound(draw.log_px_z + beta * log_ratio))


def check_counts(chunk: int | None, **counts: int) -> None:
    """Raises ConfigError unless every count is a whole number >= 1; `chunk` may be None."""
    check_whole("bound", **counts, **({} if chunk is None else {"chunk": chunk}))
