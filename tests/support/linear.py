"""Linear-Gaussian data in memory and the exact model behind them, for algorithms that learn such a model."""

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader, TensorDataset

from vae_lightning import linear_gaussian
from vae_lightning.data import PPCADataModule


def truth_and_images(latent_dim: int = 1, n: int = 2000):
    """The model of the data, and x [n, 1, 4, 4]."""
    data = PPCADataModule(latent_dim=latent_dim, variance=0.5, sizes=[n, 100, 100], batch_size=1, seed=0)
    data.setup("fit")
    return data.truth, data.images("train")


def learned(module: pl.LightningModule, x: torch.Tensor, epochs: int, batch: int = 100) -> float:
    """The mean exact log p(x) of the linear decoder that a module learns, in nats."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu"}
    loader = DataLoader(TensorDataset(x, torch.zeros(len(x))), batch_size=batch, shuffle=True)
    pl.Trainer(max_epochs=epochs, **quiet).fit(module, loader)
    model = linear_gaussian.of(module.network, module.loss)
    assert model is not None
    return model.log_px(x.flatten(1)).mean().item()
