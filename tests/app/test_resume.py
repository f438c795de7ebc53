"""A run that was stopped goes on as if it had not been: same weights, optimiser, rows and counts, bit for bit."""

import json
import re
import shutil
import signal
from functools import partial
from importlib.metadata import distribution
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from alike import assert_same_run
from conftest import NO_NETWORK, command

from vae_lightning import callbacks, checkpoint
from vae_lightning.app import build, resume
from vae_lightning.data import MNISTDataModule
from vae_lightning.errors import CheckpointError
from vae_lightning.runs.folder import owned
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.run import Run
from vae_lightning.train import main
from vae_lightning.version import __version__

RUN = ["epochs=3", "network.hidden=[16]", "latent.dim=3", "schedule=cyclic", "loss=bce_logits", "data.protocol=dynamic"]
RUN += ["optimizer.final_lr=1e-4", "project_dir=o", "group=g", *NO_NETWORK]
BATCHES = 36  # 4,500 training images of the subset in batches of 128


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """The main job in this process: overrides -> (status, what it printed, what it said on stderr)."""
    monkeypatch.chdir(tmp_path)
    return partial(answer, main)


@pytest.fixture
def stop_at(monkeypatch):
    """Sends the process a signal in the given training steps, one per run."""

    def arrange(*steps: int, number: int = signal.SIGTERM) -> None:
        left = list(steps)
        start = callbacks.GracefulStop.on_train_batch_end

        def raising(self, trainer, *arguments):
            if left and trainer.global_step >= left[0]:
                left.pop(0)
                signal.raise_signal(number)
            start(self, trainer, *arguments)

        monkeypatch.setattr(callbacks.GracefulStop, "on_train_batch_end", raising)

    return arrange


@pytest.fixture
def whole(ask, tmp_path, tmp_path_factory, monkeypatch) -> Path:
    """The same run, never stopped: trained once, copied for each test."""
    kept, own = tmp_path_factory.getbasetemp() / "never-stopped", tmp_path / "o" / "g" / "whole"
    if not kept.exists():
        assert ask(*RUN, "name=whole", "date_prefix=false")[0] == 0
        shutil.copytree(own, kept)
    else:
        shutil.copytree(kept, own)
    return own


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "steps",
    [
        (5,),
        (BATCHES,),
        (4, 20, 50),
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in [(BATCHES + 1,), (3 * BATCHES - 1,), (3 * BATCHES,), (BATCHES, 2 * BATCHES, 80)]
        ),
    ],
    ids=str,
)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(ask, whole, stop_at, tmp_path, steps):
    stop_at(*steps)
    status, _, err = ask(*RUN, "name=stopped", "date_prefix=false")
    run = tmp_path / "o" / "g" / "stopped"
    for k, _ in enumerate(steps):
        assert status == 143
        assert "stopped by SIGTERM after step" in err
        meta = json.loads((run / "run_meta.json").read_text())
        assert meta["status"] == "interrupted"
        assert len(meta.get("attempts", [])) == k
        status, _, err = ask(f"resume={run}")
    assert status == 0
    assert json.loads((run / "run_meta.json").read_text())["status"] == "completed"
    assert_same_run(whole, run)


@pytest.mark.slow
@pytest.mark.parametrize("step", [BATCHES, BATCHES + 9])
def test_a_run_of_so_many_steps_goes_on_with_the_next_epoch(ask, stop_at, tmp_path, step):
    """With `max_steps`, Lightning ended the last epoch a second time, and its sampler skipped the next one."""
    words = [*RUN, "+trainer.max_steps=80", "date_prefix=false", "report=false", "~callbacks.latent_traversal"]
    assert ask(*words, "name=unbroken")[0] == 0
    stop_at(step)
    assert ask(*words, "name=stopped")[0] == 143
    group = tmp_path / "o" / "g"
    assert ask(f"resume={group / 'stopped'}")[0] == 0
    assert_same_run(group / "unbroken", group / "stopped")


def test_ctrl_c_is_130_and_auto_takes_the_unfinished_run(ask, whole, stop_at, tmp_path):
    stop_at(40, number=signal.SIGINT)
    assert ask(*RUN, "name=stopped")[0] == 130
    (run,) = (tmp_path / "o" / "g").glob("*-stopped")
    status, out, _ = ask(*RUN, "resume=auto")
    assert status == 0
    assert f"run folder: {run.relative_to(tmp_path)}" in out
    assert_same_run(whole, run)


