"""Images in tar files, as WebDataset has them: `00000042.png` and `00000042.cls` beside each other.

An image is read by its position: so a run that goes on within an epoch reads nothing that it has seen, and memory does
not grow with the images.
"""

import io
import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vae_lightning.data.decoding import strict
from vae_lightning.data.in_memory import EpochShuffle
from vae_lightning.data.lazy import Unread
from vae_lightning.data.shard_index import COLUMNS, INDEX, Part
from vae_lightning.errors import DataError
from vae_lightning.noise import generator
from vae_lightning.runs.regular import opened, reason

MOST_OPEN = 64  # files of a process


class ShardReader:
    """Some images of a split: rows [B] -> bytes [B, C, H, W]. Raises Unread for an image that cannot be read.

    Raises DataError if `SPLIT.npy` does not fit the index.
    """

    def __init__(self, root: Path, split: str, part: Part, image_shape: Sequence[int]) -> None:
        self.files, self.image_shape = [root / shard.file for shard in part.shards], tuple(image_shape)
        self._table = root / f"{split}.npy"
        self._places = self._mapped()
        if self._places.shape != (part.images, len(COLUMNS)) or self._places.dtype != np.int64:
            raise DataError(f"{self._table}: does not fit {INDEX}; write the shards again")
        self._open: OrderedDict[tuple[int, int], int] = OrderedDict()  # {(process, shard): descriptor}

    @property
    def labels(self) -> Tensor:
        """The class of each image, [N]; mapped."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch: the array is not writable
            return torch.from_numpy(self._places[:, COLUMNS.index("label")])

    def __call__(self, rows: Tensor) -> Tensor:
        images = np.empty((len(rows), *self.image_shape), np.uint8)
        with strict():
            for out, (shard, offset, size, _) in zip(images, self._places[rows.numpy()].tolist(), strict=True):
                try:
                    out[:] = pixels(read_at(self._descriptor(shard), size, offset), self.image_shape)
                except Exception as error:  # Pillow raises errors of many types for damaged files
                    raise Unread(
                        f"{self.files[shard]}: the image at byte {offset:,} cannot be read ({reason(error)}); copy "
                        "this shard again and start again: resume=auto"
                    ) from error
        return torch.from_numpy(images)

    def _descriptor(self, shard: int) -> int:
        """A shard that this process opened. Of too many, the one that was not read for longest is closed."""
        key = os.getpid(), shard
        if key not in self._open:
            with opened(self.files[shard]) as file:
                self._open[key] = os.dup(file.fileno())
            if len(self._open) > MOST_OPEN:
                os.close(self._open.popitem(last=False)[1])
        self._open.move_to_end(key)
        return self._open[key]

    def _mapped(self) -> np.ndarray:
        """Where the images are, [N, 4]."""
        try:
            return np.load(self._table, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{self._table}: cannot be read ({reason(error)}); write the shards again") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": OrderedDict(), "_places": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._places = self._mapped()


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Some bytes of a file. A process that has the same descriptor may read elsewhere at the same time."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)  # Windows: each process has descriptors of its own
    return os.read(descriptor, size)


def pixels(content: bytes, image_shape: tuple[int, ...]) -> np.ndarray:
    """A PNG as bytes [C, H, W]. Raises ValueError for another shape."""
    image = np.asarray(Image.open(io.BytesIO(content), formats=["PNG"]))
    image = image[None] if image.ndim == 2 else image.transpose(2, 0, 1)
    if image.shape != image_shape:
        raise ValueError(f"it is {list(image.shape)}, not {list(image_shape)}")
    return image


class ShardShuffle(EpochShuffle):
    """An order that reads `mix` shards at a time: the shards are shuffled, and the images of each `mix` together.

    A function of (seed, epoch) alone. `sizes` are the images of each shard. Memory holds the order of `mix` shards.
    """

    def __init__(
        self, sizes: Sequence[int], mix: int, seed: int, epoch: int = 0, skip: int = 0, shuffle: bool = True
    ) -> None:
        super().__init__(sum(sizes), seed, epoch, skip, shuffle)
        self.sizes, self.mix = sizes, mix
        self._ends = list(accumulate(sizes))

    def pieces(self) -> Iterator[Tensor]:
        skip, noise = self._skips.get(self.epoch, 0), generator("cpu", "order", self.seed, self.epoch)
        shards = torch.randperm(len(self.sizes), generator=noise) if self.shuffle else torch.arange(len(self.sizes))
        for number, chosen in enumerate(shards.split(self.mix)):
            spans = [range(self._ends[shard] - self.sizes[shard], self._ends[shard]) for shard in chosen.tolist()]
            size = sum(map(len, spans))
            if skip < size:
                rows = torch.cat([torch.arange(span.start, span.stop) for span in spans])
                noise = generator("cpu", "order", self.seed, self.epoch, number)
                yield (rows[torch.randperm(size, generator=noise)] if self.shuffle else rows)[skip:]
            skip = max(0, skip - size)
