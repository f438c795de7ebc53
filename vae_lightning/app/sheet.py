"""Pictures side by side on one sheet, and the file of the sheet. Imports neither torch nor matplotlib."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vae_lightning.errors import ConfigError
from vae_lightning.pages.base.pictures import MOST_PIXELS, opened
from vae_lightning.runs.atomic import atomically

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
SOFTWARE, MADE_BY = 0x0131, "vae_lightning.montage"  # the Exif tag that names the program of a picture


def sheet(paths: list[Path], columns: int, labels: bool, font_size: int, gap: int = 8) -> Image.Image:
    """The pictures row by row on white, each below its file's name; cells are as large as the largest picture.

    Raises ConfigError for a file that is no picture.
    """
    pictures = [rgb(path) for path in paths]
    columns = min(columns, len(pictures))
    label_height = font_size + 6 if labels else 0
    width = max(picture.width for picture in pictures) + gap
    height = max(picture.height for picture in pictures) + gap + label_height
    size = (columns * width + gap, -(-len(pictures) // columns) * height + gap)
    if size[0] * size[1] > MOST_PIXELS:
        raise ConfigError(
            f"{len(pictures)} pictures: a sheet of {size[0]} x {size[1]} pixels; choose fewer with maximum="
        )
    canvas = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(font_size)
    for i, (path, picture) in enumerate(zip(paths, pictures, strict=True)):
        left, top = gap + i % columns * width, gap + i // columns * height
        if labels:
            draw.text((left, top), path.stem, fill="black", font=font)
        canvas.paste(picture, (left, top + label_height))
    return canvas


def rgb(path: Path) -> Image.Image:
    """The picture of a file. Raises ConfigError for a file that is no picture."""
    try:
        return opened(path).convert("RGB")
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a picture ({error}); choose others with pattern=") from error


def check_output(output: Path) -> None:
    """Raises ConfigError unless a montage can be written there. A picture that is not a montage stays."""
    if output.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"output={output}: must end in .png, .jpg or .webp")
    if output.exists() and not is_montage(output):
        raise ConfigError(f"output={output}: is there already and no montage; choose another name, or remove it first")


def is_montage(path: Path) -> bool:
    """Whether this command wrote a file."""
    try:
        with Image.open(path) as picture:
            return picture.getexif().get(SOFTWARE) == MADE_BY
    except (OSError, ValueError):
        return False


def save(made: Image.Image, output: Path) -> None:
    """Writes a sheet atomically, with a mark that `is_montage` finds."""
    output.parent.mkdir(parents=True, exist_ok=True)
    made.getexif()[SOFTWARE] = MADE_BY
    with atomically(output) as temporary:
        made.save(temporary, format=Image.registered_extensions()[output.suffix.lower()], exif=made.getexif())
