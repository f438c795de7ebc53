"""Runs a `Job` in its folder: fit, test, record, report."""

import shutil
import signal
from contextlib import suppress
from functools import partial
from typing import Any

import lightning.pytorch as pl
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.utilities.exceptions import SIGTERMException

from vae_lightning import logger, signals
from vae_lightning.app import resume
from vae_lightning.app.config import config_flags
from vae_lightning.app.facts import facts_of
from vae_lightning.app.mistakes import as_user_error
from vae_lightning.app.prepare import Job
from vae_lightning.app.processes import together
from vae_lightning.app.report import write_page
from vae_lightning.callbacks import RunRecord
from vae_lightning.callbacks.foreign import best_checkpoint
from vae_lightning.errors import ConfigError, FolderError, Interrupted, UserError
from vae_lightning.output import say, warn
from vae_lightning.runs.again import alone, flags_of
from vae_lightning.runs.folder import owned
from vae_lightning.runs.lock import is_first_process
from vae_lightning.runs.run import COMPLETED, RUNNING, Run, open_run


def fit(job: Job) -> float:
    """Trains and tests, and returns the last validation ELBO (training ELBO where nothing is held out), in nats.

    The report is written before the record says `completed`, so that a resume finds what is missing.
    """
    answer = signals.current()
    answer.message = partial(stopped, job)
    with owned(job.folder):
        before = job.resumes
        start = resume.sound_checkpoint(before, job.module, job.falls_back) if before else None
        try:
            answer.go()
            record(job.trainer, config=job.config, overrides=list(job.overrides), image_shape=job.image_shape)
            record(job.trainer, **command_of(job))
            record(job.trainer, **facts_of(job.config, job.choices, job.parts))
            record(job.trainer, **(resume.history(before) if before else {}))
            for receiver in job.trainer.loggers:
                receiver.log_hyperparams(job.config)
            with together(job.trainer):
                score = fit_and_test(job, start)
            leave(job, report=True)
            answer.go()  # also a signal that the writer of the report took for a reason to write none
            answer.close()
            for callback in recorders(job.trainer):
                callback.end(job.trainer)
            return score
        except BaseException as error:
            record_end(job, error)
            leave(job, report=not isinstance(error, OSError | FolderError))  # else no disk
            check_late(job, error)
            raise
        finally:
            if job.is_trial:
                shutil.rmtree(job.folder, ignore_errors=True)


def fit_and_test(job: Job, start: Any) -> float:
    """The training, from the start or from a checkpoint, then the test of the best weights."""
    trainer = job.trainer
    for callback in recorders(trainer):
        callback.hold()
    try:
        trainer.fit(job.module, job.data, ckpt_path=start, weights_only=True)
        metrics = trainer.callback_metrics
        score = metrics.get("val/elbo", metrics.get("train/elbo"))
        best: Any = best_checkpoint(trainer)
        trainer.test(job.module, job.data, ckpt_path=best, verbose=False, weights_only=True)
    except SIGTERMException:  # Lightning's own answer, where a signal came to nothing on its way through other code
        raise Interrupted(signal.SIGTERM, stopped(job, "SIGTERM")) from None
    if job.is_trial:
        number = int(job.config["trainer"]["fast_dev_run"])
        batches = f"{number} batch{'es' if number > 1 else ''}"
        say(f"trial (fast_dev_run) of {batches} in training, validation and test: it works; nothing is kept")
    return Run(job.folder).score if score is None else float(score)  # None: nothing was left to train


def leave(job: Job, report: bool) -> None:
    """Ends the loggers, then writes the report. A trial has none."""
    logger.finish()
    if job.config["report"] and report and not job.is_trial:
        write_report(job)


def stopped(job: Job, name: str) -> str:
    """The line of a run that a signal stopped before or after the training, which answers for itself."""
    if job.is_trial:
        return f"stopped by {name}; a trial keeps nothing"
    kept = Run(job.folder).last.is_file()
    return f"stopped by {name}; " + (
        f"go on with resume={job.folder}" if kept else f"{job.folder} has no checkpoint yet: start it again"
    )


def check_late(job: Job, error: BaseException) -> None:
    """Raises UserError in place of a ConfigError, whose status says that no folder was made."""
    mistake = as_user_error(error, [])
    if isinstance(mistake, ConfigError) and not job.is_trial:
        raise UserError(str(mistake)) from error


def command_of(job: Job) -> dict[str, list[str]]:
    """The job as a command of its own, also in a sweep: all its words, and those that say where its YAML is."""
    hydra_cfg, before = HydraConfig.get(), job.resumes
    flags = config_flags(hydra_cfg) or (flags_of(before) if before else [])
    return {"flags": flags, "command": ["python", "-m", "vae_lightning.train", *flags, *alone(job.overrides)]}


def recorders(trainer: pl.Trainer) -> list[RunRecord]:
    """The callbacks that write the record of the run."""
    return [part for part in trainer.callbacks if isinstance(part, RunRecord)]  # type: ignore[attr-defined]


def record(trainer: pl.Trainer, **facts: Any) -> None:
    """Gives the run's record the facts that only the command line knows."""
    for callback in recorders(trainer):
        callback.add(**facts)


def record_end(job: Job, error: BaseException) -> None:
    """Writes how the run ended, where no callback did: the fit never began, or a second error came in between."""
    if Run(job.folder).record.get("status") in (None, RUNNING) and is_first_process():
        for callback in recorders(job.trainer):
            with suppress(OSError):  # a full disk: the first error says so
                callback.end(job.trainer, error)


def write_report(job: Job) -> None:
    """Writes report.html, however the run ended. A report that cannot be written is one warning."""
    if not is_first_process():
        return
    try:
        run = open_run(job.folder)
        if run.status == RUNNING:  # the page is written before the record says `completed`
            vars(run).update(status=COMPLETED)
        path, _ = write_page(run, job.module, job.data)
        say(f"open {path}")
    except Interrupted:
        raise
    except ConfigError:  # the run ended before its record began: there is nothing to show
        pass
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        warn(f"{job.folder}: no report.html ({reason}); its results are whole")
