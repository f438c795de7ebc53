"""The images that callbacks look at, from any data loader, and their codes.

N images, J latent dims.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor

from vae_lightning.batch import Place, images_of
from vae_lightning.callbacks.foreign import mean_and_log_var, unit_kl
from vae_lightning.errors import ConfigError

NUMBERS = 2**20  # of the images that a network sees at once: MNIST's 1,000 in one call, 16 of 256 x 256
FEW = 64  # images, as many as `SampleGrid` draws in one call


def held_out_images(trainer: pl.Trainer, n: int, place: Place, owner: object) -> Tensor:
    """The first `n` images of `held_out` as one tensor, on the device."""
    return torch.cat(list(held_out(trainer, n, place, owner)))


def held_out(trainer: pl.Trainer, n: int, place: Place, owner: object) -> Iterator[Tensor]:
    """The first `n` images of the test set, else of the validation set, else of the training set, batch by batch.

    The trainer is in its validation stage, so a data module that augments training batches leaves these as they are.
    What the training dataset itself augments stays augmented. Raises ConfigError if no loader has images.
    """
    trouble, stage = "", trainer.state.stage
    trainer.validating = True
    try:
        for source in sources(trainer):
            with closing(source.images(trainer, place)) as images:
                try:
                    first = next(images, None)
                except Exception as error:
                    if not (source.spare or isinstance(error, ConfigError)):
                        raise
                    trouble = trouble or str(error)
                    continue
                if first is not None and len(first):
                    yield from one_shape(first, images, n)
                    return
    finally:
        trainer.state.stage = stage
    raise ConfigError(
        f"{type(owner).__name__}: no images to look at: {trouble or 'the trainer has no data loader'}; give the "
        "trainer a data loader of images, or say where a batch has them: batch=KEY, an index or a function"
    )


@dataclass(frozen=True)
class Source:
    """Data loaders, the batches that come of them, and the index that Lightning gives them.

    The fit does not need a `spare` source: if reading it fails, the next one is taken.
    """

    loaders: Sequence[Any]
    batches: Iterable[Any]
    index: int = 0
    spare: bool = False

    def images(self, trainer: pl.Trainer, place: Place) -> Generator[Tensor]:
        """The images of each batch, converted and transferred as Lightning does it before a step.

        Raises ConfigError for data that can be read only once: the images would be missing in the run.
        """
        if any(map(reads_once, self.loaders)):
            raise ConfigError("the data can be read only once, and the run needs them")
        convert, module = trainer.precision_plugin.convert_input, trainer.lightning_module
        with same_order(self.loaders), whole(self.loaders):
            for batch in self.batches:
                batch = module._on_before_batch_transfer(convert(batch), dataloader_idx=self.index)
                batch = trainer.strategy.batch_to_device(batch, dataloader_idx=self.index)
                yield convert(images_of(batch, place)).to(module.device)


def sources(trainer: pl.Trainer) -> Iterator[Source]:
    """The loaders of the test set, then of the validation set, one by one; then those of the training set together."""
    for given, spare in ((test_loaders(trainer), True), (trainer.val_dataloaders, False)):
        for index, loader in enumerate(flattened(given)):
            yield Source([loader], loader, index, spare)
    yield training(trainer)


def training(trainer: pl.Trainer) -> Source:
    """The loaders of the training set."""
    return Source(flattened(trainer.train_dataloader), side_by_side(trainer.train_dataloader))


def side_by_side(loaders: Any) -> Iterator[Any]:
    """The batches of one loader, or of several as a step gets them."""
    if flattened(loaders):
        yield from (batch for batch, _, _ in CombinedLoader(loaders, "max_size_cycle"))


def test_loaders(trainer: pl.Trainer) -> Any:
    """The test loaders of the data module, or None if they are not ready during a fit."""
    with suppress(Exception):  # a foreign data module may not be set up for its test stage yet
        return trainer.datamodule.test_dataloader()  # type: ignore[attr-defined]
    return None


def flattened(loaders: Any) -> list[Any]:
    """The loaders of a dict or list of loaders, of a CombinedLoader, or of one loader."""
    combined = loaders if isinstance(loaders, CombinedLoader) else CombinedLoader(loaders, "sequential")
    return [loader for loader in combined.flattened if loader is not None]


def one_shape(first: Tensor, images: Iterator[Tensor], n: int) -> Iterator[Tensor]:
    """The first `n` images, or fewer if a batch is empty or has images of another shape."""
    piece: Tensor | None = first
    while n > 0 and piece is not None and len(piece) and piece.shape[1:] == first.shape[1:]:
        yield piece[:n]
        n -= len(piece)
        piece = next(images, None) if n > 0 else None


def reads_once(loader: Any) -> bool:
    """Whether the data of a loader are an iterator, which a second reading does not begin anew."""
    data = getattr(loader, "dataset", loader)
    with suppress(Exception):
        return iter(data) is iter(data)
    return False


@contextmanager
def same_order(loaders: Sequence[Any]) -> Iterator[None]:
    """Restores the random generators of the loaders, so that reading them does not change the order of the training."""
    samplers = [getattr(getattr(loader, "batch_sampler", None), "sampler", None) for loader in loaders]
    found = (getattr(holder, "generator", None) for holder in (*loaders, *samplers))
    states = [(generator, generator.get_state()) for generator in found if isinstance(generator, torch.Generator)]
    try:
        yield
    finally:
        for generator, state in states:
            generator.set_state(state)


@contextmanager
def whole(loaders: Sequence[Any]) -> Iterator[None]:
    """Reads whole batches, where each process of the run takes its share of each from a loader of this package."""
    samplers: list[Any] = [getattr(loader, "batch_sampler", None) for loader in loaders]
    shared = [(sampler, sampler.world) for sampler in samplers if hasattr(sampler, "world")]
    for sampler, _ in shared:
        sampler.world = 1
    try:
        yield
    finally:
        for sampler, world in shared:
            sampler.world = world


def in_parts(images: Iterable[Tensor], numbers: int = NUMBERS) -> list[Tensor]:
    """The images on the processor, in parts of at most `numbers` numbers, or of one image."""
    parts: list[Tensor] = []
    waiting: list[Tensor] = []
    for batch in images:
        most = max(1, numbers // batch[0].numel())
        for piece in batch.cpu().split(most):
            if sum(map(len, waiting)) + len(piece) > most:
                parts.append(torch.cat(waiting))
                waiting = []
            waiting.append(piece)
    return [*parts, torch.cat(waiting)]


def decoded(decode: Callable[[Tensor], Any], z: Tensor, numbers: int = NUMBERS) -> Tensor:
    """The images [N, ...] of codes z [N, J]: one call if they are few, else at most `numbers` numbers in a call."""
    most = FEW if len(z) <= FEW else max(1, numbers // images_of(decode(z[:1])).numel())
    return torch.cat([images_of(decode(part)) for part in z.split(most)])


def encoded(
    encode: Callable[[Tensor], Any], parts: Sequence[Tensor], device: torch.device, owner: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and log_var of q(z|x) and the KL of each unit, [N, J]: the encoder sees one part at a time.

    Raises ConfigError, see `foreign`.
    """
    found = []
    for part in parts:
        posterior = encode(part.to(device))
        mean, log_var = mean_and_log_var(posterior, owner)
        found.append((mean, log_var, unit_kl(posterior, mean, log_var)))
    mean, log_var, kl = (torch.cat(tensors) for tensors in zip(*found, strict=True))
    return mean, log_var, kl
