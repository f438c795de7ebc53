"""kill -9 at any moment, full disks, folders that vanish: nothing is lost, and what is there is whole.

Children of one process that has imported everything (`nursery.py`), so that fifty kills take minutes.
"""

import csv
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from alike import assert_same_run
from nurse import WORDS, log, run_of
from PIL import Image

from vae_lightning import checkpoint
from vae_lightning.errors import CheckpointError

STEPS = 36  # of an epoch: 4,500 images in batches of 128
slow = pytest.mark.slow


# --- fifty kills at random moments -----------------------------------------------------------------------------------

CHAINS = [
    pytest.param("cyclic", 0, 4, 4, id="a few"),
    pytest.param("cyclic", 0, 50, 40, id="fifty", marks=slow),
    pytest.param("cyclic", 2, 10, 10, id="workers", marks=slow),
    *(
        pytest.param(each, 0, 10, 10, id=each, marks=slow)
        for each in ("none", "linear", "triangle", "sigmoid", "cosine")
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("schedule", "workers", "kills", "epochs"), CHAINS)
def test_a_chain_of_kills_ends_where_the_unbroken_run_does(nursery, tmp_path, schedule, workers, kills, epochs):
    """Killed at random moments, resumed with resume=auto: same weights, optimiser, steps, curves, beta, bit for bit."""
    words = [*WORDS, "group=g", f"epochs={epochs}", f"schedule={schedule}", f"data.num_workers={workers}"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    begun = time.monotonic()
    assert nursery(whole, *words)["status"] == 0, log(whole)
    middle = time.monotonic()
    assert nursery(whole, f"resume={run_of(whole)}")["status"] == 0
    start, epoch = time.monotonic() - middle, (middle - begun) / epochs
    moments, done, steps = random.Random(kills), 0, [0]
    while done < kills:
        left = epochs - steps[-1] / STEPS
        window = start + epoch * min(3, 1.5 * left / (kills - done))  # also where the machine turns faster
        status = nursery(killed, *words, "resume=auto", kill_after=moments.uniform(0, window))["status"]
        assert status in (-9, 0), log(killed)
        if status == 0:
            break
        done += 1
        last = [*(killed / "o" / "g").glob("2*/checkpoints/last.ckpt")] if (killed / "o").exists() else []
        steps += [max((checkpoint.load(each)["global_step"] for each in last), default=0)]
    print(f"{done} kills, start {start:.1f} s, epoch {epoch:.1f} s, steps {steps}")
    assert done == kills, "the run ended before it could be killed often enough"
    assert steps == sorted(steps)
    assert nursery(killed, *words, "resume=auto")["status"] == 0, log(killed)
    assert_same_run(run_of(whole), run_of(killed))
    assert json.loads((run_of(killed) / "run_meta.json").read_text())["status"] == "completed"


@pytest.mark.sample(1)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_real_signal_ends_a_real_run_within_ten_seconds(nursery, tmp_path, number, status):
    """Sent by another process in the middle of training; the batch is finished, and the run saved."""
    words = [*WORDS, "group=g", "epochs=500", "schedule=none"]
    ended = nursery(tmp_path, *words, kill_after=4, signal=number)
    assert ended["status"] == status, log(tmp_path)
    assert ended["seconds"] < 10
    run = run_of(tmp_path)
    assert json.loads((run / "run_meta.json").read_text())["status"] == "interrupted"
    assert checkpoint.load(run / "checkpoints" / "last.ckpt")["global_step"] > 0
    assert f"stopped by {number.name}" in log(tmp_path).splitlines()[-1]


# --- inside the save -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "kills"),
    [
        (None, 8),
        pytest.param(None, 50, marks=slow),
        pytest.param(
            "stock",
            50,
            marks=[slow, pytest.mark.xfail(strict=True, raises=AssertionError, reason="Lightning's own is not atomic")],
        ),
    ],
)
def test_kills_inside_the_save(nursery, tmp_path, control, kills):
    """A checkpoint of 20 MB is written over and over; after every kill the old one or the new one is there, whole."""
    if control and not Path("/dev/shm").is_dir():
        pytest.skip("no second file system for the negative control")
    moments, lost = random.Random(kills), []
    for each in range(kills):
        nursery(tmp_path, job="save", control=control, kill_after=moments.uniform(0.25, 0.7))
        path = tmp_path / "last.ckpt"
        if not path.exists():
            continue
        try:
            weights = checkpoint.load(path)["weights"]
            assert weights.min() == weights.max()
        except CheckpointError:
            lost.append(each)
            path.unlink()
    assert path.exists()
    assert lost == []
    shutil.rmtree(tmp_path)


# --- at every call that writes ---------------------------------------------------------------------------------------


def assert_all_whole(folder: Path) -> None:
    """Every file of a run folder is absent, old or complete."""
    for path in folder.rglob("*"):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix == ".json":
            assert json.loads(path.read_text())["status"] in ("running", "completed")
        elif path.suffix == ".csv":
            text = path.read_text()
            assert text.endswith("\n")
            assert len({len(row) for row in csv.reader(text.splitlines())}) == 1
        elif path.suffix in (".ckpt", ".previous"):
            checkpoint.load(path)
        elif path.suffix == ".pt":
            torch.load(path, weights_only=True)
    assert (folder.parent / "latest").resolve().is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("control", "count"),
    [
        (None, 2),
        pytest.param(None, 50, marks=slow),
        pytest.param("in place", 50, marks=[slow, pytest.mark.xfail(strict=True, reason="files written in place")]),
    ],
)
def test_a_kill_at_any_call_that_writes(nursery, tmp_path, control, count):
    """Curves, pictures, record, weights, checkpoints, the `latest` link: each file absent, old or complete."""
    words = [*WORDS, "group=g", "epochs=2", "save_weights=true"]
    assert nursery(tmp_path, *words)["status"] == 0, log(tmp_path)
    whole = run_of(tmp_path)
    total = nursery(tmp_path, *words, kill_at=0)["calls"]
    assert total > 200
    for number, moment in enumerate(sorted(random.Random(count).sample(range(1, total), count))):
        status = nursery(tmp_path, *words, kill_at=moment, control=control)["status"]
        assert status == -9, moment
        for run in (tmp_path / "o" / "g").glob("2*"):
            assert_all_whole(run)
        if number % 10 == 4:
            assert nursery(tmp_path, *words, "resume=auto")["status"] == 0, log(tmp_path)
            assert_same_run(whole, run_of(tmp_path))
        for run in (tmp_path / "o" / "g").glob("2*"):
            if run != whole:
                shutil.rmtree(run)
        assert nursery(tmp_path, f"resume={whole}")["status"] == 0
        (tmp_path / "o" / "g" / "latest").unlink()
        (tmp_path / "o" / "g" / "latest").symlink_to(whole.name)


