"""The record of each job of a sweep, and the pages that are written anew when a job ends.

Imports neither torch nor Lightning.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vae_lightning.app.arguments import task_overrides
from vae_lightning.app.config import is_trial
from vae_lightning.app.environment import closed
from vae_lightning.app.mistakes import as_user_error
from vae_lightning.errors import ConfigError, Interrupted, Pruned
from vae_lightning.output import say, warn
from vae_lightning.runs.files import JOBS, SWEEP_PAGE, SWEEPS
from vae_lightning.runs.folder import check_name
from vae_lightning.runs.jobs import COMPLETED, FAILED, PRUNED, STOPPED, Job, read_jobs
from vae_lightning.runs.lock import is_first_process
from vae_lightning.runs.named import runs_below


class Recorder:
    """Records one job. `group` is the folder of its group, where the group was named or the run is in it."""

    def __init__(self, job: Job | None, group: Path | None) -> None:
        self.job, self.named, self.group = job, group, group
        self.run: Path | None = None

    def becomes(self, run: Path, group: str) -> None:
        """Notes the run folder of the job, which lies in its group's folder unless `save_dir` names another place."""
        self.run, self.group = run, run.parent if run.parent.name == group else None
        if self.job is not None:
            where = relative(run, self.job.file.parent)
            self.job = replace(self.job, run=where, group=group if self.group else None)
            warned(self.job.write)

    def ends(self, status: str, error: str | None) -> None:
        """Writes the last record, then the pages of the sweep and of the run's group."""
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


def pages_of(run: Path) -> list[Path]:
    """The folders whose page shows a run: its group, its project, and the sweeps that it was a job of."""
    run = run.resolve()
    group, project = run.parent, run.parent.parent
    above = [folder for folder in (group, project, project / SWEEPS) if (folder / SWEEP_PAGE).is_file()]
    sweeps = [page.parent for page in sorted((project / SWEEPS).glob(f"*/{SWEEP_PAGE}"))]
    return [*above, *(sweep for sweep in sweeps if any(job.run_folder == run for job in read_jobs(sweep)))]


def renew(runs: Sequence[Path]) -> None:
    """Writes the pages that show one of the runs anew. A page that cannot be written is one warning."""

    def write() -> None:
        for folder in dict.fromkeys(folder for run in runs for folder in pages_of(run)):
            warned(partial(rebuild, folder))

    warned(write)


@contextmanager
def recorded(cfg: DictConfig) -> Iterator[Recorder]:
    """Records a job of a sweep from its start to its end, and then writes the pages that show it.

    A record or page that cannot be written is one warning; the job ends as it would have. A trial leaves no record.
    A pruned job ends here: it is no mistake.
    """
    hydra_cfg, job, group = HydraConfig.get(), None, named_group(cfg)
    if hydra_cfg.mode == RunMode.MULTIRUN and is_first_process() and not is_trial(cfg):
        number, overrides = int(hydra_cfg.job.num), tuple(task_overrides(hydra_cfg))
        file = Path(hydra_cfg.runtime.output_dir) / JOBS / f"{number:04d}.json"
        job = Job(file, number, overrides, group.name if group else None)
        warned(job.write)
    recorder = Recorder(job, group)
    try:
        yield recorder
    except Pruned as error:  # a trial of a study, which goes on with the next one
        say(str(error))
        recorder.ends(PRUNED, str(error))
        return
    except BaseException as error:
        mistake = as_user_error(error, []) if isinstance(error, Exception) else None
        stopped = isinstance(mistake, Interrupted) or not isinstance(error, Exception)
        said = str(mistake or f"{type(error).__name__}: {error}")
        recorder.ends(STOPPED if stopped else FAILED, said)
        raise
    recorder.ends(COMPLETED, None)


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


def warned(write: Callable[[], Any]) -> None:
    """Calls `write`. An error is one warning on stderr."""
    try:
        write()
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        warn(f"no sweep page ({line}); the run is not touched by this")


def rebuild(folder: Path) -> None:
    """Writes the page of a folder from what is on disk now."""
    from vae_lightning.pages.sweep.page import write_sweep_page

    if is_first_process():
        write_sweep_page(folder)


def relative(run: Path, folder: Path) -> str:
    """The path of a run relative to a folder; its whole path where the two are on different drives."""
    try:
        return os.path.relpath(run.resolve(), folder.resolve())
    except ValueError:
        return str(run.resolve())


class SweepPage(Callback):
    """Hydra's callback in `conf/train.yaml`: writes the page of the sweep a last time when no job runs any more.

    Hydra does not call `on_multirun_end` after a failed job, so the command calls `finish` as well.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        UNFINISHED.append(Path(str(config.hydra.sweep.dir)))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        finish()


UNFINISHED: list[Path] = []  # the sweeps that this process started and did not finish


def finish() -> None:
    """Writes the last page of this process's sweep and prints its path. A sweep without a job has no page."""
    while UNFINISHED:
        folder = UNFINISHED.pop()
        if (folder / JOBS).is_dir():
            warned(partial(rebuild, folder))
            if (folder / SWEEP_PAGE).is_file():
                say(f"sweep page: {folder / SWEEP_PAGE}")
