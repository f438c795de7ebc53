"""Pictures from disk, and as data URIs, grey where they are grey: a grey PNG is a third smaller. Imports no torch."""

import base64
import io
from pathlib import Path

from PIL import Image

from vae_lightning.runs.regular import content_of

MOST_BYTES, MOST_PIXELS = 64 * 2**20, 64_000_000  # of a picture that is opened


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
