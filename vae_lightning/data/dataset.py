"""Images in memory as one uint8 tensor: a batch is one index operation."""

from collections.abc import Iterator, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from vae_lightning.noise import generator


class ImagesInMemory(Dataset[tuple[Tensor, Tensor]]):
    """images [N, C, H, W] uint8, labels [N]; `__getitems__` gives the DataLoader a whole batch at once."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index], self.labels[index]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        chosen = torch.as_tensor(indices)
        return self.images[chosen], self.labels[chosen]


def as_it_is(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The collate function for batches that `__getitems__` made."""
    return batch


class EpochShuffle(Sampler[int]):
    """A permutation that is a function of (seed, epoch) alone; Lightning calls `set_epoch`.

    Its first epoch leaves the first `skip` images out: those a resumed run has seen.
    """

    def __init__(self, size: int, seed: int, epoch: int = 0, skip: int = 0) -> None:
        self.size, self.seed, self.epoch, self.skip = size, seed, epoch, skip

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.size, generator=generator("cpu", "order", self.seed, self.epoch))
        skip, self.skip = self.skip, 0
        return iter(order.tolist()[skip:])


def seen_of_epoch(trainer: pl.Trainer | None, batch_size: int) -> tuple[int, int]:
    """(epoch, images of it that a resumed run has seen already); (0, 0) at the start of a run, or without a trainer."""
    if trainer is None:
        return 0, 0
    loop = trainer.fit_loop
    epochs: Any = loop.epoch_progress.current
    batches: Any = loop.epoch_loop.batch_progress.current
    within = loop.restarting and epochs.started != epochs.processed
    return epochs.processed, batches.processed * batch_size if within else 0
