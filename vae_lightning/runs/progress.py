"""How a sweep stands: which jobs are done, run, failed and are left, and how long it still takes. Read from disk."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from vae_lightning.errors import printable
from vae_lightning.runs.files import JOBS
from vae_lightning.runs.jobs import FAILED, PRUNED, Job, read_jobs
from vae_lightning.runs.named import is_run, runs_below
from vae_lightning.runs.run import COMPLETED, RUNNING, Run
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
    """How the jobs of a sweep stand; None for a folder without the record of a sweep.

    Two jobs that became the same run are one job.
    """
    sweep = read_sweep(folder)
    if sweep is None:
        return None
    states = {number: LEFT for numbers in sweep.numbers.values() for number in numbers}
    seconds, elapsed, seen = [], [], set()
    for job in read_jobs(folder / JOBS):
        run = Run(job.run_folder) if job.run_folder is not None and is_run(job.run_folder) else None
        states[job.number] = state(job, run)
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
    own = progress(folder)
    if own is not None:
        yield said(own)
        return
    for sweep in sweeps_of(folder):
        now = progress(sweep.folder)
        if now is not None and not now.is_over:
            yield said(now)


def runs_in(folder: Path) -> list[Run]:
    """The run in a folder, else the runs of its sweep, else all runs below it."""
    if is_run(folder):
        return [Run(folder)]
    if read_sweep(folder) is None:
        return runs_below(folder)
    folders = (job.run_folder for job in read_jobs(folder / JOBS))
    return [Run(run) for run in dict.fromkeys(folders) if run is not None and is_run(run)]
