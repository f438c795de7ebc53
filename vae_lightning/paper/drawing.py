"""What the algorithms of the paper share: a training step that draws more than z, and a prior without weights."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from vae_lightning.errors import ConfigError
from vae_lightning.module import VAE
from vae_lightning.noise import generator


class DrawingVAE(VAE):
    """Its further draws are a function of (seed, step); `key` keeps them apart from those of others."""

    key: ClassVar[str]
    _of_step: torch.Generator | None = None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        step, rank = self.trainer.fit_loop.total_batch_idx, self.trainer.global_rank
        self._of_step = generator(self.device, self.key, self.seed, rank, step)
        return super().training_step(batch, batch_idx)

    def further(self) -> torch.Generator:
        """The generator of this step; outside of a run one that gives the same numbers each time."""
        return self._of_step or generator(self.device, self.key, self.seed)


def refuse_learned_prior(latent: Any, paper: str) -> None:
    """Raises ConfigError where p(z) has weights: the algorithms that the paper compares with would not train them."""
    if hasattr(latent, "prior"):
        raise ConfigError(
            f"paper={paper}: {type(latent).__name__} learns its prior, which this algorithm cannot train; choose a "
            "latent space with a fixed one, such as latent=z20"
        )
