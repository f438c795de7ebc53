"""How the parameters are moved down the gradient. <-> conf/optimizer/"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from vae_lightning.errors import ConfigError


@dataclass(frozen=True)
class Adam:
    """Follows Kingma & Ba (2015). The learning rate falls from `lr` to `final_lr` over the run; with None it stays.

    Raises ConfigError where a number cannot be what its name says.
    """

    lr: float = 1e-3
    final_lr: float | None = None
    eps: float = 1e-8

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise ConfigError(f"optimizer.{name}={value}: must be a number")
        final = self.lr if self.final_lr is None else self.final_lr
        if not (0 <= final <= self.lr and math.isfinite(self.lr)) or (final == 0 < self.lr):
            raise ConfigError(f"optimizer.lr={self.lr}, optimizer.final_lr={self.final_lr}: must be lr >= final_lr > 0")
        if not 0 < self.eps < math.inf:
            raise ConfigError(f"optimizer.eps={self.eps}: must be a finite number > 0")

    def __call__(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser at its first learning rate; fused where the device has that."""
        parameters = list(parameters)
        fused = all(each.device.type in ("cpu", "cuda") for each in parameters)
        return torch.optim.Adam(parameters, lr=self.lr, eps=self.eps, fused=fused)

    def decay(self, t: float) -> float:
        """Progress t in [0, 1] -> the learning rate as a multiple of `lr`: geometric, (final_lr / lr)^t."""
        return 1.0 if self.final_lr is None else (self.final_lr / self.lr) ** t
