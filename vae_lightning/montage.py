"""The pictures of every epoch on one sheet: `python -m vae_lightning.montage run=DIR`."""

import os
from pathlib import Path

from omegaconf import DictConfig
from PIL import Image, ImageDraw, ImageFont

from vae_lightning.app import command
from vae_lightning.app.config import FOLDER, check_keys
from vae_lightning.errors import ConfigError, printable
from vae_lightning.output import say
from vae_lightning.pages.base.pictures import opened
from vae_lightning.rules import FLAG, optional, whole
from vae_lightning.runs.folder import resolved
from vae_lightning.runs.readings import thinned

RULES = {key: whole(1) for key in ("columns", "stride", "font_size")}
RULES |= {"run": FOLDER, "maximum": optional(whole(1)), "labels": FLAG}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def montage(cfg: DictConfig) -> None:
    """Writes the sheet and prints where it is."""
    check_keys(cfg, RULES)
    run = resolved(cfg.run)
    folder = run / cfg.folder
    if not os.path.isdir(folder):
        raise ConfigError(f"run={cfg.run}: there is no folder {folder}; name a run folder, or a group's latest")
    paths = choose(sorted(folder.glob(cfg.pattern)), cfg.stride, cfg.maximum)
    if not paths:
        raise ConfigError(f"pattern={cfg.pattern}: {folder} holds no such picture")
    output = Path(cfg.output or run / f"{cfg.folder}_montage.png")
    if output.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"output={cfg.output}: must end in .png, .jpg or .webp")
    output.parent.mkdir(parents=True, exist_ok=True)
    sheet(paths, cfg.columns, cfg.labels, cfg.font_size).save(output)
    say(f"{len(paths)} pictures -> {printable(output)}")


def choose(paths: list[Path], stride: int, maximum: int | None) -> list[Path]:
    """Every `stride`-th picture, then at most `maximum` of them, evenly spread. The last picture is always kept."""
    kept = paths[::-stride][::-1]
    if maximum is None:
        return kept
    return kept[-1:] if maximum == 1 else thinned(kept, maximum)


def rgb(path: Path) -> Image.Image:
    """The picture of a file. Raises ConfigError for a file that is no picture."""
    try:
        return opened(path).convert("RGB")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read as a picture ({error}); choose others with pattern=") from error


def sheet(paths: list[Path], columns: int, labels: bool, font_size: int, gap: int = 8) -> Image.Image:
    """The pictures row by row on white, each below its file's name; cells are as large as the largest picture."""
    pictures = [rgb(path) for path in paths]
    columns = min(columns, len(pictures))
    label_height = font_size + 6 if labels else 0
    width = max(picture.width for picture in pictures) + gap
    height = max(picture.height for picture in pictures) + gap + label_height
    canvas = Image.new("RGB", (columns * width + gap, -(-len(pictures) // columns) * height + gap), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(font_size)
    for i, (path, picture) in enumerate(zip(paths, pictures, strict=True)):
        left, top = gap + i % columns * width, gap + i // columns * height
        if labels:
            draw.text((left, top), path.stem, fill="black", font=font)
        canvas.paste(picture, (left, top + label_height))
    return canvas


def main() -> None:
    command.run("montage", montage)


if __name__ == "__main__":
    main()
