"""One run in two processes, as a user starts it: equal to one process, resumed bit for bit, ended together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from alike import assert_same_run
from conftest import ROOT, command, config
from datasets import few_digits

from vae_lightning import checkpoint
from vae_lightning.train import train

slow = pytest.mark.slow
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
RUN = ["network.hidden=[16]", "latent.dim=3", "data.protocol=dynamic", "project_dir=o", "group=g", "date_prefix=false"]
RUN += ["callbacks.latent_traversal.rows=2", "callbacks.sample_grid.num_images=4"]
SHORT = ["epochs=2", "batch_size=38"]  # 399 images: the last batch of an epoch has 19, the first process takes 9
TRAIN = "vae_lightning.train"


def meta(run: Path) -> dict:
    return json.loads((run / "run_meta.json").read_text())


def numbers(run: Path) -> list[list[float]]:
    """The rows of the curves, without the times."""
    rows = (run / "curves" / "train_log.csv").read_text().splitlines()
    return [[float(cell) for cell in row.split(",") if cell] for row in rows[1:]]


def assert_equal_runs(one: Path, other: Path) -> None:
    """Weights, optimizer, curves and metrics within rounding."""
    for file in ("last.ckpt", "best.ckpt"):
        first, second = (checkpoint.load(run / "checkpoints" / file) for run in (one, other))
        assert [first[key] for key in ("epoch", "global_step")] == [second[key] for key in ("epoch", "global_step")]
        assert list(first["state_dict"]) == list(second["state_dict"])
        for name, weight in first["state_dict"].items():
            torch.testing.assert_close(second["state_dict"][name], weight, rtol=1e-3, atol=1e-4, msg=name)
    for row, again in zip(numbers(one), numbers(other), strict=True):
        assert again == pytest.approx(row, rel=1e-4, abs=1e-3)
    metrics, again = (meta(run)["metrics"] for run in (one, other))
    assert again == pytest.approx(metrics, rel=1e-4, abs=1e-3)


def files(run: Path) -> set[str]:
    return {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.slow
def test_two_processes_are_one_run(tmp_path, monkeypatch):
    """One folder, one page, each line once; loss, metrics with ragged batches and checkpoints are those of one."""
    words = [*RUN, *SHORT, *few_digits(tmp_path)]
    monkeypatch.chdir(tmp_path)
    done = command(TRAIN, *TWO, *words, "name=two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n    1/2 ") == 1
    assert "Traceback" not in done.stderr
    train(config(*words, "name=one"))
    one, two = (tmp_path / "o" / "g" / name for name in ("one", "two"))
    assert meta(two)["status"] == "completed"
    assert meta(two)["device"]["devices"] == 2
    assert files(one) == files(two)
    assert_equal_runs(one, two)
    assert sorted(path.name for path in (tmp_path / "o" / "g").iterdir() if not path.name.startswith(".")) == [
        "latest",
        "one",
        "two",
    ]


# --- the end ---------------------------------------------------------------------------------------------------------


class Started:
    """A run of two processes that is training, and the numbers of its processes."""

    def __init__(self, folder: Path, *words: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.log = (folder / "log.txt").open("a+")
        self.first = subprocess.Popen(
            [sys.executable, "-m", TRAIN, *words], cwd=folder, env=environment, stdout=self.log, stderr=self.log
        )

    def wait_for(self, condition, seconds: float = 150) -> None:
        until = time.monotonic() + seconds
        while not condition():
            assert self.first.poll() is None, self.said()
            assert time.monotonic() < until, self.said()
            time.sleep(0.05)

    def second(self) -> int:
        (child,) = children(self.first.pid)
        return child

    def end(self, within: float) -> int:
        """The exit status of the first process."""
        return self.first.wait(within)

    def said(self) -> str:
        return Path(self.log.name).read_text()


def children(parent: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def ended(process: int, within: float) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="the children of a process are read in /proc"
)
LONG = ["epochs=9999", "schedule=none", "report=false"]


@pytest.fixture
def training(tmp_path):
    """A run of two processes after its first epoch. Nothing of it outlives the test."""
    started, run = Started(tmp_path, *TWO, *RUN, *LONG, *few_digits(tmp_path), "name=run"), tmp_path / "o" / "g" / "run"
    try:
        started.wait_for((run / "checkpoints" / "last.ckpt").is_file)
        yield started, run
    finally:
        started.first.kill()
        started.first.wait()
        started.log.close()


@slow
@needs_proc
@pytest.mark.parametrize("which", ["first", "second"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_process_stops_both_after_the_same_step(training, which, number):
    started, run = training
    second = started.second()
    os.kill(started.first.pid if which == "first" else second, number)
    assert started.end(within=40) == 128 + number, started.said()
    assert ended(second, within=15)
    assert meta(run)["status"] == "interrupted"
    assert checkpoint.load(run / "checkpoints" / "last.ckpt")["global_step"] > 0
    assert f"stopped by {number.name} after step" in started.said().splitlines()[-1]
    assert started.said().count("stopped by") == 1
    assert "Traceback" not in started.said()


@slow
@needs_proc
@pytest.mark.parametrize("which", ["first", "second"])
def test_sigkill_of_one_process_ends_the_other(training, which):
    started, run = training
    second = started.second()
    os.kill(started.first.pid if which == "first" else second, signal.SIGKILL)
    status = started.end(within=40)
    assert status != 0
    assert ended(second, within=30)
    assert "Traceback" not in started.said(), started.said()
    checkpoint.load(run / "checkpoints" / "last.ckpt")
    assert meta(run)["status"] in ("running", "failed")


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory) -> Path:
    """A run of two processes from its start to its end."""
    folder = tmp_path_factory.mktemp("whole")
    done = command(TRAIN, *TWO, *RUN, *SHORT, *few_digits(folder), "name=whole", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "o" / "g" / "whole"


@slow
@pytest.mark.parametrize("step", [5, 11, 14])
def test_a_resume_with_as_many_processes_is_bit_for_bit(tmp_path, never_stopped, step):
    """Stopped within the first epoch of 11 steps, at its end, and within the second."""
    words = [*TWO, *RUN, *SHORT, *few_digits(tmp_path)]
    stopping = ["+callbacks.stop._target_=stop_at.StopAt", f"+callbacks.stop.step={step}", "allow_targets=[stop_at.]"]
    (tmp_path / "stop_at.py").write_text(STOP)
    path = f"{tmp_path}:{ROOT}"
    done = command(TRAIN, *words, *stopping, "name=stopped", cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 143, done.stderr
    again = ["resume=auto", *words, *stopping, "name=stopped"]
    done = command(TRAIN, *again, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    stopped = tmp_path / "o" / "g" / "stopped"
    assert_same_run(never_stopped, stopped)
    assert len(meta(stopped)["attempts"]) == 1


STOP = """
import os, signal
import lightning.pytorch as pl

