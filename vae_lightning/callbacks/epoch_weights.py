"""The weights after every epoch, each in a file."""

from functools import partial
from os import PathLike

import lightning.pytorch as pl
import torch

from vae_lightning.callbacks.epoch_end import after_module
from vae_lightning.callbacks.foreign import run_dir
from vae_lightning.rules import Count, check
from vae_lightning.runs.atomic import atomically


class EpochWeights(pl.Callback):
    """Writes `vae_epoch_XXXX.pt`, the module's state_dict after XXXX epochs; 0000 holds the initial weights.

    Load with `module.load_state_dict(torch.load(path, weights_only=True))`. `enabled=False` writes nothing.
    """

    def __init__(
        self,
        every_n_epochs: Count = 1,
        enabled: bool = True,
        prefix: str = "vae",
        dirpath: str | PathLike[str] | None = None,
    ) -> None:
        self.every_n_epochs, self.enabled = every_n_epochs, enabled
        self.prefix, self.dirpath = prefix, dirpath
        check(self, type(self).__name__)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.global_step == 0:  # else the run is resumed in its first epoch
            self._save(trainer, pl_module, epoch=0)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        after_module(trainer, partial(self._save, trainer, pl_module, trainer.current_epoch + 1))

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch: int) -> None:
        if self.enabled and trainer.is_global_zero and epoch % self.every_n_epochs == 0:
            path = run_dir(trainer, self.dirpath) / f"{self.prefix}_epoch_{epoch:04d}.pt"
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomically(path) as temporary:
                torch.save(pl_module.state_dict(), temporary)
