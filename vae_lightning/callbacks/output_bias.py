"""A decoder that starts at the mean image of the data."""

import math
from itertools import islice
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from vae_lightning.callbacks.foreign import first_tensor, follow, looking
from vae_lightning.errors import ConfigError
from vae_lightning.length import length_of

MOST = 10_000  # batches of a stream, which may have no end
LEAST = 1e-3  # the log-odds of a pixel that is never white are minus infinity


class OutputBias(pl.Callback):
    """Follows the code of Burda et al. (2016): before the first step, the last bias of the decoder becomes the log-odds
    of the mean of each pixel over the training set.

    A decoder with a sigmoid then starts at the mean image, and fewer latent units are switched off while the decoder
    learns it. `bias` is the dotted name of the parameter, which has one number for each pixel. The training set is what
    an epoch reads of it; of a stream, its first 10,000 batches, or those of a shorter run. Raises ConfigError if there
    is no such parameter. A resumed run keeps its bias.
    """

    def __init__(self, bias: str = "network.decoder.4.bias") -> None:
        self.bias = bias

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step:
            return
        with looking(trainer, pl_module, seed=0):
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
            known = [name for name, weight in pl_module.named_parameters() if weight.shape == (pixels,)]
            raise ConfigError(
                f"OutputBias(bias={self.bias!r}): {type(pl_module).__name__} has no parameter of {pixels} numbers; it "
                f"has: {', '.join(known) or 'none'}"
            )
        return found


def sums(trainer: pl.Trainer) -> tuple[Tensor, Tensor]:
    """The sum of the training images, and their number, over all processes."""
    total, count = torch.zeros(()), 0
    for batch in islice(iter(trainer.train_dataloader), most_batches(trainer)):  # type: ignore[call-overload]
        x = first_tensor(trainer.strategy.batch_to_device(batch))
        total, count = total.to(x) + x.sum(0), count + len(x)
    both = [total, torch.tensor(float(count), device=total.device)]
    total, number = (trainer.strategy.reduce(value, reduce_op="sum") for value in both)
    return total, number


def most_batches(trainer: pl.Trainer) -> int:
    """The batches of an epoch; of a stream those of the run, and no more than `MOST`."""
    length = length_of(trainer)
    known = math.isfinite(length.per_epoch)
    return int(length.per_epoch if known else min(length.max_steps * length.accumulated, MOST))
