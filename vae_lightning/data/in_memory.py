"""Images in memory as one tensor, on the processor or the accelerator: a batch is one index operation."""

from collections.abc import Iterator, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loops.loop import _Loop as Loop
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, DistributedSampler, Sampler, SequentialSampler

from vae_lightning.noise import generator
from vae_lightning.share import Share


class ImagesInMemory(Dataset[tuple[Tensor, Tensor]]):
    """The `rows` (None: all rows) of images [M, C, H, W] and labels [M].

    Nothing is copied, so processes that map one file share its memory. `__getitems__` gives the DataLoader a whole
    batch at once.
    """

    def __init__(self, images: Tensor, labels: Tensor, rows: Tensor | None = None) -> None:
        self._images, self._labels, self._rows = images, labels, rows

    def __len__(self) -> int:
        return len(self._images if self._rows is None else self._rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        row = index if self._rows is None else int(self._rows[index])
        return self._images[row], self._labels[row]

    def __getitems__(self, indices: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        chosen = torch.as_tensor(indices)
        chosen = chosen if self._rows is None else self._rows.index_select(0, chosen)
        chosen = chosen.to(self.device, non_blocking=True)
        return self._images.index_select(0, chosen), self._labels.index_select(0, chosen)

    @property
    def shape(self) -> tuple[int, ...]:
        """[N, C, H, W]"""
        return (len(self), *self._images.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        """The type of the images."""
        return self._images.dtype

    @property
    def device(self) -> torch.device:
        """The device of the images."""
        return self._images.device

    @property
    def rows(self) -> Tensor | None:
        """Which of all images these are, or None for all."""
        return self._rows

    @property
    def images(self) -> Tensor:
        """All images, [N, C, H, W]; a copy if there are `rows`."""
        return self._images if self._rows is None else self._images[self._rows]

    @property
    def labels(self) -> Tensor:
        """All labels, [N]; a copy if there are `rows`."""
        return self._labels if self._rows is None else self._labels[self._rows]

    def only(self, rows: Tensor) -> "ImagesInMemory":
        """Some of these images; nothing is copied."""
        return ImagesInMemory(self._images, self._labels, rows if self._rows is None else self._rows[rows])

    def to(self, device: torch.device) -> "ImagesInMemory":
        """The same images on a device."""
        return ImagesInMemory(self.images.to(device), self.labels.to(device))


def loader(dataset: Any, batch_size: int, order: Sampler[int] | None = None, num_workers: int = 0) -> DataLoader[Any]:
    """A DataLoader over `ImagesInMemory` or `LazyImages`; in their order if no other is given.

    Processes of a distributed run share each batch.
    """
    in_turn = SequentialSampler(dataset)
    return Batches(
        dataset,
        batch_sampler=IndexTensors(in_turn, batch_size, drop_last=False, order=order or in_turn),
        num_workers=num_workers,
        collate_fn=identity,  # type: ignore[arg-type]
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available() and dataset.device.type == "cpu",
    )


def identity(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """The collate function: `__getitems__` already made the batch."""
    return batch


class Batches(DataLoader):
    """torch's DataLoader; without workers and pinned memory it hands over what the data set returns, and does no more.

    Its own way through a batch costs as much as the batch.
    """

    def __iter__(self) -> Any:
        if self.num_workers or self.pin_memory or type(self.batch_sampler) is not IndexTensors:
            return super().__iter__()
        return map(self.dataset.__getitems__, self.batch_sampler)  # type: ignore[attr-defined]


class IndexTensors(BatchSampler):
    """torch's BatchSampler with batches that are slices of one index tensor in place of lists of numbers.

    In a distributed run, Lightning gives it a DistributedSampler. With an `order`, only the number of the process is
    taken from that: the batches are those of one process, and each process takes its share of each.
    """

    def __init__(
        self, sampler: Sampler[int], batch_size: int, drop_last: bool = False, order: Sampler[int] | None = None
    ) -> None:
        self.rank, self.world = 0, 1
        if order is not None and isinstance(sampler, DistributedSampler):
            self.rank, self.world = sampler.rank, sampler.num_replicas
        super().__init__(order or sampler, batch_size, drop_last)

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        if isinstance(self.sampler, EpochShuffle):
            pieces = self.sampler.pieces()
        else:
            pieces = iter([torch.tensor(list(self.sampler), dtype=torch.long)])
        batches = cut(pieces, self.batch_size, self.drop_last)
        if self.world > 1:
            return (Share(self.rank, self.world, len(batch)).of(batch) for batch in batches)
        return batches


def cut(pieces: Iterator[Tensor], size: int, drop_last: bool) -> Iterator[Tensor]:
    """Batches of indices, each a slice of one piece where it does not span two."""
    rest = torch.empty(0, dtype=torch.long)
    for piece in pieces:
        order = torch.cat([rest, piece]) if len(rest) else piece
        order = order.pin_memory() if torch.cuda.is_available() else order
        whole = len(order) - len(order) % size
        yield from order[:whole].split(size) if whole else ()
        rest = order[whole:]
    if len(rest) and not drop_last:
        yield rest


class EpochShuffle(Sampler[int]):
    """A permutation that is a function of (seed, epoch) alone; the order of the images if not `shuffle`.

    Lightning calls `set_epoch`. The epoch that it begins with leaves out the first `skip` images, however often it is
    iterated (a DataLoader with workers does it twice): a resumed run has seen them.
    """

    def __init__(self, size: int, seed: int, epoch: int = 0, skip: int = 0, shuffle: bool = True) -> None:
        self.size, self.seed, self.epoch, self.shuffle = size, seed, epoch, shuffle
        self._skips = {epoch: skip}

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        return (index for piece in self.pieces() for index in piece.tolist())

    def pieces(self) -> Iterator[Tensor]:
        """The order, piece by piece; here it is one."""
        yield self.permutation(self.epoch)[self._skips.get(self.epoch, 0) :]

    def permutation(self, epoch: int) -> Tensor:
        """The order of all images in an epoch."""
        noise = generator("cpu", "order", self.seed, epoch)
        return torch.randperm(self.size, generator=noise) if self.shuffle else torch.arange(self.size)


def begin_next_epoch(trainer: pl.Trainer | None) -> None:
    """Resumes a run after its last epoch, if that was whole.

    With `max_steps`, Lightning would end the last epoch a second time, and give the next one the order of the one after
    it. Without `max_steps` its loop begins the next epoch, as here.
    """
    if trainer is not None:
        epochs: Any = trainer.fit_loop.epoch_progress.current
        if trainer.fit_loop.restarting and epochs.started == epochs.processed:
            Loop.restarting.fset(trainer.fit_loop, False)  # type: ignore[attr-defined]  # its own setter sets it again


def seen_of_epoch(trainer: pl.Trainer | None, batch_size: int) -> tuple[int, int]:
    """The epoch, and the number of its images that a resumed run has seen; (0, 0) without a trainer or a resume."""
    if trainer is None:
        return 0, 0
    loop = trainer.fit_loop
    epochs: Any = loop.epoch_progress.current
    batches: Any = loop.epoch_loop.batch_progress.current
    within = loop.restarting and epochs.started != epochs.processed
    return epochs.processed, batches.processed * batch_size if within else 0
