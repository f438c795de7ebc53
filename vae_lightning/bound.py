"""What is maximised: lower bounds of log p(x), and other objectives made of their terms. <-> conf/bound/

B batch, L (or K) samples, J latent dims. Nats per datapoint. The module draws z and hands the draw to its bound.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch

from vae_lightning import equations
from vae_lightning.model import Draw
from vae_lightning.rules import Count, NonNegative, check
from vae_lightning.shapes import PerDatum, PerSample


@dataclass(frozen=True)
class Terms:
    """Of each datapoint: recon = -E_q log p(x|z), kl and the bound, never weighted; what is minimised, with beta."""

    recon: PerDatum
    kl: PerDatum
    bound: PerDatum
    objective: PerDatum


@dataclass
class Bound(ABC):
    """A function of a draw of `num_samples` samples; the decoder sees `chunk` of them at a time (None: all at once).

    {Braces} in `title`, and in `key`, its name in the log, hold fields; a callback may anneal one. Raises ConfigError.
    """

    num_samples: Count = 1
    chunk: Count | None = field(default=None, kw_only=True)
    key = "elbo"

    def __post_init__(self) -> None:
        check(self, "bound")

    @property
    def name(self) -> str:
        return self.key.format(**vars(self))

    @abstractmethod
    def __call__(self, draw: Draw, beta: float | torch.Tensor) -> Terms: ...


@dataclass
class Elbo(Bound):
    """Implements Eq. (7), SGVB estimator B with L = `num_samples`; it is Eq. (10) for Gaussians. Algorithm 1: L = 1."""

    title = "the ELBO, estimator B, L = {num_samples}"

    def __call__(self, draw: Draw, beta: float | torch.Tensor) -> Terms:
        recon, kl = draw.recon, draw.kl
        return Terms(recon, kl, equations.lower_bound(-recon, kl), -draw.sgvb(kl, beta))


@dataclass
class ElboA(Bound):
    """Implements Eq. (6), SGVB estimator A: the samples estimate the KL too, in place of its closed form."""

    title = "the ELBO, estimator A, L = {num_samples}"

    def __call__(self, draw: Draw, beta: float | torch.Tensor) -> Terms:
        log_pz, log_qz_x = draw.log_pz, draw.log_qz_x
        bound, weighted = [equations.sgvb_a(draw.log_px_z, w * log_pz, w * log_qz_x) for w in (1, beta)]
        return Terms(draw.recon, (log_qz_x - log_pz).mean(0), bound, -weighted)


@dataclass
class Iwae(Bound):
    """Follows Burda et al. (2016): the importance-weighted bound of K = `num_samples`; with K = 1 it is estimator A.

    In the objective, beta weights log p(z) - log q(z|x); with beta = 1 the objective is minus the bound.
    """

    num_samples: Count = 5
    key, title = "iwae_{num_samples}", "the importance-weighted bound, K = {num_samples}"

    def __call__(self, draw: Draw, beta: float | torch.Tensor) -> Terms:
        return importance_weighted_terms(draw, draw.log_pz - draw.log_qz_x, beta)


@dataclass
class IwaeStl(Bound):
    """Follows Roeder et al. (2017), "sticking the landing": the bound of `Iwae`, its gradient without the score term.

    log q(z|x) is differentiated through z alone. Unbiased for K = 1, biased for the encoder when K is larger.
    """

    num_samples: Count = 5
    key, title = "iwae_{num_samples}", "the importance-weighted bound, STL, K = {num_samples}"

    def __call__(self, draw: Draw, beta: float | torch.Tensor) -> Terms:
        return importance_weighted_terms(draw, draw.log_pz - draw.posterior.detach().log_qz_x(draw.z), beta)


@dataclass
class IwaeDreg(Bound):
    """Follows Tucker et al. (2019): the bound of `Iwae` with the doubly reparameterised gradient, unbiased for every K.

    As `IwaeStl`, and the gradient that reaches z_k is multiplied by the normalised weight of z_k once more.
    """

    num_samples: Count = 5
    key, title = "iwae_{num_samples}", "the importance-weighted bound, DReG, K = {num_samples}"

    def __call__(self, draw: Draw, beta: float | torch.Tensor) -> Terms:
        log_ratio = draw.log_pz - draw.posterior.detach().log_qz_x(draw.z)
        if draw.z.requires_grad:
            weights = (draw.log_px_z + beta * log_ratio).detach().softmax(0)  # detached for memory: a hook has no graph
            draw.z.register_hook(lambda gradient: gradient * weights.unsqueeze(-1))
        return importance_weighted_terms(draw, log_ratio, beta)


@dataclass
class Miwae(Bound):
    """Follows Rainforth et al. (2018): the mean of M = `groups` importance-weighted bounds of K samples."""

    num_samples: int = field(init=False)
    groups: Count = 8
    samples_per_group: Count = 8
    key = "miwae_{groups}_{samples_per_group}"
    title = "the mean of {groups} importance-weighted bounds, K = {samples_per_group}"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.num_samples = self.groups * self.samples_per_group

    def __call__(self, draw: Draw, beta: float | torch.Tensor) -> Terms:
        return importance_weighted_terms(draw, draw.log_pz - draw.log_qz_x, beta, self.groups)


@dataclass
class FreeBits(Bound):
    """Follows Kingma et al. (2016): a latent unit costs nothing below `nats`, so no unit is switched off early.

    The objective has sum_j max(nats, KL_j), with KL_j averaged over the batch first. The bound is that of `Elbo`.
    """

    nats: NonNegative = 0.5
    title = "the ELBO with free bits"

    def __call__(self, draw: Draw, beta: float | torch.Tensor) -> Terms:
        recon, kl = draw.recon, draw.kl
        floored = draw.unit_kl.mean(0).clamp(min=self.nats).sum().expand_as(kl)
        return Terms(recon, kl, draw.sgvb(kl), -equations.sgvb_b(draw.log_px_z, beta * floored))


@dataclass
class Capacity(Bound):
    """Follows Burgess et al. (2018): the objective is recon + gamma * |KL - capacity|, KL averaged over the batch.

    `capacity` is in nats; conf/callbacks/capacity_annealing raises it. beta has no part in the objective.
    """

    gamma: NonNegative = 10.0
    capacity: NonNegative = 25.0
    title = "the ELBO, its KL led to a capacity"

    def __call__(self, draw: Draw, beta: float | torch.Tensor) -> Terms:
        recon, kl = draw.recon, draw.kl
        distance = (kl.mean() - self.capacity).abs().expand_as(kl)
        return Terms(recon, kl, draw.sgvb(kl), -equations.sgvb_b(draw.log_px_z, self.gamma * distance))


def importance_weighted_bound(log_w: PerSample) -> PerDatum:
    """Follows Burda et al. (2016), Eq. (8): L_K = log 1/K sum_k w_k, a lower bound of log p(x) that rises with K."""
    return log_w.logsumexp(0) - torch.tensor(float(len(log_w))).log()


def importance_weighted_terms(draw: Draw, log_ratio: PerSample, beta: float | torch.Tensor, groups: int = 1) -> Terms:
    """The terms of importance-weighted bounds: the mean over `groups`. log_ratio = log p(z) - log q(z|x)."""
    weighted = [(draw.log_px_z + weight * log_ratio).chunk(groups) for weight in (1, beta)]
    value, objective = [torch.stack([*map(importance_weighted_bound, part)]).mean(0) for part in weighted]
    return Terms(draw.recon, draw.rate(log_ratio), value, -objective)
