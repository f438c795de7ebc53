"""Weights and configuration: model.safetensors and config.json, which `vae_lightning.load` reads."""

import copy
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_model
from torch import nn

from vae_lightning.errors import CheckpointError, FolderError
from vae_lightning.formats import CONFIG, WEIGHTS, weights
from vae_lightning.formats.common import Decode, Decoder, Encode, Encoder, Exported
from vae_lightning.module import VAE
from vae_lightning.runs.digest import sha256, write_digests

USE = """\
import torch
import vae_lightning

vae = vae_lightning.load(".")
x = torch.zeros(1, {shape})  # {values}
with torch.no_grad():
    posterior = vae.encode(x)  # .mean, .log_var
    image = vae.decode(posterior.mean)  # the reconstruction, E[x|z]
    images = vae.sample(16, seed=0)  # z ~ p(z)
"""


def write(model: Exported, folder: Path) -> None:
    """Writes weights, their SHA-256 and config.json."""
    save(model.vae, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(said(model), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def said(model: Exported) -> dict[str, Any]:
    """What config.json says: the parts of the VAE, and beside them the configuration that they were built from."""
    parts = dict(model.vae.hparams)
    return (
        {**parts, "vae_lightning": {**model.config, "image_shape": list(model.image_shape)}} if model.config else parts
    )


def save(module: nn.Module, path: Path) -> None:
    """Writes the tensors of a module and their SHA-256. Raises FolderError if the disk is full."""
    try:
        save_model(module, str(path))
    except SafetensorError as error:
        raise FolderError(f"{path.name}: cannot be written ({error}); make room, or choose another output") from error
    write_digests(path, [sha256(path)])


def read(folder: Path, vae: VAE) -> tuple[Encode, Decode]:
    """Encoder and decoder with the weights of a folder in a copy of the module."""
    twin: Any = copy.deepcopy(vae)
    for parameter in twin.parameters():
        parameter.data.zero_()
    wrong = twin.load_state_dict(weights(folder)[1], strict=False)
    if wrong.unexpected_keys:
        raise CheckpointError(f"{folder}: {wrong.unexpected_keys[0]} is not of this model")
    return Encoder(twin).eval(), Decoder(twin).eval()
