"""How a command starts and how it ends: Hydra before the task, one line and an exit status after a mistake.

Imports neither torch nor Lightning: `--help` and `--cfg` answer at once. HYDRA_FULL_ERROR=1 shows every traceback.
"""

import atexit
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from vae_lightning.app import composing, continuing, front, search, stopping
from vae_lightning.app.arguments import check_arguments, expanded, in_order, quoted, task_overrides
from vae_lightning.app.config import check_added
from vae_lightning.app.launch import numbered
from vae_lightning.app.mistakes import as_user_error
from vae_lightning.app.places import settled
from vae_lightning.app.processes import follow_first, told_by_first
from vae_lightning.app.stopping import SweepStopped
from vae_lightning.app.sweep import number_of
from vae_lightning.errors import Interrupted, UserError
from vae_lightning.options import CONF
from vae_lightning.output import say, say_error, unfailing, warn
from vae_lightning.runs.lock import is_first_process
from vae_lightning.runs.run import Run
from vae_lightning.signals import answering, current, ignore

Item = TypeVar("Item")
FULL_ERROR = "HYDRA_FULL_ERROR"
TRACEBACKS = "VAE_LIGHTNING_FULL_ERROR"  # what the user said with FULL_ERROR, which the command sets to 1
MOST_NAMED = 3  # mistakes of one run


def run(config_name: str, task: Callable[[DictConfig], Any]) -> None:
    """Composes conf/<config_name>.yaml with the command line and runs `task`: once, or once per job of a sweep.

    `--help`, `--version` and `--copy-config` are answered before that.
    """
    asked = os.environ.get(TRACEBACKS, os.environ.get(FULL_ERROR, "0"))
    atexit.register(ignore)  # everything is said and written
    try:
        with answering("stopped by {}".format), answered(config_name):
            if front.asked(config_name, sys.argv[1:]):
                return
            os.environ[TRACEBACKS] = asked  # also for the workers of a launcher
            os.environ[FULL_ERROR] = "1"  # Hydra then raises to here instead of printing and exiting with 1
            sys.argv[1:] = expanded(sys.argv[1:])
            if is_first_process():
                check_arguments(sys.argv[1:])
            else:  # Lightning starts the other processes with a folder of Hydra's added
                follow_first()
            sys.argv[1:] = [quoted(argument) for argument in in_order(sys.argv[1:])]
            composing.install()
            continuing.install()
            search.install()
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(telling(task, config_name))()
            stopping.ended()
            current().check()
    finally:
        os.environ.pop(TRACEBACKS, None)
        os.environ[FULL_ERROR] = asked


@contextmanager
def answered(name: str = "train") -> Iterator[None]:
    """Ends the process after an error: with one line for a user's mistake, with the traceback for any other error.

    With HYDRA_FULL_ERROR=1 the traceback of a mistake comes before its line.
    """
    try:
        with unfailing():
            yield
    except KeyboardInterrupt:  # not in the main thread, where `signals` answers
        say_error("error: interrupted")
        sys.exit(128 + signal.SIGINT)
    except (Exception, SweepStopped) as error:
        mistake = as_user_error(of_sweep(error), sys.argv[1:], name)
        if mistake is None:
            say_error(traceback.format_exc(), end="")
        else:
            tell(mistake)
        sys.exit(mistake.status if mistake else 1)


def of_sweep(error: Exception | SweepStopped) -> Exception:
    """The error that ends the command: a signal that stopped the sweep comes before an error of one of its jobs."""
    try:
        left = stopping.ended()
    except Interrupted as stop:
        return stop
    ends = error.reason if isinstance(error, SweepStopped) else error
    if isinstance(ends, Interrupted) and left:
        tell(ends)
        say_error(left)
    return ends


def telling(task: Callable[[DictConfig], Any], name: str) -> Callable[[DictConfig], Any]:
    """`task` with an immediate answer to a user's mistake: a single run ends, a sweep goes on and ends badly."""

    def told(cfg: DictConfig) -> Any:
        hydra_cfg = HydraConfig.get()
        if hydra_cfg.mode == RunMode.RUN:
            return attempted(task, cfg, name)
        number = number_of(hydra_cfg)
        with numbered(number), stopping.job(hydra_cfg.job.num):
            say(f"job {number}: {' '.join(task_overrides(hydra_cfg))}")
            return attempted(task, cfg, name)

    return told


def attempted(task: Callable[[DictConfig], Any], cfg: DictConfig, name: str) -> Any:
    """The result of a task. A user's mistake is told at once; it ends a single run."""
    try:
        with unfailing():  # also in the worker of a launcher, where `answered` does not run
            if name != "train":  # which records the jobs that it refuses
                check_added(task_overrides(HydraConfig.get()), name)
            return task(settled(cfg))
    except Exception as error:
        mistake = as_user_error(error, [])
        if mistake is None:
            raise
        tell(mistake)
        if HydraConfig.get().mode == RunMode.RUN:
            sys.exit(mistake.status)
        raise mistake from None


def tell(mistake: UserError) -> None:
    """Prints one line on stderr, once, with HYDRA_FULL_ERROR=1 after the traceback of the error that is handled.

    A character that cannot be printed becomes a space.
    """
    if getattr(mistake, "was_told", False) or told_by_first(mistake):
        return
    if os.environ.get(TRACEBACKS, os.environ.get(FULL_ERROR)) == "1":
        say_error(traceback.format_exc(), end="")
    line = "".join(letter if letter.isprintable() else " " for letter in str(mistake))
    say_error(f"error: {line}")
    mistake.was_told = True  # type: ignore[attr-defined]


def tell_broken(run: Run) -> None:
    """Names what was left out of the files of a run, in a few lines."""
    for mistake in run.broken[:MOST_NAMED]:
        warn(f"{run.path}: {mistake}; left out")
    if more := len(run.broken[MOST_NAMED:]):
        warn(f"{run.path}: and {more} more")


def for_each(items: Sequence[Item], work: Callable[[Item], None]) -> None:
    """Calls `work` for each item. A user's mistake is told at once; the other items follow, then it is raised."""
    mistakes = []
    for item in items:
        try:
            work(item)
        except Exception as error:
            mistake = as_user_error(error, [])
            if mistake is None or isinstance(mistake, Interrupted):
                raise
            tell(mistake)
            mistakes.append(mistake)
    if mistakes:
        raise mistakes[0]
