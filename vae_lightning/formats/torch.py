"""Encoder and decoder as programs of torch.export: encoder.pt2 and decoder.pt2, which plain torch loads.

Not TorchScript: torch has deprecated it, and it does not run on every Python that torch runs on.
"""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vae_lightning.formats.common import FILES, Decode, Encode, Exported, program
from vae_lightning.module import VAE

USE = """\
import torch

encoder = torch.export.load("encoder.pt2").module()
decoder = torch.export.load("decoder.pt2").module()
x = torch.zeros(1, {shape})  # {values}
with torch.no_grad():
    mean, log_var = encoder(x)
    image = decoder(mean)  # the reconstruction, E[x|z]
    images = decoder(torch.randn(16, {dim}))  # z ~ N(0, I)
"""


def write(model: Exported, folder: Path) -> None:
    """Writes the two files; each holds its weights, and takes a batch of any size."""
    for name, (side, argument, example) in model.sides.items():
        buffer = io.BytesIO()
        torch.export.save(program(name, side, argument, example), buffer)
        (folder / f"{name}.pt2").write_bytes(buffer.getvalue())


def read(folder: Path, vae: VAE) -> tuple[Encode, Decode]:
    """Encoder and decoder of a folder."""
    encoder, decoder = (torch.export.load(folder / f"{name}.pt2").module() for name in FILES)

    def encode(x: Tensor) -> Any:
        return encoder(x)

    def decode(z: Tensor) -> Any:
        return decoder(z)

    return encode, decode
