"""How the trials of a study ended, read from the records of their jobs and runs, told to the study and to people."""

import os
import time
from collections import Counter
from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.app.same import has_data, other_sources
from vae_lightning.app.study import Study
from vae_lightning.errors import CheckpointError
from vae_lightning.runs.files import JOBS
from vae_lightning.runs.jobs import COMPLETED, FAILED, PRUNED, Job, job_file, read_job, read_jobs
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.run import DIVERGED, Run
from vae_lightning.runs.study import write_study

PATIENCE = 30.0  # seconds that a worker of a killed sweep may take to end


def job_of(study: Study, number: int) -> Job | None:
    """The record of a trial's job."""
    return read_job(job_file(study.folder, number))


def check_data(study: Study, cfg: DictConfig) -> None:
    """Raises CheckpointError where the trials so far had other data than the configuration names."""
    folders = (job.run_folder for job in read_jobs(study.folder / JOBS))
    run = next((run for folder in folders if folder and (run := Run(folder)).data and not run.lacks), None)
    if run and not has_data(run, cfg):
        raise CheckpointError(
            f"sweep.name={study.settings.name}: {study.folder} holds a study of other data than "
            f"{other_sources(run, cfg)}; say the same, or begin another study with sweep.name=NAME"
        )


def settle(study: Study, number: int, or_fail: bool = False) -> bool:
    """Tells the study how a trial ended, if its job ended. With `or_fail` a job without a record counts as failed.

    The value is the metric that the run logged last. A run without a finite one has failed.
    """
    job = job_of(study, number)
    status = job.status if job else None
    folder = job.run_folder if job else None
    run = Run(folder) if folder else None
    if status == PRUNED:
        study.tell(number, "PRUNED", status=PRUNED)
    elif status == COMPLETED and run and (value := run.metrics.get(study.settings.metric)) is not None:
        study.tell(number, "COMPLETE", value, status=COMPLETED)
    elif status == COMPLETED:
        study.tell(number, "FAIL", status=FAILED, error=f"{study.settings.metric} is not finite, or was not logged")
    elif status == FAILED or or_fail:
        kind = DIVERGED if run and run.status == DIVERGED else FAILED
        study.tell(number, "FAIL", status=kind, error=(job and job.error) or "its job left no record")
    else:
        return False
    return True


def failure(study: Study, number: int) -> list[str]:
    """What to say of a trial that failed. A diverged or pruned one tells the study something, so it is no failure."""
    facts = study.trials[number].user_attrs
    return [f"trial {number} ({facts['error']})"] if facts["status"] == FAILED else []


def left_run(study: Study, number: int) -> Path | None:
    """The run that a trial in flight can go on with: one that has a checkpoint. A process that still has it may end."""
    job, end = job_of(study, number), time.monotonic() + PATIENCE
    folder = job.run_folder if job else None
    while folder and Lock(folder).held and time.monotonic() < end:
        time.sleep(0.2)
    return folder if folder and Run(folder).last.is_file() else None


def write(study: Study) -> None:
    """Writes study.json for the page of the sweep."""
    best = study.best
    trials = [
        {
            "number": trial.number,
            "state": trial.state.name.lower(),
            "status": trial.user_attrs.get("status"),
            "value": trial.value if trial.values else None,
            "params": trial.params,
        }
        for trial in study.trials
    ]
    facts = {"metric": study.settings.metric, "direction": study.settings.direction, "asked": study.settings.trials}
    facts |= {"trials": trials, "best": best and best.number, "own": study.own, "importance": study.importance()}
    write_study(study.folder, facts)


def summary(study: Study) -> str:
    """The trials by how they ended, and the best one with its values and its run."""
    ends = Counter(trial.user_attrs.get("status", "running") for trial in study.trials)
    line = (
        f"study {study.settings.name}: {sum(ends.values())} trials ({', '.join(f'{n} {s}' for s, n in ends.items())})"
    )
    best = study.best
    if best is None:
        return f"{line}; none has a value"
    job, values = job_of(study, best.number), " ".join(f"{key}={value}" for key, value in best.params.items())
    where = f"; {os.path.normpath(job.file.parent / job.run)}" if job and job.run else ""
    return f"{line}; best: trial {best.number}, {study.settings.metric}={best.value:.6g} with {values}{where}"
