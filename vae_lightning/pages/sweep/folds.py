"""All runs of a folder, in sections of comparable runs, and in each section in folds of seeds. Nats per image.

Everything is read from disk each time, so any job, or a person afterwards, arrives at the same page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vae_lightning.pages.sweep.runs import SPLITS, SweptRun, of_job, of_run
from vae_lightning.runs import keys as swept_keys
from vae_lightning.runs.files import SWEEPS
from vae_lightning.runs.folds import Spread, folded, newest_of_seeds, spread
from vae_lightning.runs.jobs import Job, not_repeated, read_jobs
from vae_lightning.runs.named import is_run, runs_below
from vae_lightning.runs.run import Run
from vae_lightning.runs.setting import Setting

NUMBERS = ("elbo", "recon", "kl", "active_units", "epochs", "seconds")
NATS = ("elbo", "recon", "kl")  # measured on one split


@dataclass(frozen=True)
class Bound:
    """The importance-weighted bound of K samples on N images, over runs."""

    num_samples: int
    num_images: int
    spread: Spread


@dataclass(frozen=True)
class Fold:
    """Runs that differ only in their seed. `values` are those of the swept keys, as the page shows them."""

    values: tuple[str, ...]
    runs: tuple[SweptRun, ...]

    @property
    def counted(self) -> tuple[SweptRun, ...]:
        """The runs behind its means: the newest completed run of each seed."""
        return tuple(newest_of_seeds([run for run in self.runs if run.ended_well]))

    @property
    def repeated(self) -> tuple[SweptRun, ...]:
        """The completed runs that do not count, because their seed was run again."""
        counted = set(map(id, self.counted))
        return tuple(run for run in self.runs if run.ended_well and id(run) not in counted)

    @property
    def split(self) -> str | None:
        """The split of its means: test if a counted run has it, else val, else train."""
        splits = [run.split for run in self.counted]
        return next((split for split in SPLITS if split in splits), None)

    def spread(self, number: str) -> Spread | None:
        """Over its counted runs that were measured on the same split; None if there is none."""
        runs = [run for run in self.counted if number not in NATS or run.split == self.split]
        return spread([run.numbers[number] for run in runs if number in run.numbers])

    def nll(self) -> Bound | None:
        """The bound over its counted runs; None if they were evaluated with different K or N."""
        known = [run.nll for run in self.counted if run.nll]
        over_runs = spread([nll.value for nll in known])
        if over_runs is None or len({(nll.num_samples, nll.num_images) for nll in known}) != 1:
            return None
        return Bound(known[0].num_samples, known[0].num_images, over_runs)


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
    def repeated(self) -> tuple[SweptRun, ...]:
        """The completed runs that do not count, because their seed was run again."""
        return tuple(run for fold in self.folds for run in fold.repeated)

    @property
    def test_images(self) -> int | None:
        """The size of the test set behind its ELBOs, or None if no run says it."""
        sizes = (run.num_images for run in self.runs if run.split == "test")
        return next((size for size in sizes if size is not None), None)

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
        """The runs that ended, but not well. A pruned trial of a study ended as it should."""
        return tuple(run for run in self.runs if not run.ended_well and run.status not in ("running", "pruned"))

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
        if target is not None and is_run(target):
            runs.setdefault(target, of_run(Run(target)))
        else:
            others.append(of_job(job))
    settings = {run.setting: None for run in runs.values() if run.setting}
    sections = [section(one, [run for run in runs.values() if run.setting == one], settings) for one in settings]
    others = [*(run for run in runs.values() if run.setting is None), *others]
    return Sweep(folder, tuple(sorted(sections, key=lambda part: -len(part.runs))), tuple(others))


def jobs_of(folder: Path) -> list[Job]:
    """The jobs of the sweeps below a folder, and the jobs beside it that named it as their group and became no run.

    A job that became no run is left out once a later job has repeated it.
    """
    below = read_jobs(folder)
    beside = read_jobs(folder.parent / SWEEPS) if folder.name != SWEEPS else []
    known = {job.file: job for job in (*below, *(job for job in beside if job.group == folder.name))}
    inside = {job.file for job in below}
    return [job for job in not_repeated(known.values()) if job.run is None or job.file in inside]


def section(setting: Setting, runs: Sequence[SweptRun], settings: Mapping[Setting, None]) -> Section:
    """Runs of one setting in folds. If two settings have the same label, it ends with the checksum of the data."""
    keys = swept_keys.swept(runs)
    alike = [other for other in settings if other.label == setting.label]
    label = setting.label if len(alike) == 1 else f"{setting.label}, {setting.digest}"
    folds = tuple(Fold(values, tuple(members)) for values, members in folded(runs, keys))
    return Section(setting, label, tuple(keys), folds)
