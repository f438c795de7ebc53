"""The images in a batch of any structure. B batch, C channels, H W pixels, D numbers."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vae_lightning.errors import ConfigError, shown
from vae_lightning.rules import Rule

DEPTH = 6  # structures inside structures
MOST_NAMED = 8  # tensors that an error lists

# Where the images of a batch are. None: images_of finds them.
Place = Annotated[
    str | int | Callable[[Any], Any] | None,
    Rule(lambda v: v is None or type(v) in (str, int) or callable(v), "must be a key, an index or a function"),
]
LIKELIEST = (False, 0, 0)  # the least of `standing`: images [B, C, H, W] that are no mask


def images_of(batch: Any, place: Place = None) -> Tensor:
    """The images of a batch: a tensor itself, what `place` names, or the first float or byte tensor that is an image.

    The batch is a dict, sequence, dataclass or other object, at any depth. A tensor [B, C, H, W] comes before
    [B, H, W], which comes before flat [B, D]; of flat tensors, the largest that is a square comes first. A tensor named
    a mask comes last. Raises ConfigError if there are no images, or nothing at `place`.
    """
    batch = batch if place is None else at(batch, place)
    if isinstance(batch, Tensor) and batch.ndim:
        return batch
    best: tuple[tuple[bool, int, int], Tensor] | None = None
    for name, tensor in tensors(batch):
        if may_be_images(tensor):
            rank = standing(name, tensor)
            if rank == LIKELIEST:
                return tensor
            if best is None or rank < best[0]:
                best = rank, tensor
    if best is None:
        raise ConfigError(f"{contents(batch)}: no float or byte tensor [B, C, H, W] is in it")
    return best[1]


def at(batch: Any, place: Any) -> Any:
    """What a key, an index or a function finds in a batch. Raises ConfigError if it finds nothing."""
    if callable(place):
        try:
            return place(batch)
        except (LookupError, TypeError, AttributeError) as error:
            raise ConfigError(f"batch={place!r}: {contents(batch)}, and the function fails: {error!r}") from error
    for name, member in members(batch):
        if name == place:
            return member
    if isinstance(place, int) and isinstance(batch, list | tuple) and -len(batch) <= place < len(batch):
        return batch[place]
    raise ConfigError(f"batch={shown(place)}: {contents(batch)}, and no such key or index")


def tensors(
    batch: Any, name: str = "", depth: int = DEPTH, seen: dict[int, Any] | None = None
) -> Iterator[tuple[str, Tensor]]:
    """(dotted name, tensor) of every tensor in a structure, in its order. An object in several places counts once."""
    seen = {} if seen is None else seen
    if isinstance(batch, Tensor):
        yield name, batch
    elif depth and id(batch) not in seen:
        seen[id(batch)] = batch  # held, so that no other object gets its id
        for key, member in members(batch):
            yield from tensors(member, f"{name}.{key}" if name else str(key), depth - 1, seen)


def members(batch: Any) -> Iterable[tuple[Any, Any]]:
    """(name, member) of a dict, sequence, dataclass or other object; none of a text, a path or a number.

    A distribution has one member, its mean.
    """
    if isinstance(batch, Distribution):
        return [("mean", batch.mean)]
    if isinstance(batch, Mapping):
        return batch.items()
    if isinstance(batch, list | tuple):
        return zip(getattr(batch, "_fields", range(len(batch))), batch, strict=True)
    if is_dataclass(batch):
        return ((field.name, getattr(batch, field.name, None)) for field in fields(batch))
    return vars(batch).items() if hasattr(batch, "__dict__") and not callable(batch) else ()


def may_be_images(tensor: Tensor) -> bool:
    """Whether a tensor holds floats or bytes, and more than one number for each datapoint."""
    numbers = tensor.is_floating_point() or tensor.dtype == torch.uint8
    return numbers and tensor.ndim >= 2 and tensor.numel() > len(tensor)


def standing(name: str, tensor: Tensor) -> tuple[bool, int, int]:
    """The order of tensors that may be images: the smallest is the likeliest."""
    is_square = tensor.ndim == 2 and square(tensor.shape[1])
    return "mask" in name.lower(), max(0, 4 - tensor.ndim), -tensor.shape[1] if is_square else 0


def square(numbers: int) -> tuple[int, int, int] | None:
    """[C, H, W] of a flat image: a square of one channel or of three."""
    for channels in (1, 3):
        side = math.isqrt(numbers // channels)
        if side and channels * side**2 == numbers:
            return channels, side, side
    return None


def contents(batch: Any) -> str:
    """A batch in words: its type, and its tensors with their types and sizes."""
    named = [f"{name} {str(x.dtype).removeprefix('torch.')} {list(x.shape)}" for name, x in tensors(batch)]
    more = [f"{len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
    held = ", ".join([*map(str.strip, named[:MOST_NAMED]), *more]) or "no tensor"
    return f"the batch is a {type(batch).__name__} that holds {held}"
