"""The first training images of a run, for a part of the module that begins with them."""

from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from vae_lightning.callbacks.foreign import looking
from vae_lightning.callbacks.held_out import one_shape, training
from vae_lightning.errors import ConfigError
from vae_lightning.output import warn


def begin(part: Any, trainer: pl.Trainer) -> None:
    """Gives a part that has a method `begin` a function n -> the first n training images, before the first step.

    Call it in `on_fit_start`: the weights of a checkpoint are loaded then, and no callback has looked at the module.
    """
    if hasattr(part, "begin"):
        part.begin(partial(training_images, trainer))


def training_images(trainer: pl.Trainer, n: int) -> Tensor | None:
    """The first `n` images of the first epoch, or all if they are fewer: the same ones in all processes.

    None, and a line that says so, if the data can be read only once.
    """
    trainer.fit_loop.setup_data()  # the run would call it a little later, and then finds it done
    with looking(trainer, trainer.lightning_module, seed=0):
        try:
            images = training(trainer).images(trainer, None)
            first = next(images, None)
            found = None if first is None else torch.cat(list(one_shape(first, images, n)))
        except ConfigError as error:
            warn(f"no training images to begin with: {error}")
            found = None
    return trainer.strategy.broadcast(found)