def test_auto_begins_anew_where_nothing_is_unfinished(ask, tmp_path):
    status, _, _ = ask(*RUN, "epochs=1", "resume=auto", "name=first")
    assert status == 0
    assert len(list((tmp_path / "o" / "g").glob("*-first"))) == 1


def test_a_finished_run_has_nothing_to_do(ask, whole):
    files = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}
    status, out, _ = ask(f"resume={whole}")
    assert (status, out.strip().endswith("completed, nothing to do")) == (0, True)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()} == files


def test_a_run_in_the_current_folder_is_not_the_place_of_each_value_with_a_dot(ask):
    words = ["data=ppca", "loss=gaussian_unbounded", "data.sizes=[256,64,64]", "epochs=1", "network.hidden=[8]"]
    status, _, err = ask(*words, "latent.dim=2", "report=false", "save_dir=.", "lr=0.001")
    assert status == 0, err
    status, _, err = ask("resume=.", "save_dir=.", "lr=0.01", "epochs=2", "allow_drift=[epochs]")
    assert (status, "it would not be the same run (lr: 0.001 -> 0.01" in err) == (4, True), err
    assert ask("resume=.", "save_dir=.", "epochs=2", "allow_drift=[epochs]", "report=false")[0] == 0


@pytest.mark.parametrize("word", ["save_dir=elsewhere", "project_dir=elsewhere", "group=another", "name=another"])
def test_a_run_goes_on_in_its_own_folder_only(ask, whole, tmp_path, word):
    status, _, err = ask(f"resume={whole}", word)
    said = f"error: {word}: resume={whole} goes on in the run's own folder; leave {word.split('=')[0]} out\n"
    assert (status, err) == (2, said)
    assert not (tmp_path / "elsewhere").exists()


def test_the_place_that_a_run_has_may_be_said_again(ask, whole):
    places = [f"save_dir={whole}", f"project_dir={whole.parents[1]}", "group=g", "name=whole"]
    status, out, err = ask(f"resume={whole}", *places)
    assert (status, "nothing to do" in out) == (0, True), err


@pytest.mark.slow
def test_a_finished_run_can_be_made_longer_by_name(ask, tmp_path):
    """Without a schedule or decay over the run, four epochs in two parts are four epochs."""
    plain = ["schedule=none", "optimizer.final_lr=null", "date_prefix=false"]
    assert ask(*RUN, *plain, "epochs=4", "name=long")[0] == 0
    assert ask(*RUN, *plain, "epochs=2", "name=short")[0] == 0
    short = tmp_path / "o" / "g" / "short"
    status, _, err = ask(f"resume={short}", "epochs=4")
    assert status == 4
    assert "epochs: 2 -> 4" in err
    assert "allow_drift=[epochs" in err
    assert ask(f"resume={short}", "epochs=4", "allow_drift=[epochs]")[0] == 0
    assert_same_run(tmp_path / "o" / "g" / "long", short)
    assert "nothing to do" in ask(f"resume={short}")[1]  # the longer run is now the run


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ("beta=4", "beta: 1.0 -> 4"),
        ("lr=0.1", "lr: 0.001 -> 0.1"),
        ("seed=7", "seed: 42 -> 7"),
        ("loss=mse", "SquaredError"),
        ("schedule=linear", "Linear"),
        ("data.protocol=grey", "data.protocol: dynamic -> grey"),
        ("latent.dim=8", "latent.dim: 3 -> 8"),
    ],
)
def test_another_run_is_refused_with_what_differs(ask, whole, changed, shown):
    status, _, err = ask(f"resume={whole}", changed)
    assert status == 4
    assert shown in err
    assert "allow_drift=[" in err
    assert err.count("\n") == 1


