"""A posterior that is no Gaussian: inverse autoregressive flow.

B batch, L samples, J latent dims, T steps. Nats.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import elu, linear

from vae_lightning import equations
from vae_lightning.latent.diagonal_gaussian import Gaussian
from vae_lightning.noise import generator as numbers
from vae_lightning.rules import Count, check
from vae_lightning.shapes import Codes, Encoded, PerSample, PerUnit, at_least_float32

DRAWS = 64  # for the moments of q(z|x), in pairs of eps and -eps
REACH = 2.0  # a step scales a unit by at most e^2
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (z, h) -> shift and log scale of each unit


class Iaf(nn.Module):
    """Follows Kingma et al. (2016), inverse autoregressive flow: z_t = shift_t + scale_t * z_{t-1}, t = 1 to `steps`.

    z_0 ~ N(mean, exp(log_var) I), shift_t and scale_t are functions of z_{t-1} and h, and p(z) = N(0, I). h is the
    encoder's output, mean and log_var, so every network has one. Shift and scale of a unit depend on the units before
    it, through one masked layer of `hidden` ELU units. Every second step has the reverse order. The flow starts as the
    identity, so training begins at `DiagonalGaussian`. The KL is estimated from samples. Raises ConfigError when a
    number is not a whole number >= 1.
    """

    title: ClassVar[str] = "{dim} latent units, their posterior a flow of {steps} inverse autoregressive steps"
    closed_kl: ClassVar[bool] = False

    def __init__(self, dim: Count = 20, steps: Count = 4, hidden: Count = 128) -> None:
        super().__init__()
        self.dim, self.steps, self.hidden = dim, steps, hidden
        check(self, "latent")
        self._eps = draws(dim)  # a constant: no weight, no buffer
        self.flow = nn.ModuleList(AutoregressiveStep(dim, hidden, reverse=t % 2 == 1) for t in range(steps))

    @property
    def num_parameters(self) -> int:
        """How many numbers the encoder returns for each datapoint: mean and log_var of z_0."""
        return 2 * self.dim

    def posterior(self, params: Encoded) -> "FlowPosterior":
        """The encoder's output as a distribution, in float32 at least."""
        params = at_least_float32(params)
        mean, log_var = params.chunk(2, dim=-1)
        return FlowPosterior(Gaussian(mean, log_var), params, list(self.flow), self._eps)

    def log_pz(self, z: Codes) -> PerSample:
        """log p(z)."""
        return equations.log_pz(z)

    def noise(self, num_samples: int, batch: int, generator: torch.Generator) -> Codes:
        """eps ~ N(0, I) on the generator's device, of which z is a function; eps is itself a draw of z ~ p(z)."""
        return torch.randn(num_samples, batch, self.dim, generator=generator, device=generator.device)

    def unit_kl(self, posterior: "FlowPosterior", z: Codes) -> PerUnit:
        """The share of each unit in the mean of log q(z|x) - log p(z) over the samples."""
        return (posterior.unit_log_qz_x(z) - unit_log_pz(z)).mean(0)


class AutoregressiveStep(nn.Module):
    """Follows Germain et al. (2015), MADE: shift and log scale of unit j from h and the units before j."""

    inner_mask: Tensor
    outer_mask: Tensor

    def __init__(self, dim: int, hidden: int, reverse: bool) -> None:
        super().__init__()
        order = torch.arange(dim).flip(0) if reverse else torch.arange(dim)
        degree = torch.arange(hidden) % max(1, dim - 1)  # a hidden unit sees the units up to its degree
        self.register_buffer("inner_mask", degree.unsqueeze(1) >= order, persistent=False)
        self.register_buffer("outer_mask", (order.unsqueeze(1) > degree).repeat(2, 1), persistent=False)
        self.inner, self.outer = nn.Linear(dim, hidden), nn.Linear(hidden, 2 * dim)
        self.inner_context = nn.Linear(2 * dim, hidden, bias=False)
        self.outer_context = nn.Linear(2 * dim, 2 * dim, bias=False)
        for weight in (self.outer.weight, self.outer.bias, self.outer_context.weight):
            nn.init.zeros_(weight)

    def forward(self, z: Codes, h: Encoded) -> tuple[Codes, Codes]:
        hidden = elu(linear(z, self.inner.weight * self.inner_mask, self.inner.bias) + self.inner_context(h))
        output = linear(hidden, self.outer.weight * self.outer_mask, self.outer.bias) + self.outer_context(h)
        shift, log_scale = at_least_float32(output).chunk(2, dim=-1)
        return shift, REACH * (log_scale / REACH).tanh()


