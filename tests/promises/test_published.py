"""Published numbers, run again. Slow: minutes each on two cores; they need the full MNIST."""

import itertools
import json
from pathlib import Path

import pytest
from conftest import config
from hydra import compose, initialize_config_dir

from vae_lightning.app.config import CONF

pytestmark = pytest.mark.slow
AS_THE_EXAMPLE = ["epochs=10", "latent=z20", "data.val_size=0", "~callbacks.sample_grid", "~callbacks.latent_traversal"]


def trained(data: Path, project: Path, *overrides: str) -> float:
    """The test ELBO of a run."""
    from vae_lightning.train import train

    cfg = config(f"data.dir={data}", f"project_dir={project}", *overrides)
    train(cfg)
    return json.loads((Path(cfg.run_dir) / "run_meta.json").read_text())["metrics"]["test/elbo"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_pytorch_example_after_ten_epochs(full_mnist, tmp_path, seed):
    """105.62 +- 0.27 over five seeds of the example itself; bce and bce_logits are the same density."""
    logits, probabilities = (
        trained(full_mnist, tmp_path, *AS_THE_EXAMPLE, f"seed={seed}", f"loss={loss}") for loss in ("bce_logits", "bce")
    )
    assert -logits == pytest.approx(105.6, abs=0.8)
    assert logits == pytest.approx(probabilities, abs=0.1)


def test_the_main_job_with_its_defaults(full_mnist, tmp_path):
    assert trained(full_mnist, tmp_path) > -107


def latent_usage(data: Path, project: Path, *overrides: str) -> dict:
    """What evaluate says of a run on the whole test set."""
    from vae_lightning.evaluate import evaluate
    from vae_lightning.train import train

    cfg = config(f"data.dir={data}", f"project_dir={project}", "epochs=10", *overrides)
    train(cfg)
    evaluate(evaluation_config(f"run={cfg.run_dir}", "num_samples=10", "curve=[1]"))
    rows = json.loads((Path(cfg.run_dir) / "evaluation.json").read_text())["results"]
    return {row["name"]: row["value"] for row in rows}


def evaluation_config(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("evaluate", [*overrides])


def test_beta_decides_how_many_units_are_used(full_mnist, tmp_path):
    """About 20, 20, 13 and 6; the seed moves the last by a few, since dead units fade slowly."""
    runs = [latent_usage(full_mnist, tmp_path, f"beta={beta}") for beta in (0.5, 1, 4, 10)]
    for lower, higher in itertools.pairwise(runs):
        assert higher["kl"] < lower["kl"]
        assert higher["recon"] > lower["recon"]
    units = [run["active_units"] for run in runs]
    assert units[:2] == [20, 20]
    assert units[2] == pytest.approx(13, abs=2)
    assert 5 <= units[3] <= 10


def test_free_bits_bring_every_unit_to_their_nats(full_mnist, tmp_path):
    free = ["bound=free_bits", "bound.nats=2.0", "optimizer.final_lr=1e-5"]
    assert latent_usage(full_mnist, tmp_path, *free)["kl_per_unit"] == pytest.approx([2.0] * 20, abs=0.1)
