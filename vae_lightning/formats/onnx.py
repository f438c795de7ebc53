"""Encoder and decoder as ONNX: encoder.onnx (x -> mean, log_var) and decoder.onnx (z -> mean of p(x|z))."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor

from vae_lightning.checkpoint import first_line
from vae_lightning.errors import ConfigError
from vae_lightning.formats.common import FILES, Decode, Encode, Exported, program
from vae_lightning.module import VAE

OUTPUTS = {"encoder": ["mean", "log_var"], "decoder": ["image"]}
USE = """\
import numpy as np
import onnxruntime as ort

encoder = ort.InferenceSession("encoder.onnx")
decoder = ort.InferenceSession("decoder.onnx")
x = np.zeros((1, {shape}), np.float32)  # {values}
mean, log_var = encoder.run(None, {{"x": x}})
(image,) = decoder.run(None, {{"z": mean}})  # the reconstruction, E[x|z]
(images,) = decoder.run(None, {{"z": np.random.randn(16, {dim}).astype(np.float32)}})  # z ~ N(0, I)
"""


def write(model: Exported, folder: Path) -> None:
    """Writes the two files; each holds its weights, and takes a batch of any size."""
    for name, (side, argument, example) in model.sides.items():
        made = converted(name, program(name, side, argument, example), argument)
        (folder / f"{name}.onnx").write_bytes(made)


def converted(name: str, graph: torch.export.ExportedProgram, argument: str) -> bytes:
    """A graph of torch as the bytes of an ONNX file. Raises ConfigError for an operation that ONNX has not."""
    words: dict[str, Any] = {"input_names": [argument], "output_names": OUTPUTS[name], "verbose": False}
    words |= {"dynamo": True, "external_data": False}
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            made: Any = torch.onnx.export(graph, **words)
            return made.model_proto.SerializeToString()
        except Exception as error:
            raise ConfigError(
                f"format=onnx: ONNX cannot hold the {name} ({type(error).__name__}: {first_line(error)}); take "
                "format=torch or format=safetensors"
            ) from error


def read(folder: Path, vae: VAE) -> tuple[Encode, Decode]:
    """Encoder and decoder of a folder, in onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    sessions = [onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), options) for name in FILES]

    def encode(x: Tensor) -> Any:
        return sessions[0].run(None, {"x": x.numpy()})

    def decode(z: Tensor) -> Any:
        return sessions[1].run(None, {"z": z.numpy()})[0]

    return encode, decode
