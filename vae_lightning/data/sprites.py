"""Sprites: a shape of a size, at an angle and a place, and the five numbers that made each image. <-> conf/data/

N images, S pixels a side.
"""

import math
from collections.abc import Callable
from itertools import product
from typing import Annotated, Any

import torch
from torch import Tensor

from vae_lightning.data.images import ImageDataModule
from vae_lightning.data.splits import Splits, apart
from vae_lightning.errors import ConfigError
from vae_lightning.rules import Count, check, whole

MOST_BYTES = 2 * 2**30  # of all images
REACH = 0.22  # of the largest shape from its centre, in sides of the image
SMALLEST = 0.5  # the smallest scale; the largest is 1
BOW = 0.78  # half the diagonal of the square in a heart


def square(u: Tensor, v: Tensor) -> Tensor:
    """A square whose corners have the distance 1 from the centre."""
    return torch.maximum(u.abs(), v.abs()) - math.sqrt(0.5)


def ellipse(u: Tensor, v: Tensor) -> Tensor:
    """An ellipse of half axes 1 and 1/2. The distance is right to first order."""
    f = (u.square() + 4 * v.square()).sqrt()
    return (f - 1) * (f / (u.square() + 16 * v.square()).sqrt().clamp(min=1e-6)).clamp(min=0.25)


def heart(u: Tensor, v: Tensor) -> Tensor:
    """A square on its corner with a disc on each upper side. The tip has the distance 1 from the centre."""
    corner = (u.abs() + (v + 1 - BOW).abs() - BOW) * math.sqrt(0.5)
    disc = (u.abs() - BOW / 2).hypot(v + 1 - 1.5 * BOW) - BOW * math.sqrt(0.5)
    return torch.minimum(corner, disc)


# name -> the signed distance of a point from the border, and the angle after which the shape is the same again
SHAPES: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], float]] = {
    "square": (square, math.pi / 2),
    "ellipse": (ellipse, math.pi),
    "heart": (heart, 2 * math.pi),
}


class SpritesDataModule(ImageDataModule):
    """Inspired by dSprites (Matthey et al. 2017): x [B, 1, S, S] in [0, 1]; the labels are the shapes.

    There is one image for each combination of 3 shapes, `scales`, `rotations` and `positions` in x and in y. Borders
    are smooth: a pixel is the part of it that the shape covers; the protocol `threshold` gives black and white. No two
    images are equal, as the rotations of a shape end where it looks the same again: a square at a quarter turn.
    `factors` and `factor_values` say what is in each image. `split_seed` draws `test_size` images for the test, then
    `val_size` for validation. The default has 20,736 images, 85 MB. Raises ConfigError for values that cannot work.
    """

    name = "sprites"
    title = "Sprites"
    class_names = tuple(SHAPES)
    factor_names = ("shape", "scale", "rotation", "x", "y")

    def __init__(
        self,
        size: Annotated[int, whole(8)] = 64,
        scales: Count = 4,
        rotations: Count = 12,
        positions: Count = 12,
        test_size: Count = 2000,
        val_size: int = 1000,
        **options: Any,
    ) -> None:
        super().__init__(val_size=val_size, **options)
        self.size, self.scales, self.rotations, self.positions = size, scales, rotations, positions
        self.test_size = test_size
        check(self, "data")
        self.image_shape = (1, size, size)
        self.factor_sizes = (len(SHAPES), scales, rotations, positions, positions)
        self.num_images = math.prod(self.factor_sizes)
        if (needed := self.num_images * size**2) > MOST_BYTES:
            raise ConfigError(
                f"data.size={size}: {self.num_images:,} images take {needed / 2**30:,.1f} GB, more than "
                f"{MOST_BYTES / 2**30:g}; take a smaller size, or fewer scales, rotations or positions"
            )
        if test_size >= self.num_images:
            raise ConfigError(f"data.test_size={test_size}: must be less than the {self.num_images} images")
        self._factors: dict[str, Tensor] = {}

    def read(self) -> Splits:
        """Renders all images, each at its place in one tensor: first those to train, then those of the test."""
        order = torch.cat(apart(self.num_images, self.test_size, self.split_seed))
        images = torch.empty(self.num_images, *self.image_shape, dtype=torch.uint8)
        places = order.argsort().view(*self.factor_sizes[:3], -1)
        for shape, scale, rotation in product(*map(range, self.factor_sizes[:3])):
            images[places[shape, scale, rotation]] = self._rendered(shape, scale, rotation)
        factors = torch.stack(torch.unravel_index(order, self.factor_sizes), dim=1)
        cut = self.num_images - self.test_size
        self._factors = {"train": factors[:cut], "test": factors[cut:]}
        labels = {split: part[:, 0] for split, part in self._factors.items()}
        counts = (
            f"3 shapes, {self.scales} scales, {self.rotations} rotations, {self.positions} x {self.positions} places"
        )
        drawn = f"{self.test_size} test images by split_seed={self.split_seed}"
        return Splits({"train": images[:cut], "test": images[cut:]}, labels, f"rendered: {counts}, {drawn}")

    def factors(self, split: str) -> Tensor:
        """What is in each image of `images(split)`: [N, 5] whole numbers, from 0, in the order of `factor_names`."""
        known, rows = self._factors["test" if split == "test" else "train"], self._splits[split].rows  # type: ignore[union-attr]
        return known if rows is None else known[rows]

    def factor_values(self, split: str) -> Tensor:
        """The same as numbers, [N, 5]: the shape, the scale, the angle in radians, and the centre in sides from the
        upper left corner."""
        shape, scale, rotation, x, y = self.factors(split).unbind(1)
        periods = torch.tensor([period for _, period in SHAPES.values()])
        angle, centre = periods[shape] * rotation / self.rotations, self._centres() / self.size
        return torch.stack([shape.float(), self._scales()[scale], angle, centre[x], centre[y]], dim=1)

    def _scales(self) -> Tensor:
        return torch.linspace(SMALLEST, 1, self.scales) if self.scales > 1 else torch.ones(1)

    def _centres(self) -> Tensor:
        """Where shapes are, in pixels from the edge: the pixels at the edge of an image stay black."""
        margin = REACH * self.size + 1.5
        positions = torch.linspace(margin, self.size - margin, self.positions)
        return positions if self.positions > 1 else torch.tensor([self.size / 2])

    def _rendered(self, shape: int, scale: int, rotation: int) -> Tensor:
        """The images of one shape, scale and rotation at all places, [positions^2, 1, S, S] bytes; y changes first."""
        distance, period = list(SHAPES.values())[shape]
        radius, angle = REACH * self.size * float(self._scales()[scale]), period * rotation / self.rotations
        away = (torch.arange(self.size) + 0.5 - self._centres()[:, None]) / radius  # [positions, S]
        right, up = away[:, None, None, :], -away[None, :, :, None]
        cos, sin = math.cos(angle), math.sin(angle)
        border = distance(cos * right + sin * up, cos * up - sin * right)
        return (0.5 - border * radius).clamp(0, 1).mul(255).round().byte().view(-1, *self.image_shape)
