"""Results: a number together with its protocol, its sample size and its checksums."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vae_lightning.errors import CheckpointError, ConfigError
from vae_lightning.noise import generator
from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.files import EVALUATION
from vae_lightning.runs.regular import json_of
from vae_lightning.runs.run import Run

SAME = ("data", "protocol", "subset", "split", "data_sha256", "num_images", "num_samples", "unit", "settings")


@dataclass(frozen=True)
class Source:
    """The data and the checkpoint behind a number."""

    data: str
    protocol: str
    subset: bool
    split: str
    seed: int
    likelihood: str
    checkpoint: str
    checkpoint_sha256: str


@dataclass(frozen=True)
class Result:
    """A number (or one per latent unit), its standard error over images when it is a mean, and what it depends on."""

    name: str
    value: Any
    standard_error: float | None
    unit: str
    num_samples: int | None
    num_images: int
    data_sha256: str
    source: Source
    settings: dict[str, int] = field(default_factory=dict)  # of a slower estimate: chains, temperatures, leapfrog steps

    def row(self) -> dict[str, Any]:
        """Flat plain values, for JSON."""
        row = asdict(self)
        source = row.pop("source")
        return {**row, **source}


def bootstrap(values: Float[Tensor, " N"], seed: int = 0, resamples: int = 1000) -> float:
    """The standard error of the mean over images: its standard deviation over resampled sets of N images."""
    numbers, values = generator("cpu", "bootstrap", seed), values.double().cpu()
    draws = [values[torch.randint(len(values), (len(values),), generator=numbers)].mean() for _ in range(resamples)]
    return float(torch.stack(draws).std())


def sha256(values: Tensor) -> str:
    """The SHA-256 of the bytes of a tensor."""
    return hashlib.sha256(values.contiguous().cpu().numpy().tobytes()).hexdigest()


def merged(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The old rows that no new row replaces, then the new rows."""
    measured = {identity(row) for row in new}
    return [*(row for row in old if identity(row) not in measured), *new]


def identity(row: Mapping[str, Any]) -> tuple:
    """The key of a row: two rows with the same key are the same measurement."""
    return tuple(str(row.get(key)) for key in ("name", *SAME, "seed", "checkpoint_sha256"))


def read(run: Run) -> list[Mapping[str, Any]]:
    """The rows of a run's evaluation.json, or none. Raises CheckpointError where the file holds no results."""
    path = run.path / EVALUATION
    if not run.evaluation and os.path.lexists(path) and json_of(path) != {"results": []}:
        raise CheckpointError(f"{path}: not an evaluation's results; move it away and evaluate again")
    return run.evaluation


def write(run: Run, old: Sequence[Mapping[str, Any]], results: Sequence[Result]) -> None:
    """Writes evaluation.json atomically: the new results, after those old rows that are about something else."""
    rows = merged(old, [result.row() for result in results])
    write_text(run.path / EVALUATION, json.dumps({"results": rows}, indent=1) + "\n")


def check_alike(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ConfigError when two rows of one number, {run: row}, differ in protocol, K, images, split or data."""
    (first, reference), *others = rows.items()
    for run, row in others:
        for key in SAME:
            if row.get(key) != reference.get(key):
                raise ConfigError(
                    f"{reference['name']}: {key} is {reference.get(key)} in {first} and {row.get(key)} in {run}; "
                    "such numbers are never compared: evaluate both in the same way"
                )
