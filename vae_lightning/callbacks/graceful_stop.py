"""Ctrl-C, kill, a closed terminal, the time limit of a scheduler: finish the batch, save, end with its own status."""

import os
import signal
import threading
from os import PathLike
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from vae_lightning.callbacks.foreign import run_dir
from vae_lightning.errors import Interrupted
from vae_lightning.runs.files import CHECKPOINTS, LAST

HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none
SIGNALS = (signal.SIGTERM, signal.SIGINT, *([HANGUP] if HANGUP else []))


class GracefulStop(pl.Callback):
    """On SIGTERM, SIGINT or SIGHUP, finishes the running batch, writes `checkpoints/last.ckpt` and raises Interrupted.

    In the last batch of an epoch it finishes the epoch. A second signal ends the process at once; the checkpoint is
    then that of the last whole epoch. SIGHUP, which a closing terminal may send twice, never does; under `nohup` it is
    ignored. Only the main thread receives signals; in other threads the callback does nothing. With `fast_dev_run` it
    saves nothing.
    """

    def __init__(self, filename: str = LAST, dirpath: str | PathLike | None = None) -> None:
        self.filename, self.dirpath = filename, dirpath
        self._received: int | None = None
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._received = None
        if threading.current_thread() is threading.main_thread():
            heard = [number for number in SIGNALS if number != HANGUP or signal.getsignal(number) != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._receive) for number in heard}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._received is not None and not trainer.is_last_batch:
            if not trainer.fast_dev_run:  # type: ignore[attr-defined]
                folder = run_dir(trainer, self.dirpath or None) / ("" if self.dirpath else CHECKPOINTS)
                trainer.save_checkpoint(folder / self.filename)
            self._stop(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._received is not None:  # the last batch is done, and the checkpoint of the epoch is written
            self._stop(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._received is not None:
            self._stop(trainer)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received is not None and number != HANGUP:
            os._exit(128 + number)
        self._received = self._received or number

    def _stop(self, trainer: pl.Trainer) -> None:
        number, epoch = self._received or signal.SIGTERM, trainer.current_epoch + 1
        saved = "" if trainer.fast_dev_run else f"; saved: go on with resume={trainer.default_root_dir}"  # type: ignore
        what = f"stopped by {signal.Signals(number).name} after step {trainer.global_step}, in epoch {epoch}"
        raise Interrupted(number, what + saved)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
