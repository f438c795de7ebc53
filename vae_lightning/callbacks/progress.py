"""Progress of a run: one line per epoch, 80 columns, readable in a log file too."""

import math
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar

from vae_lightning.callbacks.epoch_end import NewMetrics, after_module
from vae_lightning.callbacks.foreign import description, progress_columns
from vae_lightning.length import length_of
from vae_lightning.output import on_terminal, say
from vae_lightning.runs.words import duration, fixed

BETA_WIDTH = 10  # of beta in a line: 0.12-0.345
HEADER = f"   train ELBO = -( recon +     KL )    val ELBO {'beta':>{BETA_WIDTH}}"
ELBO = ("train/elbo", "train/recon", "train/kl", "val/elbo", "beta")


class Progress(ProgressBar):
    """Prints a line after every epoch: its number, its metrics and the time left.

    Without `columns`, and if the module has no `progress_columns`, the metrics are ELBO = -(recon + KL) in nats per
    datapoint, the validation ELBO and beta, logged as `train/elbo`, `train/recon`, `train/kl`, `val/elbo` and `beta`.
    Where `beta_first` is logged, too, and differs, beta is shown from the first to the last step of the epoch,
    0.25-0.5. `columns` maps the name of each column to a logged metric. A metric that is not logged is shown as a dash;
    a warning names the metrics that are not logged at all. On a terminal a bar shows the progress of the running epoch;
    elsewhere only the lines are printed.
    """

    _started: float | None = None

    def __init__(self, columns: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.columns = dict(columns or {})
        self._enabled = True
        self._best: tuple[float, int] = (-math.inf, 0)  # the validation ELBO and its epoch
        self._resumed = self._best

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    @property
    def _live(self) -> bool:
        return self._enabled and on_terminal()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = tuple(state_dict["best"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started, self._drawn = None, 0.0
        self._best, self._resumed = self._resumed, (-math.inf, 0)
        self._length, self._done_before = length_of(trainer), 0.0
        self._shown = dict(self.columns or progress_columns(pl_module))
        self._metrics = NewMetrics(trainer, self, self._shown.values() or ELBO, any_will_do=not self._shown)
        if self._enabled:
            names = "".join(f"  {name:>{width_of(name)}}" for name in self._shown) or HEADER
            say("\n".join([*headline(trainer), f"  epoch{names}   time left"]))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._started is None:  # compiling the first step says nothing of the others
            self._started, self._done_before = time.monotonic(), self._done(trainer, trainer.current_epoch)
        if not self._live or time.monotonic() - self._drawn < 0.1:
            return
        self._drawn = time.monotonic()
        batches, done = trainer.num_training_batches, f"batch {batch_idx + 1}"
        if math.isfinite(batches):
            share = min(1.0, (batch_idx + 1) / max(1, batches))
            done = f"{'█' * int(30 * share):·<30} {100 * share:3.0f} %"
        text = f"{self._epoch(trainer)}   {done}   {self._time_left(trainer, trainer.current_epoch)}"
        say(f"\r{text:<78}", end="")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._enabled:
            after_module(trainer, partial(self._tell, trainer))

    def _tell(self, trainer: pl.Trainer) -> None:
        logged = self._metrics.of(trainer)
        if logged.get("val/elbo", -math.inf) > self._best[0]:
            self._best = (logged["val/elbo"], trainer.current_epoch + 1)

        def number(key: str, width: int, words: Callable[[float], str] = fixed) -> str:
            return (words(logged[key]) if key in logged else "-").rjust(width)

        elbo, terms = number("train/elbo", 10), f"-({number('train/recon', 7)} + {number('train/kl', 6)})"
        ours = f"   {elbo} = {terms}  {number('val/elbo', 10)} {beta_of(logged):>{BETA_WIDTH}}"
        theirs = "".join(f"  {number(key, width_of(name), '{:.5g}'.format)}" for name, key in self._shown.items())
        line = f"{self._epoch(trainer)}{theirs or ours}   {self._time_left(trainer, trainer.current_epoch + 1):>9}"
        say(f"\r{line:<78}" if self._live else line)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._enabled and self._best[1]:
            say(f"\nbest epoch {self._best[1]}: validation ELBO {self._best[0]:.2f} nats")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        logged = trainer.callback_metrics
        if self._enabled and "test/elbo" in logged:
            terms = [fixed(float(logged[key])) for key in ("test/recon", "test/kl") if key in logged]
            split = f" = -({' + '.join(terms)})" if len(terms) == 2 else ""
            say("\n".join([f"test ELBO {float(logged['test/elbo']):.2f} nats{split}", *headline(trainer)]))

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self._enabled and isinstance(exception, KeyboardInterrupt):
            say(f"\ninterrupted in epoch {trainer.current_epoch + 1}; run folder: {trainer.default_root_dir}")
        elif self._live:
            say("")

    def _epoch(self, trainer: pl.Trainer) -> str:
        total = trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else "?"
        return f"{trainer.current_epoch + 1}/{total}".rjust(7)

    def _done(self, trainer: pl.Trainer, epochs: int) -> float:
        """The share of the run that is done; in a stream the share of its epochs; 0 without any end."""
        if self._length.known:
            return self._length.progress(trainer.fit_loop.total_batch_idx + 1, trainer.global_step)
        return min(1.0, epochs / self._length.epochs)

    def _time_left(self, trainer: pl.Trainer, epochs: int) -> str:
        done = self._done(trainer, epochs)
        if self._started is None or done <= self._done_before:
            return "?"
        left = (time.monotonic() - self._started) / (done - self._done_before) * (1 - done)
        return duration(math.ceil(left))


def beta_of(logged: Mapping[str, float]) -> str:
    """Beta within an epoch: from its first to its last step, 0.25-0.5; the mean where these are alike."""
    if "beta" not in logged:
        return "-"
    last = logged["beta"]
    first, mean = logged.get("beta_first", last), logged.get("beta_mean", last)
    for digits in (3, 2, 1):
        ends = [f"{value:.{digits}g}" for value in (first, last)]
        if ends[0] != ends[1] and len("-".join(ends)) <= BETA_WIDTH:
            return "-".join(ends)
    return f"{mean:.3f}" if mean < 1e5 else f"{mean:.3g}"


def width_of(name: str) -> int:
    """The width of a column."""
    return max(10, len(name))


def headline(trainer: pl.Trainer) -> list[str]:
    """The data, if the data module has a description, and the run folder.

    A trial has no folder, and neither has a fit whose root is where the program was started.
    """
    root = str(trainer.default_root_dir)
    folder = "" if os.path.abspath(root) == os.getcwd() else f"run folder: {root}"
    lines = (description(trainer), "trial (fast_dev_run)" if trainer.fast_dev_run else folder)  # type: ignore
    return [line for line in lines if line]
