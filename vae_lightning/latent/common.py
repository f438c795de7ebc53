"""What the model asks of a latent space."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from vae_lightning.latent.diagonal_gaussian import Posterior


@runtime_checkable
class Latent(Protocol):
    """A prior p(z) and a family of posteriors q(z|x).

    The encoder returns `num_parameters` numbers for each datapoint; `posterior` makes q(z|x) of them. `noise` draws the
    eps [L, B, J] that `Posterior.rsample` turns into z. `log_pz` is the prior's log density, [L, B], in nats.
    """

    @property
    def dim(self) -> int: ...
    @property
    def num_parameters(self) -> int: ...
    def posterior(self, params: Tensor) -> Posterior: ...
    def log_pz(self, z: Tensor) -> Tensor: ...
    def noise(self, num_samples: int, batch: int, generator: torch.Generator) -> Tensor: ...
