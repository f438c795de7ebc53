"""What the likelihoods share: their facts, the mean of p(x|z), bounded log scales, units."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning.rules import check
from vae_lightning.shapes import Image, Params, PerSample, Picture, at_least_float32

UNIT_INTERVAL, REAL_LINE = "unit interval", "real line"
BERNOULLI, BYTES, DENSITY = "Bernoulli", "mass of bytes", "density"
LOG_LIMIT = 12.0
Nats = TypeVar("Nats", float, Tensor)


def continuous_bernoulli_mean(a: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Follows Loaiza-Ganem & Cunningham (2019): 1 / (1 - exp(-a)) - 1/a; near a = 0 its series."""
    small = a.abs() < 0.1
    safe = torch.where(small, torch.ones_like(a), a)
    return torch.where(small, 0.5 + a / 12 - a**3 / 720, -1 / torch.expm1(-safe) - 1 / safe)


LINKS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "identity": lambda a: a,
    "continuous_bernoulli": continuous_bernoulli_mean,
}


class Likelihood(ABC):
    """p(x|z): its mathematics and its facts.

    A likelihood of one's own defines `log_px_z` and `sample`, and says what it is: `name`, its option in conf/loss;
    `title`, what it is called in words; `num_parameters`, P; `link`, a key of LINKS that turns the first parameter of
    every pixel into E[x|z]; `support`, where x lies; `measure`, what log p(x|z) is the log of; `levels`, how many
    values a pixel has under a mass function. With another mean it has no `link` and defines `mean` itself.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str]
    num_parameters: ClassVar[int] = 1
    link: ClassVar[str] = ""
    support: ClassVar[str] = REAL_LINE
    measure: ClassVar[str] = DENSITY
    levels: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        check(self, "loss")

    @abstractmethod
    def log_px_z(self, x: Image, params: Params) -> PerSample:
        """log p(x|z), nats."""

    @abstractmethod
    def sample(self, params: Params, generator: torch.Generator) -> Picture:
        """x ~ p(x|z)."""

    def mean(self, params: Params) -> Picture:
        """E[x|z], by the link; in float32 at least."""
        return linked(params, self.link)


def linked(params: Params, link: str) -> Picture:
    """The mean that a link makes of the first parameter of every pixel."""
    first = params.squeeze(-4) if params.shape[-4] == 1 else params.select(-4, 0)
    return LINKS[link](at_least_float32(first))


def bounded_log(params: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """A log variance or log scale in (-12, 12), in float32 at least: near the identity; its `exp` never overflows."""
    return LOG_LIMIT * torch.tanh(at_least_float32(params) / LOG_LIMIT)


def mean_and_log(params: Params) -> tuple[Picture, Picture]:
    """Two numbers per pixel (P = 2): a mean in (0, 1), and a bounded log variance or log scale."""
    mean, log_scale = at_least_float32(params).unbind(-4)
    return mean.sigmoid(), bounded_log(log_scale)


def bits_per_dimension(nll: Nats, dims: int, levels: int | None = None) -> Nats:
    """Nats per datapoint -> bits per dimension, for a mass function (`discretized_logistic`).

    A density on [0, 1] has bits with `levels`: each level has the volume 1/levels, which adds log2(levels).
    """
    return nll / (dims * math.log(2)) + (math.log2(levels) if levels else 0.0)
