"""Weights averaged by Lightning's callback: the test measures the weights of the checkpoint."""

import json
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from alike import assert_same_run
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint

from vae_lightning import VAE, checkpoint, evaluate
from vae_lightning.checkpoint import WholeCheckpointIO
from vae_lightning.data import MNISTDataModule
from vae_lightning.network import MLP
from vae_lightning.train import main

EMA = ["+callbacks@callbacks.ema=ema", "callbacks.ema.decay=0.99"]
SMALL = ["loss=bce_logits", "latent=z2", "callbacks.latent_traversal.size=3"]


def elbo_of(module: VAE, folder: Path) -> float:
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.test(module, MNISTDataModule(str(folder), mirrors=[]), verbose=False)
    return float(trainer.callback_metrics["test/elbo"])


@pytest.mark.sample(1)
@pytest.mark.parametrize("trainer", ["default", "fast"])
def test_train_tests_what_it_saved(train, trainer, tmp_path):
    """At 756e4e9 the record had the ELBO of the weights before averaging: another number than the checkpoint's."""
    fast = ["trainer=fast", "trainer.compile_mode=null", "trainer.precision=32-true"] if trainer == "fast" else []
    run = train(*EMA, *SMALL, *fast, "epochs=2")
    content = checkpoint.load(run / "checkpoints" / "best.ckpt")
    assert not torch.equal(*(content[key]["network.encoder.0.weight"] for key in ("state_dict", "current_model_state")))
    module = VAE.load_from_checkpoint(run / "checkpoints" / "best.ckpt", weights_only=True)
    metrics = json.loads((run / "run_meta.json").read_text())["metrics"]
    assert metrics["test/elbo"] == pytest.approx(elbo_of(module, tmp_path), abs=1e-4)


def test_evaluate_measures_the_same_weights(train, answer):
    run = train(*EMA, *SMALL)
    assert answer(evaluate.main, f"run={run}", "num_samples=2", "rows=1", "curve=[]")[0] == 0
    results = json.loads((run / "evaluation.json").read_text())["results"]
    elbo = next(result["value"] for result in results if result["name"] == "elbo")
    metrics = json.loads((run / "run_meta.json").read_text())["metrics"]
    assert elbo == pytest.approx(metrics["test/elbo"], abs=0.5)  # other noise; the weights before averaging: nats apart


@pytest.mark.slow
def test_a_resumed_run_averages_on(train, answer, tmp_path):
    words = [*EMA, *SMALL, "date_prefix=false", "group=g"]
    whole = train(*words, "epochs=2", "name=whole")
    part = train(*words, "epochs=1", "name=part")
    status, _, err = answer(main, f"resume={part}", "epochs=2", "allow_drift=[epochs]")
    assert status == 0, err
    assert_same_run(whole, part)


def test_in_python_too(tmp_path):
    data, module = MNISTDataModule(str(tmp_path), mirrors=[], batch_size=500), VAE(MLP([1, 28, 28], 20, 1, hidden=[16]))
    best = ModelCheckpoint(tmp_path, "best", monitor="val/elbo", mode="max")
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path, callbacks=[EMAWeightAveraging(decay=0.99), best], plugins=[WholeCheckpointIO()],
    )  # fmt: skip
    trainer.fit(module, data)
    trainer.test(module, data, ckpt_path="best", verbose=False, weights_only=True)
    saved = checkpoint.load(tmp_path / "best.ckpt")["state_dict"]
    assert all(torch.equal(value.cpu(), saved[name]) for name, value in module.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("latent", ["vamp", "iaf"])
def test_the_weights_of_a_latent_are_averaged_too(train, answer, latent):
    words = [*EMA, f"latent={latent}", "latent.dim=3", "date_prefix=false", "group=g", "+trainer.limit_train_batches=5"]
    words += ["latent.components=4"] if latent == "vamp" else []
    whole, part = train(*words, "epochs=2", "name=whole"), train(*words, "epochs=1", "name=part")
    status, _, err = answer(main, f"resume={part}", "epochs=2", "allow_drift=[epochs]")
    assert status == 0, err
    assert_same_run(whole, part)
    content = checkpoint.load(whole / "checkpoints" / "best.ckpt")
    name = {"vamp": "latent.pseudo_inputs", "iaf": "latent.flow.0.outer.weight"}[latent]
    assert not torch.equal(content["state_dict"][name], content["current_model_state"][name])
    assert answer(evaluate.main, f"run={whole}", "num_samples=2", "curve=[]", "num_images=20")[0] == 0


def test_a_file_of_weights_before_averaging_is_refused(answer, tmp_path):
    status, _, err = answer(main, *EMA, "+callbacks.best.save_weights_only=true", f"project_dir={tmp_path / 'out'}")
    assert status == 2
    assert "callbacks.best.save_weights_only=true: the file would hold the weights before the averaging" in err
    assert not (tmp_path / "out").exists()
