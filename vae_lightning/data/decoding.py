"""One image file becomes bytes [C, H, W]. Imports no torch: the processes that decode start quickly.

Pillow reads the file. 16 bits become 8, a palette its colours; transparent pixels lie on white; the rotation that a
camera noted is carried out.
"""

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vae_lightning.errors import DataError, shown
from vae_lightning.runs.regular import content_of, reason

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM")
MOST_BYTES = 2**28  # of a file
MOST_PIXELS = 10**8  # of an image
ROTATED = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")  # where Pillow keeps a rotation


class Broken(Exception):
    """A file that is no image that can be read. The text is the reason."""


class Misfit(DataError):
    """An image whose size or colours do not fit the others."""


class Pixels(NamedTuple):
    """An image, whether it was grey before it got its channels, and the SHA-256 of its file."""

    array: np.ndarray  # uint8 [C, H, W]
    grey: bool
    digest: bytes


@dataclass(frozen=True)
class Decoder:
    """How images are decoded: `size` [H, W] or None, `crop`, and 1 or 3 `channels`; None: those of the image.

    `crop` True cuts the largest window with the shape of `size` from the middle, False nothing; [H, W] cuts that many
    pixels. What is left is scaled to `size`, with bicubic antialiasing. To be called inside `strict`.
    """

    size: tuple[int, int] | None = None
    crop: bool | tuple[int, int] = True
    channels: int | None = None

    def __call__(self, path: str | Path) -> Pixels:
        """Raises Broken if the file cannot be read as one image, Misfit if the image is smaller than `crop`."""
        try:
            content = content_of(path, MOST_BYTES)
        except OSError as error:
            raise Broken(reason(error)) from error
        try:
            image = self.opened(content)
            grey = image.mode == "L"
            mode = "L" if (self.channels or (1 if grey else 3)) == 1 else "RGB"
            image = self.framed(image if image.mode == mode else image.convert(mode), path)
        except (Broken, Misfit):
            raise
        except UnidentifiedImageError:
            raise Broken("no image" if content else "empty") from None
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise Broken(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
        except Exception as error:  # Pillow raises errors of many types for damaged files
            raise Broken(shown(" ".join(reason(error).split())) or type(error).__name__) from error
        array = np.asarray(image)
        return Pixels(array[None] if mode == "L" else array.transpose(2, 0, 1), grey, hashlib.sha256(content).digest())

    def opened(self, content: bytes) -> Image.Image:
        """The picture in a file, upright, in mode L or RGB."""
        image: Any = Image.open(io.BytesIO(content), formats=FORMATS)
        if getattr(image, "is_animated", False) and image.format != "MPO":  # a camera's JPEG with a preview behind it
            raise Broken("several pictures in one file, such as an animation; save them one by one")
        if image.width * image.height > MOST_PIXELS:
            raise Broken(f"{image.width:,} x {image.height:,} pixels, more than {MOST_PIXELS:,}")
        if self.size and isinstance(self.crop, bool) and image.format in ("JPEG", "MPO"):
            twice = 2 * max(self.size)
            image.draft(None, (twice, twice))  # libjpeg leaves out detail that the scaling would drop
        image.load()
        if image.format == "TIFF" or any(key in image.info for key in ROTATED):
            ImageOps.exif_transpose(image, in_place=True)
        return in_bytes(image)

    def framed(self, image: Image.Image, path: str | Path) -> Image.Image:
        """The image, cut and scaled."""
        width, height = image.size
        rows, columns = height, width
        if not isinstance(self.crop, bool):
            rows, columns = self.crop
            if rows > height or columns > width:
                raise Misfit(
                    f"{path}: {height} x {width} pixels, smaller than data.crop={list(self.crop)}; make it smaller"
                )
            top, left = (height - rows) // 2, (width - columns) // 2
            image = image.crop((left, top, left + columns, top + rows))
        if self.size is None or self.size == (rows, columns):
            return image
        tall, wide = self.size
        window = (0.0, 0.0, float(columns), float(rows))
        if self.crop is True:
            scale = min(rows / tall, columns / wide)
            top, left = (rows - scale * tall) / 2, (columns - scale * wide) / 2
            window = (left, top, min(columns, left + scale * wide), min(rows, top + scale * tall))
        return image.resize((wide, tall), Image.Resampling.BICUBIC, window)


@contextmanager
def strict() -> Iterator[None]:
    """Turns Pillow's warning of an image that is too large into an error, and its other warnings off."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def in_bytes(image: Image.Image) -> Image.Image:
    """The image in mode L if it is grey, else RGB. Raises Broken for pixels that have no range."""
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise Broken("pixels of 32 bits, whose range is not known; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        return Image.fromarray(np.rint(np.asarray(image) / 257).clip(0, 255).astype(np.uint8))
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    grey = image.mode in ("1", "L", "LA", "La") or (image.mode in ("P", "PA") and is_grey(image.getpalette()))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    image = image.convert("RGB")
    return image.convert("L") if grey else image  # the weights of red, green and blue sum to 1


def is_grey(palette: Sequence[int] | None) -> bool:
    """Whether all colours of a palette are shades of grey."""
    colours = np.asarray(palette or [0, 0, 0]).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())
