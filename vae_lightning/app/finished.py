"""What a job of a sweep was before: with `sweep.skip_finished=true` a job that is done does not run again.

The job itself looks, from what is on disk, so it does so in whatever process a launcher runs it. Imports neither torch
nor Lightning.
"""

import math
import time
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.app.find import AUTO
from vae_lightning.app.launch import swept_keys
from vae_lightning.app.same import has_data, identity, is_same, other_sources
from vae_lightning.app.sweep import Recorder, goes_on, skips
from vae_lightning.output import say
from vae_lightning.runs.files import RECORD
from vae_lightning.runs.jobs import COMPLETED, FAILED, Job
from vae_lightning.runs.lock import SILENCE, Lock
from vae_lightning.runs.named import is_run
from vae_lightning.runs.reader import is_empty
from vae_lightning.runs.run import DIVERGED, RUNNING, Run
from vae_lightning.runs.waiting import outlived

PATIENCE = 10.0  # seconds in which a job ends whose command was killed


def skipped(cfg: DictConfig, recorder: Recorder) -> float | None:
    """The score of a job that need not run, in nats. None: it runs, and `cfg.resume` names the run to go on with.

    A job that was completed is done. One that another process works on is left to it, also if that process belongs to
    another command; a process whose command was killed gets a moment to end, and one of another machine must show that
    it lives. A run that diverged would diverge again.
    """
    looks = skips(cfg)
    swept = swept_keys() or ()
    free = recorder.claims(identity(cfg, swept), PATIENCE if looks else 0)
    if not looks or recorder.job is None:
        return None
    if not free:
        say("runs in another process, not started twice")
        recorder.leaves()
        return math.nan
    recorder.reads_again()
    run = run_of(recorder.before, cfg, swept)
    if run is not None and ((run.status == COMPLETED and not cfg.allow_drift) or stays(run, cfg)):
        return answered(run, recorder)
    if run is None:
        cfg.resume = AUTO  # a run of the group may have this configuration
    else:
        cfg.resume = str(run.path) if run.last.is_file() and run.status != DIVERGED else None
    recorder.starts(anew=run is None)
    return None


def run_of(job: Job | None, cfg: DictConfig, swept: Sequence[str] = ()) -> Run | None:
    """The run that a job became before, if it is still there and has the configuration and the data."""
    folder, project = job.run_folder if job else None, Path(cfg.project_dir)
    if folder is None or not is_run(folder):
        return None
    within = folder.is_relative_to(project.resolve())
    run = Run(project / folder.relative_to(project.resolve()) if within else folder)  # as the command names it
    if run.lacks or not is_same(run, cfg, swept):
        return None
    if has_data(run, cfg):
        return run
    say(f"{run.path}: it had other data than {other_sources(run, cfg)}, so the job is another run now")
    return None


def stays(run: Run, cfg: DictConfig) -> bool:
    """Whether a run that is not completed is not gone on with: it runs in another process, or would diverge again."""
    if not goes_on(cfg):
        return False
    diverges = run.status == DIVERGED and not cfg.sweep.retry_diverged
    return diverges or (run.status == RUNNING and not outlived(Lock(run.path)))


def gives_way(folder: Path, cfg: DictConfig, swept: Sequence[str] = ()) -> bool:
    """Whether the run in the job's own folder is an attempt at this very run, without a checkpoint and a process.

    A record without content is that of a run at its start, until it has been so for SILENCE seconds.
    """
    run = Run(folder)
    if run.status in (RUNNING, COMPLETED) or run.newest_weights is not None or Lock(folder).held:
        return False
    if is_empty(folder / RECORD):
        return time.time() - (folder / RECORD).stat().st_mtime > SILENCE
    return not run.lacks and is_same(run, cfg, swept)


def answered(run: Run, recorder: Recorder) -> float:
    """Says why a job does not run, keeps that in its record, and returns the score of its run, in nats."""
    group = str(run.config["group"])
    if run.status == RUNNING:
        say(f"{run.path}: runs in another process, not started twice")
        recorder.leaves()
        return math.nan
    if run.status == DIVERGED:
        say(f"{run.path}: diverged, not tried again; sweep.retry_diverged=true tries it")
        recorder.keeps(run.path, group, FAILED, run.error)
        return math.nan
    say(f"{run.path}: completed, nothing to do")
    recorder.keeps(run.path, group, COMPLETED)
    return run.score
