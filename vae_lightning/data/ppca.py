"""Data of which everything is known: draws of a linear-Gaussian model, so that estimates can be held against it."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from vae_lightning.data.dataset import EpochShuffle, ImagesInMemory, loader, seen_of_epoch
from vae_lightning.errors import ConfigError, check_whole
from vae_lightning.linear_gaussian import LinearGaussian
from vae_lightning.noise import generator


class PPCADataModule(pl.LightningDataModule):
    """Probabilistic PCA (Tipping & Bishop 1999): x [B, 1, 4, 4], 16 numbers of any size, and labels that are all 0.

    `truth` is the model they were drawn from, with `latent_dim` units and noise of `variance`; its log p(x), posterior
    and mutual information are closed forms. The same `data_seed` gives the same model and the same data.
    Raises ConfigError for values that cannot work.
    """

    name = "ppca"
    protocol = "real"
    image_shape = (1, 4, 4)

    def __init__(
        self,
        latent_dim: int = 3,
        variance: float = 0.5,
        sizes: tuple[int, int, int] | list[int] = (10_000, 1_000, 2_000),
        data_seed: int = 0,
        batch_size: int = 128,
        seed: int = 0,
    ) -> None:
        super().__init__()
        check_whole("data", latent_dim=latent_dim, batch_size=batch_size, sizes=min(sizes))
        if not variance > 0:
            raise ConfigError(f"data.variance={variance}: must be a number > 0")
        self.sizes, self.data_seed, self.batch_size, self.seed = tuple(sizes), data_seed, batch_size, seed
        noise = generator("cpu", "ppca", data_seed)
        dims = 16
        weight = torch.randn(dims, latent_dim, generator=noise, dtype=torch.float64) / dims**0.5
        mean = torch.randn(dims, generator=noise, dtype=torch.float64)
        self.truth = LinearGaussian(weight, mean, float(variance))
        self._splits: dict[str, ImagesInMemory] = {}

    @property
    def val_size(self) -> int:
        return self.sizes[1]

    def setup(self, stage: str | None = None) -> None:
        """Draws the three splits, once."""
        for split, size in zip(("train", "val", "test"), self.sizes, strict=True):
            if split not in self._splits:
                x = self.truth.sample(size, generator("cpu", "ppca", self.data_seed, split)).float()
                self._splits[split] = ImagesInMemory(x.view(-1, *self.image_shape), torch.zeros(size).long())

    def train_dataloader(self) -> DataLoader:
        epoch, seen = seen_of_epoch(self.trainer, self.batch_size)
        sampler = EpochShuffle(self.sizes[0], self.seed, epoch, seen)
        return loader(self._splits["train"], self.batch_size, sampler)

    def val_dataloader(self) -> DataLoader:
        return loader(self._splits["val"], self.batch_size)

    def test_dataloader(self) -> DataLoader:
        return loader(self._splits["test"], self.batch_size)

    def images(self, split: str) -> Tensor:
        """All x of a split, [N, 1, 4, 4]."""
        return self._splits[split].images

    @property
    def description(self) -> str:
        """One line for figures and results."""
        return f"probabilistic PCA, {self.truth.weight.shape[1]} latent dims, variance {self.truth.variance:g}"

    def describe(self) -> dict[str, Any]:
        """What a result must say of its data."""
        sizes = dict(zip(("train", "val", "test"), self.sizes, strict=True))
        facts = {"name": self.name, "protocol": self.protocol, "source": f"drawn, data_seed={self.data_seed}"}
        return {**facts, "subset": False, "sizes": sizes, "sha256": {}}
