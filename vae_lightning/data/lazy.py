"""Images that are made when they are asked for: what `ImagesInMemory` is for images that memory does not hold."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vae_lightning.data.decoding import Broken, Decoder, Misfit, strict
from vae_lightning.data.in_memory import ImagesInMemory
from vae_lightning.errors import DataError
from vae_lightning.noise import generator

AT_ONCE = 1000  # images


class LazyImages(Dataset[tuple[Tensor, Tensor]]):
    """The `rows` (None: all rows) of images that `load` makes: rows [B] -> bytes [B, C, H, W]; and labels [M]."""

    device, dtype = torch.device("cpu"), torch.uint8

    def __init__(
        self,
        load: Callable[[Tensor], Tensor],
        image_shape: Sequence[int],
        labels: Tensor,
        rows: Tensor | None = None,
    ) -> None:
        self._load, self._image_shape = load, tuple(image_shape)
        self._labels, self._rows = labels, rows

    def __len__(self) -> int:
        return len(self._labels if self._rows is None else self._rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, C, H, W]"""
        return (len(self), *self._image_shape)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        images, labels = self.__getitems__([index])
        return images[0], labels[0]

    def __getitems__(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.as_tensor(indices)
        rows = rows if self._rows is None else self._rows.index_select(0, rows)
        return self._load(rows), self._labels.index_select(0, rows)

    @property
    def images(self) -> Tensor:
        """All images, [N, C, H, W], made now."""
        made = torch.empty(self.shape, dtype=self.dtype)
        rows = torch.arange(len(self)) if self._rows is None else self._rows
        for some, out in zip(rows.split(AT_ONCE), made.split(AT_ONCE), strict=True):
            out.copy_(self._load(some))
        return made

    @property
    def labels(self) -> Tensor:
        """All labels, [N]."""
        return self._labels if self._rows is None else self._labels[self._rows]

    def only(self, rows: Tensor) -> "LazyImages":
        """Some of these images."""
        return LazyImages(self._load, self._image_shape, self._labels, rows if self._rows is None else self._rows[rows])

    def to(self, device: torch.device) -> ImagesInMemory:
        """The same images in the memory of a device."""
        return ImagesInMemory(self.images.to(device), self.labels.to(device))

    def changed(self, change: Callable[[Tensor, torch.Generator], Tensor]) -> "LazyImages":
        """The same images after `change`, which draws for each image from a generator of its own."""
        return LazyImages(partial(each_changed, self._load, change), self._image_shape, self._labels, self._rows)


def each_changed(
    load: Callable[[Tensor], Tensor], change: Callable[[Tensor, torch.Generator], Tensor], rows: Tensor
) -> Tensor:
    """`change` of each image, with a generator that is a function of its row."""
    images = load(rows)
    return torch.cat([change(images[i : i + 1], generator("cpu", "once", row)) for i, row in enumerate(rows.tolist())])


class Unread(DataError):
    """An image that cannot be read any more. A worker's error gets its traceback as its text: the last line counts."""

    def __init__(self, text: str) -> None:
        super().__init__(text.strip().rpartition("\n")[2].rpartition(f"{type(self).__name__}: ")[2])


def decoded(root: Path, names: Sequence[str], decoder: Decoder, image_shape: Sequence[int], rows: Tensor) -> Tensor:
    """The images of some files, [B, C, H, W]. Raises Unread for a file that changed since it was checked."""
    images = np.empty((len(rows), *image_shape), np.uint8)
    with strict():
        for out, name in zip(images, [names[int(row)] for row in rows], strict=True):
            try:
                array = decoder(root / name).array
                if array.shape != out.shape:
                    raise Broken(f"now it is {list(array.shape)}")
            except (Broken, Misfit) as error:
                raise Unread(
                    f"{root / name}: it changed after it was checked ({error}); start again: resume=auto"
                ) from error
            out[:] = array
    return torch.from_numpy(images)
