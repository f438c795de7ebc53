"""Arrays of any kind as images x [N, C, H, W] or vectors [N, 1, 1, D], and labels as classes.

N datapoints, C channels, H W pixels, D numbers.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vae_lightning.data.array_files import KINDS
from vae_lightning.errors import DataError

BLOCK = 2**22  # numbers that are looked at together
MOST_CLASSES = 100  # whole numbers that are named on the page
CHANNELS = (1, 3)


def as_array(value: Any, whose: str) -> np.ndarray:
    """A tensor, an array, or what NumPy takes for one, without a copy where that can be. Raises DataError."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError) as error:
        raise DataError(f"{whose}: is no array ({error}); give one array of numbers, [N, H, W] or [N, D]") from error
    if array.dtype.kind == "O":
        raise DataError(f"{whose}: it holds Python objects, not numbers; give x.astype('float32')")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def images_of(array: np.ndarray, whose: str, scale: float | None, tell: Callable[[str], Any]) -> Tensor:
    """Images as bytes or float32 [N, C, H, W]; vectors as bytes, float32 or float64 [N, 1, 1, D].

    `scale` divides numbers. `tell` is told how an array is read that could be read in two ways. Raises DataError for
    an array that is neither, or whose values cannot be x.
    """
    if array.dtype.kind not in KINDS:
        raise DataError(f"{whose}: its type is {array.dtype}; give whole numbers or floats")
    if array.ndim not in (2, 3, 4) or not array.size:
        raise DataError(
            f"{whose}: [{', '.join(map(str, array.shape))}] is no set of images [N, H, W] or [N, C, H, W] and none of "
            "vectors [N, D]; reshape it"
        )
    values = numbers(array, whose, scale, tell)
    if array.ndim == 4 and array.shape[3] in CHANNELS and array.shape[1] > 4:
        tell(f"{whose}: {list(array.shape)} is read as [N, H, W, C]")
        values = values.transpose(0, 3, 1, 2)
    return laid_out(tensor(values))


def laid_out(values: Tensor) -> Tensor:
    """[N, D], [N, H, W] or [N, C, H, W] as four dimensions."""
    return values[:, None, None] if values.ndim == 2 else values.unsqueeze(1) if values.ndim == 3 else values


def tensor(values: np.ndarray) -> Tensor:
    """The tensor that shares an array's memory; a copy where the array runs backwards."""
    values = values if min(values.strides, default=0) >= 0 else np.ascontiguousarray(values)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # nothing is written
        return torch.from_numpy(values)


def numbers(array: np.ndarray, whose: str, scale: float | None, tell: Callable[[str], Any]) -> np.ndarray:
    """The values as bytes, float32 or, for vectors, float64. Raises DataError for values that are neither."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if scale is not None:
        return array.astype(np.float32) / np.float32(scale)
    if array.dtype.kind == "f":
        kept = array.dtype == np.float32 or (array.dtype == np.float64 and array.ndim == 2)
        with np.errstate(over="ignore"):  # what overflows is found as not finite
            return array if kept else array.astype(np.float32)
    if array.ndim == 2 and array.dtype != np.uint8:
        return array.astype(np.float64)
    low, high = range_of_bytes(array)
    if low < 0 or high > 255:
        raise DataError(
            f"{whose}: whole numbers from {low} to {high}, and bytes are 0 to 255; divide them: data.scale={high}"
        )
    if high == 1:
        tell(f"{whose}: its numbers are 0 and 1, so 1 is read as white; data.scale=255 reads them as bytes")
        return array.astype(np.uint8) * np.uint8(255)
    return array if array.dtype == np.uint8 else array.astype(np.uint8)


def blocks(array: np.ndarray | Tensor) -> Iterator[tuple[int, Any]]:
    """(first row, rows) of an array, piece by piece: a mapped file never lies in memory as a whole."""
    rows = max(1, BLOCK // max(1, int(np.prod(array.shape[1:]))))
    return ((at, array[at : at + rows]) for at in range(0, len(array), rows))


def range_of_bytes(array: np.ndarray) -> tuple[int, int]:
    """The least and the largest of whole numbers. Of bytes it is known once one is larger than 1."""
    low, high = 255, 0
    for _, block in blocks(array):
        low, high = min(low, int(block.min())), max(high, int(block.max()))
        if array.dtype == np.uint8 and high > 1:
            return 0, 255
    return low, high


def value_range(x: Tensor, whose: str) -> tuple[float, float]:
    """The least and the largest number. Raises DataError with the first row that holds a number that is not finite."""
    low, high = float("inf"), float("-inf")
    for at, block in blocks(x):
        least, most = (float(value) for value in block.aminmax())
        if not abs(least) + abs(most) < float("inf"):
            row = at + int((~block.flatten(1).isfinite().all(1)).nonzero()[0])
            raise DataError(f"{whose}: row {row} holds NaN or an infinite number; clean the data")
        low, high = min(low, least), max(high, most)
    return low, high


def classes_of(labels: Mapping[str, np.ndarray], whose: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Labels as classes [N], and the names of the classes: of texts the sorted texts, of whole numbers the numbers.

    A column [N, 1] is taken for [N]. Raises DataError for labels that are no classes.
    """
    flat = {split: given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given for split, given in labels.items()}
    for split, given in flat.items():
        if given.ndim != 1 or not len(given):
            raise DataError(f"{whose}: its {split} labels are {list(given.shape)}, must be [N], a class for each row")
    if flat and all(given.dtype.kind == "U" for given in flat.values()):
        names = sorted({str(name) for given in flat.values() for name in np.unique(given)})
        return {split: torch.from_numpy(np.searchsorted(names, given)) for split, given in flat.items()}, tuple(names)
    found = {split: whole(given, f"{whose}: its {split} labels") for split, given in flat.items()}
    most = max((int(given.max()) for given in found.values()), default=MOST_CLASSES)
    return found, tuple(map(str, range(most + 1))) if most < MOST_CLASSES else ()


def whole(labels: np.ndarray, whose: str) -> Tensor:
    """Labels as whole numbers >= 0. Raises DataError."""
    if labels.dtype.kind not in KINDS:
        raise DataError(f"{whose} have the type {labels.dtype}; give whole numbers or texts")
    with np.errstate(invalid="ignore"):
        numbers = labels.astype(np.int64)
    if (numbers != labels).any() or (numbers < 0).any():
        raise DataError(f"{whose} range over [{labels.min():g}, {labels.max():g}]; classes are whole numbers >= 0")
    return torch.from_numpy(numbers)