# --- a disk that is full, a folder that is gone ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "what"),
    [
        (lambda run: 100_000, ".ckpt"),
        pytest.param(lambda run: (run / "run_meta.json").stat().st_size + 2_000, ".png", marks=slow),
        pytest.param(lambda run: 3_000, "run_meta.json", marks=slow),
    ],
    ids=["checkpoint", "picture", "record"],
)
def test_a_full_disk_ends_the_run_with_6_and_the_checkpoint_of_before(nursery, tmp_path, limit, what):
    """Files may grow to `limit(run)` bytes: too few for a checkpoint, for a picture, for the record."""
    words = [*WORDS, "group=g", "epochs=3", "schedule=none", "optimizer.final_lr=null"]
    assert nursery(tmp_path, *words)["status"] == 0
    whole = run_of(tmp_path)
    assert nursery(tmp_path, *words, "epochs=1")["status"] == 0
    run = run_of(tmp_path)
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    order = [f"resume={run}", "epochs=3", "allow_drift=[epochs]"]
    assert nursery(tmp_path, *order, limit=limit(run))["status"] == 6, log(tmp_path)
    said = log(tmp_path).splitlines()[-1]
    assert said.startswith("error: ")
    assert what in said
    assert "make room" in said
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before
    checkpoint.load(run / "checkpoints" / "last.ckpt")
    assert not list(run.rglob(".*.tmp"))
    assert nursery(tmp_path, *order)["status"] == 0, log(tmp_path)
    assert_same_run(whole, run)


