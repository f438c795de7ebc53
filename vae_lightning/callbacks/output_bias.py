"""A decoder that starts at the mean image of the data."""

import math
import sys
from itertools import islice
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from vae_lightning.batch import Place
from vae_lightning.callbacks.foreign import follow, looking
from vae_lightning.callbacks.held_out import training
from vae_lightning.callbacks.pixels import UNSEEN, as_numbers
from vae_lightning.errors import ConfigError
from vae_lightning.length import length_of
from vae_lightning.rules import check

MOST = 10_000  # batches of a stream, which may have no end
LEAST = 1e-3  # the log-odds of a pixel that is never white are minus infinity


class OutputBias(pl.Callback):
    """Follows the code of Burda et al. (2016): before the first step, the last bias of the decoder becomes the log-odds
    of the mean of each pixel over the training images of one epoch.

    A decoder with a sigmoid then starts at the mean image, and fewer latent units are switched off while the decoder
    learns it. `bias` is the dotted name of the parameter, which has one number for each pixel, or one for each channel
    [C, H, W] as the bias of a convolution, which becomes the log-odds of the channel's mean. `batch` is the key or
    index of the images in a batch, or a function of the batch. The training set is what an epoch reads of it; of a
    stream, its first 10,000 batches, or those of a shorter run. A resumed run keeps its bias. Raises ConfigError if
    there is no such parameter, and if the images leave [0, 1].
    """

    def __init__(self, bias: str = "network.decoder.4.bias", batch: Place = None) -> None:
        self.bias, self.batch = bias, batch
        check(self, type(self).__name__)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step:
            return
        with looking(trainer, pl_module, seed=0):
            try:
                total, count = sums(trainer, self.batch)
            except ConfigError as error:
                raise ConfigError(f"OutputBias: {error}") from None
        mean = (total / count).clamp(LEAST, 1 - LEAST)
        each = mean.flatten(1).mean(1) if mean.ndim == 3 else mean  # of each channel
        parameter = self.look_up(pl_module, mean.numel(), each.numel())
        parameter.data.copy_(torch.logit(mean if parameter.numel() == mean.numel() else each).flatten())

    def look_up(self, pl_module: pl.LightningModule, *sizes: int) -> nn.Parameter:
        """The bias. Raises ConfigError if the module does not have it, or it has another size than those in `sizes`."""
        try:
            found: Any = follow(pl_module, self.bias)
        except AttributeError:
            found = None
        fitting = sizes or range(1, sys.maxsize)
        if not isinstance(found, nn.Parameter) or found.ndim != 1 or len(found) not in fitting:
            known = [
                name for name, weight in pl_module.named_parameters() if weight.ndim == 1 and len(weight) in fitting
            ]
            counts = " or ".join(map(str, dict.fromkeys(sizes)))
            numbers = f"of {counts} numbers" if sizes else "with one number for each pixel or each channel"
            raise ConfigError(
                f"OutputBias(bias={self.bias!r}): {type(pl_module).__name__} has no parameter {numbers}; it has: "
                f"{', '.join(known) or 'none'}"
            )
        return found


def sums(trainer: pl.Trainer, place: Place = None) -> tuple[Tensor, Tensor]:
    """The sum of the training images of one epoch, and their number, over all processes."""
    total, count = torch.zeros(()), 0
    for images in islice(training(trainer).images(trainer, place), most_batches(trainer)):
        x = as_numbers(images)
        if x.min() < -UNSEEN or x.max() > 1 + UNSEEN:
            low, high = float(x.min()), float(x.max())
            raise ConfigError(
                f"the images range over [{low:.4g}, {high:.4g}], and only a mean in [0, 1] has log-odds; "
                "scale the images to [0, 1], or leave OutputBias out"
            )
        total, count = total.to(x) + x.sum(0), count + len(x)
    both = [total, torch.tensor(float(count), device=total.device)]
    total, number = (trainer.strategy.reduce(value, reduce_op="sum") for value in both)
    return total, number


def most_batches(trainer: pl.Trainer) -> int:
    """The batches of an epoch; of a stream those of the run, and no more than `MOST`."""
    length = length_of(trainer)
    known = math.isfinite(length.per_epoch)
    return int(length.per_epoch if known else min(length.max_steps * length.accumulated, MOST))
