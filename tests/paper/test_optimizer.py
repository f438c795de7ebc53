"""The optimiser and the fall of its learning rate."""

import math

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vae_lightning import VAE
from vae_lightning.errors import ConfigError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.network import MLP
from vae_lightning.optimizer import Adam


@pytest.mark.parametrize(("t", "expected"), [(0.0, 1.0), (0.5, math.sqrt(0.1)), (1.0, 0.1)])
def test_the_decay_is_geometric(t, expected):
    assert Adam(1e-3, final_lr=1e-4).decay(t) == pytest.approx(expected)
    assert Adam(1e-3).decay(t) == 1.0


def test_the_first_step_is_adams():
    """The first step of Adam is lr * g / (|g| + eps)."""
    weight = nn.Parameter(torch.zeros(2))
    optimizer = Adam(lr=0.1, eps=0.5)([weight])
    weight.grad = torch.tensor([1.5, -0.5])
    optimizer.step()
    assert torch.allclose(weight, torch.tensor([-0.1 * 1.5 / 2, 0.1 * 0.5 / 1]))


@pytest.mark.parametrize("final_lr", [None, 1e-4])
def test_a_run_ends_at_the_final_learning_rate(tmp_path, final_lr):
    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, *_):
            seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    seen: list[float] = []
    module = VAE(MLP([1, 2, 2], 2, hidden=4), DiagonalGaussian(2), optimizer=Adam(1e-3, final_lr))
    loader = DataLoader(TensorDataset(torch.rand(40, 1, 2, 2)), batch_size=4)
    trainer = pl.Trainer(
        max_epochs=10, accelerator="cpu", logger=False, default_root_dir=tmp_path, callbacks=[Watch()],
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, loader)
    assert len(seen) == 100
    assert seen == pytest.approx([1e-3 * (1.0 if final_lr is None else 0.1 ** (k / 100)) for k in range(100)])


@pytest.mark.parametrize(
    "numbers", [{"lr": -1.0}, {"lr": math.nan}, {"final_lr": 0.0}, {"final_lr": 1.0}, {"eps": 0.0}, {"eps": math.inf}]
)
def test_numbers_that_cannot_be_are_named(numbers):
    with pytest.raises(ConfigError, match=next(iter(numbers))):
        Adam(**numbers)
