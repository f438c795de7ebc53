"""The start and the end of a sweep in the process of its command: its record, its last page, its last line.

Imports neither torch nor Lightning.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vae_lightning.app.renewing import rebuild, warned
from vae_lightning.output import say
from vae_lightning.runs.files import JOBS, MULTIRUN, SWEEP_PAGE
from vae_lightning.runs.progress import RUNS, Progress, named, progress, said


class SweepPage(Callback):
    """Hydra's callback in `conf/train.yaml`: writes the page of the sweep a last time when no job runs any more.

    Hydra does not call `on_multirun_end` after a failed job, so the command calls `finish` as well.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with suppress(OmegaConfBaseException):  # of the sweep's folder: the sweeper says it
            UNFINISHED.append(Path(str(config.hydra.sweep.dir)))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        finish()


UNFINISHED: list[Path] = []  # the sweeps that this process started and did not finish
_ended: list[tuple[int, int]] = []  # completed and failed jobs of the sweep that ended here


@contextmanager
def finishing() -> Iterator[None]:
    """Finishes the sweep of the block. If one of its jobs failed, the exit status is 1.

    If no job is completed, it is the status of the first failed job. A signal keeps its own.
    """
    status: Any = 0
    try:
        yield
    except SystemExit as stop:
        status = stop.code or 0
    except BaseException:
        finish()
        raise
    finish()
    done, failed = _ended.pop() if _ended else (0, 0)
    if failed and (not status or (done and isinstance(status, int) and status < 128)):
        status = 1
    if status:
        sys.exit(status)


def finish() -> None:
    """Writes the last page of this process's sweep, and prints its path and how the jobs stand.

    A sweep without a job has no page, and leaves no folder if there is only what Hydra wrote.
    """
    while UNFINISHED:
        folder = UNFINISHED.pop()
        if not (folder / JOBS).is_dir():
            remove_empty(folder)
            continue
        warned(partial(rebuild, folder))
        if (folder / SWEEP_PAGE).is_file():
            say(f"sweep page: {folder / SWEEP_PAGE}")
        if (now := progress(folder)) is not None:
            say(f"{said(now)}{left_to_others(now)}")
            _ended[:] = [(len(now.done), len(now.failed))]


def left_to_others(now: Progress) -> str:
    """What the last line of a command adds for jobs that still run, none of which is its own: the status is 0."""
    running = now.numbers(RUNS)
    verb = "runs" if len(running) == 1 else "run"
    return f"; {named(running)} {verb} in another process, which this command does not wait for" if running else ""


def remove_empty(folder: Path) -> None:
    """Removes the folder of a sweep that holds nothing but Hydra's file, and the folder of sweeps if that is empty."""
    with suppress(OSError):
        if {path.name for path in folder.iterdir()} <= {MULTIRUN}:
            (folder / MULTIRUN).unlink(missing_ok=True)
            folder.rmdir()
            folder.parent.rmdir()
