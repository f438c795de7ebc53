"""The record of a run: what it was and how it ended, in one JSON file."""

import json
import math
import os
import sys
from datetime import datetime, timezone
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vae_lightning.callbacks.epoch_end import after_module
from vae_lightning.callbacks.foreign import best_checkpoint, run_dir
from vae_lightning.callbacks.machine import device, git_revision, versions
from vae_lightning.callbacks.moved import follow
from vae_lightning.errors import Diverged, Interrupted, Pruned
from vae_lightning.output import warn
from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.files import BEST, CHECKPOINTS, RECORD
from vae_lightning.runs.readings import mapping, sequence
from vae_lightning.runs.regular import json_of
from vae_lightning.signals import reason_of


class RunRecord(pl.Callback):
    """Writes `run_meta.json`: status, times, device, versions, git revision, seed, data, final metrics.

    The status is `running`, `completed`, `interrupted`, `diverged`, `pruned` or `failed`. The entry `data` is the
    result of the data module's `describe()`, if it has that method; `best_checkpoint` is a path relative to the folder.
    `add` adds other entries, such as the configuration; a second fit keeps only these. `stopped_early` is the reason
    why early stopping ended the run. A test of a finished run adds its metrics to the record in the folder and changes
    nothing else. If it logs a metric by the name of one of the training, the entry is `test/NAME`.
    """

    def __init__(self, dirpath: str | PathLike[str] | None = None) -> None:
        self.dirpath = dirpath
        self.record: dict[str, Any] = {}
        self._added: dict[str, Any] = {}
        self._resumed: dict[str, Any] = {}  # what the checkpoint says of the last whole epoch
        self._fitted: Path | None = None  # the record of the last fit
        self._held = False

    def add(self, **facts: Any) -> None:
        """Adds entries with plain values. They are on disk after the next write."""
        self._added.update(facts)
        self.record.update(facts)

    def hold(self) -> None:
        """Leaves the status `running` after the fit, for a command that has more to do. `end` then writes the last."""
        self._held = True

    @rank_zero_only
    def end(self, trainer: pl.Trainer, exception: BaseException | None = None) -> None:
        """Writes how the run ended, also where the fit never began: `completed`, or the status of an exception."""
        if self._fitted is None:
            self.record = {**mapping(json_of(self._path(trainer))), **self._added}
        if exception is None:
            self.record["status"] = "completed"
            self._write(trainer)
        else:
            reason = reason_of(exception)
            self.record["error"] = f"{type(reason).__name__}: {reason}"
            self._write_end(trainer, status_of(reason))

    @property
    def state_key(self) -> str:
        return self._generate_state_key(dirpath=self.dirpath and str(self.dirpath))

    def state_dict(self) -> dict[str, Any]:
        return {key: self.record[key] for key in ("epochs_done", "metrics") if key in self.record}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resumed = dict(state_dict)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        follow(trainer, checkpoint)

    @rank_zero_only
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        path = self._path(trainer)
        follows = stage != "fit" and path == self._fitted  # a test after the fit
        if not follows:
            self.record = {**mapping(json_of(path)), **self._added}
        self._fitted = path if follows or stage == "fit" else None

    @rank_zero_only
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        describe = getattr(getattr(trainer, "datamodule", None), "describe", None)
        self.record = {
            "status": "running",
            "started": now(),
            "command": ["python", *sys.orig_argv[1:]],
            **self._added,
            "seed": int(os.environ["PL_GLOBAL_SEED"]) if "PL_GLOBAL_SEED" in os.environ else None,
            "data": describe() if describe else None,
            "device": device(trainer),
            "parameters": sum(parameter.numel() for parameter in pl_module.parameters()),
            "versions": versions(),
            "git": git_revision(),
            **self._resumed,
        }
        self._resumed = {}
        self._write(trainer)

    @rank_zero_only
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        known = self.record.get("best_checkpoint", f"{CHECKPOINTS}/{BEST}")
        if self._best(trainer) not in (None, known):  # a run that is killed has no other word of it
            self._write(trainer)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        after_module(trainer, partial(self._read, trainer))

    def _read(self, trainer: pl.Trainer) -> None:
        self.record.update(epochs_done=trainer.current_epoch + 1, metrics=metrics(trainer))

    @rank_zero_only
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write_end(trainer, "running" if self._held else "completed")

    @rank_zero_only
    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        path = self._path(trainer)
        if self._fitted is None and path.is_file() and path.stat().st_size and not mapping(json_of(path)):
            warn(f"{path}: damaged, left as it is; the metrics of this test are not recorded")
            return
        known, tested = dict(mapping(self.record.get("metrics"))), list(sequence(self.record.get("tested")))
        for key, value in metrics(trainer).items():
            if key.startswith("test") or key in tested or key not in known:
                known[key] = value
                tested += [] if key.startswith("test") or key in tested else [key]
            else:
                known[f"test/{key}"] = value
        self.record.update(metrics=known, tested=tested)
        self._write(trainer)

    @rank_zero_only
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self._fitted is not None:  # else a test or a prediction failed, the run did not
            self.end(trainer, exception)

    def _write_end(self, trainer: pl.Trainer, status: str) -> None:
        ended = now()
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        if reason := next(filter(None, (getattr(part, "stopped_early", None) for part in callbacks)), None):
            self.record["stopped_early"] = reason
        seconds = datetime.fromisoformat(ended) - datetime.fromisoformat(self.record.get("started", ended))
        self.record.update(status=status, ended=ended, seconds=seconds.total_seconds())
        self._write(trainer)

    def _path(self, trainer: pl.Trainer) -> Path:
        return run_dir(trainer, self.dirpath) / RECORD

    def _best(self, trainer: pl.Trainer) -> str | None:
        """The path of the best checkpoint, relative to the folder of the record if it is in there."""
        best, folder = best_checkpoint(trainer), self._path(trainer).parent.resolve()
        if best is None or not best.resolve().is_relative_to(folder):
            return best and str(best)
        return best.resolve().relative_to(folder).as_posix()

    def _write(self, trainer: pl.Trainer) -> None:
        path = self._path(trainer)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._fitted and (best := self._best(trainer)):
            self.record["best_checkpoint"] = best
        write_text(path, json.dumps(self.record, indent=2, ensure_ascii=False, default=str) + "\n")


def status_of(exception: BaseException) -> str:
    """How a run ended that raised an exception."""
    stopped = isinstance(exception, KeyboardInterrupt | Interrupted | SIGTERMException)
    kinds = {Diverged: "diverged", Pruned: "pruned"}
    return "interrupted" if stopped else next((kinds[k] for k in kinds if isinstance(exception, k)), "failed")


def now() -> str:
    """The time in UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def metrics(trainer: pl.Trainer) -> dict[str, float | None]:
    """The newest value of each metric as a plain number; None if it is not finite, since JSON has no such number."""
    logged = {key: float(value) for key, value in sorted(trainer.callback_metrics.items())}
    return {key: round(value, 6) if math.isfinite(value) else None for key, value in logged.items()}
