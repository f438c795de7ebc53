"""Callbacks that do not go together: their states, their files, or what they leave in a checkpoint."""

import re
from collections.abc import Mapping
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint, WeightAveraging
from lightning.pytorch.utilities.model_helpers import is_overridden

from vae_lightning.errors import ConfigError
from vae_lightning.runs.files import CHECKPOINTS

Callbacks = Mapping[str, pl.Callback]


def check_states(callbacks: Callbacks) -> None:
    """Raises ConfigError for two callbacks whose states have one key in a checkpoint."""
    keys: dict[str, str] = {}
    for name, part in callbacks.items():
        other = keys.setdefault(part.state_key, name) if is_overridden("state_dict", part) else name
        if other != name:
            kind = type(part).__name__
            raise ConfigError(
                f"callbacks.{name}: a second {kind} with the same settings as callbacks.{other}; a checkpoint cannot "
                f"hold both states; change its monitor, mode or interval, or set callbacks.{other} in its place"
            )


def check_averaging(callbacks: Callbacks) -> None:
    """Raises ConfigError for checkpoints without the state of a callback that averages the weights.

    Lightning writes the weights before averaging into them.
    """
    averaging = next((name for name, part in callbacks.items() if isinstance(part, WeightAveraging)), None)
    for name, part in callbacks.items():
        if averaging and isinstance(part, ModelCheckpoint) and part.save_weights_only:
            raise ConfigError(
                f"callbacks.{name}.save_weights_only=true: the file would hold the weights before the averaging of "
                f"callbacks.{averaging}; leave save_weights_only out"
            )


def check_files(callbacks: Callbacks, root: Path) -> None:
    """Raises ConfigError where one checkpoint would replace another that is to be kept."""
    writers: dict[Path, str] = {}
    for name, part in callbacks.items():
        if not isinstance(part, ModelCheckpoint) or not part.save_top_k:
            continue
        filename = part.filename or "{epoch}-{step}"
        if part.save_top_k != 1 and not part._enable_version_counter and not re.search(r"\{(epoch|step)\b", filename):
            raise ConfigError(
                f"callbacks.{name}.save_top_k={part.save_top_k}: all its files would be {filename}.ckpt; say "
                f"callbacks.{name}.enable_version_counter=true"
            )
        for file in (filename, *(["last"] if part.save_last else [])):
            path = Path(part.dirpath or root / CHECKPOINTS, file).absolute()
            other = writers.setdefault(path, name) if "{" not in file else name
            if other != name:
                raise ConfigError(
                    f"callbacks.{name}: it would replace {file}.ckpt, which callbacks.{other} writes; give it another "
                    "filename, without save_last"
                )
