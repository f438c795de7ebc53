"""One run of a sweep as its folder tells it, however it ended. Nothing in a folder is trusted to be what it should.

Numbers are nats per image where they are nats. Imports neither torch nor Lightning.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vae_lightning.runs.digest import read_digests
from vae_lightning.runs.files import CHECKPOINTS
from vae_lightning.runs.jobs import Job
from vae_lightning.runs.readings import finite, mapping, whole
from vae_lightning.runs.run import Run

BERNOULLI, BYTES, DENSITY = "Bernoulli", "mass of bytes", "density"
MEASURES = {"Bernoulli": BERNOULLI, "BernoulliLogits": BERNOULLI, "DiscretizedLogistic": BYTES}
TITLES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "ppca": "probabilistic PCA"}
SPLITS = ("test", "val", "train")  # whose ELBO is shown: the first there is


@dataclass(frozen=True)
class Setting:
    """What two runs must share for their ELBOs to be compared: data, protocol, and what log p(x|z) is the log of."""

    data: str
    protocol: str
    subset: bool
    measure: str
    digest: str

    @property
    def label(self) -> str:
        """MNIST, grey, Bernoulli."""
        data = TITLES.get(self.data, self.data) + (" (bundled subset)" if self.subset else "")
        return f"{data}, {self.protocol}, {self.measure}"


@dataclass(frozen=True)
class Nll:
    """An importance-weighted bound of an evaluation; of different K or N they are different numbers."""

    num_samples: int
    num_images: int
    value: float


@dataclass(frozen=True)
class SweptRun:
    """A run, or a job that never became one (`folder` is None). What is not known is None or empty."""

    name: str
    folder: Path | None
    group: str | None
    status: str
    error: str | None = None
    overrides: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    setting: Setting | None = None
    seed: int | None = None
    split: str | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)  # elbo, recon, kl, active_units, epochs, seconds
    nll: Nll | None = None
    curve: tuple[tuple[int, float], ...] = ()  # (epoch, ELBO), of validation where there is one

    @property
    def ended_well(self) -> bool:
        return self.status == "completed"


def of_run(run: Run) -> SweptRun:
    """A run of any status. Never raises for what is in its folder."""
    split, numbers = measured(run)
    more = {
        "active_units": run.metrics.get("active_units") or last_active(run),
        "epochs": float(run.epochs_done or len(run.curve)) or None,
        "seconds": run.seconds,
    }
    return SweptRun(
        name=run.path.name,
        folder=run.path,
        group=str(run.config["group"]) if run.config.get("group") else run.path.parent.name,
        status=run.status,
        error=run.error,
        overrides=run.overrides,
        config=run.config,
        setting=setting(run.data, run.config),
        seed=run.seed,
        split=split,
        numbers={**numbers, **{key: value for key, value in more.items() if value is not None}},
        nll=nll(run),
        curve=tuple(run.elbo_curve),
    )


def of_job(job: Job) -> SweptRun:
    """A job without a run folder: refused, killed at its start, or not there yet."""
    error = job.error or ("no run folder: it is starting, or was killed before it made one" if not job.run else None)
    gone = f"its folder is gone: {job.run}" if job.run else None
    status = "missing" if gone else job.status
    return SweptRun(f"job {job.number}", None, job.group, status, error or gone, job.overrides)


def measured(run: Run) -> tuple[str | None, dict[str, float]]:
    """(split, its ELBO, recon and KL): of the test set, else of the last validation, else of training.

    The record of a killed run has no metrics; its last whole epoch is in the log.
    """
    last = run.curve[-1] if run.curve else {}
    for split in SPLITS:
        prefix = "" if split == "train" else f"{split}_"
        found = {key: run.metrics.get(f"{split}/{key}", last.get(f"{prefix}{key}")) for key in ("elbo", "recon", "kl")}
        if found["elbo"] is not None:
            return split, {key: value for key, value in found.items() if value is not None}
    return None, {}


def setting(data: Mapping[str, Any], config: Mapping[str, Any]) -> Setting | None:
    """From the record's description of its data; None where the run never got so far."""
    if not data.get("name"):
        return None
    loss = str(mapping(config.get("loss")).get("_target_", "")).rpartition(".")[2]
    identity = data.get("sha256") or data.get("source")
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:8]
    subset, protocol = data.get("subset") is True, str(data.get("protocol"))
    return Setting(str(data["name"]), protocol, subset, MEASURES.get(loss, DENSITY), digest)


def nll(run: Run) -> Nll | None:
    """The newest evaluation's bound on the test set, of the largest K; not where the run was trained further since."""
    rows = [row for row in run.evaluation if row.get("name") == "nll" and row.get("split") == "test"]
    bounds = [bound_of(row) for row in reversed(rows) if is_current(run, row)]
    return max((bound for bound in bounds if bound), key=lambda bound: bound.num_samples, default=None)


def bound_of(row: Mapping[str, Any]) -> Nll | None:
    """The bound that a row of an evaluation holds, or None."""
    samples, images, value = whole(row.get("num_samples")), whole(row.get("num_images")), finite(row.get("value"))
    return None if samples is None or images is None or value is None else Nll(samples, images, value)


def is_current(run: Run, row: Mapping[str, Any]) -> bool:
    """Whether the run still holds the checkpoint that was evaluated, by its checksum file."""
    digests = read_digests(run.path / CHECKPOINTS / os.path.basename(str(row.get("checkpoint"))))
    return not digests or row.get("checkpoint_sha256") in digests


def last_active(run: Run) -> float | None:
    """The number of active units after the last epoch, from the log."""
    return run.usage[-1].get("active_units") if run.usage else None
