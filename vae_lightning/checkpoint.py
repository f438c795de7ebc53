"""Checkpoint files: atomic writes with a SHA-256 beside each file. No other module reads or writes checkpoints."""

import os
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO

from vae_lightning.errors import CheckpointError, FolderError
from vae_lightning.runs.atomic import atomically
from vae_lightning.runs.digest import digest_file, read_digests, sha256, write_digests
from vae_lightning.runs.files import BEST, LAST

UNREADABLE = (RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError, AttributeError, pickle.UnpicklingError)


class WholeCheckpointIO(CheckpointIO):
    """Writes a file beside the target, syncs it, and replaces the target: a kill leaves the old file or the new one.

    `sha256sum --check NAME.sha256` checks a file. A file whose name is in `keep` stays as NAME.previous when it is
    replaced. Reads tensors and plain values only (`weights_only=True`). Raises FolderError where a file cannot be
    written, CheckpointError where a file cannot be read or its digest is wrong.
    """

    def __init__(self, keep: Sequence[str] = (LAST,)) -> None:
        self.keep = tuple(keep)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with atomically(path, durable=True) as temporary:
                torch.save(checkpoint, temporary)
                digest = sha256(temporary)
                if path.name in self.keep and path.is_file():
                    self._keep_previous(path)
                write_digests(path, [digest, *read_digests(path)])  # old and new file are both right until the next
            write_digests(path, [digest])
        except (OSError, RuntimeError) as error:
            raise cannot_write(path, error) from error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        return load(Path(path), map_location)

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
            write_digests(previous, [*read_digests(path), *read_digests(previous)])
        write_digests(previous, read_digests(path))


def load(path: Path, map_location: Any = None) -> dict[str, Any]:
    """The content of a checkpoint. Its SHA-256 is checked where it is known. Raises CheckpointError."""
    check(path)
    try:
        content = torch.load(path, map_location=map_location or "cpu", weights_only=True)
    except UNREADABLE as error:
        raise CheckpointError(f"checkpoint={path}: not a checkpoint, or a damaged one ({first_line(error)})") from error
    if not isinstance(content, dict) or "pytorch-lightning_version" not in content:
        raise CheckpointError(f"checkpoint={path}: not a checkpoint of a run; a run keeps its own in RUN/checkpoints")
    return content


def check(path: Path) -> None:
    """Raises CheckpointError where the file is missing, or its SHA-256 is not the one on record."""
    if not path.is_file():
        raise CheckpointError(f"checkpoint={path}: no such file; a run keeps {BEST} and {LAST} in RUN/checkpoints")
    known = read_digests(path)
    if known and sha256(path) not in known:
        raise CheckpointError(f"checkpoint={path}: damaged, its SHA-256 is not the one in {digest_file(path).name}")


def previous_of(path: Path) -> Path:
    """last.ckpt -> last.ckpt.previous."""
    return path.with_name(f"{path.name}.previous")


def check_fits(content: dict[str, Any], module: torch.nn.Module, path: Path) -> None:
    """Raises CheckpointError where the shapes of the checkpoint's tensors are not those of the module's."""
    theirs = {name: list(tensor.shape) for name, tensor in content["state_dict"].items()}
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
