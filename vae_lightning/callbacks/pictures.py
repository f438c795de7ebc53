"""What the picture callbacks share: held-out images, looking without touching, a grid, a PNG, the loggers.

N images, C channels, H W pixels; values in [0, 1].
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vae_lightning.errors import ConfigError
from vae_lightning.runs.atomic import atomically


@contextmanager
def looking(trainer: pl.Trainer, pl_module: pl.LightningModule, seed: int) -> Iterator[None]:
    """Evaluation mode, no gradients, the random numbers of `seed`; afterwards mode and RNG state are as before."""
    modes = [(part, part.training) for part in pl_module.modules()]
    mps_state = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None  # isolate_rng knows CPU, CUDA
    with isolate_rng(), torch.no_grad(), trainer.precision_plugin.forward_context():
        torch.manual_seed(seed)
        pl_module.eval()
        try:
            yield
        finally:
            for part, training in modes:
                part.training = training
            if mps_state is not None:
                torch.mps.set_rng_state(mps_state)


def method(pl_module: pl.LightningModule, owner: object, argument: str, function: str | Callable) -> Callable[..., Any]:
    """`function` itself, or the module's method of that name. Raises ConfigError where there is none."""
    found = function if callable(function) else getattr(pl_module, function, None)
    if not callable(found):
        raise ConfigError(
            f"{type(owner).__name__}({argument}={function!r}): {type(pl_module).__name__} has no such method; "
            "name one, or pass a function"
        )
    return found


def held_out_images(trainer: pl.Trainer, n: int) -> Tensor:
    """The first `n` images of the test set, else of the validation set, else of the training set, on the device."""
    for loader in (test_loader(trainer), trainer.val_dataloaders, trainer.train_dataloader):
        images: list[Tensor] = []
        for batch in chain.from_iterable(loader if isinstance(loader, list | tuple) else [loader or []]):
            images.extend(first_tensor(trainer.strategy.batch_to_device(batch)))
            if len(images) >= n:
                break
        if images:
            return torch.stack(images[:n])
    raise ConfigError("no images to show: pass some to the callback, or give the trainer a data loader")


def test_loader(trainer: pl.Trainer) -> Any:
    """The data module's test loader, where it has one that is ready during a fit."""
    with suppress(Exception):  # a data module of somebody else's may not be set up for its test stage yet
        return trainer.datamodule.test_dataloader()  # type: ignore[attr-defined]
    return None


def first_tensor(batch: Any) -> Tensor:
    """The images of a batch: the batch itself, or what comes first in it."""
    while not isinstance(batch, Tensor):
        batch = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    return batch


def mean_and_log_var(posterior: Any) -> tuple[Tensor, Tensor]:
    """What an encoder returned: an object with these attributes, or the two themselves."""
    return (posterior.mean, posterior.log_var) if hasattr(posterior, "log_var") else posterior


def grid(images: Tensor, columns: int, scale: int = 2, gap: int = 2) -> np.ndarray:
    """[N, C, H, W] in [0, 1] -> one [rows * H', columns * W', 3] picture of bytes, row by row on white."""
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


def captioned(canvas: np.ndarray, text: str, row_labels: list[str] | None = None, size: int = 13) -> Image.Image:
    """The picture with a line of text below it and, on its left, a label for each of its equally high rows."""
    font = ImageFont.load_default(size)
    margin = int(max(font.getlength(label) for label in row_labels)) + 10 if row_labels else 0
    height, width = canvas.shape[:2]
    width = max(width + margin, int(font.getlength(text)) + 8)
    image = Image.new("RGB", (width, height + size + 8), "white")
    image.paste(Image.fromarray(canvas), (margin, 0))
    draw = ImageDraw.Draw(image)
    draw.text((4, height + 2), text, fill="black", font=font)
    for i, label in enumerate(row_labels or []):
        draw.text((margin - 6, (i + 0.5) * height / len(row_labels or [])), label, fill="black", font=font, anchor="rm")
    return image


def publish(trainer: pl.Trainer, image: Image.Image, key: str, folder: Path, epoch: int) -> None:
    """`folder/epoch_XXXX.png`, whole or not at all, and the same picture to every logger that takes images."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"epoch_{epoch:04d}.png"
    with atomically(path) as temporary:
        image.save(temporary, format="PNG", compress_level=1)  # a tenth larger, in less than half the time
    for logger in trainer.loggers:
        log_image = getattr(logger, "log_image", None)
        add_image = getattr(getattr(logger, "experiment", None), "add_image", None)
        if log_image:
            log_image(key, [image], step=trainer.global_step)
        elif add_image:
            add_image(key, np.asarray(image), trainer.global_step, dataformats="HWC")


def caption(trainer: pl.Trainer, what: str, epoch: int) -> str:
    """`what`, the number of epochs of training behind it, and the data, where the data module says what it is."""
    data = getattr(getattr(trainer, "datamodule", None), "description", "")
    return " · ".join(part for part in (what, f"epoch {epoch}", data) if part)


def run_dir(trainer: pl.Trainer, dirpath: str | os.PathLike | None) -> Path:
    """`dirpath`, or the trainer's `default_root_dir`."""
    return Path(trainer.default_root_dir if dirpath is None else dirpath)
