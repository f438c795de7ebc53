"""How the parameters are moved down the gradient. <-> conf/optimizer/

An optimizer of one's own is any function of the parameters that returns a torch optimizer. With `decays` true it also
has `decay(t)`, the learning rate at progress t in [0, 1] as a multiple of the first one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from vae_lightning.errors import ConfigError
from vae_lightning.rules import NonNegative, Positive, check


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
        fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
        return torch.optim.Adam(parameters, lr=self.lr, eps=self.eps, fused=fused)

    @property
    def decays(self) -> bool:
        """Whether the learning rate falls."""
        return self.final_lr is not None

    def decay(self, t: float) -> float:
        """Progress t in [0, 1] -> the learning rate as a multiple of `lr`: geometric, (final_lr / lr)^t."""
        return 1.0 if self.final_lr is None else (self.final_lr / self.lr) ** t
