"""The prior samples of a run, small enough that two hundred of them stand on one page."""

import base64
import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from vae_lightning.pages.sweep_runs import SweptRun
from vae_lightning.runs.readings import mapping, whole

CAPTION, GAP = 21, 2  # pixels: the line of text below the pictures of `callbacks.pictures`, and what is between them
MOST_PIXELS = 16_000_000
BUDGET = 12_000_000  # bytes of all pictures together
GREYS, COLOURS = 16, 64  # levels that are kept


def rows_for(runs: int) -> int:
    """How many rows of samples each run shows: fewer where there are many runs."""
    return 8 if runs <= 60 else 4 if runs <= 240 else 2


def samples(run: SweptRun, rows: int) -> str | None:
    """The first rows of the run's newest samples/epoch_XXXX.png as a data URL; None where there is no such picture."""
    found = sorted((run.folder / "samples").glob("epoch_*.png")) if run.folder else []
    try:
        return picture(found[-1], found[-1].stat().st_mtime_ns, rows, *layout(run)) if found else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # a torn or foreign file
        return None


@lru_cache(maxsize=1000)
def picture(path: Path, modified: int, rows: int, rows_there: int, columns: int) -> str:
    """Kept, since a process that runs many jobs draws the same pictures after each of them."""
    return as_url(small(path, rows, rows_there, columns))


def layout(run: SweptRun) -> tuple[int, int]:
    """How many rows and columns its sample grid has."""
    grid = mapping(mapping(run.config.get("callbacks")).get("sample_grid"))
    columns, images = max(1, whole(grid.get("columns")) or 8), max(1, whole(grid.get("num_images")) or 64)
    return -(-images // columns), columns


def small(path: Path, rows: int, rows_there: int, columns: int) -> Image.Image:
    """The picture's first rows without its caption, at one pixel per pixel: they were drawn twice as large."""
    with Image.open(path) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{path}: too large")
        height = (image.height - CAPTION - GAP) // rows_there
        image = image.crop((0, 0, min(image.width, columns * height + GAP), min(rows, rows_there) * height + GAP))
        if image.mode != "RGB" or is_grey(image):
            image = image.convert("L")
    half = image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BOX)
    return half.quantize(GREYS if half.mode == "L" else COLOURS)


def is_grey(image: Image.Image) -> bool:
    """Whether red, green and blue are the same everywhere."""
    red, green, blue = (each.tobytes() for each in image.split())
    return red == green == blue


def as_url(image: Image.Image) -> str:
    """data:image/png;base64,..."""
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
