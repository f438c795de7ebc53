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

from vae_lightning.pages.readings import csv_rows, finite, mapping, whole
from vae_lightning.pages.sweep_jobs import Job
from vae_lightning.status import standing

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


def of_folder(folder: Path) -> SweptRun:
    """A run folder. Never raises for what is in it."""
    status, meta = standing(folder / "run_meta.json")
    config, rows = mapping(meta.get("config")), csv_rows(folder / "curves" / "train_log.csv")
    split, numbers = measured(mapping(meta.get("metrics")), rows)
    more = {
        "active_units": finite(mapping(meta.get("metrics")).get("active_units")) or last_active(folder),
        "epochs": finite(meta.get("epochs_done")) or (float(len(rows)) if rows else None),
        "seconds": seconds(meta),
    }
    said = meta.get("overrides")
    return SweptRun(
        name=folder.name,
        folder=folder,
        group=str(config["group"]) if config.get("group") else folder.parent.name,
        status=status,
        error=str(meta["error"]) if meta.get("error") else None,
        overrides=tuple(str(each) for each in said) if isinstance(said, list) else (),
        config=config,
        setting=setting(mapping(meta.get("data")), config),
        seed=whole(meta.get("seed")) if whole(meta.get("seed")) is not None else whole(config.get("seed")),
        split=split,
        numbers={**numbers, **{key: value for key, value in more.items() if value is not None}},
        nll=nll(folder),
        curve=curve(rows),
    )


def of_job(job: Job) -> SweptRun:
    """A job without a run folder: refused, killed at its start, or not there yet."""
    error = job.error or ("no run folder: it is starting, or was killed before it made one" if not job.run else None)
    gone = f"its folder is gone: {job.run}" if job.run else None
    status = "missing" if gone else job.status
    return SweptRun(f"job {job.number}", None, job.group, status, error or gone, job.overrides)


def measured(metrics: Mapping[str, Any], rows: list[dict[str, str]]) -> tuple[str | None, dict[str, float]]:
    """(split, its ELBO, recon and KL): of the test set, else of the last validation, else of training.

    A killed run has no metrics in its record; its last whole epoch is in the log.
    """
    last = rows[-1] if rows else {}
    for split in SPLITS:
        prefix = "" if split == "train" else f"{split}_"
        found = {
            key: finite(metrics.get(f"{split}/{key}", last.get(f"{prefix}{key}"))) for key in ("elbo", "recon", "kl")
        }
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


def nll(folder: Path) -> Nll | None:
    """The newest evaluation's bound on the test set, of the largest K; not where the run was trained further since."""
    try:
        rows = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["results"]
        found = [row for row in rows if row["name"] == "nll" and row["split"] == "test" and current(folder, row)]
        bounds = [Nll(int(row["num_samples"]), int(row["num_images"]), float(row["value"])) for row in found]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return max(reversed(bounds), key=lambda each: each.num_samples, default=None)


def current(folder: Path, row: Mapping[str, Any]) -> bool:
    """Whether the checkpoint is still the one that was evaluated, as its checksum file says."""
    beside = folder / "checkpoints" / f"{os.path.basename(str(row['checkpoint']))}.sha256"
    return not beside.is_file() or str(row["checkpoint_sha256"]) in beside.read_text(encoding="utf-8")


def curve(rows: list[dict[str, str]]) -> tuple[tuple[int, float], ...]:
    """Validation ELBO by epoch, training ELBO where nothing was held out."""
    column = "val_elbo" if any(finite(row.get("val_elbo")) is not None for row in rows) else "elbo"
    points = [(int(row["epoch"]), finite(row.get(column))) for row in rows]
    return tuple((epoch, value) for epoch, value in points if value is not None)


def last_active(folder: Path) -> float | None:
    """Active units after the last epoch, from the log."""
    rows = csv_rows(folder / "curves" / "latent_usage.csv")
    return finite(rows[-1].get("active_units")) if rows else None


def seconds(meta: Mapping[str, Any]) -> float | None:
    """Of this attempt and those before it."""
    attempts = meta.get("attempts")
    parts = [mapping(each).get("seconds") for each in (attempts if isinstance(attempts, list) else [])]
    known = [each for each in map(finite, [*parts, meta.get("seconds")]) if each is not None]
    return sum(known) if known else None