@pytest.mark.slow
def test_checkpoints_that_cannot_be_used(ask, stop_at, tmp_path):
    """Cut, with a hole, with one bit flipped: never loaded; `auto` falls back on the one before, with a warning."""
    stop_at(2 * BATCHES + 5)
    assert ask(*RUN, "name=stopped")[0] == 143
    (run,) = (tmp_path / "o" / "g").glob("*-stopped")
    last = run / "checkpoints" / "last.ckpt"
    content = last.read_bytes()
    half = len(content) // 2
    flipped = bytearray(content)
    flipped[half] ^= 1
    damaged = {
        "empty": b"",
        "one byte": content[:1],
        "half": content[:half],
        "almost whole": content[: int(0.99 * len(content))],
        "a hole": content[:half] + bytes(4096) + content[half + 4096 :],
        "a flipped bit": bytes(flipped),
    }
    before = (run / "run_meta.json").read_bytes()
    for what, data in damaged.items():
        last.write_bytes(data)
        status, _, err = ask(f"resume={run}")
        assert (what, status) == (what, 4)
        assert "damaged, its SHA-256 is not the one in last.ckpt.sha256" in err
        assert (run / "run_meta.json").read_bytes() == before
    status, _, err = ask(*RUN, "resume=auto")
    assert status == 0
    assert "going on from the checkpoint before it" in err
    assert json.loads((run / "run_meta.json").read_text())["status"] == "completed"


@pytest.mark.slow
def test_the_one_before_leads_to_the_same_end(ask, whole, stop_at, tmp_path):
    stop_at(2 * BATCHES + 5)
    ask(*RUN, "name=stopped")
    (run,) = (tmp_path / "o" / "g").glob("*-stopped")
    (run / "checkpoints" / "last.ckpt").write_bytes(b"cut")
    assert ask(*RUN, "resume=auto")[0] == 0
    assert_same_run(whole, run)


