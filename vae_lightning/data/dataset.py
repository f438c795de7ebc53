"""Images in memory as one uint8 tensor: a batch is one index operation."""

from collections.abc import Iterator, Sequence

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
    """A permutation that is a function of (seed, epoch) alone; Lightning calls `set_epoch`."""

    def __init__(self, size: int, seed: int, epoch: int = 0) -> None:
        self.size, self.seed, self.epoch = size, seed, epoch

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.size, generator=generator("cpu", "order", self.seed, self.epoch))
        return iter(order.tolist())
