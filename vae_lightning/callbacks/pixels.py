"""Any images as pixels of a picture: [N, 1 or 3, H, W] in [0, 1], and notes on what was done to them.

N images, C channels, D slices, H W pixels.
"""

import torch
from torch import Tensor

from vae_lightning.batch import square
from vae_lightning.errors import ConfigError

SIDE_BY_SIDE = 8  # channels
UNSEEN = 1 / 510  # half a grey level


def pixels(images: Tensor, owner: str, reference: Tensor | None = None) -> tuple[Tensor, list[str]]:
    """Images as pixels, and the notes.

    Values that leave [0, 1] are scaled: black is the least and white the largest value of `reference`, by default of
    the images themselves. A value outside of that range is cut off. Raises ConfigError, which begins with `owner`, for
    a tensor that is no image.
    """
    images, notes = laid_out(images, owner)
    values = as_numbers(images)
    low, high = span(values if reference is None else as_numbers(reference))
    finite = values[values.isfinite()]
    if (low, high) != (0, 1):
        values = (values - low) / (high - low)
        notes.append(f"black {low:.3g}, white {high:.3g}")
    if len(finite) and (finite.min() < low - UNSEEN or finite.max() > high + UNSEEN):
        notes.append(f"cut off: {float(finite.min()):.3g} to {float(finite.max()):.3g}")
    if finite.numel() < values.numel():
        notes.append("values that are not finite are black or white")
    return values.clamp(0, 1).nan_to_num(0), notes


def as_numbers(images: Tensor) -> Tensor:
    """Images in float32; bytes are divided by 255."""
    images = images.detach()
    return images.float() / 255 if images.dtype == torch.uint8 else images.float()


def span(values: Tensor) -> tuple[float, float]:
    """The values of black and white: 0 and 1, unless a value is outside of [0, 1]."""
    finite = values[values.isfinite()]
    low, high = map(float, finite.aminmax()) if len(finite) else (0.0, 1.0)
    if low >= -UNSEEN and high <= 1 + UNSEEN:
        return 0.0, 1.0
    return low, high if high > low else low + 1


def laid_out(images: Tensor, owner: str) -> tuple[Tensor, list[str]]:
    """Images as [N, 1 or 3, H, W].

    Flat images become squares, of a volume [N, C, D, H, W] the middle slice is taken, and channels that are not one or
    three stand side by side.
    """
    notes = []
    if images.ndim == 2 and (shape := square(images.shape[1])):
        images = images.unflatten(1, shape)
    elif images.ndim == 3:
        images = images.unsqueeze(1)
    elif images.ndim == 5:
        notes.append(f"slice {images.shape[2] // 2 + 1} of {images.shape[2]}")
        images = images[:, :, images.shape[2] // 2]
    if images.ndim != 4 or not images.numel():
        raise ConfigError(f"{owner}: a tensor {list(images.shape)} is no picture; it must be images [N, C, H, W]")
    if images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):  # [N, H, W, C]
        images = images.movedim(3, 1)
    if (channels := images.shape[1]) not in (1, 3):
        notes.append(f"{min(channels, SIDE_BY_SIDE)} of {channels} channels, side by side")
        images = images[:, :SIDE_BY_SIDE].movedim(1, 2).flatten(2).unsqueeze(1)
    return images, notes
