"""What a task gives, and the file it goes into: PNG, GIF, .npy or CSV. A file is written whole or not at all.

N images, R rows, K columns, T frames, C H W pixels.
"""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vae_lightning.callbacks.curves import plots, vectors
from vae_lightning.callbacks.pictures import captioned, grid
from vae_lightning.callbacks.pixels import pixels
from vae_lightning.callbacks.sheet import Undo, padded, pairs, sheet, undone
from vae_lightning.errors import ConfigError
from vae_lightning.pages.base.pictures import MOST_PIXELS
from vae_lightning.pages.sweep.tables import inert
from vae_lightning.runs.atomic import atomically

COLUMNS = 10
SMALL = 64  # pixels: smaller images are drawn twice as large
MILLISECONDS = 100  # of a frame


@dataclass(frozen=True)
class Table:
    """Numbers [N, ...] with a name for each image and for each column; `flat` saves [N, 1] as [N]."""

    values: Tensor
    columns: Sequence[str]
    names: Sequence[str]
    what: str
    flat: bool = False

    def array(self) -> np.ndarray:
        """What an .npy file holds."""
        return (self.values.squeeze(1) if self.flat else self.values).numpy()

    def csv(self) -> str:
        """A row for each image: its name, then its numbers."""
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(["image", *self.columns])
        for name, numbers in zip(self.names, self.values.flatten(1).tolist(), strict=True):
            writer.writerow([inert(name), *numbers])
        return lines.getvalue()


@dataclass(frozen=True)
class Pictures:
    """Images [R, K, C, H, W] in rows, with a label for each row, and a film [T, N, C, H, W] where there is one.

    `images` are what an .npy file holds. `undo` maps standardised vectors back: files hold the data's own units.
    """

    images: Tensor
    rows: Tensor
    what: str
    labels: Sequence[str] = ()
    film: Tensor | None = None
    undo: Undo | None = None

    def array(self) -> np.ndarray:
        """What an .npy file holds."""
        return (self.images if self.undo is None else self.undo(self.images)).numpy()

    def picture(self) -> Image.Image:
        """The rows on one sheet. Long rows are folded, all at the same place. Vectors are curves or bars."""
        columns = self.rows.shape[1] if self.film is not None else folded(self.rows)
        check_size(self.rows.shape[0] * self.rows.shape[1], self.rows)
        draw = self._pixels if vectors(self.rows[0]) is None else self._plots
        canvas, notes, labels = draw(columns)
        return captioned(canvas, " · ".join([self.what, *dict.fromkeys(notes)]), labels)

    def _pixels(self, columns: int) -> tuple[np.ndarray, list[str], list[str]]:
        shown, notes = pixels(self.rows.flatten(0, 1), "output")
        folds = shown.unflatten(0, self.rows.shape[:2]).split(columns, 1)
        rows = torch.cat([padded(row, columns) for fold in folds for row in fold])
        return grid(rows, columns, scale_of(rows)), notes, [*self.labels] * len(folds)

    def _plots(self, columns: int) -> tuple[np.ndarray, list[str], list[str]]:
        if self.film is None and len(self.rows) == 2:  # E[x|z] is drawn on top of x
            return *pairs(self.rows[0], self.rows[1], columns, "output", self.undo), []
        return *sheet(self.rows.flatten(0, 1), columns, "output", self.undo), [*self.labels]

    def frames(self) -> list[Image.Image]:
        """The film as pictures, each with its images side by side."""
        film: Any = self.film
        check_size(film.shape[0] * film.shape[1], film)
        columns = min(film.shape[1], COLUMNS)
        curves = vectors(film[0])
        if curves is not None:
            parts = [undone(part.flatten(1), self.undo) for part in film]
            return [Image.fromarray(plots([part], columns, reference=torch.cat(parts))[0]) for part in parts]
        frames = pixels(film.flatten(0, 1), "output")[0].unflatten(0, film.shape[:2])
        return [Image.fromarray(grid(frame, columns, scale_of(frames))) for frame in frames]


def folded(rows: Tensor) -> int:
    """The columns of a sheet: ten, or as many as make a single row of images a square."""
    count = rows.shape[1]
    return min(count, max(COLUMNS, math.isqrt(count)) if rows.shape[0] > 1 else math.ceil(math.sqrt(count)))


def scale_of(images: Tensor) -> int:
    """How often a pixel is repeated on both sides."""
    return 2 if max(images.shape[-2:]) <= SMALL else 1


def check_size(count: int, images: Tensor) -> None:
    """Raises ConfigError if pictures of so many images would not fit into memory."""
    if (numbers := count * math.prod(images.shape[-2:]) * scale_of(images) ** 2) > MOST_PIXELS:
        raise ConfigError(f"{count:,} images: a picture of {numbers:,} pixels; lower num, or write an .npy file")


def write(result: Any, output: Path) -> None:
    """Writes a result in the format of the output's suffix, atomically."""
    content = WRITERS[output.suffix.lower()](result)
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomically(output) as temporary:
        temporary.write_bytes(content)


def npy(result: Any) -> bytes:
    """The bytes of an .npy file."""
    file = io.BytesIO()
    np.save(file, result.array(), allow_pickle=False)
    return file.getvalue()


def png(result: Pictures) -> bytes:
    """The bytes of a PNG."""
    file = io.BytesIO()
    result.picture().save(file, format="PNG")
    return file.getvalue()


def gif(result: Pictures) -> bytes:
    """The bytes of a GIF that never ends."""
    file, (first, *others) = io.BytesIO(), result.frames()
    first.save(file, format="GIF", save_all=True, append_images=others, duration=MILLISECONDS, loop=0)
    return file.getvalue()


WRITERS: dict[str, Callable[[Any], bytes]] = {
    ".npy": npy,
    ".png": png,
    ".gif": gif,
    ".csv": lambda result: result.csv().encode("utf-8", "replace"),
}
