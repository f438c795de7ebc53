"""Draws of a linear-Gaussian model. Everything about them is a closed form, so estimates are tested on them."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch

from vae_lightning.data.images import ImageDataModule
from vae_lightning.data.protocol import OF_NUMBERS
from vae_lightning.data.splits import SPLITS, Splits
from vae_lightning.linear_gaussian import LinearGaussian
from vae_lightning.noise import generator
from vae_lightning.rules import Count, Positive, Rule, check

SIZES = Rule(
    lambda v: isinstance(v, list | tuple) and len(v) == 3 and all(type(size) is int and size >= 1 for size in v),
    "must be three whole numbers >= 1",
)


class PPCADataModule(ImageDataModule):
    """Follows Tipping & Bishop (1999), probabilistic PCA: x [B, 1, 4, 4], 16 numbers of any size, and labels 0.

    `truth` is the model that x is drawn from, with `latent_dim` units and noise of `variance`; its log p(x), posterior
    and mutual information are closed forms. The same `data_seed` gives the same model and the same data.
    Raises ConfigError for values that cannot work.
    """

    name = "ppca"
    title = "probabilistic PCA"
    protocols: ClassVar = tuple(OF_NUMBERS)
    image_shape = (1, 4, 4)

    def __init__(
        self,
        latent_dim: Count = 3,
        variance: Positive = 0.5,
        sizes: Annotated[Sequence[int], SIZES] = (10_000, 1_000, 2_000),
        data_seed: int = 0,
        **options: Any,
    ) -> None:
        self.latent_dim, self.variance, self.sizes, self.data_seed = latent_dim, variance, sizes, data_seed
        check(self, "data")
        super().__init__(val_size=sizes[1], **options)
        dims = 16
        noise = generator("cpu", "ppca", data_seed)
        weight = torch.randn(dims, latent_dim, generator=noise, dtype=torch.float64) / dims**0.5
        mean = torch.randn(dims, generator=noise, dtype=torch.float64)
        self.truth = LinearGaussian(weight, mean, float(variance))

    def read(self) -> Splits:
        """Draws the three splits."""
        images = {}
        for split, size in zip(SPLITS, self.sizes, strict=True):
            x = self.truth.sample(size, generator("cpu", "ppca", self.data_seed, split))
            images[split] = x.float().view(-1, *self.image_shape)
        truth = f"latent_dim={self.latent_dim}, variance={self.variance:g}"
        return Splits(images, source=f"drawn, data_seed={self.data_seed}, {truth}")

    @property
    def value_range(self) -> tuple[float, float]:
        """Where all but one in a billion of the numbers lie: six standard deviations from their means."""
        truth = self.truth
        six = 6 * (truth.weight.square().sum(1) + truth.variance).sqrt()
        return float((truth.mean - six).min()), float((truth.mean + six).max())

    @property
    def description(self) -> str:
        """The model in one line, for figures and results."""
        return f"{self.title}, {self.latent_dim} latent dims, variance {self.variance:g}"
