"""The learning curves: one CSV row per epoch, and a picture of them."""

import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from os import PathLike

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only

from vae_lightning.callbacks.epoch_end import NewMetrics, after_module
from vae_lightning.callbacks.foreign import progress_columns, run_dir
from vae_lightning.callbacks.panels import draw
from vae_lightning.callbacks.pictures import caption
from vae_lightning.runs.files import CURVES, LOG, LOSSES
from vae_lightning.runs.table import EpochRows

COLUMNS = {
    "beta": "beta",
    "recon": "train/recon",
    "kl": "train/kl",
    "total": "train/loss",
    "elbo": "train/elbo",
    "val_recon": "val/recon",
    "val_kl": "val/kl",
    "val_total": "val/loss",
    "val_elbo": "val/elbo",
    "beta_first": "beta_first",
    "beta_mean": "beta_mean",
}
SHARE = 0.01  # the share of the run's time that drawing may take


class CurveLog(pl.Callback):
    """Writes `curves/train_log.csv`, one whole row per epoch, and redraws `curves/losses.png` from it.

    Drawing takes a hundredth of the run's time at most, so not every short epoch is drawn. The last epoch is always
    drawn, also if the run fails. `columns` maps each column to a logged metric; without it, they are those of the
    module's `progress_columns`, if it has them, else those of a VAE. The first column is `epoch`, which counts from 1.
    `beta` is that of the last step of the epoch, `beta_first` that of its first step. A metric that was not logged in
    an epoch leaves its cell empty; a warning names the metrics that are not logged at all. The picture has a panel for
    each column, together with the column `val_NAME`; `total` has one only where there is no `elbo`. Nats per datapoint.
    A resumed run keeps its earlier rows.
    """

    def __init__(self, columns: Mapping[str, str] | None = None, dirpath: str | PathLike[str] | None = None) -> None:
        self.columns, self.dirpath = dict(columns or COLUMNS), dirpath
        self._any_will_do = not columns
        self._draw_at, self._undrawn = 0.0, ""  # the time of the next drawing, and its title

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        path = run_dir(trainer, self.dirpath) / CURVES / LOG
        own = {key.rpartition("/")[2]: key for key in progress_columns(pl_module).values()}
        self._columns = (own if self._any_will_do else {}) or self.columns
        self._log = EpochRows(path, list(self._columns), trainer.current_epoch)
        self._metrics = NewMetrics(trainer, self, self._columns.values(), self._any_will_do and not own)
        self._draw_at, self._undrawn = 0.0, ""

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        after_module(trainer, partial(self._read, trainer))

    def _read(self, trainer: pl.Trainer) -> None:
        epoch, metrics = trainer.current_epoch + 1, self._metrics.of(trainer)
        self._log.add(epoch, {name: metrics[key] for name, key in self._columns.items() if key in metrics})
        self._undrawn = caption(trainer, "nats per datapoint", epoch)
        if time.monotonic() >= self._draw_at:
            self._draw()

    @rank_zero_only
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._draw()

    @rank_zero_only
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        with suppress(OSError):  # the error that ended the run is told, not that its folder cannot be written
            self._draw()

    def _draw(self) -> None:
        if self._undrawn:
            title, self._undrawn, begun = self._undrawn, "", time.monotonic()
            draw(self._log.rows, title, self._log.path.with_name(LOSSES))
            self._draw_at = begun + (time.monotonic() - begun) / SHARE
