"""The share of each batch that one of several processes takes. B images of the whole batch."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Share:
    """The images that process `rank` of `world` takes of a batch of `total` images: neighbours, as many as the others.

    A last batch may have fewer images than there are processes. A process whose share is empty then computes one image
    that counts nothing, because all processes must take the step. `key` is that of the noise: processes with the same
    key draw the noise of the same batch.
    """

    rank: int
    world: int
    total: int
    key: int = 0

    @property
    def first(self) -> int:
        return min(self.total * self.rank // self.world, self.total - 1)

    @property
    def counted(self) -> int:
        """The images that count."""
        return self.total * (self.rank + 1) // self.world - self.total * self.rank // self.world

    @property
    def size(self) -> int:
        """The images that the process computes."""
        return max(1, self.counted)

    def of(self, whole: Tensor, dim: int = 0) -> Tensor:
        """The part of a tensor whose dimension `dim` counts the images of the whole batch."""
        return whole if self.world == 1 else whole.narrow(dim, self.first, self.size)

    def objective(self, own: Tensor, reduction: str) -> Tensor:
        """The objective of the share: the mean over the processes is then the objective of the whole batch."""
        factor = self.weight(reduction)
        return own if factor == 1 else own * factor

    def sums(self, own: Tensor) -> Tensor:
        """The sums over the images that count."""
        return own if self.world == 1 or self.counted else own * 0

    def weight(self, reduction: str) -> float:
        """The factor of the objective."""
        if self.world == 1:
            return 1.0
        if reduction == "sum":
            return float(self.world if self.counted else 0)
        return self.counted * self.world / self.total


def share_of(trainer: Any, split: str, batch_idx: int, size: int) -> Share:
    """What this process has of a batch: the share that the data module names, if it shares batches among processes.

    Else the batch of `size` images is its own, with a noise of its own.
    """
    named = getattr(getattr(trainer, "datamodule", None), "share", None) if trainer.world_size > 1 else None
    share = named(split, batch_idx) if named else None
    return share if share and share.size == size else Share(0, 1, size, trainer.global_rank)
