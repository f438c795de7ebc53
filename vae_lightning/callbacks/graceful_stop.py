"""Ctrl-C, kill, a closed terminal, the time limit of a scheduler: finish the batch, save, end with its own status."""

from functools import partial
from os import PathLike
from typing import Any

import lightning.pytorch as pl

from vae_lightning.callbacks.agreement import Agreement
from vae_lightning.callbacks.foreign import run_dir, steps_done
from vae_lightning.runs.files import CHECKPOINTS, LAST
from vae_lightning.signals import Answer, current


class GracefulStop(pl.Callback):
    """On SIGTERM, SIGINT or SIGHUP, finishes the running batch, writes `checkpoints/last.ckpt` and raises Interrupted.

    In the last batch of an epoch it finishes the epoch. A second SIGTERM or SIGINT ends the process at once; the
    checkpoint is then that of the last whole epoch. Under `nohup`, SIGHUP is ignored. Only the main thread receives
    signals; in other threads the callback does nothing. With `fast_dev_run` it saves nothing. A signal to one process
    of a distributed run stops all of them after the same batch.
    """

    def __init__(self, filename: str = LAST, dirpath: str | PathLike[str] | None = None) -> None:
        self.filename, self.dirpath = filename, dirpath
        self._answer: Answer | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._folder = run_dir(trainer, self.dirpath) / ("" if self.dirpath else CHECKPOINTS)
        current().check()  # a signal that somebody's code took for an error of its own
        self._answer = Answer(partial(stopped, trainer), waits=True)
        self._answer.begin()
        self._agreed = Agreement(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._stops() and not trainer.is_last_batch:
            if not trainer.fast_dev_run:  # type: ignore[attr-defined]
                trainer.save_checkpoint(self._folder / self.filename)
            self._check()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._stops():  # the last batch is done, and the checkpoint of the epoch is written
            self._check()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._stops():
            self._check()
        self._end()

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.world_size > 1:  # Lightning's own handler would wait there for processes that heard of no signal
            current().begin_again()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._end()

    def _stops(self) -> bool:
        """Whether a process of the run received a signal. All processes of the run ask at the same places."""
        if self._answer is None:
            return False
        number = self._agreed(self._answer.received)
        if number is not None and self._answer.received is None:
            self._answer.received = number
        return number is not None

    def _check(self) -> None:
        if self._answer:
            self._answer.check()

    def _end(self) -> None:
        if self._answer:
            self._answer.end()
        self._answer = None


def stopped(trainer: pl.Trainer, name: str) -> str:
    """The line of a training that a signal stopped."""
    saved = "" if trainer.fast_dev_run else f"; saved: go on with resume={trainer.default_root_dir}"  # type: ignore
    return f"stopped by {name} after step {steps_done(trainer)}, in epoch {trainer.current_epoch + 1}{saved}"
