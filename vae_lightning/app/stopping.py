"""A signal in a sweep: the jobs that run stop, no other job begins, and those that never began are named.

Hydra goes on with the next job after an error. Imports neither torch nor Lightning.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig

from vae_lightning.app import clusters
from vae_lightning.app.launchers import ELSEWHERE, JOBLIB, kind
from vae_lightning.app.stopped import busy, end_with_parent, is_orphan, is_worker, mark, stopped_by, watching
from vae_lightning.app.words import sweep_overrides
from vae_lightning.errors import Interrupted, UserError
from vae_lightning.runs.files import JOBS, STOPPED
from vae_lightning.runs.sweep import read_sweep
from vae_lightning.signals import Answer, answering, current


class SweepStopped(BaseException):
    """Ends a sweep whose jobs run one by one in this process. It is no Exception, after which Hydra would go on."""

    def __init__(self, reason: UserError) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class RunningSweep:
    """The sweep that this process started."""

    folder: Path
    jobs: int  # 0: the sweeper decides
    in_turn: bool  # the jobs run one by one in this process
    launcher: str = ""
    begun: int = 0  # of these jobs

    def not_started(self) -> str:
        """The jobs that never began, as far as the command line tells their number."""
        known = read_sweep(self.folder)
        numbers = known.launched() if known else list(range(self.jobs))
        records = (int(f.stem) for f in self.folder.glob(f"{JOBS}/*.json") if f.stem.isdecimal())
        begun = {*numbers[: self.begun], *records}
        left = [f"job {number}" for number in numbers if number not in begun]
        return f"the sweep ends here; not started: {', '.join(left)}" if left else "the sweep ends here"


_sweep: list[RunningSweep] = []  # at most one
_idle: list[Answer] = []  # of a worker of joblib, between two jobs
_guard: list[threading.Thread] = []  # of a worker


def begins(config: DictConfig) -> None:
    """Notes the sweep that this process starts. Its parallel jobs hear of a signal to this process."""
    choices, folder = config.hydra.runtime.choices, Path(str(config.hydra.sweep.dir))
    jobs = 1 if choices.get("hydra/sweeper") == "basic" else 0
    with suppress(HydraException):
        for override in sweep_overrides(sys.argv[1:], config.hydra.sweeper.get("params")):
            jobs *= len(list(override.sweep_string_iterator()))
    in_turn = choices.get("hydra/launcher") == "basic"
    _sweep[:] = [RunningSweep(folder, jobs, in_turn, kind(config.hydra.get("launcher")))]
    if not in_turn:
        (folder / STOPPED).unlink(missing_ok=True)
        current().on_first = partial(stop, folder, config)
        current().hold()
        try:
            clusters.before_launch(config, folder)
        except UserError as error:  # Hydra makes a warning of it
            raise SweepStopped(error) from None


def stop(folder: Path, config: DictConfig, number: int) -> None:
    """Stops the jobs of the sweep that this process started."""
    mark(folder, number)
    clusters.stop_queue(config)


def ended() -> str | None:
    """Ends the sweep of this process, if it started one. Raises Interrupted where a signal to any job stopped it.

    Returns which jobs never began, for an error that stopped it otherwise.
    """
    if not _sweep:
        return None
    sweep = _sweep.pop()
    number = None if sweep.in_turn else stopped_by(sweep.folder)
    clusters.after_launch(sweep.launcher, sweep.folder, partial(mark, sweep.folder, signal.SIGTERM))
    if number is not None:
        with suppress(OSError):
            if sweep.launcher == JOBLIB:  # elsewhere a job may not have seen it yet
                (sweep.folder / STOPPED).unlink()
        current().settle()  # else the signal comes again at the end of the command, and ends it without its workers
        raise Interrupted(number, f"stopped by {signal.Signals(number).name}; {sweep.not_started()}")
    return sweep.not_started()


@contextmanager
def job(number: int) -> Iterator[None]:
    """Runs one job of a sweep, unless a signal stopped the sweep. The job hears of one that comes later."""
    hydra_cfg = HydraConfig.get()
    if hydra_cfg.runtime.choices.get("hydra/launcher") == "basic":
        for sweep in _sweep:
            sweep.begun = number + 1
        try:
            with answering("stopped by {}".format):
                yield
        except Interrupted as error:
            raise SweepStopped(error) from None
        return
    folder, launcher = Path(hydra_cfg.runtime.output_dir), hydra_cfg.launcher
    place = clusters.inside(launcher, folder) if kind(launcher) in ELSEWHERE else None
    if is_worker() and not _idle:
        _idle.append(Answer(str, waits=True))
        _idle[0].begin()
    if is_worker(launcher) and not _guard:
        _guard.append(threading.Thread(target=end_with_parent, daemon=True))
        _guard[0].start()
    for idle in _idle:
        if idle.received is not None:
            mark(folder, idle.received)
    if (received := stopped_by(folder, launcher)) is not None:
        silent = Interrupted(received, f"job {number}: not started")
        silent.was_told = True  # type: ignore[attr-defined]
        raise silent
    try:
        with busy, place or nullcontext(), answering("stopped by {}".format), watching(folder, launcher):
            yield
    except Interrupted as error:
        if place is None and not is_orphan():  # a scheduler may have ended this job alone; the sweep may go on already
            mark(folder, error.status - 128)
        raise
