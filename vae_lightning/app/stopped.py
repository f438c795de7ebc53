"""How a job hears that its sweep was stopped: from a file in the sweep's folder, or because its parent is gone.

The workers of a launcher do not hear of a signal to their parent. Imports neither torch nor Lightning.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import current_process
from pathlib import Path
from typing import Any

from vae_lightning.app import clusters
from vae_lightning.app.launchers import RAY, kind
from vae_lightning.runs.files import STOPPED
from vae_lightning.signals import heard

SECONDS = 0.5  # between two looks of a job at the file and at its parent
busy = threading.Lock()  # held while a job runs
_PARENT = os.getppid()


@contextmanager
def watching(folder: Path, launcher: Any = None) -> Iterator[None]:
    """Passes on to this process a signal that stopped the sweep."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SECONDS):
            if (number := stopped_by(folder, launcher)) is not None:
                if not heard():  # a signal to the whole group is here already, and a second one would end the process
                    ignored = signal.getsignal(number) == signal.SIG_IGN
                    os.kill(os.getpid(), signal.SIGTERM if ignored else number)
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
    with busy:
        os._exit(128 + signal.SIGTERM)


def mark(folder: Path, number: int) -> None:
    """Tells all jobs of the sweep which signal stopped it."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STOPPED).write_text(str(number), encoding="utf-8")


def stopped_by(folder: Path, launcher: Any = None) -> int | None:
    """The signal that stopped the sweep: SIGTERM for a worker whose parent is gone, None if it was not stopped."""
    if is_orphan(launcher) or clusters.command_is_gone(launcher, folder):
        return int(signal.SIGTERM)
    try:
        return int((folder / STOPPED).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):  # it is being written
        return int(signal.SIGTERM)


def is_worker(launcher: Any = None) -> bool:
    """Whether this process is a worker that a launcher started: joblib, or a node of Ray."""
    return current_process().name != "MainProcess" or kind(launcher) == RAY


def is_orphan(launcher: Any = None) -> bool:
    """Whether this process is a worker whose parent is gone."""
    return is_worker(launcher) and os.getppid() != _PARENT
