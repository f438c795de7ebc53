"""How the parameters are moved down the gradient. <-> conf/optimizer/

An optimizer of one's own is any function of the parameters that returns a torch optimizer. With `decays` true it also
has `decay(t)`, the learning rate at progress t in [0, 1] as a multiple of the first one. A schedule of lr_schedule.py
works with each of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from torch import nn

from vae_lightning.errors import ConfigError
from vae_lightning.rules import NonNegative, Positive, check, number


@dataclass(frozen=True)
class Adam:
    """Follows Kingma & Ba (2015). The learning rate falls from `lr` to `final_lr` over the run; with None it stays.

    Raises ConfigError when a number breaks its rule, or `final_lr` is larger than `lr`.
    """

    lr: NonNegative = 1e-3
    final_lr: Positive | None = None
    eps: Positive = 1e-8
    title: ClassVar[str] = "Adam, lr {lr}"

    def __post_init__(self) -> None:
        check(self, "optimizer")
        if self.final_lr is not None and self.final_lr > self.lr:
            raise ConfigError(f"optimizer.final_lr={self.final_lr}: must be <= optimizer.lr={self.lr}")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer at its first learning rate; fused when the device supports it."""
        parameters = list(parameters)
        return torch.optim.Adam(parameters, lr=self.lr, eps=self.eps, fused=fusible(parameters))

    @property
    def decays(self) -> bool:
        """Whether the learning rate falls."""
        return self.final_lr is not None

    def decay(self, t: float) -> float:
        """Progress t in [0, 1] -> the learning rate as a multiple of `lr`: geometric, (final_lr / lr)^t."""
        return 1.0 if self.final_lr is None else (self.final_lr / self.lr) ** t


@dataclass(frozen=True)
class AdamW:
    """Follows Loshchilov & Hutter (2019): Adam, and each step shrinks the weights by lr * `weight_decay`.

    The biases shrink too. Raises ConfigError when a number breaks its rule.
    """

    lr: NonNegative = 1e-3
    weight_decay: NonNegative = 0.01
    eps: Positive = 1e-8
    title: ClassVar[str] = "AdamW, lr {lr}, weight decay {weight_decay}"

    def __post_init__(self) -> None:
        check(self, "optimizer")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer; fused when the device supports it."""
        parameters = list(parameters)
        decay, fused = self.weight_decay, fusible(parameters)
        return torch.optim.AdamW(parameters, lr=self.lr, eps=self.eps, weight_decay=decay, fused=fused)


@dataclass(frozen=True)
class Adagrad:
    """Follows Duchi et al. (2011), the optimizer of the paper's Sec. 5, which chose lr among 0.01, 0.02 and 0.1.

    `weight_decay` adds weight_decay * weight to the gradient: the paper's prior N(0, I) over the weights is
    1 / (number of training images). Raises ConfigError when a number breaks its rule.
    """

    lr: NonNegative = 1e-3
    weight_decay: NonNegative = 0.0
    eps: Positive = 1e-10
    title: ClassVar[str] = "Adagrad, lr {lr}"

    def __post_init__(self) -> None:
        check(self, "optimizer")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer; fused on a CPU, the only device that torch has a fused one for."""
        parameters = list(parameters)
        decay, fused = self.weight_decay, fusible(parameters, ("cpu",))
        return torch.optim.Adagrad(parameters, lr=self.lr, eps=self.eps, weight_decay=decay, fused=fused)


@dataclass(frozen=True)
class Muon:
    """Follows Jordan et al. (2024): the step of a matrix is its momentum, made orthogonal. Adam moves the rest.

    The matrices are the weights of dense layers; biases and convolutions are the rest. The steps of a matrix are
    as large as Adam's (Liu et al. 2025), so one `lr` serves both. Each step also shrinks the matrices by
    lr * `weight_decay`. Raises ConfigError when a number breaks its rule.
    """

    lr: NonNegative = 1e-3
    weight_decay: NonNegative = 0.0
    momentum: Annotated[float, number(least=0, most=0.9999)] = 0.95
    eps: Positive = 1e-8
    title: ClassVar[str] = "Muon, lr {lr}"

    def __post_init__(self) -> None:
        check(self, "optimizer")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer; its Adam is fused when the device supports it."""
        parameters = list(parameters)
        matrices, rest = [[p for p in parameters if (p.ndim == 2) is wanted] for wanted in (True, False)]
        made: list[torch.optim.Optimizer] = []
        if matrices:
            decay, scale = self.weight_decay, "match_rms_adamw"
            made += [torch.optim.Muon(matrices, self.lr, decay, self.momentum, adjust_lr_fn=scale)]
        if rest or not matrices:
            made += [Adam(self.lr, eps=self.eps)(rest)]
        return Together(made)


class Together(torch.optim.Optimizer):
    """Several optimizers, each with parameters of its own, as one: one step, one state, one learning rate to move."""

    def __init__(self, optimizers: list[torch.optim.Optimizer]) -> None:
        self.optimizers = optimizers
        super().__init__([group for each in optimizers for group in each.param_groups], {})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step of each; returns what the closure returns."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        groups = iter(self.param_groups)  # those of a checkpoint, once one is loaded
        for each in self.optimizers:
            each.state, each.param_groups = self.state, [next(groups) for _ in each.param_groups]
            each.step()
        return value


def fusible(parameters: Iterable[nn.Parameter], devices: tuple[str, ...] = ("cpu", "cuda")) -> bool:
    """Whether one kernel can move all parameters."""
    return all(parameter.device.type in devices for parameter in parameters)
