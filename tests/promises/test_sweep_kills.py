"""A sweep that is killed at any moment and goes on with sweep.skip_finished=true ends as the unbroken one does."""

import csv
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from alike import assert_same_run
from conftest import NO_NETWORK, ROOT
from nurse import log
from test_signals import processes

from vae_lightning.runs.jobs import read_jobs

slow = pytest.mark.slow
SKIP = "sweep.skip_finished=true"
SWEEP = ["-m", "network.hidden=[16]", "latent.dim=3", "loss=bce_logits", "data.protocol=dynamic", "group=g"]
SWEEP += ["report=false", "~callbacks.reconstruction_grid", "~callbacks.sample_grid", "~callbacks.latent_traversal"]
SWEEP += ["project_dir=o", *NO_NETWORK]
SMALL = [*SWEEP, "seed=1,2", "epochs=3", "+trainer.limit_train_batches=8"]
WHOLE = [*SWEEP, "seed=1,2,3", "beta=0.5,1,2,4", "latent.dim=2,3", "epochs=3", "+trainer.limit_train_batches=12"]


def rows(folder: Path) -> list[list[tuple[str, str]]]:
    """The table of the sweep, without the names of folders and the times."""
    (sweep,) = (folder / "o" / "multirun").iterdir()
    with (sweep / "sweep.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    known = ("status", "seed", "beta", "latent.dim", "epochs", "elbo", "recon", "kl", "active_units", "error")
    return sorted([(key, row[key]) for key in known if key in row] for row in found)


def completed(folder: Path) -> Counter[str]:
    """{seed, beta and latent size: how many runs of the group trained to their end}."""
    ended: Counter[str] = Counter()
    for path in (folder / "o" / "g").glob("2*/run_meta.json"):
        meta = json.loads(path.read_text() or "{}")
        if "config" not in meta:
            continue
        key = f"{meta['config']['seed']} {meta['config']['beta']} {meta['config']['latent']['dim']}"
        ended[key] += meta["status"] == "completed"
    return ended


@pytest.mark.slow
def test_two_kills_and_the_same_table(nursery, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    start = time.monotonic()
    assert nursery(whole, *SMALL)["status"] == 0, log(whole)
    seconds, moments = time.monotonic() - start, random.Random(2)
    for attempt in range(2):
        words = [*SMALL, *([SKIP] if attempt else [])]  # the first command line does not know that it will be killed
        ended = nursery(killed, *words, kill_after=seconds * moments.uniform(0.3, 0.6))
        assert ended["status"] == -signal.SIGKILL, log(killed)
    assert nursery(killed, *SMALL, SKIP)["status"] == 0, log(killed)
    assert rows(killed) == rows(whole)
    assert set(completed(killed).values()) == {1}
    runs = [{job.number: job.run_folder for job in read_jobs(folder / "o")} for folder in (whole, killed)]
    for number in (0, 1):
        assert_same_run(runs[0][number], runs[1][number])


# --- the sweep of 24 runs --------------------------------------------------------------------------------------------

JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
LAUNCHERS = [
    pytest.param([], id="basic"),
    pytest.param(
        JOBLIB,
        id="joblib",
        marks=pytest.mark.skipif(importlib.util.find_spec("joblib") is None, reason="the extra `sweep` is missing"),
    ),
    pytest.param(
        ["hydra/launcher=ray"],
        id="ray",
        marks=pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra `ray` is missing"),
    ),
]


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vae_lightning.train", *words]
    with (folder / "log.txt").open("ab") as output:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output, process_group=0)


def workers(folder: Path) -> list[int]:
    """The processes that hold a run."""
    running = []
    for lock in (folder / "o" / "g").glob("2*/.lock"):
        meta = lock.parent / "run_meta.json"
        if meta.is_file() and meta.stat().st_size and json.loads(meta.read_text()).get("status") == "running":
            running.append(int((lock.read_text().split() or ["0"])[0]))
    return [pid for pid in running if pid in processes(folder)]


def wait_for(folder: Path, count: int, sweep: subprocess.Popen[bytes]) -> None:
    """Waits until so many runs are completed; the sweep has more to do then."""
    deadline = time.monotonic() + 300
    while sum(completed(folder).values()) < count:
        assert sweep.poll() is None, log(folder)
        assert time.monotonic() < deadline, log(folder)
        time.sleep(0.05)


@slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_five_kills_of_launcher_and_worker(tmp_path, launcher):
    """24 runs: the same table, no run trained twice to its end, no orphan."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    assert start(whole, *WHOLE, *launcher).wait(timeout=600) == 0, log(whole)
    moments = random.Random(5)
    for kill in range(5):
        sweep = start(killed, *WHOLE, *launcher, SKIP)
        wait_for(killed, 4 * kill + 2, sweep)
        time.sleep(moments.uniform(0, 1))
        at_work = workers(killed)
        if kill % 2 and at_work:
            os.kill(at_work[0], signal.SIGKILL)
            assert sweep.wait(timeout=120) != 0, log(killed)
        else:
            sweep.kill()
            sweep.wait()
        deadline = time.monotonic() + 120  # agents of Ray look for their node now and then
        while processes(killed) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert processes(killed) == []
        print(f"kill {kill + 1}: {sum(completed(killed).values())} runs are completed")
    assert start(killed, *WHOLE, *launcher, SKIP).wait(timeout=600) == 0, log(killed)
    assert len(rows(whole)) == 24
    assert rows(killed) == rows(whole)
    assert set(completed(killed).values()) == {1}


@slow
def test_two_commands_at_once_share_a_sweep(tmp_path):
    """Both start at the same moment, and each job trains once."""
    words = [*SWEEP, "seed=1,2,3,4,5,6", "epochs=3", "+trainer.limit_train_batches=12", "sweep.name=both", SKIP]
    commands = [start(tmp_path, *words) for _ in range(2)]
    assert [command.wait(timeout=300) for command in commands] == [0, 0], log(tmp_path)
    assert start(tmp_path, *words).wait(timeout=300) == 0  # what a command left to the other one
    assert completed(tmp_path) == {f"{seed} 1.0 3": 1 for seed in range(1, 7)}
    assert {dict(row)["status"] for row in rows(tmp_path)} == {"completed"}
