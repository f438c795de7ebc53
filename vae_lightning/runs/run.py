"""A run folder as it is on disk: the only reader of its record, curves, checkpoints and evaluations.

What a folder holds may have any shape. A missing or malformed value reads as None or empty, and `Run.broken` names it;
only `open_run` and `Run.checkpoint` raise.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vae_lightning.errors import CheckpointError, ConfigError
from vae_lightning.runs import shapes
from vae_lightning.runs.configuration import at
from vae_lightning.runs.files import BEST, CHECKPOINTS, CURVES, EVALUATION, LAST, LOG, RECORD, USAGE
from vae_lightning.runs.folder import resolved
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.reader import Reader, is_empty
from vae_lightning.runs.readings import Row, mapping, sequence, text, whole

COMPLETED, RUNNING, DIVERGED, KILLED, DAMAGED = "completed", "running", "diverged", "killed", "damaged"


@dataclass(frozen=True)
class Run:
    """A run folder. Every property is read from disk when it is first asked for."""

    path: Path

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.path.name

    @cached_property
    def _files(self) -> Reader:
        return Reader(self.path)

    @property
    def broken(self) -> list[str]:
        """What is wrong with its files, such as "run_meta.json: seconds=nan: must be a finite number >= 0"."""
        _ = self.record, self.curve, self.usage, self.evaluation
        return [f"{name}: {mistake}" for name, mistakes in self._files.broken.items() for mistake in mistakes]

    @cached_property
    def record(self) -> Mapping[str, Any]:
        """run_meta.json, or an empty mapping."""
        return self._files.json(RECORD, shapes.RECORD)

    @cached_property
    def status(self) -> str:
        """What the record says. `killed` where it says `running` and no process runs; `damaged` where it is no JSON."""
        if not self.record and not is_empty(self.path / RECORD):
            return DAMAGED
        status = text(self.record.get("status")) or KILLED
        return KILLED if status == RUNNING and not Lock(self.path).held else status

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration."""
        return dict(mapping(self.record.get("config")))

    @property
    def choices(self) -> Mapping[str, Any]:
        """{group: option}, such as {"loss": "bce"}. Empty in the record of an older version."""
        return mapping(self.record.get("choices"))

    @property
    def parts(self) -> Mapping[str, Any]:
        """{part: {"class", "title", "cited", "says"}} of network, latent, loss, bound and others."""
        return mapping(self.record.get("parts"))

    @property
    def data(self) -> Mapping[str, Any]:
        """What the data module says of its data: name, protocol, source, sizes, checksums."""
        return mapping(self.record.get("data"))

    @property
    def overrides(self) -> tuple[str, ...]:
        """The words of the command line."""
        return tuple(sequence(self.record.get("overrides")))

    @property
    def error(self) -> str | None:
        """The error that ended the run."""
        return text(self.record.get("error"))

    @property
    def seed(self) -> int | None:
        """The seed of the record, else of the configuration."""
        seed = whole(self.record.get("seed"))
        return whole(self.config.get("seed")) if seed is None else seed

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics that were logged last, as finite numbers."""
        return {key: value for key, value in mapping(self.record.get("metrics")).items() if value is not None}

    @property
    def started(self) -> str:
        """When its last attempt started, in UTC; empty where the record does not say."""
        return text(self.record.get("started")) or ""

    @property
    def epochs(self) -> int | None:
        """The number of epochs that the configuration asks for."""
        return whole(self.config.get("epochs"))

    @property
    def epochs_done(self) -> int:
        """The number of whole epochs, as the record says."""
        return whole(self.record.get("epochs_done")) or 0

    @property
    def attempts(self) -> list[Mapping[str, Any]]:
        """The attempts before the last one: when each started and ended, and how."""
        return list(sequence(self.record.get("attempts")))

    @property
    def seconds(self) -> float | None:
        """The training time of all attempts."""
        known = [part["seconds"] for part in (*self.attempts, self.record) if part.get("seconds") is not None]
        return sum(known) if known else None

    @property
    def score(self) -> float:
        """The last validation ELBO, else the last training ELBO, else nan; in nats."""
        return self.metrics.get("val/elbo", self.metrics.get("train/elbo", math.nan))

    @cached_property
    def curve(self) -> list[Row]:
        """The rows of curves/train_log.csv."""
        return self._files.rows(f"{CURVES}/{LOG}")

    @cached_property
    def usage(self) -> list[Row]:
        """The rows of curves/latent_usage.csv."""
        return self._files.rows(f"{CURVES}/{USAGE}")

    @property
    def elbo_curve(self) -> list[tuple[int, float]]:
        """(epoch, validation ELBO), or the training ELBO where nothing was held out; in nats."""
        column = "val_elbo" if any(row.get("val_elbo") is not None for row in self.curve) else "elbo"
        points = ((row["epoch"], row.get(column)) for row in self.curve)
        return [(int(epoch), value) for epoch, value in points if epoch is not None and value is not None]

    @property
    def best(self) -> Path:
        """The file that the record names, else checkpoints/best.ckpt, which may not exist."""
        named = self.path / (text(self.record.get("best_checkpoint")) or "")
        return named if os.path.isfile(named) else self.path / CHECKPOINTS / BEST

    @property
    def last(self) -> Path:
        """checkpoints/last.ckpt, which may not exist."""
        return self.path / CHECKPOINTS / LAST

    @property
    def newest_weights(self) -> Path | None:
        """The best checkpoint, else the last one, else None."""
        return next((path for path in (self.best, self.last) if os.path.isfile(path)), None)

    def checkpoint(self, asked: str | None = None) -> Path:
        """The file `asked` for, else the best checkpoint, else the last one. Raises ConfigError where there is none."""
        path = Path(asked) if asked else self.newest_weights
        if path is None or not os.path.isfile(path):
            where = f"checkpoint={asked}: no such file" if asked else f"run={self.path}: it holds no checkpoint"
            raise ConfigError(f"{where}; a run keeps {BEST} and {LAST} in {self.path / CHECKPOINTS}")
        return path

    @cached_property
    def evaluation(self) -> list[Mapping[str, Any]]:
        """The results in evaluation.json, oldest first."""
        return list(sequence(self._files.json(EVALUATION, shapes.EVALUATIONS).get("results")))

    @property
    def lacks(self) -> str:
        """The first key that its configuration has not, and needs before its model can be built again; else ""."""
        return next((key for key in shapes.NEEDED if at(self.config, key) is None), "")


def open_run(folder: str | os.PathLike[str], key: str = "run") -> Run:
    """The run in a folder, or the run that a group's `latest` means.

    Raises ConfigError where there is no run, CheckpointError where its record holds no configuration.
    """
    path = resolved(folder)
    if not os.path.lexists(path / RECORD):
        why = f"not a run folder, it has no {RECORD}" if os.path.isdir(path) else "no such folder"
        raise ConfigError(f"{key}={folder}: {why}; name a run's folder, or its group's latest")
    run = Run(path)
    if not run.config:
        why = "; ".join(run.broken[:1]) or "it has no config"
        raise CheckpointError(f"{key}={folder}: {RECORD} is damaged, or was not written by the train command ({why})")
    return run
