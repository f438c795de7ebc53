"""The model in the files of others: encoder and decoder, weights, a card. <-> format= of `export`

Each module has `write` (the files), `read` (encoder and decoder from these files, for the check) and `USE` (ten lines
of Python for the card). Nothing is imported before it is needed: an extra may be missing.
"""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from vae_lightning.errors import CheckpointError, ConfigError
from vae_lightning.runs.digest import digest_file, read_digests, sha256
from vae_lightning.runs.regular import content_of, json_in, reason

FORMATS = {
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "safetensors": ("safetensors",),
    "torch": (),
    "hub": ("huggingface_hub", "safetensors"),
}  # {format: the packages that it needs}
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
STANDARD = "standard.json"  # mean and scale of the training vectors, where they were standardised
MOST = 64 * 2**30  # bytes of a file of weights


def format_of(name: str) -> ModuleType:
    """The module of a format. Raises ConfigError if a package that it needs is missing."""
    check_installed(name)
    return importlib.import_module(f"{__name__}.{name}")


def check_installed(name: str) -> None:
    """Raises ConfigError if a package that a format needs is missing."""
    missing = [package for package in FORMATS[name] if importlib.util.find_spec(package) is None]
    if missing:
        raise ConfigError(f"format={name}: {', '.join(missing)} not installed; pip install 'vae-lightning[export]'")


def kept(folder: Path) -> bool:
    """Whether a folder holds a model as `safetensors` and `hub` write it. Raises ConfigError for another export."""
    if (folder / WEIGHTS).is_file() and (folder / CONFIG).is_file():
        return True
    for name in ("encoder.onnx", "encoder.pt2"):
        if (folder / name).is_file():
            raise ConfigError(
                f"{folder}: it holds {name}, which is for other programs; load the run, its checkpoint, or a folder of "
                "format=safetensors or format=hub"
            )
    return False


def weights(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what config.json says, the tensors) of a folder. Raises CheckpointError if a file is damaged."""
    import safetensors
    import safetensors.torch

    path = folder / WEIGHTS
    try:
        config, content = json_in(folder / CONFIG), content_of(path, MOST)
        if sha256(content) not in (read_digests(path) or [sha256(content)]):
            raise CheckpointError(f"{path}: damaged, its SHA-256 is not the one in {digest_file(path).name}")
        state = safetensors.torch.load(content)
    except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{folder}: not an exported model, or a damaged one ({reason(error)})") from error
    return config if isinstance(config, dict) else {}, state
