"""The page of a sweep: sweep.html, sweep.csv and sweep.md in the folder of a group, a sweep or a project.

Everything is read from disk each time, so any job of a sweep, or a person afterwards, may write it.
"""

import time
from pathlib import Path
from typing import Any

from vae_lightning.errors import CheckpointError, ConfigError
from vae_lightning.pages.base import numbers
from vae_lightning.pages.base.render import render
from vae_lightning.pages.sweep import folds, tables, view
from vae_lightning.pages.sweep.folds import Sweep
from vae_lightning.pages.sweep.study import study_view
from vae_lightning.pages.sweep.words import SWEEP
from vae_lightning.runs.atomic import leftovers, write_text
from vae_lightning.runs.files import SWEEP_CSV, SWEEP_PAGE, SWEEP_TABLE
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.place import own_file
from vae_lightning.version import __version__

LOCK, ASKED = ".sweep.lock", ".sweep.asked"
PATIENCE = 10.0  # seconds


def write_sweep_page(folder: Path) -> Path:
    """Writes the three files and returns the path of the page. Raises ConfigError if there is no run to show.

    Many jobs may end at once. Each job leaves a request, and one of them writes. The writer removes the request before
    it reads the disk, and looks for a new request after it has released the lock. So the page shows all that was on
    disk before a request, and no job waits longer than PATIENCE seconds.
    """
    if not folds.any_runs(folder):
        raise ConfigError(f"{folder}: not a run folder, and there is none in it; name a run's folder, or one of runs")
    check_files(folder)
    asked, deadline = folder / ASKED, time.monotonic() + PATIENCE
    open(asked, "a", opener=own_file).close()
    while asked.exists():
        lock = Lock(folder, LOCK)
        try:
            lock.take()
        except CheckpointError:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
            continue
        try:
            asked.unlink(missing_ok=True)
            for leftover in leftovers(folder, r"sweep\.(html|csv|md)"):  # of a writer that was killed
                leftover.unlink(missing_ok=True)
            write(folds.read(folder))
        finally:
            lock.release()
    return folder / SWEEP_PAGE


def check_files(folder: Path) -> None:
    """Raises ConfigError where a file of the user's has the name of one of the three files."""
    page = folder / SWEEP_PAGE
    ours = page.is_file() and 'name="generator" content="vae_lightning' in page.read_text("utf-8", errors="replace")
    for name in () if ours else (SWEEP_PAGE, SWEEP_CSV, SWEEP_TABLE):
        if (folder / name).exists():
            raise ConfigError(f"{folder / name}: was not written by vae_lightning; move it, it would be replaced")


def write(sweep: Sweep) -> None:
    """Writes each of the three files atomically."""
    files = {SWEEP_PAGE: as_html(sweep), SWEEP_CSV: tables.as_csv(sweep), SWEEP_TABLE: tables.as_markdown(sweep)}
    for name, text in files.items():
        write_text(sweep.folder / name, text)


def as_html(sweep: Sweep) -> str:
    """The page."""
    return render(
        "sweep/sweep.html.j2",
        SWEEP,
        version=__version__,
        sweep=sweep,
        place="/".join(sweep.folder.parts[-2:]),
        view=view.view(sweep),
        command=view.command(sweep),
        nats=nats,
        time_taken=time_taken,
        files=(SWEEP_CSV, SWEEP_TABLE),
        study=study_view(sweep.folder),
    )


def nats(value: Any, digits: int = 2) -> str:
    """-98.21, or -98.21 ± 0.07 for {"mean", "se"}; counts that are equal in all runs have no error."""
    if isinstance(value, dict):
        exact = value.get("se") is None or (digits < 2 and value["se"] == 0)
        error = "" if exact else f" ± {value['se']:.{digits}f}"
        return nats(value.get("mean"), digits) + error
    return "–" if value is None else numbers.nats(value, digits)


def time_taken(seconds: Any) -> str:
    """12.3 s, 4.5 min or 1.2 h; of {"mean", "se"} the mean."""
    value = seconds.get("mean") if isinstance(seconds, dict) else seconds
    if value is None:
        return "–"
    unit, size = next(((u, s) for u, s in (("h", 3600), ("min", 60)) if value >= 2 * s), ("s", 1))
    return f"{value / size:.1f} {unit}"
