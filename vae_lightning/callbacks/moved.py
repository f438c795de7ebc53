"""A run whose folder moved: its checkpoints are where it is now, not where it was."""

import os
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint


def follow(trainer: pl.Trainer, checkpoint: Mapping[str, Any]) -> None:
    """Mends the paths that a checkpoint holds for each ModelCheckpoint of the trainer, before Lightning reads them.

    Lightning forgets the best value of a callback whose folder changed, and takes the next epoch for the best. Nothing
    changes where there is a best checkpoint and it is not in the new folder: the callback was told to write elsewhere.
    """
    states = checkpoint.get("callbacks") or {}
    for callback in trainer.checkpoint_callbacks:
        state = states.get(callback.state_key)
        if not isinstance(callback, ModelCheckpoint) or not state:
            continue
        old, new = str(state.get("dirpath") or ""), str(callback.dirpath or "")
        best = str(state.get("best_model_path") or "")
        if old and new and old != new and (not best or os.path.isfile(moved(best, old, new))):
            state.update({key: renamed(value, old, new) for key, value in state.items()})


def renamed(value: Any, old: str, new: str) -> Any:
    """A value of the callback's state in which each path below `old` is below `new`."""
    if isinstance(value, dict):
        return {renamed(key, old, new): score for key, score in value.items()}
    return moved(value, old, new) if isinstance(value, str) else value


def moved(path: str, old: str, new: str) -> str:
    """The path, below `new` if it was below `old`."""
    return new + path[len(old) :] if path == old or path.startswith(old.rstrip(os.sep) + os.sep) else path
