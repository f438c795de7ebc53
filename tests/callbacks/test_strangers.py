"""Every callback in every project of strangers.PROJECTS: a new callback and a new project are tested by existing."""

import inspect
import pickle
from types import SimpleNamespace

import pytest
import torch
from strangers import PROJECTS

from vae_lightning import callbacks
from vae_lightning.schedule import Linear

ARGUMENTS = {
    "attribute": "kl_weight",
    "bias": "decoder.0.bias",
    "decode": "to_image",
    "encode": "to_latent",
    "latent_dim": 2,
    "method": "reconstruction_loss",
    "reconstruct": "autoencode",
    "sample": "dream",
    "schedule": Linear(length=4, unit="steps"),
    "trial": SimpleNamespace(report=lambda value, step: None, should_prune=lambda: False),
}
COLUMNS = {"columns": {"loss": "foreign_loss"}}
METRICS = {"CurveLog": COLUMNS, "Progress": COLUMNS, "EarlyStopping": {"monitor": "foreign_loss", "mode": "min"}}
METRICS["Pruning"] = {"monitor": "foreign_loss"}
CHANGES_WEIGHTS = {"OutputBias"}
WRITES = {  # what lies in the folder of every project afterwards
    "CurveLog": ["curves/train_log.csv", "curves/losses.png"],
    "EpochWeights": ["vae_epoch_0000.pt", "vae_epoch_0001.pt"],
    "LatentTraversal": ["traversals/epoch_0000.png", "traversals/epoch_0001.png"],
    "LatentUsage": ["curves/latent_usage.csv"],
    "ReconstructionGrid": ["reconstructions/epoch_0000.png", "reconstructions/epoch_0001.png"],
    "RunRecord": ["run_meta.json"],
    "SampleGrid": ["samples/epoch_0000.png", "samples/epoch_0001.png"],
}


def make(name: str):
    """The callback with the names of the foreign methods."""
    kind, given = getattr(callbacks, name), {**ARGUMENTS, **METRICS.get(name, {})}
    return kind(**{key: given[key] for key in inspect.signature(kind).parameters if key in given})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The weights of a project that is trained without any of our callbacks."""
    known: dict[str, dict[str, torch.Tensor]] = {}

    def weights(project: str) -> dict[str, torch.Tensor]:
        if project not in known:
            known[project] = PROJECTS[project].train(tmp_path_factory.mktemp(project))[0].state_dict()
        return known[project]

    return weights


@pytest.mark.sample(50)
@pytest.mark.filterwarnings("error:.*no metric is logged as")
@pytest.mark.parametrize("project", PROJECTS)
@pytest.mark.parametrize("name", callbacks.__all__)
def test_every_callback_works_in_every_project(tmp_path, monkeypatch, trained, name, project):
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    callback = make(name)
    module, trainer = PROJECTS[project].train(tmp_path, callback)
    assert trainer.state.finished
    assert trainer.global_step > 0
    assert all((tmp_path / file).is_file() for file in WRITES.get(name, ()))
    assert callback in trainer.callbacks
    assert len(trainer.callbacks) == 1 + len(PROJECTS[project].callbacks())
    weights = module.state_dict()
    assert all(weight.isfinite().all() for weight in weights.values())
    if name not in CHANGES_WEIGHTS:
        assert all(torch.equal(weight, trained(project)[key]) for key, weight in weights.items())
    assert set(vars(pickle.loads(pickle.dumps(module)))) == set(vars(module))
    trainer.save_checkpoint(tmp_path / "after.ckpt")
