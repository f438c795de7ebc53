"""The importance-weighted estimate of log p(x), streamed: memory does not grow with the number of samples.

N images, K samples, B images at a time, k samples at a time, J latent dims. Nats.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from vae_lightning.latent import Prior
from vae_lightning.model import Model
from vae_lightning.noise import generator

BLOCK = 1000  # pairs of image and sample whose noise is drawn at once


@dataclass(frozen=True)
class ImportanceWeighted:
    """For every image: the bound of K samples for several K, the effective sample size, and both terms of the ELBO.

    `kl` is the mean of log q(z|x) - log p(z) over the samples.
    """

    bounds: dict[int, Float[Tensor, " N"]]
    recon: Float[Tensor, " N"]
    kl: Float[Tensor, " N"]
    effective_samples: Float[Tensor, " N"]


class MeanOfBounds:
    """The mean of L_K over consecutive groups of K weights, as they stream in: the curve over K from one pass."""

    def __init__(self, num_samples: int, images: int, device: torch.device) -> None:
        self.num_samples, self.held, self.groups = num_samples, 0, 0
        self.partial = torch.full((images,), -math.inf, device=device)
        self.total = torch.zeros(images, device=device)

    def add(self, log_w: Float[Tensor, "k B"]) -> None:
        """More weights, any number of them."""
        while len(log_w):
            if not self.held and len(log_w) >= self.num_samples:
                groups = len(log_w) // self.num_samples
                whole, log_w = log_w[: groups * self.num_samples], log_w[groups * self.num_samples :]
                self._end(whole.unflatten(0, (groups, -1)).logsumexp(1))
            else:
                part, log_w = log_w.tensor_split([self.num_samples - self.held])
                self.partial = torch.logaddexp(self.partial, part.logsumexp(0))
                self.held += len(part)
                if self.held == self.num_samples:
                    self._end(self.partial.unsqueeze(0))
                    self.partial, self.held = torch.full_like(self.partial, -math.inf), 0

    def _end(self, log_sums: Float[Tensor, "groups B"]) -> None:
        self.total += (log_sums - math.log(self.num_samples)).sum(0)
        self.groups += len(log_sums)

    def value(self) -> Float[Tensor, " B"]:
        """The mean over the groups that are full."""
        return self.total / self.groups


@torch.no_grad()
def importance_weighted(
    model: Model,
    x: Float[Tensor, "N C H W"],
    num_samples: int = 5000,
    curve: Sequence[int] = (),
    seed: int = 0,
    rows: int = 512,
    progress: bool = False,
) -> ImportanceWeighted:
    """Follows Burda et al. (2016), Eq. (8): log 1/K sum_k p(x, z_k) / q(z_k|x), K = `num_samples` and those of `curve`.

    `rows` is how many pairs of image and sample are decoded at a time. The noise of an image is a function of (seed,
    its index), so its value depends neither on its neighbours nor on `rows`.
    """
    prior = model.prior
    counts = sorted({*(k for k in curve if k < num_samples), num_samples})
    images = max(1, BLOCK // num_samples)
    pairs = list(zip(torch.arange(len(x)).split(images), x.split(images), strict=True))
    parts = [
        one_pass(model, prior, part, index, num_samples, counts, seed, rows)
        for index, part in tqdm(pairs, "importance-weighted bound", disable=None if progress else True, leave=False)
    ]
    return ImportanceWeighted(
        {k: torch.cat([part.bounds[k] for part in parts]) for k in counts},
        torch.cat([part.recon for part in parts]),
        torch.cat([part.kl for part in parts]),
        torch.cat([part.effective_samples for part in parts]),
    )


def one_pass(
    model: Model,
    prior: Prior,
    x: Tensor,
    index: Tensor,
    num_samples: int,
    counts: Sequence[int],
    seed: int,
    rows: int,
) -> ImportanceWeighted:
    """All samples of a few images."""
    posterior = model.posterior(x)
    means = {k: MeanOfBounds(k, len(x), x.device) for k in counts}
    squares = torch.full((len(x),), -math.inf, device=x.device)
    recon, kl = torch.zeros(2, len(x), device=x.device)
    for eps in noise(model, index.tolist(), num_samples, seed, x.device):
        z = posterior.rsample(eps)
        log_px_z = torch.cat([model.log_px_z(x, part) for part in z.split(max(1, rows // len(x)))])
        log_pz, log_qz_x = prior.log_pz(z), posterior.log_qz_x(z)
        log_w = log_px_z + log_pz - log_qz_x
        for mean in means.values():
            mean.add(log_w)
        squares = torch.logaddexp(squares, (2 * log_w).logsumexp(0))
        recon -= log_px_z.sum(0)
        kl += (log_qz_x - log_pz).sum(0)
    bounds = {k: mean.value() for k, mean in means.items()}
    log_sum = bounds[num_samples] + math.log(num_samples)
    return ImportanceWeighted(bounds, recon / num_samples, kl / num_samples, (2 * log_sum - squares).exp())


def noise(
    model: Model, index: Sequence[int], num_samples: int, seed: int, device: torch.device
) -> Iterator[Float[Tensor, "k B J"]]:
    """eps in blocks; every image has generators of its own."""
    for start in range(0, num_samples, BLOCK):
        size = min(BLOCK, num_samples - start)
        draws = [model.latent.noise(size, 1, generator(device, "importance", seed, i, start)) for i in index]
        yield torch.cat(draws, 1)
