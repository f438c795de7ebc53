"""Annealed importance sampling: log p(x) of a decoder, without its encoder.

N images, L chains, B images at a time, J latent dims, T temperatures. Nats.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from vae_lightning.evaluation import hmc
from vae_lightning.model import Model
from vae_lightning.noise import generator

TARGET = 0.65  # the acceptance at which HMC travels farthest for its cost (Neal 2011)


@torch.no_grad()
def ais_log_px(
    model: Model,
    x: Float[Tensor, "N C H W"],
    num_chains: int = 16,
    num_temperatures: int = 500,
    num_leapfrog: int = 10,
    seed: int = 0,
    rows: int = 1024,
    progress: bool = False,
) -> Float[Tensor, " N"]:
    """Follows Wu et al. (2017): from the prior to the posterior through p(z) p(x|z)^t; log of the chains' mean weight.

    A lower bound of log p(x) in expectation, tighter with more temperatures and chains. A trial run finds the step size
    of every temperature. The chains that count use these steps unchanged, so no chain steers its own steps.
    """
    temperatures = schedule(num_temperatures)
    estimates = []
    for start, part in enumerate(
        tqdm(
            x.split(max(1, rows // num_chains)),
            "annealed importance sampling",
            disable=None if progress else True,
            leave=False,
        )
    ):
        _, steps = run(model, part, temperatures, None, max(2, num_chains // 4), num_leapfrog, ("trial", seed, start))
        log_w, _ = run(model, part, temperatures, steps, num_chains, num_leapfrog, ("annealed", seed, start))
        estimates.append(log_w.logsumexp(0) - math.log(num_chains))
    return torch.cat(estimates)


def run(
    model: Model,
    x: Float[Tensor, "B C H W"],
    temperatures: Float[Tensor, " T"],
    steps: list[Tensor] | None,
    num_chains: int,
    num_leapfrog: int,
    key: tuple,
) -> tuple[Float[Tensor, "L B"], list[Float[Tensor, " B"]]]:
    """The log weights of the chains and the step sizes used. With `steps` None the step sizes are tuned on the way."""
    numbers = generator(x.device, *key)
    prior = model.prior
    z = prior.draw(num_chains, len(x), numbers)
    log_w = torch.zeros(num_chains, len(x), device=x.device)
    step, used = torch.full((len(x),), 0.5, device=x.device), []
    for k, (before, now) in enumerate(zip(temperatures.tolist(), temperatures[1:].tolist(), strict=False)):

        def log_density(z: Tensor, now: float = now) -> Tensor:
            return prior.log_pz(z) + now * model.log_px_z(x, z)

        log_w += (now - before) * model.log_px_z(x, z)
        step = step if steps is None else steps[k]
        used.append(step)
        moved = hmc.move(log_density, z, step, num_leapfrog, numbers)
        z = moved.z
        if steps is None:
            step = hmc.tuned(step, moved.acceptance, TARGET)
    return log_w, used


def schedule(num_temperatures: int) -> Float[Tensor, " T"]:
    """0 to 1 in `num_temperatures` steps along a sigmoid, small at both ends (Wu et al.)."""
    t = torch.linspace(-4, 4, num_temperatures + 1, dtype=torch.float64).sigmoid()
    return (t - t[0]) / (t[-1] - t[0])
