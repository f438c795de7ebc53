"""A trained model in a folder of other files, checked against torch before the folder has its name."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vae_lightning import formats
from vae_lightning.app import report
from vae_lightning.app.loading import OF_THE_MODULE, Trained, trained
from vae_lightning.errors import ConfigError, UserError
from vae_lightning.formats import card, common
from vae_lightning.output import warn
from vae_lightning.runs.atomic import folder_atomically, write_text
from vae_lightning.runs.digest import sha256

MOST = 64  # images of the check


def export(
    place: str,
    name: str,
    output: Path,
    checkpoint: str | None = None,
    data_dir: str | None = None,
    tolerance: float = 1e-4,
    allow_targets: Sequence[str] = (),
) -> str:
    """Writes the folder, and returns what its files were compared with. Raises ConfigError if they differ."""
    writer = formats.format_of(name)
    source = trained(place, "cpu", allow_targets, checkpoint)
    config = {key: source.config[key] for key in OF_THE_MODULE if key in source.config} if source.config else {}
    if config:
        config |= {"protocol": source.protocol} | ({"scale": source.scale} if source.scale else {})
    model = common.Exported(source.module.float(), source.image_shape, config)
    x, named = images(source, data_dir, allow_targets)
    with folder_atomically(output) as folder:
        writer.write(model, folder)
        check = compared(model, x, named, writer.read(folder, model.vae), tolerance)
        if standard := source.standard:
            write_text(folder / formats.STANDARD, json.dumps(standard.lists()) + "\n")
        facts = {"name": source.place.name, "sha256": sha256(source.place) if source.place.is_file() else ""}
        text = card.card(model, source.run, facts, check, writer.USE, standard is not None)
        write_text(folder / formats.CARD, getattr(writer, "head", str)() + text)
    return check


def compared(
    model: common.Exported, x: Tensor, named: str, sides: tuple[common.Encode, common.Decode], tolerance: float
) -> str:
    """What the files were compared with, and the largest differences. Raises ConfigError beyond the tolerance."""
    model.vae.model.check(x)
    encoder, decoder = common.differences(model.vae, *sides, x)
    said = f"Largest difference from torch on {named}: encoder {encoder:.1e}, decoder {decoder:.1e}."
    if not max(encoder, decoder) <= tolerance or math.isnan(encoder + decoder):
        raise ConfigError(f"{said} It must be at most tolerance={tolerance:g}; nothing is written")
    return said


def images(source: Trained, data_dir: str | None, allow_targets: Sequence[str]) -> tuple[Tensor, str]:
    """Real images for the check: the first test images of the run. Without them, images that the model makes."""
    try:
        if source.run is None:
            raise ConfigError(f"{source.place}: it is no run, so nothing says its data")
        data = report.local_data(source.run, data_dir, allow_targets)
        x = data.images("test")[:MOST].float()
        return x, f"{len(x)} test images of {getattr(data, 'description', type(data).__name__)}"
    except (UserError, OSError) as error:
        if data_dir is not None:
            raise
        warn(f"no test images for the check ({error}); images of the model itself take their place")
    with torch.no_grad():
        x = source.module.sample(16, seed=0).cpu().float()
    return x, f"{len(x)} images that the model drew itself"