@pytest.mark.parametrize("content", [b"hello", b"", b"PK\x03\x04 not really"])
def test_what_is_no_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last\.ckpt: not a checkpoint"):
        checkpoint.load(path)
    torch.save({"weight": torch.ones(2)}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of a run"):
        checkpoint.load(path)
    with pytest.raises(CheckpointError, match="no such file"):
        checkpoint.load(tmp_path / "missing.ckpt")


def test_runs_that_cannot_be_resumed(ask, whole, tmp_path):
    (tmp_path / "empty").mkdir()
    for place, status, says in (
        ("nowhere", 4, "resume=nowhere: no such folder"),
        ("empty", 4, "not a run folder"),
    ):
        assert (place, ask(f"resume={place}")[0]) == (place, status)
        assert says in ask(f"resume={place}")[2]
    meta = json.loads((whole / "run_meta.json").read_text())
    newer = tmp_path / "newer"
    shutil.copytree(whole, newer)
    (newer / "run_meta.json").write_text(json.dumps({**meta, "versions": {"vae-lightning": "99.1"}}))
    status, _, err = ask(f"resume={newer}")
    assert status == 4
    assert "made by version 99.1" in err


def test_a_checkout_that_is_not_installed_knows_its_version(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: distribution(f"not-{name}"))
    (tmp_path / "run_meta.json").write_text(json.dumps({"versions": {"vae-lightning": __version__}}))
    resume.check_version(Run(tmp_path))


def test_other_data_are_refused(ask, stop_at, tmp_path, monkeypatch):
    stop_at(5)
    ask(*RUN, "name=stopped", "date_prefix=false")
    run = tmp_path / "o" / "g" / "stopped"
    meta = json.loads((run / "run_meta.json").read_text())
    meta["data"]["sha256"] = {"train_images": "another"}
    (run / "run_meta.json").write_text(json.dumps(meta))
    status, _, err = ask(f"resume={run}")
    assert status == 4
    assert "with other checksums" in err


def test_a_run_that_is_still_running_is_not_resumed(ask, whole):
    meta = json.loads((whole / "run_meta.json").read_text())
    (whole / "run_meta.json").write_text(json.dumps({**meta, "status": "running", "epochs_done": 1}))
    with owned(whole):
        status, _, err = ask(f"resume={whole}")
        assert status == 4
        assert "in use by process" in err
    assert not Lock(whole).held


def test_a_run_folder_may_move(ask, whole, stop_at, tmp_path):
    stop_at(50)
    ask(*RUN, "name=stopped", "date_prefix=false")
    moved = tmp_path / "elsewhere"
    shutil.move(tmp_path / "o" / "g" / "stopped", moved)
    assert ask(f"resume={moved}")[0] == 0
    assert_same_run(whole, moved)


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_kill_in_the_middle_of_an_epoch(whole, tmp_path, workers):
    """SIGKILL in a process of its own: the last whole epoch is there, and the end is the same."""
    (tmp_path / "kill.py").write_text(
        "import os, signal, sys\n"
        "from vae_lightning import callbacks\n"
        "from vae_lightning.train import main\n"
        "def die(self, trainer, *_):\n"
        "    if trainer.global_step == 50: os.kill(os.getpid(), signal.SIGKILL)\n"
        "callbacks.GracefulStop.on_train_batch_end = die\n"
        "main()\n"
    )
    arguments = [*RUN, f"data.num_workers={workers}", "name=killed", "date_prefix=false"]
    data = {"VAE_LIGHTNING_DATA": str(tmp_path / "none")}
    assert command("kill", *arguments, cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{pl_root()}", **data).returncode == -9
    run = tmp_path / "o" / "g" / "killed"
    assert json.loads((run / "run_meta.json").read_text())["status"] == "running"
    assert not Lock(run).held
    done = command("vae_lightning.train", f"resume={run}", cwd=tmp_path, **data)
    assert done.returncode == 0, done.stderr
    assert_same_run(whole, run)


def pl_root() -> str:
    from conftest import ROOT

    return str(ROOT)


def test_stock_lightning_would_not_have_noticed_a_flipped_bit(tmp_path):
    """The negative control of the checksum: torch reads the damaged file without a word."""
    path = tmp_path / "last.ckpt"
    io = checkpoint.WholeCheckpointIO()
    io.save_checkpoint({"pytorch-lightning_version": "2.6.6", "x": torch.zeros(10_000)}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert torch.load(path, weights_only=True)["x"].abs().sum() != 0
    with pytest.raises(CheckpointError, match="damaged"):
        io.load_checkpoint(path)


class Killed(BaseException):
    """As little a mistake of the program as a signal is."""


def test_a_checkpoint_and_its_digest_fit_at_every_moment(tmp_path, monkeypatch):
    """Stopped after any of the system calls of a save: what is there can be loaded, and is the old one or the new."""
    path = tmp_path / "last.ckpt"
    real = {name: getattr(checkpoint.os, name) for name in ("replace", "link", "fsync")}

    def content(step: int) -> dict:
        return {"pytorch-lightning_version": "2.6.6", "step": step}

    def killed_at(moment, calls, function, *arguments):
        if next(calls) == moment:
            raise Killed
        return function(*arguments)

    moments = 0
    for moment in range(60):
        for each in tmp_path.iterdir():
            each.unlink()
        checkpoint.WholeCheckpointIO().save_checkpoint(content(1), path)
        checkpoint.WholeCheckpointIO().save_checkpoint(content(2), path)
        with monkeypatch.context() as patch:
            calls = iter(range(1000))
            for name in real:
                patch.setattr(checkpoint.os, name, partial(killed_at, moment, calls, real[name]))
            try:
                checkpoint.WholeCheckpointIO().save_checkpoint(content(3), path)
            except Killed:
                moments += 1
            else:
                break
        assert checkpoint.load(path)["step"] in (2, 3)
        assert checkpoint.load(checkpoint.previous_of(path))["step"] in (1, 2)
    assert moments > 8
    assert checkpoint.load(path)["step"] == 3


def test_a_trainer_of_ones_own_can_use_it(tmp_path, foreign_fit):
    path = tmp_path / "own.ckpt"
    module, trainer = foreign_fit(plugins=[checkpoint.WholeCheckpointIO()])
    trainer.save_checkpoint(path)
    assert checkpoint.load(path)["state_dict"].keys() == module.state_dict().keys()
    assert isinstance(trainer, pl.Trainer)
    trainer.strategy.checkpoint_io.remove_checkpoint(path)
    assert list(tmp_path.glob("own*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["latent.dim=8", "network.hidden=[32]"])
def test_another_architecture_is_refused_with_both_shapes(ask, stop_at, tmp_path, changed):
    """Also where the change was allowed by name: the weights do not fit."""
    stop_at(40)
    ask(*RUN, "name=stopped", "date_prefix=false")
    run = tmp_path / "o" / "g" / "stopped"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    status, _, err = ask(f"resume={run}", changed, f"allow_drift=[{changed.partition('=')[0]}]")
    assert status == 4
    assert "of another architecture: network." in err
    assert re.search(r"is \[[\d, ]+\] there and \[[\d, ]+\] here", err)
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.slow
def test_what_is_said_last_counts(ask, tmp_path):
    """A run that was started with epochs=2 epochs=1 is a run of one epoch; resumed with epochs=2 it has two."""
    plain = ["schedule=none", "optimizer.final_lr=null", "date_prefix=false", "name=n"]
    assert ask(*RUN, *plain, "epochs=2", "epochs=1")[0] == 0
    run = tmp_path / "o" / "g" / "n"
    assert ask(f"resume={run}", "epochs=2", "allow_drift=[epochs]")[0] == 0
    assert json.loads((run / "run_meta.json").read_text())["epochs_done"] == 2


# --- what is not a number any more -----------------------------------------------------------------------------------


def broken_head(cfg, shape, value: float):
    """The configured VAE with the bias of its log variances at `value`."""
    module = original_vae(cfg, shape)
    head = [each for each in module.network.encoder.modules() if isinstance(each, torch.nn.Linear)][-1]
    with torch.no_grad():
        head.bias[cfg.latent.dim :] = value
    return module


original_vae = build.vae


@pytest.mark.sample(1)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize(("value", "ends"), [(100.0, 5), (0.0, 0)], ids=["broken", "healthy"])
def test_a_log_variance_head_at_100(ask, monkeypatch, tmp_path, precision, value, ends):
    """exp(100) is beyond float32: the run stops before its first step. Its healthy twin trains."""
    monkeypatch.setattr(build, "vae", lambda cfg, shape: broken_head(cfg, shape, value))
    words = [
        "name=n",
        "date_prefix=false",
        "epochs=1",
        f"trainer.precision={precision}",
        "schedule=none",
        "save_weights=true",
    ]
    status, _, err = ask(*RUN, *words)
    run = tmp_path / "o" / "g" / "n"
    assert status == ends
    assert json.loads((run / "run_meta.json").read_text())["status"] == {5: "diverged", 0: "completed"}[ends]
    if ends:
        assert "diverged at step 0 (epoch 1, beta 1): the loss is inf" in err
        assert re.search(r"log variances in \[\d", err)
        assert not (run / "checkpoints").exists()
        weights = torch.load(run / "vae_epoch_0000.pt", weights_only=True)
        assert all(each.isfinite().all() for each in weights.values())


@pytest.mark.parametrize(("lr", "ends"), [(1e20, 5), (1e-3, 0)], ids=["broken", "healthy"])
def test_a_learning_rate_of_1e20(ask, tmp_path, lr, ends):
    status, _, err = ask(*RUN, "name=n", "date_prefix=false", "epochs=1", f"lr={lr}", "optimizer.final_lr=null")
    assert status == ends
    if ends:
        assert "diverged at step" in err
        assert "lower lr" in err


@pytest.mark.sample(1)
@pytest.mark.parametrize("pixel", [float("nan"), 0.5], ids=["broken", "healthy"])
@pytest.mark.parametrize("step", [0, 50])
def test_a_pixel_that_is_no_number(ask, monkeypatch, tmp_path, pixel, step):
    """In the first batch the data are refused; later the run ends as diverged, with the last whole epoch kept."""
    original = MNISTDataModule.on_after_batch_transfer

    def spoil(self, batch, dataloader_idx):
        x, labels = original(self, batch, dataloader_idx)
        if self.trainer.training and self.trainer.global_step == step:
            x[0, 0, 3, 3] = pixel
        return x, labels

    monkeypatch.setattr(MNISTDataModule, "on_after_batch_transfer", spoil)
    status, _, err = ask(*RUN, "name=n", "date_prefix=false", "epochs=2")
    last = tmp_path / "o" / "g" / "n" / "checkpoints" / "last.ckpt"
    if pixel == 0.5:
        assert status == 0
    elif step == 0:
        assert status == 3
        assert "the batch ranges over [nan, nan]" in err
    else:
        assert status == 5
        assert "diverged at step 50" in err
        content = checkpoint.load(last)
        assert content["global_step"] == BATCHES
        assert all(each.isfinite().all() for each in content["state_dict"].values())
