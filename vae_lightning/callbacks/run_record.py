"""The record of a run: what it was and how it ended, in one JSON file."""

import importlib.metadata
import json
import math
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from os import PathLike
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only

from vae_lightning.callbacks.foreign import best_checkpoint, run_dir
from vae_lightning.errors import Diverged, Interrupted
from vae_lightning.output import warn
from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.files import BEST, CHECKPOINTS, RECORD
from vae_lightning.runs.readings import mapping, sequence
from vae_lightning.runs.regular import json_of

PACKAGES = (
    "vae-lightning",
    "torch",
    "torchvision",
    "lightning",
    "hydra-core",
    "omegaconf",
    "numpy",
    "matplotlib",
    "wandb",
)


class RunRecord(pl.Callback):
    """Writes `run_meta.json`: status, times, device, versions, git revision, seed, data, final metrics.

    The status is `running`, `completed`, `interrupted`, `diverged` or `failed`. The entry `data` is the result of the
    data module's `describe()`, if it has that method; `best_checkpoint` is a path relative to the folder. `add` adds
    other entries, such as the configuration. A test of a finished run adds its metrics to the record in the folder and
    changes nothing else. If it logs a metric by the name of one of the training, the entry is `test/NAME`.
    """

    def __init__(self, dirpath: str | PathLike | None = None) -> None:
        self.dirpath = dirpath
        self.record: dict[str, Any] = {}
        self._added: dict[str, Any] = {}
        self._fitted: Path | None = None  # the record of the last fit

    def add(self, **facts: Any) -> None:
        """Adds entries with plain values. They are on disk after the next write."""
        self._added.update(facts)
        self.record.update(facts)

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
        }
        self._write(trainer)

    @rank_zero_only
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        known = self.record.get("best_checkpoint", f"{CHECKPOINTS}/{BEST}")
        if self._best(trainer) not in (None, known):  # a run that is killed has no other word of it
            self._write(trainer)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.record.update(epochs_done=trainer.current_epoch + 1, metrics=metrics(trainer))

    @rank_zero_only
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._end(trainer, "completed")

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
        self.record.update(metrics=known, **({"tested": tested} if tested else {}))
        self._write(trainer)

    @rank_zero_only
    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self._fitted is None:  # a test or a prediction failed, the run did not
            return
        self.record["error"] = f"{type(exception).__name__}: {exception}"
        stopped = isinstance(exception, KeyboardInterrupt | Interrupted)
        self._end(trainer, "interrupted" if stopped else "diverged" if isinstance(exception, Diverged) else "failed")

    def _end(self, trainer: pl.Trainer, status: str) -> None:
        ended = now()
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


def now() -> str:
    """The time in UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def metrics(trainer: pl.Trainer) -> dict[str, float | None]:
    """The newest value of each metric as a plain number; None if it is not finite, since JSON has no such number."""
    logged = {key: float(value) for key, value in sorted(trainer.callback_metrics.items())}
    return {key: round(value, 6) if math.isfinite(value) else None for key, value in logged.items()}


def device(trainer: pl.Trainer) -> dict[str, Any]:
    """The device that the run uses, which may differ from the one in the configuration."""
    root = trainer.strategy.root_device
    name = torch.cuda.get_device_name(root) if root.type == "cuda" else platform.processor() or platform.machine()
    facts = {"accelerator": root.type, "name": name, "devices": trainer.num_devices, "nodes": trainer.num_nodes}
    return {**facts, "precision": str(trainer.precision), "threads": torch.get_num_threads()}


def versions() -> dict[str, str]:
    """The versions of Python, of the system, and of the packages that are installed."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def git_revision() -> dict[str, Any] | None:
    """The commit of the running program, and whether its files differ from it; None outside a checkout."""
    program = getattr(sys.modules["__main__"], "__file__", None)
    folder = Path(program).resolve().parent if program else Path.cwd()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
