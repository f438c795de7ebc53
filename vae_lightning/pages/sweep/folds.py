"""All runs of a folder, in sections of comparable runs, and in each section in folds of seeds. Nats per image.

Everything is read from disk each time, so any job, or a person afterwards, arrives at the same page.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vae_lightning.pages.sweep import keys as swept_keys
from vae_lightning.pages.sweep.runs import SPLITS, Setting, SweptRun, of_job, of_run
from vae_lightning.runs.files import RECORD, SWEEPS
from vae_lightning.runs.jobs import Job, read_jobs
from vae_lightning.runs.readings import finite
from vae_lightning.runs.run import Run, runs_below

NUMBERS = ("elbo", "recon", "kl", "active_units", "epochs", "seconds")
NATS = ("elbo", "recon", "kl")  # measured on one split


@dataclass(frozen=True)
class Spread:
    """The mean over runs, their standard deviation (None for a single run), and their number."""

    mean: float
    deviation: float | None
    count: int


@dataclass(frozen=True)
class Fold:
    """Runs that differ only in their seed. `values` are those of the swept keys, as the page shows them."""

    values: tuple[str, ...]
    runs: tuple[SweptRun, ...]

    @property
    def split(self) -> str | None:
        """The split of its means: test if a completed run has it, else val, else train."""
        splits = [run.split for run in self.runs if run.ended_well]
        return next((split for split in SPLITS if split in splits), None)

    def spread(self, number: str) -> Spread | None:
        """Over its completed runs that were measured on the same split; None if there is none."""
        runs = [run for run in self.runs if run.ended_well and (number not in NATS or run.split == self.split)]
        return spread([run.numbers[number] for run in runs if number in run.numbers])

    def nll(self) -> tuple[int, Spread] | None:
        """K and the bound, over completed runs; None if they were evaluated with different K or N."""
        known = [run.nll for run in self.runs if run.ended_well and run.nll]
        if len({(nll.num_samples, nll.num_images) for nll in known}) != 1:
            return None
        over_runs = spread([nll.value for nll in known])
        return (known[0].num_samples, over_runs) if over_runs else None


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
        """The fold with the best mean ELBO, among those measured on test; if there are none, on val, else on train."""
        split = next((split for split in SPLITS if any(fold.split == split for fold in self.folds)), None)
        ranked = [(elbo.mean, fold) for fold in self.folds if fold.split == split and (elbo := fold.spread("elbo"))]
        return max(ranked, key=lambda pair: pair[0])[1] if ranked else None


@dataclass(frozen=True)
class Sweep:
    """The runs of a folder: in sections, and `others`, those without numbers."""

    folder: Path
    sections: tuple[Section, ...]
    others: tuple[SweptRun, ...]

    @property
    def runs(self) -> tuple[SweptRun, ...]:
        return (*(run for section in self.sections for run in section.runs), *self.others)

    @property
    def title(self) -> str:
        """The common group of its runs, else the folder's name."""
        groups = {run.group for run in self.runs}
        return next(iter(groups)) or self.folder.name if len(groups) == 1 else self.folder.name

    @property
    def unfinished(self) -> tuple[SweptRun, ...]:
        """The runs that ended, but not well."""
        return tuple(run for run in self.runs if not run.ended_well and run.status != "running")

    @property
    def counts(self) -> Mapping[str, int]:
        """{status: number of runs}, completed first."""
        statuses = [run.status for run in self.runs]
        return {s: statuses.count(s) for s in sorted(set(statuses), key=lambda s: (s != "completed", s))}


def any_runs(folder: Path) -> bool:
    """Whether a folder has runs or jobs to show."""
    return bool(runs_below(folder) or jobs_of(folder.resolve()))


def read(folder: Path) -> Sweep:
    """All runs below a folder, all jobs of sweeps below it, and refused jobs that named the folder as their group."""
    folder = folder.resolve()
    runs = {run.path.resolve(): of_run(run) for run in runs_below(folder)}
    others = []
    for job in jobs_of(folder):
        target = job.run_folder
        if target is not None and (target / RECORD).is_file():
            runs.setdefault(target, of_run(Run(target)))
        else:
            others.append(of_job(job))
    settings = {run.setting: None for run in runs.values() if run.setting}
    sections = [section(one, [run for run in runs.values() if run.setting == one], settings) for one in settings]
    others = [*(run for run in runs.values() if run.setting is None), *others]
    return Sweep(folder, tuple(sorted(sections, key=lambda part: -len(part.runs))), tuple(others))


def jobs_of(folder: Path) -> list[Job]:
    """The jobs of the sweeps below a folder, and the jobs beside it that named it as their group and became no run."""
    below = read_jobs(folder)
    beside = read_jobs(folder.parent / SWEEPS) if folder.name != SWEEPS else []
    named = [job for job in beside if job.group == folder.name and job.run is None]
    return list({job.file: job for job in (*below, *named)}.values())


def section(setting: Setting, runs: Sequence[SweptRun], settings: Mapping[Setting, None]) -> Section:
    """Runs of one setting in folds. If two settings have the same label, it ends with the checksum of the data."""
    keys = swept_keys.swept(runs)
    alike = [other for other in settings if other.label == setting.label]
    label = setting.label if len(alike) == 1 else f"{setting.label}, {setting.digest}"
    return Section(setting, label, tuple(keys), tuple(folds(runs, keys)))


def folds(runs: Sequence[SweptRun], keys: Sequence[str]) -> list[Fold]:
    """Folds of runs whose configurations differ only in the seed, sorted by the values of the keys."""
    configs = [swept_keys.flat(run) for run in runs]
    differing = swept_keys.told_apart(configs)
    members: dict[tuple[str, ...], list[int]] = {}
    for i in range(len(runs)):
        members.setdefault(tuple(column[i] for column in differing.values()), []).append(i)
    made = []
    for numbers in members.values():
        first = numbers[0]
        values = [swept_keys.value_of(runs[first], configs[first], key) for key in keys]
        ordered = sorted((runs[i] for i in numbers), key=lambda run: (run.seed is None, run.seed or 0, run.name))
        made.append(Fold(tuple(values), tuple(ordered)))
    return sorted(made, key=lambda fold: [order(value) for value in fold.values])


def order(value: str) -> tuple[int, float, str]:
    """Numbers by size, before texts."""
    number = finite(value)
    return (1, 0.0, value) if number is None else (0, number, value)


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and standard deviation of a sample (divided by n - 1); None without values."""
    if not values:
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))
