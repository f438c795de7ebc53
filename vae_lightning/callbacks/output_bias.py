"""A start at the data's mean image."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from vae_lightning.callbacks import pictures
from vae_lightning.callbacks.beta_annealing import follow
from vae_lightning.errors import ConfigError

LEAST = 1e-3  # a pixel that is never white would have log-odds of minus infinity


class OutputBias(pl.Callback):
    """Sets the decoder's last bias to the log-odds of each pixel's mean over the training set, before the first step.

    As the code of Burda et al. (2016) does: a decoder behind a sigmoid then starts at the mean image, and fewer latent
    units are switched off while it is learned. `bias` is the dotted name of the parameter, which has as many numbers
    as an image has pixels. Raises ConfigError where there is no such parameter. A resumed run is left as it is.
    """

    def __init__(self, bias: str = "network.decoder.4.bias") -> None:
        self.bias = bias

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step:
            return
        with pictures.looking(trainer, pl_module, seed=0):
            total, count = sums(trainer)
        mean = (total / count).clamp(LEAST, 1 - LEAST)
        parameter = self._parameter(pl_module, mean.numel())
        parameter.data.copy_(torch.logit(mean).flatten())

    def _parameter(self, pl_module: pl.LightningModule, pixels: int) -> nn.Parameter:
        try:
            found: Any = follow(pl_module, self.bias)
        except AttributeError:
            found = None
        if not isinstance(found, nn.Parameter) or found.shape != (pixels,):
            known = [name for name, each in pl_module.named_parameters() if each.shape == (pixels,)]
            raise ConfigError(
                f"OutputBias(bias={self.bias!r}): {type(pl_module).__name__} has no parameter of {pixels} numbers; it "
                f"has: {', '.join(known) or 'none'}"
            )
        return found


def sums(trainer: pl.Trainer) -> tuple[Tensor, Tensor]:
    """The training images added up, and their number; over all processes."""
    total, count = torch.zeros(()), 0
    for batch in trainer.train_dataloader or []:
        x = pictures.first_tensor(trainer.strategy.batch_to_device(batch))
        total, count = total.to(x) + x.sum(0), count + len(x)
    both = [total, torch.tensor(float(count), device=total.device)]
    total, number = (trainer.strategy.reduce(each, reduce_op="sum") for each in both)
    return total, number
