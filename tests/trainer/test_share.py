"""How the processes of one run share each batch, in one process and in processes that this one forks."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from conftest import ROOT, config
from datasets import few_digits
from torch.utils.data import DistributedSampler

from vae_lightning.app import build
from vae_lightning.app.processes import check_processes
from vae_lightning.data.in_memory import EpochShuffle, ImagesInMemory, IndexTensors
from vae_lightning.errors import ConfigError
from vae_lightning.share import Share

SIZES = [(world, total) for world in (1, 2, 3, 4, 7) for total in (1, 2, 3, 5, 12, 128)]
SMALL = ["network.hidden=[16]", "latent.dim=3", "run_dir=."]


@pytest.mark.parametrize(("world", "total"), SIZES)
def test_the_shares_of_a_batch_are_the_batch(world, total):
    shares = [Share(rank, world, total) for rank in range(world)]
    batch = torch.arange(total)
    counted = torch.cat([share.of(batch)[: share.counted] for share in shares])
    assert counted.tolist() == batch.tolist()
    assert all(len(share.of(batch)) == share.size >= 1 for share in shares)
    assert max(share.counted for share in shares) - min(share.counted for share in shares) <= 1


@pytest.mark.parametrize(("world", "total"), SIZES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_mean_over_the_processes_is_the_objective_of_the_whole_batch(world, total, reduction):
    """DDP takes the mean of the gradients of the processes, which is linear in their objectives."""
    reduce = getattr(torch, reduction)
    values = torch.rand(total, dtype=torch.float64, generator=torch.Generator().manual_seed(total))
    shares = [Share(rank, world, total) for rank in range(world)]
    objectives = [reduce(share.of(values)) * share.weight(reduction) for share in shares]
    torch.testing.assert_close(torch.stack(objectives).mean(), reduce(values))


@pytest.mark.parametrize("world", [2, 3, 16])
def test_the_batches_of_the_processes_are_those_of_one(world):
    """100 images in batches of 48: the last batch has 4, fewer than 16 processes."""
    images = ImagesInMemory(torch.zeros(100, 1, 1, 1), torch.zeros(100))
    whole = list(IndexTensors(EpochShuffle(100, seed=1), 48))
    parts = []
    for rank in range(world):
        place = DistributedSampler(images, world, rank, shuffle=False)
        batches = IndexTensors(place, 48, order=EpochShuffle(100, seed=1))
        assert len(batches) == len(whole)
        parts.append([batch[: Share(rank, world, len(w)).counted] for batch, w in zip(batches, whole, strict=True)])
    for batch, *shares in zip(whole, *parts, strict=True):
        assert torch.cat(shares).tolist() == batch.tolist()


def test_a_distributed_sampler_without_an_order_is_lightnings_own():
    images = ImagesInMemory(torch.zeros(10, 1, 1, 1), torch.zeros(10))
    place = DistributedSampler(images, 2, 1, shuffle=False)
    assert [batch.tolist() for batch in IndexTensors(place, 3)] == [[1, 3, 5], [7, 9]]


# --- real processes --------------------------------------------------------------------------------------------------


def fitted(tmp_path, *words: str, lr: float = 1e-3, **options):
    """Weights and metrics after two epochs."""
    cfg = config(*SMALL, *few_digits(tmp_path), *words)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build.data_module(cfg.data)
    module = build.vae(cfg, data.image_shape)
    module.optimizer = partial(torch.optim.SGD, lr=lr)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    quiet |= {"enable_checkpointing": False, "num_sanity_val_steps": 0, "default_root_dir": tmp_path}
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", **quiet, **options)
    trainer.fit(module, data)
    return module.state_dict(), dict(trainer.callback_metrics)


WRONG = {  # a share that weighs nothing, and one that takes the first images in every process
    "none": {},
    "objective": {"objective": lambda share, own, reduction: own},
    "of": {"of": lambda share, whole, dim=0: whole.narrow(dim, 0, share.size)},
}


def forked(tmp_path, *words: str, lr: float, wrong: str = "none"):
    """The same of two processes, which are forks of a new one: a fork of this one would wait for its threads."""
    places = [ROOT, ROOT / "tests", ROOT / "tests" / "support"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, str(tmp_path), str(lr), wrong, *words]
    done = subprocess.run(command, env=environment, timeout=240, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return torch.load(tmp_path / "forked.pt", weights_only=True)


FEW = ["batch_size=38"]  # 399 images: the last batch of an epoch has 19, the first process takes 9


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "words",
    [
        ["data.protocol=dynamic"],
        pytest.param(["reduction=sum"], marks=pytest.mark.slow),
        pytest.param(["bound=iwae", "bound.num_samples=2", "latent=iaf"], marks=pytest.mark.slow),
        pytest.param(["latent=vamp"], marks=pytest.mark.slow),
    ],
    ids=lambda words: words[0],
)
def test_two_processes_train_as_one(tmp_path, words):
    """Equal within rounding: SGD, whose step is proportional to the gradient, shows each factor."""
    lr = {"reduction=sum": 2e-4, "bound=iwae": 1e-3}.get(words[0], 1e-2)
    weights, metrics = fitted(tmp_path, *FEW, *words, lr=lr, devices=1)
    shared, shared_metrics = forked(tmp_path, *FEW, *words, lr=lr)
    assert all(value.isfinite() for value in metrics.values())
    for name, weight in weights.items():
        torch.testing.assert_close(shared[name], weight, rtol=1e-4, atol=1e-6, msg=name)
    assert set(metrics) == set(shared_metrics)
    for name, value in metrics.items():
        torch.testing.assert_close(shared_metrics[name], value, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
@pytest.mark.parametrize("part", ["objective", "of"])
def test_the_comparison_would_notice(tmp_path, part):
    weights, _ = fitted(tmp_path, *FEW, lr=1e-2, devices=1)
    shared, _ = forked(tmp_path, *FEW, lr=1e-2, wrong=part)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(shared, weights, rtol=1e-4, atol=1e-6)


# --- what cannot work ------------------------------------------------------------------------------------------------


def checked(*words: str, in_sweep: bool = False):
    cfg = config(*SMALL, "data.mirrors=[]", *words)
    data = build.data_module(cfg.data)
    check_processes(build.make_trainer(cfg, data, with_loggers=False), data, in_sweep)


def test_a_batch_that_the_processes_cannot_share():
    with pytest.raises(ConfigError, match=r"batch_size=127: 2 processes share each batch .*batch_size=128"):
        checked("batch_size=127", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")
    checked("batch_size=128", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")


@pytest.mark.parametrize("words", [["trainer=ddp"], ["trainer.strategy=ddp", "trainer.devices=2"]], ids=str)
def test_no_sweep_of_runs_of_several_processes(words):
    with pytest.raises(ConfigError, match="start each run by a command of its own"):
        checked(*words, "trainer.accelerator=cpu", in_sweep=True)
    checked("trainer.accelerator=cpu", in_sweep=True)


def test_data_of_ones_own_that_are_not_shared_are_named(capsys):
    cfg = config(*SMALL, "data.mirrors=[]", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu")
    trainer = build.make_trainer(cfg, build.data_module(cfg.data), with_loggers=False)
    check_processes(trainer, pl.LightningDataModule(), in_sweep=False)
    assert "LightningDataModule has no method `share`" in capsys.readouterr().err


if __name__ == "__main__":
    folder, rate, wrong_part, *run_words = sys.argv[1:]
    for name, method in WRONG[wrong_part].items():
        setattr(Share, name, method)
    result = fitted(Path(folder), *run_words, lr=float(rate), devices=2, strategy="ddp_fork")
    torch.save(result, Path(folder) / "forked.pt")