class StopAt(pl.Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step + 1 == self.step and trainer.global_rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
"""


@slow
def test_another_number_of_processes_is_named(tmp_path):
    words = [*RUN, *SHORT, *few_digits(tmp_path)]
    assert command(TRAIN, *TWO, *words, "name=two", cwd=tmp_path).returncode == 0
    asked = [TRAIN, "resume=o/g/two", "epochs=3", "trainer.devices=1"]
    refused = command(*asked, "allow_drift=[epochs]", cwd=tmp_path)
    assert refused.returncode == 4
    assert "trainer.devices: 2 -> 1" in refused.stderr
    allowed = command(*asked, "allow_drift=[epochs,trainer.devices]", cwd=tmp_path)
    assert allowed.returncode == 0, allowed.stderr
    assert "it had 2 devices, now there are 1 processes" in allowed.stderr
    assert command(TRAIN, *words, "epochs=3", "name=one", cwd=tmp_path).returncode == 0
    assert_equal_runs(tmp_path / "o" / "g" / "one", tmp_path / "o" / "g" / "two")


@slow
def test_an_outside_launcher_starts_the_processes(tmp_path):
    """torchrun starts the processes in place of Lightning, all at the same time."""
    words = [*RUN, *SHORT, *few_digits(tmp_path)]
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", TRAIN]
    done = command(*launch, *TWO, *words, "name=two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert command(TRAIN, *words, "name=one", cwd=tmp_path).returncode == 0
    one, two = (tmp_path / "o" / "g" / name for name in ("one", "two"))
    assert files(one) == files(two)
    assert_equal_runs(one, two)


@slow
def test_two_nodes_on_one_machine(tmp_path):
    """Each node starts its own command, with NODE_RANK and the address of the first one."""
    words = [*RUN, *SHORT, *few_digits(tmp_path)]
    shared = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2", *words]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29631", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", TRAIN, *shared, "name=two"],
            cwd=tmp_path,
            env={**os.environ, **place, "NODE_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [node.communicate(timeout=120)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert command(TRAIN, *words, "name=one", cwd=tmp_path).returncode == 0
    assert_equal_runs(tmp_path / "o" / "g" / "one", tmp_path / "o" / "g" / "two")


@slow
def test_a_sweep_of_such_runs_is_refused_job_by_job(tmp_path):
    words = [*RUN, *SHORT, *few_digits(tmp_path)]
    done = command(TRAIN, "-m", *TWO, *words, "seed=1,2", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("no run of several processes in a sweep") == 2
    assert not list((tmp_path / "o" / "g").glob("seed*"))


@slow
def test_diverging_ends_both(tmp_path):
    words = [*RUN, *SHORT, *few_digits(tmp_path)]
    done = command(TRAIN, *TWO, *words, "lr=1e9", "loss=mse", "name=two", "report=false", cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    assert done.stderr.count("diverged at step") == 1
