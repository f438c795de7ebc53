"""The prior samples of a run, small enough for two hundred of them on one page."""

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from vae_lightning.options import in_order
from vae_lightning.pages.base.pictures import Layout, is_grey, layout_of, opened, png_uri
from vae_lightning.pages.sweep.runs import SweptRun
from vae_lightning.runs.files import SAMPLES
from vae_lightning.runs.readings import mapping, whole

CAPTION, GAP = 21, 2  # pixels: the caption that `callbacks.pictures` draws, and the gap between two images
MOST_PIXELS = 16_000_000
BUDGET = 12_000_000  # bytes of all pictures together
GREYS, COLOURS = 16, 64  # levels of a small picture


def rows_for(runs: int) -> int:
    """The rows of samples that each run shows: fewer if there are many runs."""
    return 8 if runs <= 60 else 4 if runs <= 240 else 2


def samples(run: SweptRun, rows: int) -> str | None:
    """The first rows of the run's newest samples/epoch_XXXX.png as a data URI, or None."""
    found = (run.folder / SAMPLES).glob("epoch_*.png") if run.folder else ()
    newest = max(found, key=lambda path: in_order(path.stem), default=None)
    try:
        return picture(newest, newest.stat().st_mtime_ns, rows, *layout(run)) if newest else None
    except (OSError, ValueError):  # a torn or foreign file
        return None


@lru_cache(maxsize=1000)
def picture(path: Path, modified: int, rows: int, rows_there: int, columns: int) -> str:
    """The picture, cached: a process that runs many jobs draws the same pictures after each job."""
    return as_uri(small(path, rows, rows_there, columns))


def layout(run: SweptRun) -> tuple[int, int]:
    """The rows and columns of the run's sample grid."""
    grid = mapping(mapping(run.config.get("callbacks")).get("sample_grid"))
    columns, images = max(1, whole(grid.get("columns")) or 8), max(1, whole(grid.get("num_images")) or 64)
    return -(-images // columns), columns


def small(path: Path, rows: int, rows_there: int, columns: int) -> Image.Image:
    """The picture's first rows without the caption, at half the size: callbacks draw two pixels per pixel.

    The white between the images is transparent. `rows_there` and `columns` serve where a picture does not say them.
    """
    image = opened(path, MOST_PIXELS)
    where = layout_of(image) or of_an_older_version(image, rows_there, columns)
    left, top, width, height = where.box
    rows_there = where.cells[0] if where.cells else rows_there
    height = min(rows, rows_there) * ((height - GAP) // rows_there) + GAP
    shown = image.crop((left, top, left + width, top + height))
    if shown.mode != "RGB" or is_grey(shown):
        shown = shown.convert("L")
    half = shown.resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.BOX)
    levels = (GREYS if half.mode == "L" else COLOURS) - 1
    made = half.quantize(levels)
    return with_clear_gaps(made, levels, where) if where.cells else made


def of_an_older_version(image: Image.Image, rows: int, columns: int) -> Layout:
    """Where the images of a sample grid are, by the settings of its callback."""
    height = (image.height - CAPTION - GAP) // rows
    width = min(image.width, columns * height + GAP)
    return Layout((0, 0, width, rows * height + GAP), None, GAP, "")


def with_clear_gaps(image: Image.Image, free: int, where: Layout) -> Image.Image:
    """The small picture with the colour number `free` between the images, which is transparent."""
    numbers = np.asarray(image).copy()
    gaps = where.gaps[: 2 * numbers.shape[0] : 2, : 2 * numbers.shape[1] : 2][: numbers.shape[0], : numbers.shape[1]]
    numbers[: gaps.shape[0], : gaps.shape[1]][gaps] = free
    clear = Image.fromarray(numbers, mode="P")
    clear.putpalette([*(image.getpalette() or [])[: 3 * free], 255, 255, 255])
    clear.info["transparency"] = free
    return clear


def as_uri(image: Image.Image) -> str:
    """An image as the data URI of a PNG."""
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return png_uri(content.getvalue())
