"""Arrays of one's own in the model's shape: their layout, their channels, their size.

N images, C channels, H W pixels, D = C H W; h w pixels before they are fitted.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vae_lightning.errors import ConfigError

GREY = (0.299, 0.587, 0.114)  # of red, green and blue, as Pillow weighs them
LAYOUTS = "[N, C, H, W], [N, H, W, C], [N, H, W], one image, or rows [N, C H W]"


def laid_out(values: np.ndarray, shape: Sequence[int], named: str) -> Tensor:
    """An array as [N, c, h, w], bytes or float32. Raises ConfigError for other numbers, and for another layout."""
    if values.dtype.kind not in "fb" and values.dtype != np.uint8:
        raise ConfigError(f"{named}: numbers of {values.dtype}; save bytes (uint8, 0 to 255) or floats")
    kind = np.uint8 if values.dtype == np.uint8 else np.float32
    images = torch.from_numpy(np.ascontiguousarray(values, dtype=kind))
    images = of_layout(images, shape)
    if images is None or not images.numel():
        raise ConfigError(f"{named}: an array {list(values.shape)}, the model takes {list(shape)}; give {LAYOUTS}")
    return images


def of_layout(images: Tensor, shape: Sequence[int]) -> Tensor | None:
    """[N, c, h, w] with the channels of the model, or 1 or 3. None for a tensor that is no images."""
    channels, size = shape[0], list(shape[1:])
    if 1 <= images.ndim <= 2 and images.shape[-1] == math.prod(shape):
        return images.reshape(-1, *shape)
    known = {channels, 1, 3} if channels in (1, 3) else {channels}
    if images.ndim == 3 and (list(images.shape) == list(shape) or images.shape[2] in known - {1}):
        images = images.unsqueeze(0)  # one image, channels first or last
    elif images.ndim == 3 and 1 in known:
        images = images.unsqueeze(1)
    elif images.ndim == 2 and 1 in known:
        images = images[None, None]
    if images.ndim != 4:
        return None
    last = images.shape[3] in known and (images.shape[1] not in known or list(images.shape[1:3]) == size)
    images = images.movedim(3, 1) if last else images
    return images if images.shape[1] in known else None


def fitted(images: Tensor, shape: Sequence[int], resize: bool, named: str) -> Tensor:
    """Images [N, c, h, w] as [N, C, H, W]: grey becomes RGB and RGB grey; another size needs `resize`.

    `resize` crops the centre to the model's proportions and scales it. Raises ConfigError for another size.
    """
    channels, height, width = shape
    if images.shape[1] != channels:
        images = grey(images) if channels == 1 else images.expand(-1, channels, -1, -1)
    h, w = images.shape[2:]
    if (h, w) == (height, width):
        return images
    if not resize:
        raise ConfigError(
            f"{named}: {h} x {w} pixels (height x width), the model takes {height} x {width}; resize=true fits it"
        )
    scale = min(h / height, w / width)
    tall, wide = min(h, max(1, round(height * scale))), min(w, max(1, round(width * scale)))
    top, left = (h - tall) // 2, (w - wide) // 2
    cropped = images[:, :, top : top + tall, left : left + wide].float()
    scaled = interpolate(cropped, (height, width), mode="bilinear", antialias=True)
    return scaled.round().clamp(0, 255).byte() if images.dtype == torch.uint8 else scaled


def grey(images: Tensor) -> Tensor:
    """RGB images [N, 3, h, w] as grey ones [N, 1, h, w], of the same type."""
    weights = torch.tensor(GREY).view(1, 3, 1, 1)
    values = (images.float() * weights).sum(1, keepdim=True)
    return values.round().byte() if images.dtype == torch.uint8 else values
