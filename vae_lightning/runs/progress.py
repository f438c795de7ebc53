"""How a sweep stands: which jobs are done, run, failed and are left, and how long it still takes. Read from disk."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from vae_lightning.errors import printable
from vae_lightning.runs.files import JOBS, STUDY, SWEEPS
from vae_lightning.runs.jobs import FAILED, PRUNED, Job, read_jobs
from vae_lightning.runs.named import is_run, runs_below
from vae_lightning.runs.run import COMPLETED, RUNNING, Run
from vae_lightning.runs.study import read_study
from vae_lightning.runs.sweep import read_sweep, sweeps_of
from vae_lightning.runs.words import duration

DONE, RUNS, BAD, LEFT = "done", "running", "failed", "left"
MOST_NAMED = 8  # jobs in one line


@dataclass(frozen=True)
class Progress:
    """The numbers of the jobs of a sweep by their state. A job that was interrupted is left, too."""

    folder: Path
    states: dict[int, str]
    seconds_left: float | None = None  # None: no job runs, or none is done

    def numbers(self, state: str) -> list[int]:
        return sorted(number for number, known in self.states.items() if known == state)

    @property
    def done(self) -> list[int]:
        return self.numbers(DONE)

    @property
    def failed(self) -> list[int]:
        return self.numbers(BAD)

    @property
    def is_over(self) -> bool:
        """Whether no job runs and none is left."""
        return not self.numbers(RUNS) and not self.numbers(LEFT)


def progress(folder: Path) -> Progress | None:
    """How the jobs of a sweep stand; None for a folder without the record of a sweep."""
    sweep = read_sweep(folder)
    return sweep and of_jobs(folder, (number for numbers in sweep.numbers.values() for number in numbers), {})


def of_study(folder: Path) -> Progress | None:
    """How the trials of a study stand; None where there is none. A trial that diverged is done: it is an answer."""
    study = read_study(folder)
    if study is None:
        return None
    ended = [trial for trial in study.trials if trial.state != RUNNING]
    states = {trial.number: BAD if trial.status in ("fail", FAILED) else DONE for trial in ended}
    return of_jobs(folder, range(study.asked), states)


def of_jobs(folder: Path, planned: Iterable[int], ended: Mapping[int, str]) -> Progress:
    """How the jobs of a folder stand by their records, apart from those whose end is known.

    Two jobs that became the same run are one job.
    """
    states = {**dict.fromkeys(planned, LEFT), **ended}
    seconds, elapsed, seen = [], [], set()
    for job in read_jobs(folder / JOBS):
        run = Run(job.run_folder) if job.run_folder is not None and is_run(job.run_folder) else None
        states[job.number] = ended.get(job.number) or state(job, run)
        if run is not None and run.path in seen:
            del states[job.number]
        elif run is not None:
            seen.add(run.path)
            seconds += [run.seconds or 0.0] if states[job.number] == DONE else []
            elapsed += [(run.seconds or 0.0) + since(run.started)] if states[job.number] == RUNS else []
    left = sum(known == LEFT for known in states.values())
    return Progress(folder, states, seconds_left(seconds, elapsed, left))


def state(job: Job, run: Run | None) -> str:
    """How one job stands."""
    status = run.status if run else None
    if job.is_done or status == COMPLETED or job.status == PRUNED:
        return DONE
    if status == RUNNING or (job.lock is not None and job.lock.held):
        return RUNS
    return BAD if job.status == FAILED else LEFT


def seconds_left(seconds: list[float], elapsed: list[float], left: int) -> float | None:
    """The time of the jobs that are left and that run, if as many run at once as do now."""
    if not seconds or not elapsed:
        return None
    mean = statistics.fmean(seconds)
    return (left * mean + sum(max(0.0, mean - spent) for spent in elapsed)) / len(elapsed)


def since(started: str) -> float:
    """The seconds from a time in a record until now; 0 where it is no time."""
    try:
        return max(0.0, (datetime.now(timezone.utc) - datetime.fromisoformat(started)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


def named(numbers: Sequence[int]) -> str:
    """job 1, job 2 and 7 more."""
    more = f" and {len(numbers) - MOST_NAMED} more" if len(numbers) > MOST_NAMED else ""
    return ", ".join(f"job {number}" for number in numbers[:MOST_NAMED]) + more


def said(now: Progress) -> str:
    """outputs/multirun/night: 24 jobs, 20 done, 2 running, 1 left, 1 failed (job 7); about 3m 04s left."""
    counts = [f"{len(now.numbers(state))} {state}" for state in (DONE, RUNS, LEFT) if now.numbers(state)]
    if now.failed:
        counts.append(f"{len(now.failed)} {BAD} ({named(now.failed)})")
    jobs = f"{len(now.states)} job{'' if len(now.states) == 1 else 's'}"
    time = f"; about {duration(round(now.seconds_left))} left" if now.seconds_left is not None else ""
    return f"{printable(now.folder)}: {', '.join([jobs, *counts])}{time}"


def lines(folder: Path) -> Iterator[str]:
    """A line for the sweep in a folder, or for each sweep of a project that is not over."""
    own = progress(folder) or of_study(folder)
    if own is not None:
        yield said(own)
        return
    studies = sorted(file.parent for file in (folder / SWEEPS).glob(f"*/{STUDY}") if not file.parent.is_symlink())
    for now in (*(progress(sweep.folder) for sweep in sweeps_of(folder)), *map(of_study, studies)):
        if now is not None and not now.is_over:
            yield said(now)


def runs_in(folder: Path) -> list[Run]:
    """The run in a folder, else those of its jobs, else all runs below it, else those of all jobs below it."""
    if is_run(folder):
        return [Run(folder)]
    below = [] if (folder / JOBS).is_dir() else runs_below(folder)
    if below:
        return below
    folders = (job.run_folder for job in read_jobs(folder))
    return [Run(run) for run in dict.fromkeys(folders) if run is not None and is_run(run)]
