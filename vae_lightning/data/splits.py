"""The images that a data set reads, the checks on them, and how a split is cut in two.

N images, C channels, H W pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vae_lightning.data.in_memory import ImagesInMemory
from vae_lightning.data.lazy import LazyImages
from vae_lightning.data.protocol import OF_BYTES, unchanged
from vae_lightning.errors import DataError
from vae_lightning.noise import generator

Images = ImagesInMemory | LazyImages
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Splits:
    """What a data set reads: images [N, C, H, W] of "train", of "test" and, if the data set has its own, of "val".

    Images are bytes, or numbers of any size: a tensor, or `ImagesInMemory` or `LazyImages`, which have labels of their
    own. A tensor without `labels` [N] gets labels 0; one with `rows` is these rows of it and its labels, and nothing
    is copied. `source` says where the images come from, `subset` whether they are only a part of the data set, `sha256`
    which files they are.
    """

    images: Mapping[str, Tensor | Images]
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    source: str = ""
    subset: bool = False
    sha256: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, Tensor] = field(default_factory=dict)

    def with_labels(self, split: str, images: Tensor) -> ImagesInMemory:
        """The images of a split beside its labels."""
        labels = self.labels.get(split)
        labels = torch.zeros(len(images), dtype=torch.long) if labels is None else labels.long()
        return ImagesInMemory(images, labels, self.rows.get(split))

    def after(self, split: str, change: Callable[[Tensor, torch.Generator], Tensor]) -> Images:
        """The images of a split, changed once, beside their labels."""
        images, noise = self.images[split], generator("cpu", "once", split)
        if isinstance(images, Tensor):
            return self.with_labels(split, change(images, noise))
        if change is unchanged:
            return images
        if isinstance(images, LazyImages):
            return images.changed(change)
        return ImagesInMemory(change(images.images, noise), images.labels)

    def check(self, name: str, image_shape: Sequence[int], classes: int, protocol: str) -> tuple[int, ...]:
        """Returns the shape [C, H, W] of the images: `image_shape`, or any shape if that is empty.

        Raises DataError unless every split has images of that shape, of a type that fits the protocol, each with a
        label below `classes` (0: any label).
        """
        shape = tuple(image_shape) or tuple(self.images["train"].shape[1:])
        for split, images in self.images.items():
            check_images(f"{name}: its {split} images", images, shape)
            if (images.dtype == torch.uint8) != (protocol in OF_BYTES):
                raise DataError(
                    f"{name}: its {split} images are {images.dtype}, which data.protocol={protocol} cannot take"
                )
            if (labels := self.labels.get(split)) is not None:
                check_labels(name, split, labels, len(images), classes)
        return shape


def check_images(whose: str, images: Tensor | Images, shape: tuple[int, ...]) -> None:
    """Raises DataError unless `images` is [N, *shape] with N >= 1 and three numbers in `shape`."""
    if len(shape) != 3 or not len(images) or tuple(images.shape[1:]) != shape:
        expected = ", ".join(map(str, shape)) if len(shape) == 3 else "C, H, W"
        raise DataError(f"{whose} are {list(images.shape)}, must be [N, {expected}] with N >= 1")


def check_labels(name: str, split: str, labels: Tensor, images: int, classes: int) -> None:
    """Raises DataError unless there is a label for each image, and each label is a class."""
    if labels.shape != (images,):
        raise DataError(f"{name}: {len(labels)} labels for {images} {split} images; take files that fit")
    if classes and (wrong := (labels < 0) | (labels >= classes)).any():
        first = int(wrong.nonzero()[0])
        raise DataError(f"{name}: {split} label {first} is {int(labels[first])}, must be 0 to {classes - 1}")


def apart(size: int, held_out: int, seed: int) -> tuple[Tensor, Tensor]:
    """The rows of a split that are kept, in order, and the rows that are held out, drawn by `seed`."""
    order = torch.randperm(size, generator=generator("cpu", "split", seed))
    return order[held_out:].sort().values, order[:held_out]
