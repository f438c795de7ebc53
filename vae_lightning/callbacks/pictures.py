"""Pictures: a grid of images, a caption, a PNG for the run folder and the loggers, and the callback that draws them.

N images, C channels, H W pixels; values in [0, 1].
"""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import ClassVar

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from vae_lightning.callbacks.epoch_end import after_module
from vae_lightning.callbacks.foreign import description, looking, run_dir, steps_done, undo_of
from vae_lightning.runs.atomic import atomically
from vae_lightning.runs.files import LAYOUT, epoch_picture

GAP = 2  # white pixels between two images
LETTERS, SMALL = 13, 10  # the sizes of letters: of texts and labels, and of the labels below the columns


@dataclass(frozen=True)
class Picture:
    """`canvas` [H, W, 3] in bytes, a text that says what it shows, a label for each of its rows, and more notes.

    `column_labels` stand below the columns. `cells` are the rows and columns of images with white between them.
    """

    canvas: np.ndarray
    what: str
    row_labels: Sequence[str] = ()
    notes: Sequence[str] = ()
    column_labels: Sequence[str] = ()
    cells: tuple[int, int] | None = None


class PictureCallback(pl.Callback, ABC):
    """The base of callbacks that draw a picture before the first step and after every `every_n_epochs`-th epoch.

    The picture is `folder/epoch_XXXX.png` below `dirpath` (default: the trainer's `default_root_dir`), and `key` in
    every logger that takes images. XXXX counts the epochs of training; 0000 is the untrained model.
    """

    folder: ClassVar[str]
    key: ClassVar[str]
    seed = 0
    undo: Callable[[Tensor], Tensor] | None = None  # maps standardised vectors back, if the data module has it

    def __init__(self, every_n_epochs: int, dirpath: str | PathLike[str] | None) -> None:
        self.every_n_epochs, self.dirpath = every_n_epochs, dirpath

    @abstractmethod
    def look_up(self, pl_module: pl.LightningModule) -> None:
        """Finds the methods that the picture needs. Raises ConfigError if the module does not have them."""

    def shows(self, pl_module: pl.LightningModule) -> bool:
        """Whether the module has what the picture shows."""
        return True

    def prepare(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks up what the picture needs, once in a fit. A subclass may also collect images."""
        self.look_up(pl_module)

    @abstractmethod
    def picture(self, pl_module: pl.LightningModule) -> Picture:
        """Draws the picture, in evaluation mode and with the random numbers of `seed`."""

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.shows(pl_module):
            return
        self.prepare(trainer, pl_module)
        if trainer.global_step == 0:  # else the run is resumed in its first epoch
            self._publish(trainer, pl_module, epoch=0)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.every_n_epochs == 0 and self.shows(pl_module):
            after_module(trainer, partial(self._publish, trainer, pl_module, epoch))

    def _publish(self, trainer: pl.Trainer, pl_module: pl.LightningModule, epoch: int) -> None:
        self.undo = undo_of(trainer)
        with looking(trainer, pl_module, self.seed):
            picture = self.picture(pl_module)
        what = " · ".join([picture.what, *dict.fromkeys(picture.notes)])
        text = caption(trainer, what, epoch)
        image = captioned(picture.canvas, text, picture.row_labels, column_labels=picture.column_labels)
        image.info[LAYOUT] = layout(picture, " · ".join(dict.fromkeys(picture.notes)))
        publish(trainer, image, self.key, run_dir(trainer, self.dirpath) / self.folder, epoch)


def grid(images: Tensor, columns: int, scale: int = 2, gap: int = GAP) -> np.ndarray:
    """[N, C, H, W] in [0, 1] -> one [rows * H', columns * W', 3] picture in bytes, row by row on white."""
    pixels = images.detach().float().clamp(0, 1).mul(255).round().byte().cpu().numpy()
    n, channels, height, width = pixels.shape
    pixels = pixels.repeat(3 // channels if channels in (1, 3) else 1, axis=1)[:, :3]
    pixels = pixels.repeat(scale, axis=2).repeat(scale, axis=3)
    rows, cell_h, cell_w = -(-n // columns), height * scale + gap, width * scale + gap
    canvas = np.full((rows * cell_h + gap, columns * cell_w + gap, 3), 255, dtype=np.uint8)
    for i, picture in enumerate(pixels):
        top, left = gap + i // columns * cell_h, gap + i % columns * cell_w
        canvas[top : top + height * scale, left : left + width * scale] = picture.transpose(1, 2, 0)
    return canvas


def captioned(
    canvas: np.ndarray,
    text: str,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
) -> Image.Image:
    """The picture with a text below it, broken at its dots, and a label on the left of each row of equal height.

    Labels of columns stand between the picture and the text. Labels that do not fit are thinned evenly.
    """
    font, small = ImageFont.load_default(LETTERS), ImageFont.load_default(SMALL)
    margin = margin_of(row_labels)
    height, width = canvas.shape[0], canvas.shape[1] + margin
    axis = SMALL + 6 if column_labels else 0
    lines = broken(text, lambda line: font.getlength(line) + 8 <= width)
    width = max(width, *(int(font.getlength(line)) + 8 for line in lines))
    image = Image.new("RGB", (width, height + axis + len(lines) * (LETTERS + 4) + 4), "white")
    image.paste(Image.fromarray(canvas), (margin, 0))
    draw = ImageDraw.Draw(image)
    for i, line in enumerate(lines):
        draw.text((4, height + axis + 2 + i * (LETTERS + 4)), line, fill="black", font=font)
    for i, label in spread(row_labels, height, lambda _: LETTERS):
        draw.text((margin - 6, (i + 0.5) * height / len(row_labels)), label, fill="black", font=font, anchor="rm")
    for i, label in spread(column_labels, canvas.shape[1], lambda label: small.getlength(label) + 3):
        middle = margin + (i + 0.5) * canvas.shape[1] / len(column_labels)
        draw.text((middle, height + 3), label, fill="black", font=small, anchor="mt")
    return image


def spread(labels: Sequence[str], room: float, size: Callable[[str], float]) -> list[tuple[int, str]]:
    """(place, label) of as many labels as fit beside each other: every n-th, with the last one where n allows it."""
    if not labels:
        return []
    least = max(1, math.ceil(max(map(size, labels)) * len(labels) / room))
    even = (step for step in range(least, 2 * least + 1) if (len(labels) - 1) % step == 0)
    return list(enumerate(labels))[:: next(even, least)]


def margin_of(row_labels: Sequence[str]) -> int:
    """The width of the labels on the left."""
    font = ImageFont.load_default(LETTERS)
    return int(max(font.getlength(label) for label in row_labels)) + 10 if row_labels else 0


def layout(picture: Picture, notes: str) -> str:
    """Where the images are in a captioned picture, for the pages: the box, the cells and the notes, as JSON."""
    height, width = picture.canvas.shape[:2]
    left = margin_of(picture.row_labels)
    return json.dumps({"box": [left, 0, width, height], "cells": picture.cells, "gap": GAP, "notes": notes})


def broken(text: str, fits: Callable[[str], bool], dot: str = " · ") -> list[str]:
    """The parts of a text between its dots, as many in a line as fit, and at least one."""
    first, *others = text.split(dot)
    lines = [first]
    for part in others:
        if fits(joined := lines[-1] + dot + part):
            lines[-1] = joined
        else:
            lines.append(part)
    return lines


def publish(trainer: pl.Trainer, image: Image.Image, key: str, folder: Path, epoch: int) -> None:
    """Writes `folder/epoch_XXXX.png` atomically, and gives the picture to every logger that takes images."""
    folder.mkdir(parents=True, exist_ok=True)
    path, facts = folder / epoch_picture(epoch), PngInfo()
    if LAYOUT in image.info:
        facts.add_text(LAYOUT, image.info[LAYOUT])
    with atomically(path) as temporary:
        image.save(temporary, format="PNG", compress_level=1, pnginfo=facts)  # a tenth larger, in half the time
    for logger in trainer.loggers:
        log_image = getattr(logger, "log_image", None)
        add_image = getattr(getattr(logger, "experiment", None), "add_image", None)
        if log_image:
            log_image(key, [image], step=steps_done(trainer))
        elif add_image:
            add_image(key, np.asarray(image), steps_done(trainer), dataformats="HWC")


def caption(trainer: pl.Trainer, what: str, epoch: int) -> str:
    """`what`, the number of epochs of training, and the data if the data module describes them."""
    return " · ".join(part for part in (what, f"epoch {epoch}", description(trainer)) if part)
