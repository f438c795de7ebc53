"""overfit_batches: the same batches in every epoch, in the order of the images."""

import lightning.pytorch as pl
import pytest
import torch

from vae_lightning import VAE
from vae_lightning.data import MNISTDataModule
from vae_lightning.data.in_memory import EpochShuffle
from vae_lightning.network import MLP
from vae_lightning.trainer import FastTrainer


class Seen(pl.Callback):
    """The batches of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[list[torch.Tensor]] = []

    def on_train_epoch_start(self, *_):
        self.epochs.append([])

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.epochs[-1].append(batch[0].clone())


QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
TRAINERS = {"default": pl.Trainer, "fast": lambda **more: FastTrainer(compile_mode=None, precision="32-true", **more)}


def epochs(tmp_path, trainer: str = "default", protocol: str = "grey", **more) -> list[list[torch.Tensor]]:
    seen = Seen()
    data = MNISTDataModule(
        str(tmp_path), mirrors=[], batch_size=50, protocol=protocol, num_workers=more.pop("num_workers", 0)
    )
    make = TRAINERS[trainer]
    fit = make(max_epochs=3, callbacks=[seen], default_root_dir=tmp_path, enable_checkpointing=False, **QUIET, **more)
    fit.fit(VAE(MLP([1, 28, 28], 20, 1, hidden=[4])), data)
    return seen.epochs


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("protocol", ["grey", "dynamic"])
@pytest.mark.parametrize("overfit", [2, 0.1])
def test_every_epoch_has_the_same_batches(tmp_path, trainer, protocol, overfit):
    """At 756e4e9 each epoch took other images; the dynamic protocol draws their pixels once for each batch."""
    first, *later = epochs(tmp_path, trainer, protocol, overfit_batches=overfit)
    assert len(first) == (2 if overfit == 2 else 9)
    assert not torch.equal(first[0], first[1])
    assert all(torch.equal(a, b) for epoch in later for a, b in zip(first, epoch, strict=True))


def test_the_batches_are_the_first_images_in_their_order(tmp_path):
    ((batch,), *_) = epochs(tmp_path, overfit_batches=1)
    data = MNISTDataModule(str(tmp_path), mirrors=[], batch_size=50)
    data.setup()
    assert torch.equal(batch, data.images("train")[:50])


def test_workers_see_them_too(tmp_path):
    first, second, _ = epochs(tmp_path, overfit_batches=1, num_workers=1)
    assert torch.equal(first[0], second[0])


def test_other_runs_shuffle(tmp_path):
    first, second, _ = epochs(tmp_path, limit_train_batches=1)
    assert not torch.equal(first[0], second[0])
    assert list(EpochShuffle(4, seed=0, shuffle=False, skip=1)) == [1, 2, 3]
