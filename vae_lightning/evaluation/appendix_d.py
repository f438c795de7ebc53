"""The paper's own estimator of log p(x), for latent spaces below 5 dimensions.

N images, L samples, J latent dims. Nats.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import MultivariateNormal
from tqdm import tqdm

from vae_lightning.errors import ConfigError
from vae_lightning.evaluation import hmc
from vae_lightning.model import Model
from vae_lightning.noise import generator

MOST_DIMS = 4
TARGET = 0.9  # the acceptance that the paper asks of HMC


@torch.no_grad()
def appendix_d_log_px(
    model: Model,
    x: Float[Tensor, "N C H W"],
    num_samples: int = 1000,
    num_chains: int = 50,
    num_leapfrog: int = 4,
    seed: int = 0,
    progress: bool = False,
) -> Float[Tensor, " N"]:
    """Implements Appendix D: p(x) ~ ( 1/L sum_l q(z_l) / ( p(z_l) p(x|z_l) ) )^-1 with z_l from p(z|x) by HMC.

    q is a Gaussian fitted to as many samples of other chains. An upper bound of log p(x) in expectation. The chains
    start at draws of the encoder. A warm-up tunes their steps to an acceptance of 90 %; the steps then stay. Raises
    ConfigError for 5 or more latent dimensions: the estimate is unreliable there.
    """
    check_dims(model.latent.dim)
    draws = math.ceil(num_samples / num_chains)
    estimates = []
    for start, part in enumerate(
        tqdm(x.split(max(1, 1024 // num_chains)), "Appendix D", disable=None if progress else True, leave=False)
    ):
        z = posterior_samples(model, part, draws, 2 * num_chains, num_leapfrog, ("appendix d", seed, start))
        ours, others = (half.flatten(0, 1) for half in z.chunk(2, dim=1))  # chains that never met: independent
        log_q = fitted(others).log_prob(ours.double())
        log_p = model.prior.log_pz(ours) + model.log_px_z(part, ours)
        estimates.append(math.log(len(ours)) - (log_q - log_p).logsumexp(0))
    return torch.cat(estimates).float()


def check_dims(dim: int) -> None:
    """Raises ConfigError when the latent space is too large for this estimator."""
    if dim > MOST_DIMS:
        raise ConfigError(f"latent.dim={dim}: Appendix D needs {MOST_DIMS} or fewer; use annealed importance sampling")


def posterior_samples(
    model: Model, x: Float[Tensor, "B C H W"], draws: int, num_chains: int, num_leapfrog: int, key: tuple
) -> Float[Tensor, "draws chains B J"]:
    """`draws` samples of p(z|x) from each of `num_chains` chains, after a warm-up."""
    numbers = generator(x.device, *key)
    prior = model.prior
    z = model.posterior(x).rsample(model.latent.noise(num_chains, len(x), numbers))
    step, kept = torch.full((len(x),), 0.1, device=x.device), []
    warm_up = max(100, draws)

    def log_density(z: Tensor) -> Tensor:
        return prior.log_pz(z) + model.log_px_z(x, z)

    for k in range(warm_up + draws):
        moved = hmc.move(log_density, z, step, num_leapfrog, numbers)
        z = moved.z
        if k < warm_up:
            step = hmc.tuned(step, moved.acceptance, TARGET)
        else:
            kept.append(z)
    return torch.stack(kept)


def fitted(samples: Float[Tensor, "L B J"]) -> MultivariateNormal:
    """For each image the Gaussian with the mean and covariance of its samples."""
    samples = samples.double()
    centred = samples - samples.mean(0)
    covariance = torch.einsum("lbi,lbj->bij", centred, centred) / (len(samples) - 1)
    floor = 1e-9 * torch.eye(samples.shape[-1], dtype=torch.float64, device=samples.device)
    return MultivariateNormal(samples.mean(0), covariance + floor)
