"""A signal in a sweep: the jobs that run stop, no other job begins, and those that never began are named.

Hydra goes on with the next job after an error, and the workers of a launcher do not hear of a signal to their parent.
A file in the sweep's folder tells all of them. Imports neither torch nor Lightning.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import current_process
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig

from vae_lightning.app.words import sweep_overrides
from vae_lightning.errors import Interrupted
from vae_lightning.runs.files import JOBS, STOPPED
from vae_lightning.runs.sweep import read_sweep
from vae_lightning.signals import Answer, answering, current, heard

SECONDS = 0.5  # between two looks of a job at the file and at its parent


class SweepStopped(BaseException):
    """Ends a sweep whose jobs run one by one in this process. It is no Exception, after which Hydra would go on."""

    def __init__(self, signal: Interrupted) -> None:
        super().__init__(signal)
        self.signal = signal


@dataclass
class Sweep:
    """The sweep that this process started."""

    folder: Path
    jobs: int  # 0: the sweeper decides
    in_turn: bool  # the jobs run one by one in this process
    begun: int = 0  # of these jobs

    def not_started(self) -> str:
        """The jobs that never began, as far as the command line tells their number."""
        known = read_sweep(self.folder)
        numbers = known.launched() if known else list(range(self.jobs))
        records = (int(f.stem) for f in self.folder.glob(f"{JOBS}/*.json") if f.stem.isdecimal())
        begun = {*numbers[: self.begun], *records}
        left = [f"job {number}" for number in numbers if number not in begun]
        return f"the sweep ends here; not started: {', '.join(left)}" if left else "the sweep ends here"


_sweep: list[Sweep] = []  # at most one
_idle: list[Answer] = []  # of a worker, between two jobs


def begins(config: DictConfig) -> None:
    """Notes the sweep that this process starts. Its parallel jobs hear of a signal to this process."""
    choices, folder = config.hydra.runtime.choices, Path(str(config.hydra.sweep.dir))
    jobs = 1 if choices.get("hydra/sweeper") == "basic" else 0
    with suppress(HydraException):
        for override in sweep_overrides(sys.argv[1:], config.hydra.sweeper.get("params")):
            jobs *= len(list(override.sweep_string_iterator()))
    in_turn = choices.get("hydra/launcher") == "basic"
    _sweep[:] = [Sweep(folder, jobs, in_turn)]
    if not in_turn:
        (folder / STOPPED).unlink(missing_ok=True)
        current().on_first = partial(mark, folder)
        current().hold()


def ended() -> str | None:
    """Ends the sweep of this process, if it started one. Raises Interrupted where a signal to any job stopped it.

    Returns which jobs never began, for an error that stopped it otherwise.
    """
    if not _sweep:
        return None
    sweep = _sweep.pop()
    if not sweep.in_turn and (number := stopped_by(sweep.folder)) is not None:
        with suppress(OSError):
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
    folder = Path(hydra_cfg.runtime.output_dir)
    if is_worker() and not _idle:
        _idle.append(Answer(str, waits=True))
        _idle[0].begin()
        threading.Thread(target=end_with_parent, daemon=True).start()
    for idle in _idle:
        if idle.received is not None:
            mark(folder, idle.received)
    if (received := stopped_by(folder)) is not None:
        silent = Interrupted(received, f"job {number}: not started")
        silent.was_told = True  # type: ignore[attr-defined]
        raise silent
    try:
        with _busy, answering("stopped by {}".format), watching(folder):
            yield
    except Interrupted as error:
        if not is_orphan():  # else the sweep may go on already, under another command
            mark(folder, error.status - 128)
        raise


@contextmanager
def watching(folder: Path) -> Iterator[None]:
    """Passes on to this process a signal that stopped the sweep."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SECONDS):
            if (number := stopped_by(folder)) is not None:
                if not heard():  # a signal to the whole group is here already, and a second one would end the process
                    os.kill(os.getpid(), number)
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def end_with_parent() -> None:
    """Ends this worker, between two jobs, once its parent is gone. The launcher would let it wait for minutes."""
    while os.getppid() == _PARENT:
        time.sleep(SECONDS)
    with _busy:
        os._exit(128 + signal.SIGTERM)


def mark(folder: Path, number: int) -> None:
    """Tells all jobs of the sweep which signal stopped it."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STOPPED).write_text(str(number), encoding="utf-8")


def stopped_by(folder: Path) -> int | None:
    """The signal that stopped the sweep: SIGTERM for a worker whose parent is gone, None if it was not stopped."""
    if is_orphan():
        return int(signal.SIGTERM)
    try:
        return int((folder / STOPPED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):  # it is being written
        return int(signal.SIGTERM)


def is_worker() -> bool:
    """Whether this process is a worker that a launcher started."""
    return current_process().name != "MainProcess"


def is_orphan() -> bool:
    """Whether this process is a worker whose parent is gone."""
    return is_worker() and os.getppid() != _PARENT


_PARENT = os.getppid()
_busy = threading.Lock()  # held while a job runs
