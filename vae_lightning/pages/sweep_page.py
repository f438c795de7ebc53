"""The page of a sweep: sweep.html, sweep.csv and sweep.md in the folder of a group, a sweep or a project.

Everything is read from disk again each time, so any job of a sweep, or a person afterwards, may write it.
"""

import time
from pathlib import Path
from typing import Any

from vae_lightning import __version__
from vae_lightning.errors import CheckpointError, ConfigError
from vae_lightning.pages import sweep_data, sweep_tables, sweep_view
from vae_lightning.pages.page import render
from vae_lightning.pages.sweep_data import Spread, Sweep
from vae_lightning.pages.sweep_strings import SWEEP
from vae_lightning.runs.atomic import atomically
from vae_lightning.runs.files import SWEEP_PAGE as PAGE
from vae_lightning.runs.lock import Lock

LOCK, ASKED = ".sweep.lock", ".sweep.asked"
PATIENCE = 10.0  # seconds


def write_sweep_page(folder: Path) -> Path:
    """Writes the three files and returns the page's path. Raises ConfigError where there is no run to show.

    Many jobs may end at once. Each leaves a request and one of them writes: it takes the request back before it reads
    the disk, and looks for another one after it has let the lock go. So whatever was on disk before a request is on
    the page, and nobody waits for more than PATIENCE seconds.
    """
    if not sweep_data.any_runs(folder):
        raise ConfigError(f"{folder}: not a run folder, and there is none in it; name a run's folder, or one of runs")
    asked, deadline = folder / ASKED, time.monotonic() + PATIENCE
    asked.touch()
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
            for leftover in folder.glob(".sweep.*.tmp"):  # of a writer that was killed
                leftover.unlink(missing_ok=True)
            write(sweep_data.read(folder))
        finally:
            lock.release()
    return folder / PAGE


def write(sweep: Sweep) -> None:
    """The three files, each whole."""
    files = {PAGE: as_html(sweep), "sweep.csv": sweep_tables.as_csv(sweep), "sweep.md": sweep_tables.as_markdown(sweep)}
    for name, text in files.items():
        with atomically(sweep.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="replace")


def as_html(sweep: Sweep) -> str:
    """The page."""
    view = sweep_view.view(sweep)
    place = "/".join(sweep.folder.parts[-2:])
    return render(
        "sweep.html.j2",
        SWEEP,
        version=__version__,
        sweep=sweep,
        place=place,
        view=view,
        command=sweep_view.command(sweep),
        nats=nats,
        duration=duration,
    )


def nats(value: Any, digits: int = 2) -> str:
    """-98.2134 -> −98.21; a mean with its standard deviation where it has one."""
    if isinstance(value, Spread):
        value = {"mean": value.mean, "sd": value.deviation}
    if isinstance(value, dict):
        exact = value.get("sd") is None or (digits < 2 and value["sd"] == 0)  # counts that are the same in each
        deviation = "" if exact else f" ± {value['sd']:.{digits}f}"
        return nats(value.get("mean"), digits) + deviation
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def duration(seconds: Any) -> str:
    """12.3 s, 4.5 min, 1.2 h; of a mean, the mean."""
    value = seconds.get("mean") if isinstance(seconds, dict) else seconds
    if value is None:
        return "–"
    unit, size = next(((u, s) for u, s in (("h", 3600), ("min", 60)) if value >= 2 * s), ("s", 1))
    return f"{value / size:.1f} {unit}"
