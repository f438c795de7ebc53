"""Pictures from disk, and as data URIs, grey where they are grey: a grey PNG is a third smaller. Imports no torch.

A picture of this program says where its images are (`Layout`). On a page the white between them is transparent, so that
it has the colour of the page, and the captions are left out: the page says them itself.
"""

import base64
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vae_lightning.runs.files import LAYOUT
from vae_lightning.runs.readings import mapping, sequence, text, whole
from vae_lightning.runs.regular import content_of

MOST_BYTES, MOST_PIXELS = 64 * 2**20, 64_000_000  # of a picture that is opened
MOST_NOTES = 400  # characters


def opened(content: Path | bytes, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """The picture of a file, in memory. Raises OSError for a file that is no picture, or a too large one."""
    content = content if isinstance(content, bytes) else content_of(content, MOST_BYTES)
    try:
        picture = Image.open(io.BytesIO(content))
        if picture.width * picture.height > most_pixels:
            raise OSError(f"more than {most_pixels:,} pixels")
        picture.load()
    except (ValueError, SyntaxError, TypeError, Image.DecompressionBombError) as error:
        raise OSError(str(error)) from error
    return picture


def png_uri(png: bytes) -> str:
    """The bytes of a PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def is_grey(image: Image.Image) -> bool:
    """Whether red, green and blue of an RGB image are the same everywhere."""
    red, green, blue = (channel.tobytes() for channel in image.split())
    return red == green == blue


@dataclass(frozen=True)
class Layout:
    """The images in a picture: their box (left, top, width, height), rows and columns, the gap, and notes on them.

    `cells` is None where no white lies between the images.
    """

    box: tuple[int, int, int, int]
    cells: tuple[int, int] | None
    gap: int
    notes: str

    @property
    def gaps(self) -> np.ndarray:
        """[height, width]: True for the pixels between two images, and around all of them."""
        _, _, width, height = self.box
        down, across = np.arange(height)[:, None], np.arange(width)[None, :]
        rows, columns = self.cells or (1, 1)
        pitch = (height - self.gap) // rows, (width - self.gap) // columns
        return (down % pitch[0] < self.gap) | (across % pitch[1] < self.gap)


def layout_of(image: Image.Image) -> Layout | None:
    """What a picture says of itself; None for one of an older version, and for what cannot be true."""
    try:
        facts = mapping(json.loads(image.info.get(LAYOUT, "")))
    except (TypeError, ValueError, RecursionError):
        return None
    box, cells = map(whole_numbers, (facts.get("box"), facts.get("cells")))
    gap = whole(facts.get("gap"))
    if len(box) != 4 or gap is None or min(*box, gap) < 0:
        return None
    left, top, width, height = box
    if not (0 < width <= image.width - left and 0 < height <= image.height - top):
        return None
    fits = len(cells) == 2 and all(
        n > 0 and n * (gap + 1) <= side for n, side in zip(cells, (height, width), strict=False)
    )
    known = (cells[0], cells[1]) if fits and gap else None
    return Layout((left, top, width, height), known, gap, (text(facts.get("notes")) or "")[:MOST_NOTES])


def whole_numbers(value: object) -> list[int]:
    """A list of whole numbers, or an empty one."""
    numbers = [whole(item) for item in sequence(value)]
    return [number for number in numbers if number is not None] if None not in numbers else []


def on_a_page(image: Image.Image, where: Layout) -> Image.Image:
    """The images of a picture without its captions; the white between them is transparent."""
    left, top, width, height = where.box
    cut = image.crop((left, top, left + width, top + height)).convert("RGB")
    cut = cut.getchannel("R") if is_grey(cut) else cut
    if where.cells:
        cut.putalpha(Image.fromarray(np.where(where.gaps, 0, 255).astype(np.uint8)))
    return cut


def png_of(image: Image.Image) -> bytes:
    """The bytes of its PNG."""
    content = io.BytesIO()
    image.save(content, format="PNG", compress_level=6)
    return content.getvalue()
