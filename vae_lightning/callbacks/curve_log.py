"""The learning curves: one CSV row per epoch, and a picture of them."""

import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from os import PathLike
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only

from vae_lightning.callbacks.epoch_end import NewMetrics, after_module
from vae_lightning.callbacks.foreign import run_dir
from vae_lightning.callbacks.pictures import caption
from vae_lightning.runs.atomic import atomically
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
}
SHARE = 0.01  # the share of the run's time that drawing may take


class CurveLog(pl.Callback):
    """Writes `curves/train_log.csv`, one whole row per epoch, and redraws `curves/losses.png` from it.

    Drawing takes a hundredth of the run's time at most, so not every short epoch is drawn. The last epoch is always
    drawn, also if the run fails. `columns` maps each column to a logged metric; the first column is `epoch`, which
    counts from 1. A metric that was not logged in an epoch leaves its cell empty; a warning names the metrics that are
    not logged at all. Nats per datapoint. A resumed run keeps its earlier rows.
    """

    def __init__(self, columns: Mapping[str, str] | None = None, dirpath: str | PathLike[str] | None = None) -> None:
        self.columns, self.dirpath = dict(columns or COLUMNS), dirpath
        self._any_will_do = not columns
        self._draw_at, self._undrawn = 0.0, ""  # the time of the next drawing, and its title

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        path = run_dir(trainer, self.dirpath) / CURVES / LOG
        self._log = EpochRows(path, list(self.columns), trainer.current_epoch)
        self._metrics = NewMetrics(trainer, self, self.columns.values(), self._any_will_do)
        self._draw_at, self._undrawn = 0.0, ""

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        after_module(trainer, partial(self._read, trainer))

    def _read(self, trainer: pl.Trainer) -> None:
        epoch, metrics = trainer.current_epoch + 1, self._metrics.of(trainer)
        self._log.add(epoch, {name: metrics[key] for name, key in self.columns.items() if key in metrics})
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


PANELS = {
    "ELBO = -(recon + KL)": ("elbo", "val_elbo"),
    "recon and KL": ("recon", "val_recon", "kl", "val_kl"),
    "beta (last step of the epoch)": ("beta",),
}
COLOURS = {"elbo": "C0", "recon": "C1", "kl": "C2", "beta": "C3"}


def draw(rows: list[dict[str, str]], title: str, path: Path) -> None:
    """Three panels by epoch: the ELBO, its two terms, and beta. Other columns share one panel. Validation is dashed.

    Draws nothing if no column has a value.
    """
    from matplotlib.figure import Figure  # pyplot would keep global state and open windows

    filled = {name for row in rows for name, value in row.items() if value and name != "epoch"}
    if not filled:
        return
    panels = {name: columns for name, columns in PANELS.items() if filled & set(columns)}
    panels = panels or {"": tuple(sorted(filled))}
    figure = Figure(figsize=(11, 3.4))
    figure.subplots_adjust(left=0.05, right=0.99, bottom=0.14, top=0.82, wspace=0.15)  # a layout engine draws twice
    for axes, (name, columns) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for column in columns:
            points = [(int(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
            if points:
                style, colour = "--" if column.startswith("val_") else "-", COLOURS.get(column.removeprefix("val_"))
                label = column.replace("val_", "validation ")
                axes.plot(
                    *zip(*points, strict=True), style, color=colour, label=label, marker="." if len(rows) < 4 else ""
                )
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if columns == ("beta",):
            axes.set_ylim(bottom=0)
        elif axes.lines:
            axes.legend(frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=10)
    with atomically(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
