"""Pictures as data URIs, grey where they are grey: a grey PNG is a third smaller. Imports no torch."""

import base64

from PIL import Image


def png_uri(png: bytes) -> str:
    """The bytes of a PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def is_grey(image: Image.Image) -> bool:
    """Whether red, green and blue of an RGB image are the same everywhere."""
    red, green, blue = (channel.tobytes() for channel in image.split())
    return red == green == blue
