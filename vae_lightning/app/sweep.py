"""The record of each job of a sweep, from its start to its end. Imports neither torch nor Lightning."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_lightning.app.arguments import task_overrides
from vae_lightning.app.config import is_trial
from vae_lightning.app.environment import closed
from vae_lightning.app.find import AUTO
from vae_lightning.app.mistakes import as_user_error
from vae_lightning.app.renewing import pages_of, rebuild, relative, warned
from vae_lightning.errors import ConfigError, Interrupted, Pruned
from vae_lightning.output import say
from vae_lightning.runs.files import SWEEP_PAGE
from vae_lightning.runs.folder import check_name
from vae_lightning.runs.jobs import COMPLETED, FAILED, PRUNED, STOPPED, Job, job_file, read_job
from vae_lightning.runs.lock import Lock, is_first_process
from vae_lightning.runs.named import runs_below
from vae_lightning.runs.sweep import read_sweep
from vae_lightning.runs.waiting import outlived


class Recorder:
    """Records one job. `group` is the folder of its group, where the group was named or the run is in it.

    `before` is what the sweep, which goes on, knows of the job; the record says that until `starts` writes it anew.
    """

    def __init__(self, job: Job | None, group: Path | None, before: Job | None = None) -> None:
        self.job, self.named, self.group, self.before = job, group, group, before
        self.run: Path | None = None
        self.lock: Lock | None = None
        self.began = self._over = False

    def claims(self, identity: str, patience: float) -> bool:
        """Takes the job of this configuration; False where another process of the sweep works on it.

        Waits up to `patience` seconds, and longer for a process of another machine that may be dead.
        """
        if self.job is None:
            return True
        self.job = replace(self.job, identity=identity)
        lock = self.job.lock
        if lock is not None and warned(partial(self.job.file.parent.mkdir, parents=True, exist_ok=True)):
            taken = lock.wait(patience) or (patience > 0 and outlived(lock) and lock.wait(patience))
            self.lock = lock if taken else None
        return self.lock is not None

    def reads_again(self) -> None:
        """What the job was before, also if another process has ended it since the last look."""
        if self.job is not None:
            self.before = read_job(self.job.file)
            self.job = replace(self.job, run=self.before.run if self.before else None)

    def starts(self, anew: bool = False) -> None:
        """Writes that the job works from now on; `anew`: on another run than before."""
        self.began = True
        if self.job is not None:
            self.job = replace(self.job, run=None) if anew else self.job
            warned(self.job.write)

    def leaves(self) -> None:
        """The job ends here without a word: another process records it, or the record says it all."""
        self._over = True

    def keeps(self, run: Path, group: str, status: str, error: str | None = None) -> None:
        """The job is what a run of before is, however that ended."""
        if self.job is None:
            self.becomes(run, group)
            return
        known = self.before and (self.before.status, self.before.run_folder)
        if known != (status, run.resolve()):
            self.becomes(run, group)
            self.ends(status, error)
        self.leaves()

    def becomes(self, run: Path, group: str) -> None:
        """Notes the run folder of the job, which lies in its group's folder unless `save_dir` names another place."""
        self.run, self.group = run, run.parent if run.parent.name == group else None
        if self.job is not None:
            where = relative(run, self.job.file.parent)
            self.job = replace(self.job, run=where, group=group if self.group else None)
            warned(self.job.write)

    def ends(self, status: str, error: str | None) -> None:
        """Writes the last record, then the pages of the sweep and of the run's group."""
        if self._over:
            return
        if self.job is not None:
            warned(replace(self.job, status=status, error=error).write)
        warned(self.write_pages)

    def write_pages(self) -> None:
        """Writes the pages that show the job from what is on disk now."""
        folders = [] if self.job is None else [self.job.file.parent.parent]
        if self.group is not None and self.has_page(self.group):
            folders.append(self.group)
        folders += pages_of(self.run) if self.run else []
        for folder in {folder.resolve(): folder for folder in folders}.values():
            warned(partial(rebuild, folder))

    def has_page(self, group: Path) -> bool:
        """Whether a group has a page, or is due one: a sweep named the group, or gave it a second run."""
        if self.job is None or (group / SWEEP_PAGE).is_file():
            return (group / SWEEP_PAGE).is_file()
        return len(runs_below(group)) >= (1 if self.named else 2) if group.is_dir() else False


@contextmanager
def recorded(cfg: DictConfig) -> Iterator[Recorder]:
    """Records a job of a sweep from its start to its end, and then writes the pages that show it.

    A record or page that cannot be written is one warning; the job ends as it would have. A trial leaves no record.
    A pruned job ends here: it is no mistake.
    """
    group = named_group(cfg)
    job, before = job_of(cfg, group)
    recorder = Recorder(job, group, before)
    if not skips(cfg):
        recorder.starts()
    try:
        yield recorder
    except Pruned as error:  # a trial of a study, which goes on with the next one
        say(str(error))
        recorder.ends(PRUNED, str(error))
        return
    except BaseException as error:
        mistake = as_user_error(error, []) if isinstance(error, Exception) else None
        stopped = isinstance(mistake, Interrupted) or not isinstance(error, Exception)
        if stopped and not recorder.began:
            recorder.leaves()
        said = str(mistake or f"{type(error).__name__}: {error}")
        recorder.ends(STOPPED if stopped else FAILED, said)
        raise
    else:
        recorder.ends(COMPLETED, None)
    finally:
        if recorder.lock is not None:
            recorder.lock.release()


def job_of(cfg: DictConfig, group: Path | None) -> tuple[Job | None, Job | None]:
    """The job of a sweep, and what the sweep knows of it from before; None in a single run and in a trial."""
    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode != RunMode.MULTIRUN or not is_first_process() or is_trial(cfg):
        return None, None
    number, overrides = number_of(hydra_cfg), tuple(task_overrides(hydra_cfg))
    file = job_file(Path(hydra_cfg.runtime.output_dir), number)
    before = read_job(file) if skips(cfg) else None
    run, identity = (before.run, before.identity) if before else (None, None)
    return Job(file, number, overrides, group.name if group else None, run=run, identity=identity), before


def goes_on(cfg: DictConfig) -> bool:
    """Whether the sweep goes on with what there is of it."""
    return OmegaConf.select(cfg, "sweep.skip_finished") is True


def skips(cfg: DictConfig) -> bool:
    """Whether the job of a sweep first looks at what it was before."""
    return goes_on(cfg) and cfg.get("resume") in (None, AUTO)


def number_of(hydra_cfg: Any) -> int:
    """The number of a job in its sweep: Hydra counts the jobs of each launch from 0."""
    sweep = read_sweep(Path(hydra_cfg.runtime.output_dir))
    return sweep.number(task_overrides(hydra_cfg), hydra_cfg.job.num) if sweep else int(hydra_cfg.job.num)


def named_group(cfg: DictConfig) -> Path | None:
    """project_dir/group, where the command names a valid group."""
    try:
        group = None
        with closed("group"):
            group = cfg.group
        if group is None or cfg.save_dir is not None:
            return None
        return Path(cfg.project_dir) / check_name("group", str(group))
    except (ConfigError, OmegaConfBaseException, TypeError):
        return None  # the checks that follow refuse it
