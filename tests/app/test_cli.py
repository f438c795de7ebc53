"""How commands end: the predecessor's flags, signals in a sweep, Ctrl-C outside of training."""

import signal
from functools import partial

import pytest
from conftest import NO_NETWORK
from documents import PREDECESSOR

from vae_lightning import callbacks, train
from vae_lightning.app import arguments, build, command

TINY = [
    "epochs=1",
    "network.hidden=[8]",
    "project_dir=o",
    "callbacks.latent_traversal.rows=2",
    "latent.dim=3",
    *NO_NETWORK,
]


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """The main job in this process: overrides -> (status, what it printed, what it said on stderr)."""
    monkeypatch.chdir(tmp_path)
    return partial(answer, train.main)


@pytest.mark.parametrize("old", [old for old, _ in PREDECESSOR if old.startswith("--")])
def test_every_flag_of_the_predecessor_is_answered_with_its_new_form(ask, tmp_path, old):
    flags = " ".join(word for word in old.split() if word.startswith("--"))
    value = next((word for word in old.split() if not word.startswith("--")), "")
    status, _, err = ask(*old.split())
    assert status == 2
    assert err.startswith(f"error: {flags}: flags became key=value; here it is ")
    assert value in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_no_flags_are_no_mistake():
    assert arguments.predecessor([]) is None
    assert arguments.predecessor(["--help"]) is None
    assert arguments.predecessor(["loss=bce", "-m", "seed=1,2"]) is None


def test_a_flag_with_an_equals_sign(ask):
    assert "here it is latent.dim=2\n" in ask("--latent-dim=2")[2]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hidden_dim=16", "network.hidden=16"),
        ("hidden_dim=8,16", "network.hidden=8,16"),
        ("+hidden_dim=16", "network.hidden=16"),
        ("loss.reduction=sum", "reduction=sum"),
    ],
)
def test_an_old_key_is_answered_with_the_new_one(ask, tmp_path, old, new):
    status, _, err = ask(old)
    assert (status, err) == (2, f"error: {old}: this key has a new name; here it is {new}\n")
    assert list(tmp_path.iterdir()) == []


def test_an_old_key_in_yaml_is_answered_with_the_new_one(ask, tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nhidden_dim: 8\n")
    status, _, err = ask("--config-dir", str(tmp_path), "experiment=mine")
    assert status == 2
    assert err == "error: hidden_dim=8: this key has a new name; here it is network.hidden=8\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_a_sweep_ends_it_and_says_what_never_began(ask, monkeypatch, tmp_path, number):
    jobs = []

    def raising(self, trainer, *_):
        if trainer.global_step == 3:
            jobs.append(trainer.default_root_dir)
            signal.raise_signal(number)
        original(self, trainer, *_)

    original = callbacks.GracefulStop.on_train_batch_end
    monkeypatch.setattr(callbacks.GracefulStop, "on_train_batch_end", raising)
    status, out, err = ask("-m", *TINY, "seed=1,2", "beta=1,4")
    assert status == 128 + number
    assert len(jobs) == 1
    assert "not started: job 1, job 2, job 3" in err
    assert "job 1:" not in out


def test_the_last_job_of_a_declared_sweep(monkeypatch):
    class Declared:
        sweeper = {"params": {"loss": "bce,mse", "schedule": "none,linear,cyclic"}}  # noqa: RUF012

    monkeypatch.setattr(command.HydraConfig, "get", lambda: Declared)
    monkeypatch.setattr("sys.argv", ["train", "-m", "experiment=mnist_grid", "loss=bce"])
    assert command.not_started(0).endswith("not started: job 1, job 2")  # loss=bce replaces the declared bce,mse
    assert command.not_started(2) == "the sweep ends here"


def test_ctrl_c_before_training_is_130(ask, monkeypatch, tmp_path):
    def interrupted(cfg):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "data_module", interrupted)
    status, _, err = ask(*TINY)
    assert (status, err) == (130, "error: interrupted\n")
    assert not (tmp_path / "o").exists()
