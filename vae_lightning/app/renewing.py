"""The pages of sweeps and groups, written anew from what is on disk. Imports neither torch nor Lightning."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vae_lightning.output import warn
from vae_lightning.runs.files import SWEEP_PAGE, SWEEPS
from vae_lightning.runs.jobs import read_jobs
from vae_lightning.runs.lock import is_first_process


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


def warned(write: Callable[[], Any]) -> bool:
    """Calls `write`, and returns whether that went well. An error is one warning on stderr."""
    try:
        write()
        return True
    except Exception as error:
        line = " ".join(f"{type(error).__name__}: {error}".split())
        warn(f"no sweep page ({line}); the run is not touched by this")
        return False


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
