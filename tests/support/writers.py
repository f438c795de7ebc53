"""Processes that end jobs at once and write the sweep's page after each job, for test_sweep.py. Imports no torch."""

import random
import shutil
import time
from pathlib import Path

from vae_lightning.pages.sweep import folds, page

WRITE = page.write
JOBS = 3


def late(sweep: folds.Sweep) -> None:
    """Writes some time after the disk was read, as on a busy machine."""
    time.sleep(random.uniform(0, 0.15))
    WRITE(sweep)


def end_jobs(template: str, group: str, worker: int, naive: bool) -> None:
    """Makes new runs, and writes the page after each; `naive` does not ask who else writes."""
    page.write = late
    for i in range(JOBS):
        shutil.copytree(template, Path(group) / f"w{worker}-{i}")
        if naive:
            page.write(folds.read(Path(group)))
        else:
            page.write_sweep_page(Path(group))
