"""The jobs of a multirun as Hydra launches them: their lines of output, and what Hydra itself prints and writes.

Imports neither torch nor Lightning.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_lightning.app import stopping, trials
from vae_lightning.app.mistakes import is_stop
from vae_lightning.app.words import sweep_overrides
from vae_lightning.output import Unfailing
from vae_lightning.runs.jobs import sweep_words
from vae_lightning.runs.place import at_home
from vae_lightning.runs.sweep import read_sweep


class Quiet(Callback):
    """Hydra's callback: `Error executing job` does not follow a job whose mistake was told in one line.

    A launcher sends it to the process of a job, which then works in the folder where the command was started. A worker
    of Ray begins in another folder, and Hydra makes the path of the sweep absolute before our code runs.
    """

    def __getstate__(self) -> dict[str, str]:
        return {"folder": os.getcwd()}

    def __setstate__(self, state: dict[str, str]) -> None:
        if os.path.isdir(state["folder"]):
            os.chdir(state["folder"])

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        with suppress(OmegaConfBaseException):  # of the sweep's folder: the sweeper says it
            stopping.begins(config)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if getattr(job_return._return_value, "was_told", False):
            job_return.__class__ = Told


class Told(JobReturn):
    """The end of a job whose mistake was told. `return_value` raises the mistake and prints nothing."""

    @property
    def return_value(self) -> Any:  # type: ignore[override]
        raise self._return_value


class Batches:
    """The launcher of a sweep in batches: Hydra sees how the jobs ended, and raises their errors, after the last one.

    A signal ends the sweep at once.
    """

    def __init__(self, owner: Any, launcher: Any) -> None:
        self.owner, self.launcher, self.returns = owner, launcher, []

    def launch(self, job_overrides: Any, initial_job_idx: int) -> list[JobReturn]:
        """Runs the jobs of one batch. Returns all jobs so far, or none yet."""
        ended = self.launcher.launch(job_overrides, initial_job_idx=initial_job_idx)
        self.returns += ended
        stopped = any(is_stop(job._return_value) for job in ended)
        return self.returns if stopped or self.owner.is_done() else []


class Numbered:
    """A text stream of whole lines. While a job runs, each line begins with the job's number, once."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.prefix, self._rest = stream, "", ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            self.stream.write(f"{line}\n" if line.startswith(self.prefix) else f"{self.prefix}{line}\n")
        return len(text)

    def end(self) -> None:
        """Ends the last line and the job."""
        if self._rest:
            self.write("\n")
        self.flush()
        self.prefix = ""

    def isatty(self) -> bool:
        """False: a bar that redraws its line would mix with the lines of other jobs."""
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def numbered(job: int) -> Iterator[None]:
    """Prints `job 3: ` before each line, where a launcher runs several jobs at once.

    The streams stay in place for the next job of the process: a logger keeps the stream that it found first.
    """
    if HydraConfig.get().runtime.choices.get("hydra/launcher") == "basic":
        yield
        return
    sys.stdout, sys.stderr = (
        s if isinstance(s, Numbered) else Numbered(Unfailing(s)) for s in (sys.stdout, sys.stderr)
    )
    sys.stdout.prefix = sys.stderr.prefix = f"job {job}: "
    try:
        yield
    finally:
        sys.stdout.end()
        sys.stderr.end()


def swept_keys() -> list[str] | None:
    """The keys that the sweep of this job varies, or None in a single run."""
    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode != RunMode.MULTIRUN:
        return None
    if (keys := trials.swept_keys()) is not None:
        return keys
    folder = Path(hydra_cfg.runtime.output_dir)
    if sweep := read_sweep(folder):
        return sweep.swept
    words, _ = sweep_words(folder)
    return [override.key_or_group for override in sweep_overrides(words, hydra_cfg.sweeper.get("params"))]


def scratch() -> str:
    """A folder for Hydra's files of a multirun that nobody needs afterwards. It is removed when the process ends."""
    folder = tempfile.mkdtemp(prefix="vae-lightning-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


OmegaConf.register_new_resolver("scratch", scratch, use_cache=True, replace=True)
OmegaConf.register_new_resolver("at_home", lambda path: at_home(str(path)), replace=True)
