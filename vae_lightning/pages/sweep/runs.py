"""One run of a sweep as its folder holds it, however it ended. A missing or malformed value becomes None or empty.

ELBO, recon and KL are in nats per image. Imports no torch.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_lightning.runs.again import flags_of
from vae_lightning.runs.configuration import key_of
from vae_lightning.runs.digest import read_digests
from vae_lightning.runs.files import BEST, CHECKPOINTS, LAST
from vae_lightning.runs.jobs import Job
from vae_lightning.runs.readings import finite, mapping, whole
from vae_lightning.runs.run import COMPLETED, Run
from vae_lightning.runs.setting import Setting, setting

SPLITS = ("test", "val", "train")  # the ELBO of the first one that was measured is shown


@dataclass(frozen=True)
class Nll:
    """An importance-weighted bound of an evaluation. Bounds of different K or N are not compared."""

    num_samples: int
    num_images: int
    value: float


@dataclass(frozen=True)
class SweptRun:
    """A run, or a job that never became one: its `folder` is None. An unknown value is None or empty."""

    name: str
    folder: Path | None
    group: str | None
    status: str
    error: str | None = None
    started: str = ""
    overrides: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()  # of the command line, such as --config-dir=FOLDER
    config: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, str] = field(default_factory=dict)  # {group: option}
    setting: Setting | None = None
    seed: int | None = None
    split: str | None = None
    sizes: Mapping[str, Any] = field(default_factory=dict)  # {split: number of images}
    metrics: Mapping[str, float] = field(default_factory=dict)  # as they were logged last, such as val/elbo
    numbers: Mapping[str, float] = field(default_factory=dict)  # elbo, recon, kl, active_units, epochs, seconds
    nll: Nll | None = None
    curve: tuple[tuple[int, float], ...] = ()  # (epoch, ELBO), of validation if it was measured

    @property
    def ended_well(self) -> bool:
        return self.status == COMPLETED

    @property
    def num_images(self) -> int | None:
        """The number of images of its split."""
        return whole(self.sizes.get(self.split or ""))


def of_run(run: Run) -> SweptRun:
    """A run of any status. No content of its folder raises."""
    split, numbers = measured(run)
    more = {
        "active_units": run.metrics.get("active_units") or last_active(run),
        "epochs": float(run.epochs_done or len(run.curve)) or None,
        "seconds": run.seconds,
    }
    return SweptRun(
        name=run.name,
        folder=run.path,
        group=str(run.config["group"]) if run.config.get("group") else run.path.parent.name,
        status=run.status,
        error=run.error,
        started=run.started,
        overrides=run.overrides,
        flags=tuple(flags_of(run)),
        config=run.config,
        choices=choices(run),
        setting=setting(run),
        seed=run.seed,
        split=split,
        sizes=mapping(run.data.get("sizes")),
        metrics=run.metrics,
        numbers={**numbers, **{key: value for key, value in more.items() if value is not None}},
        nll=nll(run),
        curve=tuple(run.elbo_curve),
    )


def of_job(job: Job) -> SweptRun:
    """A job without a run folder: refused, killed at its start, or still at its start."""
    error = job.error or (
        "no run folder: the job is starting, or was killed before it made one" if not job.run else None
    )
    gone = f"its folder is gone: {job.run}" if job.run else None
    status = "missing" if gone else job.status
    return SweptRun(f"job {job.number}", None, job.group, status, error or gone, overrides=job.overrides)


def measured(run: Run) -> tuple[str | None, dict[str, float]]:
    """(split, ELBO, recon and KL) of the test set, else of the last validation, else of training.

    The record of a killed run has no metrics, but the log has its last whole epoch.
    """
    last = run.curve[-1] if run.curve else {}
    for split in SPLITS:
        prefix = "" if split == "train" else f"{split}_"
        found = {key: run.metrics.get(f"{split}/{key}", last.get(f"{prefix}{key}")) for key in ("elbo", "recon", "kl")}
        if found["elbo"] is not None:
            return split, {key: value for key, value in found.items() if value is not None}
    return None, {}


def choices(run: Run) -> dict[str, str]:
    """{group: option} as the run recorded it, else the words `group=option` of its command line.

    A class that the command line names in place of the option, as in network._target_=my.Net, is called by its last
    name.
    """
    said = {key_of(word): word.partition("=")[2] for word in run.overrides}
    options = {key: value for key, value in said.items() if value and isinstance(run.config.get(key), dict)}
    options |= {key: value for key, value in run.choices.items() if isinstance(value, str)}
    named = {key.removesuffix("._target_"): name for key, name in said.items() if key.endswith("._target_")}
    return options | {key: name.rpartition(".")[2] for key, name in named.items()}


def nll(run: Run) -> Nll | None:
    """The newest bound on the run's own test set, of the largest K.

    Evaluations of other data, and of a checkpoint that the run did not test or no longer holds, do not count.
    """
    rows = [row for row in reversed(run.evaluation) if row.get("name") == "nll" and row.get("split") == "test"]
    bounds = [bound_of(row) for row in rows if is_of_the_data(run, row) and is_current(run, row)]
    return max((bound for bound in bounds if bound), key=lambda bound: bound.num_samples, default=None)


def bound_of(row: Mapping[str, Any]) -> Nll | None:
    """The bound in a row of an evaluation, or None."""
    samples, images, value = whole(row.get("num_samples")), whole(row.get("num_images")), finite(row.get("value"))
    return None if samples is None or images is None or value is None else Nll(samples, images, value)


def is_of_the_data(run: Run, row: Mapping[str, Any]) -> bool:
    """Whether a row was measured on the data that the run was trained on, as far as both say."""
    own = {"data": run.data.get("name"), "protocol": run.data.get("protocol"), "subset": run.data.get("subset")}
    return all(value is None or row.get(key, value) == value for key, value in own.items())


def is_current(run: Run, row: Mapping[str, Any]) -> bool:
    """Whether the run was tested with the checkpoint of a row and still holds it, by its checksum file."""
    name = os.path.basename(str(row.get("checkpoint")))
    tested = (run.best.name,) if run.best.is_file() or read_digests(run.best) else (BEST, LAST)
    digests = read_digests(run.path / CHECKPOINTS / name)
    return name in tested and (not digests or row.get("checkpoint_sha256") in digests)


def last_active(run: Run) -> float | None:
    """The number of active units after the last epoch, from the log."""
    return run.usage[-1].get("active_units") if run.usage else None