class FlowPosterior:
    """q(z|x) of a flow: log q(z_T|x) = log q(z_0|x) - sum_t sum_j log scale_tj.

    `rsample` keeps the density of what it drew last. The density of any other z needs the inverse of the flow, which
    takes J passes for each step: `bound=iwae_stl` and `iwae_dreg` do so. `mean`, `log_var` and `kl` are
    estimates from 64 draws, the same ones in every call; the flow that is the identity has exact ones.
    """

    def __init__(self, base: Gaussian, h: Encoded, steps: Sequence[Step], eps: Float[Tensor, "S 1 J"]) -> None:
        self.base, self.h, self.steps, self.eps = base, h, steps, eps
        self._drawn: tuple[Tensor, Tensor] | None = None

    def rsample(self, eps: Codes) -> Codes:
        """z_T as a function of eps."""
        self._drawn = self._flow(eps)
        return self._drawn[0]

    def log_qz_x(self, z: Codes) -> PerSample:
        """log q(z|x)."""
        return self.unit_log_qz_x(z).sum(-1)

    def unit_log_qz_x(self, z: Codes) -> Float[Tensor, "L B J"]:
        """The share of each unit in log q(z|x)."""
        return self._drawn[1] if self._drawn is not None and z is self._drawn[0] else self._inverse(z)

    def detach(self) -> "FlowPosterior":
        """The same distribution as a constant: no gradient reaches its parameters."""
        base = Gaussian(self.base.mean.detach(), self.base.log_var.detach())
        return FlowPosterior(base, self.h.detach(), [constant(step) for step in self.steps], self.eps)

    @property
    def mean(self) -> PerUnit:
        """E_q[ z ]."""
        return self._moments[0].mean(0)

    @property
    def log_var(self) -> PerUnit:
        """log Var_q[ z_j ]."""
        return self._moments[0].var(0, correction=0).log()

    def kl(self) -> PerUnit:
        """The share of each unit in KL( q(z|x) || p(z) )."""
        z, log_q = self._moments
        return (log_q - unit_log_pz(z)).mean(0)

    def _flow(self, eps: Codes) -> tuple[Codes, Codes]:
        z = self.base.rsample(eps)
        log_q = equations.normal_log_density(z, self.base.mean, self.base.log_var)
        for step in self.steps:
            shift, log_scale = step(z, self.h)
            z, log_q = shift + log_scale.exp() * z, log_q - log_scale
        return z, log_q

    def _inverse(self, z: Codes) -> Codes:
        """The share of each unit in log q(z|x). The k-th pass finds the k-th unit of a step's order."""
        log_q = torch.zeros_like(z)
        for step in reversed(self.steps):
            before = log_scale = torch.zeros_like(z)
            for _ in range(z.shape[-1]):
                shift, log_scale = step(before, self.h)
                before = (z - shift) * (-log_scale).exp()
            z, log_q = before, log_q - log_scale
        return log_q + equations.normal_log_density(z, self.base.mean, self.base.log_var)

    @cached_property
    def _moments(self) -> tuple[Codes, Codes]:
        return self._flow(self.eps.to(self.base.mean).expand(-1, self.h.shape[0], -1))  # len() would fix it in a graph


def draws(dim: int) -> Float[Tensor, "S 1 J"]:
    """eps whose mean is 0 and whose variance is 1 in each dimension, in pairs of eps and -eps: always the same."""
    half = torch.randn(DRAWS // 2, 1, dim, generator=numbers("cpu", "moments"))
    return torch.cat([half, -half]) / half.square().mean(0).sqrt()


def unit_log_pz(z: Codes) -> Float[Tensor, "L B J"]:
    """log N(z_j; 0, 1) of each unit."""
    return equations.normal_log_density(z, torch.zeros_like(z), torch.zeros_like(z))


def constant(step: Step) -> Step:
    """The same step without a gradient for its weights."""
    if not isinstance(step, nn.Module):
        return step
    weights = {name: weight.detach() for name, weight in step.named_parameters()}
    return lambda z, h: functional_call(step, weights, (z, h))
