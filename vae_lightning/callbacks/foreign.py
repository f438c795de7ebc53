"""What the callbacks ask of a module and a trainer of any Lightning project.

They find a method or an attribute by its name, read images from any data loader, and leave the module as it was.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from vae_lightning.errors import ConfigError


@contextmanager
def looking(trainer: pl.Trainer, pl_module: pl.LightningModule, seed: int) -> Iterator[None]:
    """Evaluation mode, no gradients, the random numbers of `seed`. Restores the modes and the random state."""
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
    """`function` itself, or the method of the module with that name. Raises ConfigError if there is no such method."""
    found = function if callable(function) else getattr(pl_module, function, None)
    if not callable(found):
        raise ConfigError(
            f"{type(owner).__name__}({argument}={function!r}): {type(pl_module).__name__} has no such method; "
            "name one, or pass a function"
        )
    return found


def follow(root: Any, path: str) -> Any:
    """The object at a dotted path; the root for an empty path. Raises AttributeError."""
    for name in path.split(".") if path else ():
        root = getattr(root, name)
    return root


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
    """The test loader of the data module, or None if it is not ready during a fit."""
    with suppress(Exception):  # a foreign data module may not be set up for its test stage yet
        return trainer.datamodule.test_dataloader()  # type: ignore[attr-defined]
    return None


def first_tensor(batch: Any) -> Tensor:
    """The images of a batch: the batch itself, or its first tensor."""
    while not isinstance(batch, Tensor):
        batch = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    return batch


def mean_and_log_var(posterior: Any) -> tuple[Tensor, Tensor]:
    """The result of an encoder: an object with these attributes, or the two tensors themselves."""
    return (posterior.mean, posterior.log_var) if hasattr(posterior, "log_var") else posterior


def description(trainer: pl.Trainer) -> str:
    """The data in one line, if the data module has a `description`; else an empty text."""
    return getattr(getattr(trainer, "datamodule", None), "description", "")


def run_dir(trainer: pl.Trainer, dirpath: str | os.PathLike | None) -> Path:
    """`dirpath` with the home folder in place of `~`, or the trainer's `default_root_dir`."""
    return Path(trainer.default_root_dir if dirpath is None else dirpath).expanduser()


def best_checkpoint(trainer: pl.Trainer) -> Path | None:
    """The file that the first ModelCheckpoint with a `monitor` holds for the best; None if none was selected."""
    for callback in trainer.checkpoint_callbacks:
        if getattr(callback, "monitor", None) and getattr(callback, "best_model_path", ""):
            return Path(callback.best_model_path)  # type: ignore[attr-defined]
    return None


class NewMetrics:
    """The metrics that were logged since the last call. Lightning keeps the values of epochs without validation."""

    def __init__(self) -> None:
        self._seen: dict[str, Any] = {}

    def of(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """The new metrics as plain numbers. A value that is still the same object is an old one."""
        new = {key: float(value) for key, value in metrics.items() if value is not self._seen.get(key)}
        self._seen = dict(metrics)
        return new
