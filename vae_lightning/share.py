"""The share of each batch that one of several processes takes. B images of the whole batch."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Share:
    """The images that process `rank` of `world` takes of a batch of `total` images: neighbours, as many as the others.

    A last batch may have fewer images than there are processes. A process whose share is empty then computes one image
    that counts nothing, because all processes must take the step.
    """

    rank: int
    world: int
    total: int

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
        return whole.narrow(dim, self.first, self.size)

    def weight(self, reduction: str) -> float:
        """The factor of the objective: the mean over the processes is then the objective of the whole batch."""
        if reduction == "sum":
            return float(self.world if self.counted else 0)
        return self.counted * self.world / self.total
