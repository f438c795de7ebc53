"""Checkpoint files: atomic writes with a SHA-256 beside each file. No other module reads or writes checkpoints."""

import io
import operator
import os
import pickle
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.plugins.io import CheckpointIO

from vae_lightning.errors import CheckpointError, FolderError, shown
from vae_lightning.runs.atomic import atomically
from vae_lightning.runs.digest import digest_file, read_digests, sha256, write_digests
from vae_lightning.runs.files import BEST, LAST

PLAIN = (type(None), bool, int, float, str, torch.Tensor, torch.nn.Parameter)
UNREADABLE = (RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError, AttributeError, pickle.UnpicklingError)


class WholeCheckpointIO(CheckpointIO):
    """Writes a file beside the target, syncs it, and replaces the target: a kill leaves the old file or the new one.

    `sha256sum --check NAME.sha256` checks a file. A file whose name is in `keep` stays as NAME.previous when it is
    replaced. Saves what `weights_only=True` can read again: tensors and plain values; a number of numpy becomes the
    equal number of Python. Reads with `weights_only=True`, unless `Trainer.fit(weights_only=False)` asks for more.
    Raises FolderError where a file cannot be written, CheckpointError where a value cannot be saved, where a file
    cannot be read, or where its digest is wrong.
    """

    def __init__(self, keep: Sequence[str] = (LAST,)) -> None:
        self.keep = tuple(keep)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path, checkpoint = Path(path), savable(checkpoint)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with atomically(path, durable=True) as temporary:
                torch.save(checkpoint, temporary)
                digest = sha256(temporary)
                if path.name in self.keep and path.is_file():
                    self._keep_previous(path)
                write_digests(
                    path, [digest, *(read_digests(path) or [])]
                )  # old and new file are both right until the next
            write_digests(path, [digest])
        except (OSError, RuntimeError) as error:
            raise cannot_write(path, error) from error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return load(Path(path), map_location, weights_only is not False)

    def remove_checkpoint(self, path: Any) -> None:
        for file in (Path(path), digest_file(Path(path))):
            file.unlink(missing_ok=True)

    def _keep_previous(self, path: Path) -> None:
        previous = previous_of(path)
        with atomically(previous, durable=True) as temporary:
            try:
                os.link(path, temporary)
            except OSError:  # a file system without links
                shutil.copyfile(path, temporary)
            write_digests(previous, [*(read_digests(path) or []), *(read_digests(previous) or [])])
        write_digests(previous, read_digests(path) or [])


def load(path: Path, map_location: Any = None, weights_only: bool = True) -> dict[str, Any]:
    """The content of a checkpoint. Its SHA-256 is checked where it is known. Raises CheckpointError.

    `weights_only=False` runs code that the file names: it is for files of one's own. No command passes it.
    """
    check(path)
    try:
        content = unpickled(path, map_location or "cpu", weights_only)
    except UNREADABLE as error:
        raise CheckpointError(f"checkpoint={path}: not a checkpoint, or a damaged one ({first_line(error)})") from error
    if not isinstance(content, dict) or "pytorch-lightning_version" not in content:
        raise CheckpointError(f"checkpoint={path}: not a checkpoint of a run; a run keeps its own in RUN/checkpoints")
    return content


def unpickled(file: Any, map_location: Any = "cpu", weights_only: bool = True) -> Any:
    """The content of a file of torch.save."""
    return torch.load(file, map_location=map_location, weights_only=weights_only)


def savable(value: Any, key: str = "") -> Any:
    """The same value; where it holds a number of numpy, a copy with the equal number of Python.

    Raises CheckpointError with the dotted key of a value that `weights_only=True` cannot read.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind in (dict, OrderedDict):
        new = {savable(name, key): savable(item, f"{key}.{name}".lstrip(".")) for name, item in value.items()}
        return value if all(map(operator.is_, [*new, *new.values()], [*value, *value.values()])) else kind(new)
    if kind in (list, tuple):
        items = [savable(item, f"{key}.{i}") for i, item in enumerate(value)]
        return value if all(map(operator.is_, items, value)) else kind(items)
    if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
        return savable(value.item(), key)
    if not readable(value):
        root, _, name = key.partition(".")
        ignore = f", or leave it out: save_hyperparameters(ignore=[{name.partition('.')[0]!r}])"
        raise CheckpointError(
            f"{key}={shown(value)}: a checkpoint cannot hold a {kind.__module__}.{kind.__qualname__}, which "
            "weights_only=True does not read; save its text, its number, a list or a dictionary in its place"
            f"{ignore if name and 'hyper_parameters' in root else ''}"
        )
    return value


def readable(value: Any) -> bool:
    """Whether `weights_only=True` reads a value as it is written."""
    file = io.BytesIO()
    try:
        torch.save(value, file)
        file.seek(0)
        unpickled(file)
    except Exception:  # any: the value's own class takes part in it
        return False
    return True


def check(path: Path) -> None:
    """Raises CheckpointError where the file is missing, or its SHA-256 is not the one on record."""
    if not path.is_file():
        raise CheckpointError(f"checkpoint={path}: no such file; a run keeps {BEST} and {LAST} in RUN/checkpoints")
    known = read_digests(path)
    if known is not None and sha256(path) not in known:
        raise CheckpointError(f"checkpoint={path}: damaged, its SHA-256 is not the one in {digest_file(path).name}")


def previous_of(path: Path) -> Path:
    """last.ckpt -> last.ckpt.previous."""
    return path.with_name(f"{path.name}.previous")


def check_fits(content: dict[str, Any], module: torch.nn.Module, path: Path) -> None:
    """Raises CheckpointError where the shapes of the checkpoint's tensors are not those of the module's."""
    state = content.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise CheckpointError(f"checkpoint={path}: it holds no weights; a run keeps its own in RUN/checkpoints")
    theirs = {name: list(tensor.shape) for name, tensor in state.items()}
    ours = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    wrong = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    if wrong:
        first = wrong[0]
        raise CheckpointError(
            f"checkpoint={path}: of another architecture: {first} is {theirs.get(first, 'missing')} there and "
            f"{ours.get(first, 'missing')} here ({len(wrong)} differ); leave the architecture as the run has it"
        )


def cannot_write(path: Path, error: BaseException) -> FolderError:
    """The answer to a failed write. torch reports a full disk as a RuntimeError, often without an OSError behind it."""
    free = shutil.disk_usage(path.parent).free / 2**20
    return FolderError(f"{path}: cannot be written ({first_line(error)}), {free:.0f} MiB free; make room and resume")


def first_line(error: BaseException) -> str:
    """The first line of an error, at most 200 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
