"""The newest evaluations of several runs side by side: a column for each setting, over its seeds. Nats per image."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_lightning.errors import ConfigError
from vae_lightning.evaluation.result import check_alike, read
from vae_lightning.output import wrapped
from vae_lightning.runs import keys as swept_keys
from vae_lightning.runs.digest import sha256
from vae_lightning.runs.files import CHECKPOINTS
from vae_lightning.runs.folds import Spread, folded, newest_of_seeds, spread
from vae_lightning.runs.readings import finite
from vae_lightning.runs.run import COMPLETED, Run, open_run
from vae_lightning.runs.setting import measure
from vae_lightning.runs.words import fixed

NAMES = ("elbo", "recon", "kl", "nll", "bits_per_dimension", "active_units", "mutual_information", "marginal_kl")
NAMES += ("ais", "appendix_d")
OF_K = ("elbo", "recon", "nll", "bits_per_dimension")
ONE_NLL = ("data", "protocol", "split", "num_images", "num_samples", "value")
ONE_EVALUATION = ("data", "protocol", "subset", "split", "seed", "checkpoint_sha256")
LABEL, CELL, ACROSS = 20, 20, 3  # characters of a label and of a cell; columns beside each other
Rows = Mapping[str, Mapping[str, Any]]  # {name: row} of one evaluation


@dataclass(frozen=True)
class Column:
    """The runs of one setting: `counted`, and those `left_out` because a newer run has the same seed."""

    label: str
    counted: Sequence[Run]
    left_out: Sequence[Run] = ()


def newest(folder: Path, num_samples: int | None) -> tuple[Run, Rows]:
    """A run with its last evaluation, or the last one with that K.

    Raises ConfigError where there is none, and where the run was trained further since, CheckpointError where the
    run's record or its results are damaged.
    """
    again = f"python -m vae_lightning.evaluate run={folder}"
    run = open_run(folder, key="runs")
    rows = read(run)
    nlls = [row for row in rows if row.get("name") == "nll" and all(row.get(key) is not None for key in ONE_NLL)]
    nlls = [row for row in nlls if num_samples in (None, row["num_samples"])]
    if not nlls:
        which = f" with num_samples={num_samples}" if num_samples else ""
        raise ConfigError(f"runs: {folder} has no evaluation{which}; {again}")
    nll = nlls[-1]
    checkpoint = run.path / CHECKPOINTS / os.path.basename(str(nll.get("checkpoint")))
    if os.path.isfile(checkpoint) and sha256(checkpoint) != nll.get("checkpoint_sha256"):
        raise ConfigError(f"runs: {folder} was trained further since it was evaluated; {again}")
    one = [row for row in rows if all(row.get(key) == nll.get(key) for key in ONE_EVALUATION)]
    return run, {
        str(row.get("name")): row
        for row in one
        if row.get("num_samples") == nll.get("num_samples") or row.get("name") not in OF_K
    }


def table(evaluations: Mapping[Run, Rows]) -> str:
    """Mean ± standard deviation over the seeds of each setting, in 80 columns.

    Likelihoods of different kinds are shown apart. Raises ConfigError for evaluations that are not alike.
    """
    for name in NAMES:
        if alike := {str(run.path): rows[name] for run, rows in evaluations.items() if name in rows}:
            check_alike(alike)
    kinds: dict[str, dict[Run, Rows]] = {}
    for run, rows in evaluations.items():
        kinds.setdefault(measure(run), {})[run] = rows
    return "\n\n".join("\n".join(section(kind, of_kind)) for kind, of_kind in kinds.items())


def section(kind: str, evaluations: Mapping[Run, Rows]) -> Iterator[str]:
    """What the numbers are, the runs behind each letter, then the numbers."""
    nll = next(iter(evaluations.values()))["nll"]
    data = f"{nll['data']}{' (bundled subset)' if nll.get('subset') else ''}, {nll['protocol']}, {nll['split']}"
    yield from wrapped(f"{data}: {nll['num_images']:,} images, K = {nll['num_samples']:,}; {kind}")
    yield from wrapped("nats per image; mean ± standard deviation over n runs, the newest of each seed")
    made = columns(list(evaluations))
    folder = os.path.commonpath([run.path.absolute().parent for run in evaluations])
    yield from wrapped(f"in {min(folder, os.path.relpath(folder), key=len)}")
    for letter, column in zip(letters(len(made)), made, strict=True):
        yield from legend(letter, column, folder)
    for start in range(0, len(made), ACROSS):
        yield ""
        yield from block(letters(len(made))[start : start + ACROSS], made[start : start + ACROSS], evaluations)


def columns(runs: Sequence[Run]) -> list[Column]:
    """A column for the completed runs of each setting, and one for each run that did not complete."""
    keys = swept_keys.swept(runs)
    made = []
    for values, members in folded(runs, keys):
        label = ", ".join(f"{key} {value}" for key, value in zip(keys, values, strict=True))
        done = [run for run in members if run.status == COMPLETED]
        counted = newest_of_seeds(done)
        if done:
            made.append(Column(label, counted, [run for run in done if run not in counted]))
        made.extend(Column(", ".join(filter(None, (label, run.status))), [run]) for run in members if run not in done)
    return made


def letters(count: int) -> list[str]:
    """A to Z, then AA, AB and so on."""
    return [("" if i < 26 else chr(ord("A") + i // 26 - 1)) + chr(ord("A") + i % 26) for i in range(count)]


def legend(letter: str, column: Column, folder: str) -> Iterator[str]:
    """The setting behind a letter, and its runs."""

    def listed(runs: Sequence[Run]) -> str:
        return ", ".join(os.path.relpath(run.path, folder) for run in runs)

    runs = f"n = {len(column.counted)}: {listed(column.counted)}"
    yield from wrapped(f"{letter}  {'; '.join(filter(None, (column.label, runs)))}")
    if column.left_out:
        yield from wrapped(f"   not counted, since a newer run has the same seed: {listed(column.left_out)}")


def block(letters: Sequence[str], made: Sequence[Column], evaluations: Mapping[Run, Rows]) -> Iterator[str]:
    """A line for each number that a column has."""
    yield (" " * LABEL + "".join(f"{letter:>{CELL}}" for letter in letters)).rstrip()
    for name in NAMES:
        cells = [
            cell(spread([v for run in column.counted if (v := value(evaluations[run], name)) is not None]))
            for column in made
        ]
        if any(cells):
            yield f"{name:<{LABEL}}" + "".join(f"{shown or '-':>{CELL}}" for shown in cells)


def value(rows: Rows, name: str) -> float | None:
    """A number of an evaluation, or None."""
    return finite(rows[name].get("value")) if name in rows else None


def cell(over_runs: Spread | None) -> str:
    """-98.21 ± 0.07, in fewer digits where that is too wide; "" where there is nothing."""
    if over_runs is None:
        return ""
    mean, deviation = over_runs.mean, over_runs.deviation
    shown = fixed(mean) if deviation is None else f"{fixed(mean)} ± {fixed(deviation)}"
    return shown if len(shown) < CELL else f"{mean:.4g}" + ("" if deviation is None else f" ± {deviation:.1g}")
