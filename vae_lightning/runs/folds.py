"""Runs in folds of seeds: the runs of a fold differ only in their seed, and each seed has one vote."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from vae_lightning.runs.keys import Configured, flat, told_apart, value_of
from vae_lightning.runs.readings import finite


class Seeded(Configured, Protocol):
    """A run with its seed, the time of its start, and the name of its folder."""

    @property
    def seed(self) -> int | None: ...

    @property
    def started(self) -> str: ...

    @property
    def name(self) -> str: ...


OneRun = TypeVar("OneRun", bound=Seeded)


@dataclass(frozen=True)
class Spread:
    """The mean over runs, their standard deviation (None for a single run), and their number."""

    mean: float
    deviation: float | None
    count: int

    @property
    def error(self) -> float | None:
        """The standard error of the mean: deviation / sqrt(count); None for a single run."""
        return None if self.deviation is None else self.deviation / math.sqrt(self.count)


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and standard deviation of a sample (divided by n - 1); None without values."""
    if not values:
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def folded(runs: Sequence[OneRun], keys: Sequence[str]) -> list[tuple[tuple[str, ...], list[OneRun]]]:
    """(values of the keys, runs) of each fold, sorted by the values; the runs are sorted by their seed."""
    configs = [flat(run) for run in runs]
    differing = told_apart(configs)
    members: dict[tuple[str, ...], list[int]] = {}
    for i in range(len(runs)):
        members.setdefault(tuple(column[i] for column in differing.values()), []).append(i)
    folds = []
    for numbers in members.values():
        first = numbers[0]
        values = tuple(value_of(runs[first], configs[first], key) for key in keys)
        ordered = sorted((runs[i] for i in numbers), key=lambda run: (run.seed is None, run.seed or 0, run.name))
        folds.append((values, ordered))
    return sorted(folds, key=lambda fold: [order(value) for value in fold[0]])


def order(value: str) -> tuple[int, float, str]:
    """Numbers by size, before texts."""
    number = finite(value)
    return (1, 0.0, value) if number is None else (0, number, value)


def newest_of_seeds(runs: Sequence[OneRun]) -> list[OneRun]:
    """The newest run of each seed: a seed that ran twice is no new evidence. Runs without a seed are all kept."""
    newest: dict[object, OneRun] = {}
    for run in sorted(runs, key=age):
        newest[("unknown", id(run)) if run.seed is None else run.seed] = run
    kept = set(map(id, newest.values()))
    return [run for run in runs if id(run) in kept]


def age(run: Seeded) -> tuple[str, str]:
    """The start of a run, then the name of its folder: the larger pair is the newer run."""
    return run.started, run.name
