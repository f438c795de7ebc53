"""A VAE whose training step draws more than z."""

from typing import Any, ClassVar

import torch
from torch import Tensor

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
