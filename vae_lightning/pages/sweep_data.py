"""All runs of a folder, told apart and put together: sections that may be compared, and in them folds of seeds.

Read from disk each time, so any job, or a person afterwards, arrives at the same page. Nats per image.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vae_lightning.pages import sweep_keys, sweep_runs
from vae_lightning.pages.sweep_runs import Setting, SweptRun
from vae_lightning.runs.files import SWEEPS
from vae_lightning.runs.jobs import Job, read_jobs
from vae_lightning.runs.readings import finite
from vae_lightning.runs.run import Run, runs_below

NUMBERS = ("elbo", "recon", "kl", "active_units", "epochs", "seconds")
NATS = ("elbo", "recon", "kl")  # measured on one split


@dataclass(frozen=True)
class Spread:
    """Mean over runs, their standard deviation (None of a single run), and how many they are."""

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class Fold:
    """Runs that differ in nothing but their seed. `values`: those of the swept keys, as they are shown."""

    values: tuple[str, ...]
    runs: tuple[SweptRun, ...]

    @property
    def split(self) -> str | None:
        """Whose numbers its means are of: test where a completed run has it, else val, else train."""
        splits = [run.split for run in self.runs if run.ended_well]
        return next((each for each in sweep_runs.SPLITS if each in splits), None)

    def spread(self, number: str) -> Spread | None:
        """Over its completed runs, measured on the same split; None where there is none."""
        runs = [run for run in self.runs if run.ended_well and (number not in NATS or run.split == self.split)]
        return spread([run.numbers[number] for run in runs if number in run.numbers])

    def nll(self) -> tuple[int, Spread] | None:
        """K and the bound, over completed runs evaluated alike; None where they were not."""
        known = [run.nll for run in self.runs if run.ended_well and run.nll]
        if len({(each.num_samples, each.num_images) for each in known}) != 1:
            return None
        found = spread([each.value for each in known])
        return (known[0].num_samples, found) if found else None


@dataclass(frozen=True)
class Section:
    """Runs whose numbers may be compared, and the keys that they were swept over."""

    setting: Setting
    label: str
    keys: tuple[str, ...]
    folds: tuple[Fold, ...]

    @property
    def runs(self) -> tuple[SweptRun, ...]:
        return tuple(run for fold in self.folds for run in fold.runs)

    @property
    def best(self) -> Fold | None:
        """The fold with the best mean ELBO, of those measured on the first split there is."""
        split = next((each for each in sweep_runs.SPLITS if any(fold.split == each for fold in self.folds)), None)
        ranked = [(found.mean, fold) for fold in self.folds if fold.split == split and (found := fold.spread("elbo"))]
        return max(ranked, key=lambda each: each[0])[1] if ranked else None


@dataclass(frozen=True)
class Sweep:
    """A folder's runs: in sections, and apart those of which no numbers can be known."""

    folder: Path
    sections: tuple[Section, ...]
    others: tuple[SweptRun, ...]

    @property
    def runs(self) -> tuple[SweptRun, ...]:
        return (*(run for section in self.sections for run in section.runs), *self.others)

    @property
    def title(self) -> str:
        """The group of all its runs, else the folder's name."""
        groups = {run.group for run in self.runs}
        return next(iter(groups)) or self.folder.name if len(groups) == 1 else self.folder.name

    @property
    def unfinished(self) -> tuple[SweptRun, ...]:
        """Whatever did not end well, and does not run any more."""
        return tuple(run for run in self.runs if not run.ended_well and run.status != "running")

    @property
    def counts(self) -> Mapping[str, int]:
        """{status: how many}, completed first."""
        statuses = [run.status for run in self.runs]
        return {each: statuses.count(each) for each in sorted(set(statuses), key=lambda s: (s != "completed", s))}


def any_runs(folder: Path) -> bool:
    """Whether a page of this folder would show anything."""
    return bool(runs_below(folder) or jobs_of(folder.resolve()))


def read(folder: Path) -> Sweep:
    """Every run below a folder, every job of a sweep in it, and the refused jobs that named it as their group."""
    folder = folder.resolve()
    runs = {run.path.resolve(): sweep_runs.of_run(run) for run in runs_below(folder)}
    others = []
    for job in jobs_of(folder):
        target = job.run_folder
        if target is not None and (target / "run_meta.json").is_file():
            runs.setdefault(target, sweep_runs.of_run(Run(target)))
        else:
            others.append(sweep_runs.of_job(job))
    settings = {run.setting: None for run in runs.values() if run.setting}
    sections = [section(each, [run for run in runs.values() if run.setting == each], settings) for each in settings]
    others = [*(run for run in runs.values() if run.setting is None), *others]
    return Sweep(folder, tuple(sorted(sections, key=lambda each: -len(each.runs))), tuple(others))


def jobs_of(folder: Path) -> list[Job]:
    """Of the sweeps below a folder; of a group, those of its project's sweeps that named it and became no run."""
    below = read_jobs(folder)
    beside = read_jobs(folder.parent / SWEEPS) if folder.name != SWEEPS else []
    named = [job for job in beside if job.group == folder.name and job.run is None]
    return list({job.file: job for job in (*below, *named)}.values())


def section(setting: Setting, runs: Sequence[SweptRun], settings: Mapping[Setting, None]) -> Section:
    """Runs of one setting, folded; where two settings have the same label, it ends with the data's checksum."""
    keys = sweep_keys.swept(runs)
    alike = [each for each in settings if each.label == setting.label]
    label = setting.label if len(alike) == 1 else f"{setting.label}, {setting.digest}"
    return Section(setting, label, tuple(keys), tuple(folds(runs, keys)))


def folds(runs: Sequence[SweptRun], keys: Sequence[str]) -> list[Fold]:
    """Runs whose configurations differ only in the seed, sorted by the values of the keys."""
    configs = [sweep_keys.flat(run) for run in runs]
    differing = sweep_keys.told_apart(configs)
    members: dict[tuple[str, ...], list[int]] = {}
    for i in range(len(runs)):
        members.setdefault(tuple(column[i] for column in differing.values()), []).append(i)
    made = []
    for numbers in members.values():
        first = configs[numbers[0]]
        values = [sweep_keys.shown_value(key, first.get(key, sweep_keys.ABSENT)) for key in keys]
        ordered = sorted((runs[i] for i in numbers), key=lambda run: (run.seed is None, run.seed or 0, run.name))
        made.append(Fold(tuple(values), tuple(ordered)))
    return sorted(made, key=lambda fold: [order(value) for value in fold.values])


def order(value: str) -> tuple[int, float, str]:
    """Numbers by size, before texts."""
    number = finite(value)
    return (1, 0.0, value) if number is None else (0, number, value)


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and standard deviation (of a sample: divided by n - 1)."""
    if not values:
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))
