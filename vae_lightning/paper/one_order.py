"""The order of the minibatches in the code of Burda et al. (2016)."""

from torch import Tensor

from vae_lightning.data.in_memory import EpochShuffle
from vae_lightning.data.mnist import MNISTDataModule


class OneOrder(EpochShuffle):
    """The permutation of the first epoch, in every epoch."""

    def permutation(self, epoch: int) -> Tensor:
        return super().permutation(0)


class MNISTInOneOrder(MNISTDataModule):
    """MNIST with the same minibatches, in the same order, in every epoch: as the code of Burda et al. (2016)."""

    def order(self, epoch: int, seen: int = 0, shuffle: bool = True) -> OneOrder:
        return OneOrder(len(self._splits["train"]), self.seed, epoch, seen, shuffle)
