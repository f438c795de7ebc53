"""Images of one's own, from picture files, folders and .npy files, as the model takes them.

N images, C channels, H W pixels; h w pixels before they are fitted.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vae_lightning.data.decoding import Broken, Decoder, strict
from vae_lightning.data.listing import SUFFIXES
from vae_lightning.errors import ConfigError, DataError
from vae_lightning.prediction.shape import fitted, laid_out
from vae_lightning.runs.regular import content_of, reason

ARRAY = ".npy"
MOST_ARRAY = 16 * 2**30  # bytes of an .npy file
KINDS = f"a picture ({' '.join(SUFFIXES)}), an {ARRAY} file or a folder of these"


@dataclass(frozen=True)
class Images:
    """x [N, C, H, W] and a name for each image."""

    x: Tensor
    names: tuple[str, ...]


def read(
    words: Sequence[str],
    shape: Sequence[int],
    resize: bool,
    most: int | None,
    as_numbers: Callable[[Tensor, int], Tensor],
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
        elif not path.exists() or path.suffix.lower() not in (*SUFFIXES, ARRAY):
            why = "no such file or folder" if not path.exists() else "not a kind of file that is read"
            raise ConfigError(f"input={word}: {why}; name {KINDS}")
        else:
            yield path


def of_folder(folder: Path) -> list[Path]:
    """The pictures and arrays below a folder. Raises DataError if there are none."""
    below = (path for path in folder.rglob("*") if path.suffix.lower() in (*SUFFIXES, ARRAY) and not path.is_dir())
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
    except (Broken, OSError, ValueError, EOFError, MemoryError) as error:
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
    """A picture as bytes [1, c, h, w], read as `data=image_folder` reads it; c is the model's 1 or 3. Raises Broken."""
    if channels not in (1, 3):
        raise ConfigError(f"input={path}: the model takes {channels} channels, a picture has 1 or 3; give an {ARRAY}")
    with strict():
        return torch.from_numpy(Decoder(channels=channels)(path).array.copy("C")).unsqueeze(0)
