"""Training on CUDA or MPS. The tests marked `gpu` are skipped elsewhere; what they call is tried on the CPU here."""

import lightning.pytorch as pl
import pytest
import torch
from conftest import config, vae

from benchmarks import accelerator, contest
from vae_lightning.app import build

DEVICE = accelerator.accelerator() or "cpu"
gpu = pytest.mark.gpu
SMALL = ["network.hidden=[16]", "latent.dim=3", "data.mirrors=[]", "epochs=1", "run_dir=.", "~callbacks.progress"]
SMALL += [f"~callbacks.{name}" for name in ("best", "last", "run_record", "curve_log", "latent_usage")]
SMALL += [f"~callbacks.{name}" for name in ("reconstruction_grid", "sample_grid", "latent_traversal", "graceful_stop")]
SMALL += ["+trainer.enable_progress_bar=false", "+trainer.enable_checkpointing=false", "+trainer.limit_train_batches=8"]
TRAINERS = [[], ["data.on_device=true"], ["trainer=fast"], ["trainer=fast", "data.on_device=true"]]
GRAPHS = ["trainer=fast", "trainer.compile_mode=reduce-overhead", "data.on_device=true"]


def fitted(tmp_path, device: str, *words: str, watch: pl.Callback | None = None) -> float:
    """The training ELBO of one epoch on a device."""
    cfg = config(*SMALL, f"trainer.accelerator={device}", *words)
    cfg.run_dir = str(tmp_path)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data, module = build.data_module(cfg.data), vae(cfg)
    trainer = build.make_trainer(cfg, data)
    if watch:
        trainer.callbacks.insert(0, watch)
    trainer.fit(module, data)
    return float(trainer.callback_metrics["train/elbo"])


# --- what needs no accelerator ---------------------------------------------------------------------------------------


def test_without_an_accelerator_the_benchmark_leaves_the_results_alone(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(accelerator, "accelerator", lambda: None)
    monkeypatch.setattr(contest, "RESULTS", tmp_path)
    monkeypatch.setattr("sys.argv", ["accelerator"])
    accelerator.main()
    assert capsys.readouterr().out == f"{accelerator.NONE}\n"
    assert not list(tmp_path.iterdir())


def test_a_device_that_computes_otherwise_is_seen(monkeypatch):
    assert accelerator.apart("cpu", steps=2) == 0
    trained = accelerator.trained

    def wrong(device, x, eps, calls=[]):  # noqa: B006
        calls.append(device)
        return trained(device, x * (1.01 if len(calls) > 1 else 1), eps)

    monkeypatch.setattr(accelerator, "trained", wrong)
    assert accelerator.apart("cpu", steps=2) > 1e-3


def test_the_watch_is_on_within_the_steps_alone(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(accelerator, "watch", seen.append)
    waits = accelerator.Waits(warm_up=2)
    fitted(tmp_path, "cpu", watch=waits)
    assert waits.steps == sum(seen) == 8 - 2 - 1  # of 8 batches
    assert seen[:4] == [False] * 4
    assert seen[4:6] == [True, False]
    assert seen[-2:] == [False, False]


@pytest.mark.slow
def test_the_contestants_train_on_a_cpu_too(monkeypatch, tmp_path, full_mnist):
    monkeypatch.setenv("VAE_LIGHTNING_DATA", str(full_mnist))
    monkeypatch.setattr("benchmarks.peers.RESULTS", tmp_path)
    for name, contestant in accelerator.contestants(512, "cpu").items():
        assert 0 < contestant() < 60, name


# --- on an accelerator -----------------------------------------------------------------------------------------------


@gpu
def test_the_device_computes_what_the_cpu_does():
    assert accelerator.apart(DEVICE) < 1e-3


@gpu
@pytest.mark.parametrize("words", [*TRAINERS, GRAPHS], ids=" ".join)
def test_an_epoch_on_the_device_is_an_epoch_on_the_cpu(tmp_path, words):
    """The noise of a device is its own, so the two are equal only on average."""
    if words == GRAPHS and DEVICE != "cuda":
        pytest.skip("CUDA graphs need CUDA")
    on_cpu = fitted(tmp_path, "cpu")
    assert fitted(tmp_path, DEVICE, *words) == pytest.approx(on_cpu, rel=0.02)


@gpu
@pytest.mark.parametrize("words", TRAINERS, ids=" ".join)
def test_a_step_waits_for_nothing(tmp_path, words):
    if DEVICE != "cuda":
        pytest.skip("only CUDA says where it waits (torch.cuda.set_sync_debug_mode)")
    waits = accelerator.Waits(warm_up=3)
    fitted(tmp_path, DEVICE, *words, "callbacks.divergence_guard.every_n_steps=1000", watch=waits)
    assert waits.steps == 8 - 3 - 1


@gpu
def test_the_watch_would_notice():
    if DEVICE != "cuda":
        pytest.skip("only CUDA says where it waits (torch.cuda.set_sync_debug_mode)")
    accelerator.watch(True)
    try:
        with pytest.raises(RuntimeError, match="synchroniz"):
            torch.ones(3, device=DEVICE).sum().item()
    finally:
        accelerator.watch(False)


@gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU: NCCL needs two")
def test_two_gpus_train_as_one(tmp_path):
    from conftest import command
    from datasets import few_digits
    from test_ddp import RUN, SHORT, TRAIN, assert_equal_runs

    data = few_digits(tmp_path)

    for name, words in {"one": [], "two": ["trainer=ddp", "trainer.devices=2"]}.items():
        done = command(TRAIN, *words, "trainer.accelerator=gpu", *RUN, *SHORT, *data, f"name={name}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert_equal_runs(tmp_path / "o" / "g" / "one", tmp_path / "o" / "g" / "two")
