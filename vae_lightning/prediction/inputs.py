"""Images of one's own, from picture files, folders and .npy files, as the model takes them.

N images, C channels, H W pixels; h w pixels before they are fitted.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from vae_lightning.errors import ConfigError, DataError
from vae_lightning.pages.base.pictures import opened
from vae_lightning.prediction.shape import fitted, laid_out
from vae_lightning.runs.regular import content_of, reason

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
ARRAY = ".npy"
MOST_ARRAY = 16 * 2**30  # bytes of an .npy file
KINDS = f"a picture ({' '.join(PICTURES)}), an {ARRAY} file or a folder of these"
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N", "I")


@dataclass(frozen=True)
class Images:
    """x [N, C, H, W] and a name for each image."""

    x: Tensor
    names: tuple[str, ...]


def read(
    words: Sequence[str],
    shape: Sequence[int],
    resize: bool = False,
    most: int | None = None,
    as_numbers: Callable[[Tensor, int], Tensor] = lambda images, index: images / 255,
) -> Images:
    """The images of files and folders, in their order; the first `most` of them.

    `as_numbers` makes x of bytes, and is told how many images came before. Numbers stay as they are. Raises ConfigError
    for a word that names nothing and for images of another size, DataError for a file that cannot be read.
    """
    parts: list[Tensor] = []
    names: list[str] = []
    for path in files(words):
        if most is not None and len(names) >= most:
            break
        images = fitted(images_of(path, shape), shape, resize, f"input={path}")
        images = images[: None if most is None else most - len(names)]
        parts.append(as_numbers(images, len(names)) if images.dtype == torch.uint8 else images)
        names += [f"{path}[{i}]" for i in range(len(images))] if path.suffix.lower() == ARRAY else [str(path)]
    if most is not None and len(names) < most:
        raise ConfigError(f"num={most}: the input holds {len(names)} images")
    return Images(torch.cat(parts), tuple(names))


def files(words: Sequence[str]) -> Iterator[Path]:
    """The files that the words name; of a folder all pictures and arrays below it, sorted, without hidden ones."""
    for word in words:
        path = Path(word)
        if path.is_dir():
            yield from of_folder(path)
        elif path.suffix.lower() not in (*PICTURES, ARRAY):
            why = "no such file or folder" if not path.exists() else "not a kind of file that is read"
            raise ConfigError(f"input={word}: {why}; name {KINDS}")
        else:
            yield path


def of_folder(folder: Path) -> list[Path]:
    """The pictures and arrays below a folder. Raises DataError if there are none."""
    below = (path for path in folder.rglob("*") if path.suffix.lower() in (*PICTURES, ARRAY) and not path.is_dir())
    found = sorted(path for path in below if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    if not found:
        raise DataError(f"input={folder}: a folder without images; name {KINDS}")
    return found


def images_of(path: Path, shape: Sequence[int]) -> Tensor:
    """The images of one file, [N, c, h, w], bytes or float32. Raises DataError with the name of the file."""
    try:
        if path.suffix.lower() == ARRAY:
            return laid_out(array(path), shape, f"input={path}")
        return picture(path, shape[0])
    except FileNotFoundError:
        raise ConfigError(f"input={path}: no such file") from None
    except (OSError, ValueError, EOFError, MemoryError) as error:
        if isinstance(error, ConfigError | DataError):
            raise
        raise DataError(f"input={path}: cannot be read ({' '.join(reason(error).split())})") from error


def array(path: Path) -> np.ndarray:
    """The array of an .npy file. Raises ValueError for a pickled one."""
    values = np.load(io.BytesIO(content_of(path, MOST_ARRAY)), allow_pickle=False)
    if not isinstance(values, np.ndarray):
        raise ValueError("an archive of several arrays; save one of them with numpy.save")
    return values


def picture(path: Path, channels: int) -> Tensor:
    """A picture as bytes [1, c, h, w], upright, on white where it is transparent; c is the model's 1 or 3."""
    if channels not in (1, 3):
        raise ConfigError(f"input={path}: the model takes {channels} channels, a picture has 1 or 3; give an {ARRAY}")
    image = opened(path)
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # the second picture of a camera's file is a preview
        raise DataError(f"input={path}: {image.format} with {frames} frames; save the one that is meant as a file")
    pixels = np.asarray(in_mode(ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB"))
    return torch.from_numpy(pixels.copy().reshape(*pixels.shape[:2], channels)).movedim(-1, 0).unsqueeze(0)


def in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The picture with 8 bits a channel; 16 bits are rounded to 8."""
    if image.mode in SIXTEEN_BITS:
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65_535:
            raise ValueError("a picture of 32-bit numbers; save them with numpy.save")
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("a picture of floating-point numbers; save them with numpy.save")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)