def test_a_row_of_the_log_that_does_not_fit_is_taken_back(nursery, tmp_path):
    """Only the log is written; its third row crosses the limit, and the system takes a part of it."""
    others = ["reconstruction_grid", "sample_grid", "latent_traversal", "latent_usage", "run_record", "best", "last"]
    words = [*WORDS, "group=g", "epochs=6", "~callbacks.epoch_weights", *(f"~callbacks.{each}" for each in others)]
    words += ["+callbacks.curve_log.columns={elbo:train/elbo,val_elbo:val/elbo}"]
    limit = len("epoch,elbo,val_elbo\n") + 2 * len("1,-529.17,-503.16\n") + 10
    assert nursery(tmp_path, *words, limit=limit)["status"] == 6, log(tmp_path)
    assert "make room" in log(tmp_path).splitlines()[-1]
    rows = (run_of(tmp_path) / "curves" / "train_log.csv").read_text()
    assert rows.endswith("\n")
    assert all(len(row) == 3 for row in csv.reader(rows.splitlines()))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 600 kB that is really full and really read-only, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting needs root: RLIMIT_FSIZE stands for a full disk, a path below a file for a read-only one")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
def test_a_disk_that_is_really_full(nursery, tmp_path, small_disk):
    status = nursery(tmp_path, *WORDS, "epochs=6", "save_weights=true", f"project_dir={small_disk}", "group=g")[
        "status"
    ]
    assert status == 6, log(tmp_path)
    assert "make room" in log(tmp_path).splitlines()[-1]
    (run,) = (small_disk / "g").glob("2*")
    for path in run.rglob("*.ckpt"):
        checkpoint.load(path)
    assert not list(run.rglob(".*.tmp"))


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
def test_a_disk_that_is_read_only(nursery, tmp_path, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert nursery(tmp_path, *WORDS, f"project_dir={small_disk}/o", "group=g")["status"] == 6
    assert "choose another project_dir or save_dir" in log(tmp_path)


def test_a_folder_that_is_gone_in_the_middle_of_a_run(answer, monkeypatch, tmp_path):
    """A file stands where the pictures were: the run ends with 6, says so, and its checkpoint is good."""
    from vae_lightning import callbacks, train

    def replace_folder(self, trainer, *_):
        if trainer.global_step == 50:
            folder = Path(trainer.default_root_dir) / "samples"
            shutil.rmtree(folder)
            folder.write_text("")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(callbacks.GracefulStop, "on_train_batch_end", replace_folder)
    status, _, err = answer(train.main, *WORDS, "epochs=2", "group=g")
    assert status == 6
    assert "samples" in err.splitlines()[-1]
    run = run_of(tmp_path)
    assert json.loads((run / "run_meta.json").read_text())["status"] == "failed"
    assert checkpoint.load(run / "checkpoints" / "last.ckpt")["global_step"] == 36


# --- fetching --------------------------------------------------------------------------------------------------------


def test_a_fetch_that_is_killed_leaves_nothing_that_is_found_later(nursery, tmp_path):
    """SIGKILL at calls of storing the four files: each is absent or whole, and the next fetch succeeds."""
    from vae_lightning.data.idx import NAMES
    from vae_lightning.data.sources import Folder, shipped_files

    total = nursery(tmp_path, job="fetch", kill_at=0)["calls"]
    assert total >= 16
    for moment in range(1, total, 5):
        shutil.rmtree(tmp_path / "data")
        assert nursery(tmp_path, job="fetch", kill_at=moment)["status"] == -9
        for path in (tmp_path / "data").rglob("*ubyte"):
            shipped_files().read(next(part for part, name in NAMES.items() if name == path.name), path)
        assert nursery(tmp_path, job="fetch")["status"] == 0
        assert len(Folder().find(shipped_files(), tmp_path / "data", "mnist").tensors) == len(NAMES)
