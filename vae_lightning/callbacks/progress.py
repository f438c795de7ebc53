"""Progress of a run: one line per epoch, 80 columns, readable in a log file too."""

import math
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar

from vae_lightning.callbacks.foreign import NewMetrics, description
from vae_lightning.output import on_terminal, say
from vae_lightning.runs.words import duration

HEADER = "  epoch   train ELBO = -( recon +     KL )    val ELBO     beta   time left"


class Progress(ProgressBar):
    """Prints epoch, ELBO = -(recon + KL) in nats per datapoint, beta and the time left.

    On a terminal a bar shows the progress of the running epoch; elsewhere only the lines are printed. The metrics are
    `train/elbo`, `train/recon`, `train/kl`, `val/elbo` and `beta`; a metric that is not logged is shown as a dash.
    """

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._best: tuple[float, int] = (-math.inf, 0)

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    @property
    def _live(self) -> bool:
        return self._enabled and on_terminal()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started, self._first_epoch, self._drawn = time.monotonic(), trainer.current_epoch, 0.0
        self._best, self._metrics = (-math.inf, 0), NewMetrics()
        if self._enabled:
            say(f"{headline(trainer)}\n{HEADER}")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not self._live or time.monotonic() - self._drawn < 0.1:
            return
        self._drawn = time.monotonic()
        done = (batch_idx + 1) / max(1, self.total_train_batches)
        bar = ("█" * int(30 * done)).ljust(30, "·")
        text = f"{self._epoch(trainer)}   {bar} {100 * done:3.0f} %   {self._time_left(trainer, done)}"
        say(f"\r{text:<78}", end="")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self._enabled:
            return
        logged = self._metrics.of(trainer.callback_metrics)
        if logged.get("val/elbo", -math.inf) > self._best[0]:
            self._best = (logged["val/elbo"], trainer.current_epoch + 1)

        def number(key: str, width: int, digits: int = 2) -> str:
            return f"{logged[key]:{width}.{digits}f}" if key in logged else "-".rjust(width)

        elbo, terms = number("train/elbo", 10), f"-({number('train/recon', 7)} + {number('train/kl', 6)})"
        line = f"{self._epoch(trainer)}   {elbo} = {terms}  {number('val/elbo', 10)} {number('beta', 8, 3)}"
        line += f"   {self._time_left(trainer, 1.0):>9}"
        say(f"\r{line:<78}" if self._live else line)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._enabled and self._best[1]:
            say(f"\nbest epoch {self._best[1]}: validation ELBO {self._best[0]:.2f} nats")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        logged = trainer.callback_metrics
        if self._enabled and "test/elbo" in logged:
            recon, kl = (float(logged[f"test/{term}"]) for term in ("recon", "kl"))
            say(f"test ELBO {float(logged['test/elbo']):.2f} nats = -({recon:.2f} + {kl:.2f})")
            say(headline(trainer))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self._enabled and isinstance(exception, KeyboardInterrupt):
            say(f"\ninterrupted in epoch {trainer.current_epoch + 1}; run folder: {trainer.default_root_dir}")
        elif self._live:
            say("")

    def _epoch(self, trainer: pl.Trainer) -> str:
        total = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else "?"
        return f"{trainer.current_epoch + 1}/{total}".rjust(7)

    def _time_left(self, trainer: pl.Trainer, done_of_epoch: float) -> str:
        if not trainer.max_epochs or trainer.max_epochs < 0:
            return "?"
        done = trainer.current_epoch - self._first_epoch + done_of_epoch
        left = (time.monotonic() - self._started) / done * (trainer.max_epochs - self._first_epoch - done)
        return duration(math.ceil(max(0.0, left)))


def headline(trainer: pl.Trainer) -> str:
    """The data, if the data module has a description, and the run folder, which a trial does not have."""
    folder = "trial (fast_dev_run)" if trainer.fast_dev_run else f"run folder: {trainer.default_root_dir}"  # type: ignore
    return "\n".join(line for line in (description(trainer), folder) if line)
