"""The prior samples of a run, small enough for two hundred of them on one page."""

import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from vae_lightning.pages.base.pictures import is_grey, opened, png_uri
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
    found = sorted((run.folder / SAMPLES).glob("epoch_*.png")) if run.folder else []
    try:
        return picture(found[-1], found[-1].stat().st_mtime_ns, rows, *layout(run)) if found else None
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
    """The picture's first rows without the caption, at half the size: callbacks draw two pixels per pixel."""
    image = opened(path, MOST_PIXELS)
    height = (image.height - CAPTION - GAP) // rows_there
    image = image.crop((0, 0, min(image.width, columns * height + GAP), min(rows, rows_there) * height + GAP))
    if image.mode != "RGB" or is_grey(image):
        image = image.convert("L")
    half = image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BOX)
    return half.quantize(GREYS if half.mode == "L" else COLOURS)


def as_uri(image: Image.Image) -> str:
    """An image as the data URI of a PNG."""
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return png_uri(content.getvalue())
