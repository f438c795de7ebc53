"""Hamiltonian Monte Carlo in latent space, many chains at once.

L chains, B images, J latent dims. Nats.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LogDensity = Callable[[Float[Tensor, "L B J"]], Float[Tensor, "L B"]]


@dataclass(frozen=True)
class Move:
    """The chains after one step, and the probability with which each proposal was accepted."""

    z: Float[Tensor, "L B J"]
    acceptance: Float[Tensor, "L B"]


def move(
    log_density: LogDensity,
    z: Float[Tensor, "L B J"],
    step_size: Float[Tensor, " B"],
    num_leapfrog: int,
    generator: torch.Generator,
) -> Move:
    """Follows Neal (2011): momentum from N(0, I), `num_leapfrog` leapfrog steps, one Metropolis test.

    Leaves exp(log_density), which needs no normalisation, invariant for every step size.
    """
    step = step_size.unsqueeze(-1)
    momentum = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
    value, gradient = value_and_gradient(log_density, z)
    energy = 0.5 * momentum.square().sum(-1) - value
    proposal = z
    for _ in range(num_leapfrog):
        momentum = momentum + 0.5 * step * gradient
        proposal = proposal + step * momentum
        value, gradient = value_and_gradient(log_density, proposal)
        momentum = momentum + 0.5 * step * gradient
    new_energy = 0.5 * momentum.square().sum(-1) - value
    acceptance = (energy - new_energy).clamp(max=0).exp().nan_to_num(0.0)
    accepted = torch.rand(acceptance.shape, generator=generator, device=z.device) < acceptance
    return Move(torch.where(accepted.unsqueeze(-1), proposal, z), acceptance)


def value_and_gradient(log_density: LogDensity, z: Tensor) -> tuple[Tensor, Tensor]:
    """log_density(z) and its gradient in z."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        value = log_density(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient


def tuned(step_size: Float[Tensor, " B"], acceptance: Float[Tensor, "L B"], target: float) -> Float[Tensor, " B"]:
    """A longer step when more than `target` of the proposals were accepted, a shorter step when fewer were."""
    return step_size * (0.3 * (acceptance.mean(0) - target)).exp()
