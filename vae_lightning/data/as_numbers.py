"""Images as numbers in [0, 1] in place of bytes: what a loader yields where no trainer converts them."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from vae_lightning.shapes import as_numbers


class AsNumbers(Dataset[tuple[Tensor, Tensor]]):
    """`ImagesInMemory` or `LazyImages` whose bytes are numbers in [0, 1]."""

    def __init__(self, images: Any) -> None:
        self._images, self.shape, self.device = images, images.shape, images.device

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, label = self._images[index]
        return as_numbers(image), label

    def __getitems__(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        images, labels = self._images.__getitems__(indices)
        return as_numbers(images), labels
