"""Processes that end jobs at once and write the sweep's page each time: for test_sweep.py. Imports no torch."""

import random
import shutil
import time
from pathlib import Path

from vae_lightning.pages import sweep_data, sweep_page

WRITE = sweep_page.write
JOBS = 3


def late(sweep: sweep_data.Sweep) -> None:
    """Writes some time after the disk was read, as on a busy machine."""
    time.sleep(random.uniform(0, 0.15))
    WRITE(sweep)


def end_jobs(template: str, group: str, worker: int, naive: bool) -> None:
    """New runs, and after each the page; naively without asking who else writes."""
    sweep_page.write = late
    for i in range(JOBS):
        shutil.copytree(template, Path(group) / f"w{worker}-{i}")
        if naive:
            sweep_page.write(sweep_data.read(Path(group)))
        else:
            sweep_page.write_sweep_page(Path(group))
