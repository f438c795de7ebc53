"""The end of an epoch in any Lightning project: when callbacks read it, and which metrics it logged."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor


def after_module(trainer: pl.Trainer, read: Callable[[], None], logs: bool = False) -> None:
    """Calls `read` after the module's `on_train_epoch_end`, and before early stopping and checkpoints.

    It is called in the `on_train_epoch_end` of a callback, which Lightning calls before the module's. What `read` finds
    is what a checkpoint of this epoch holds. With `logs`, it runs before the others, which then read what it logs.
    """
    turn = next((part for part in trainer.callbacks if isinstance(part, Turn)), None)  # type: ignore[attr-defined]
    if turn is None:
        turn = Turn()
        trainer.callbacks = [turn, *trainer.callbacks]  # type: ignore[attr-defined]
    turn.reads.insert(0 if logs else len(turn.reads), read)


class Turn(EarlyStopping):
    """Stops nothing. Lightning calls early stopping and checkpoints after the module, and no other callbacks.

    It is in the trainer's list only from the first `after_module` of an epoch to its own `on_train_epoch_end`.
    """

    def __init__(self) -> None:
        super().__init__(monitor="")
        self.reads: list[Callable[[], None]] = []

    def state_dict(self) -> dict[str, Any]:
        return {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._leave(trainer)
        for read in self.reads:
            read()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._leave(trainer)

    def _leave(self, trainer: pl.Trainer) -> None:
        trainer.callbacks = [part for part in trainer.callbacks if part is not self]  # type: ignore[attr-defined]


class NewMetrics:
    """The metrics of the newest epoch. Lightning keeps the values of earlier epochs.

    If a metric of `wanted` is not logged by the end of the first epoch that may validate, one warning names it and the
    metrics that are logged. With `any_will_do`, the warning is for the case that all of them are missing.
    """

    def __init__(self, trainer: pl.Trainer, owner: object, wanted: Iterable[str], any_will_do: bool) -> None:
        self._owner, self._wanted, self._any_will_do = type(owner).__name__, list(wanted), any_will_do
        self._seen: dict[str, Tensor] = dict(trainer.callback_metrics)

    def of(self, trainer: pl.Trainer) -> dict[str, float]:
        """The new metrics as plain numbers. A value in the same memory is an old one."""
        metrics, seen = trainer.callback_metrics, self._seen
        old = [key for key, value in metrics.items() if key in seen and value.data_ptr() == seen[key].data_ptr()]
        self._seen = dict(metrics)  # keeps the memory, so that no new value lies there
        if self._wanted and trainer.current_epoch + 1 >= (trainer.check_val_every_n_epoch or 1):
            self._warn(trainer.current_epoch + 1)
        return {key: float(value) for key, value in metrics.items() if key not in old}

    def _warn(self, epoch: int) -> None:
        missing = [name for name in self._wanted if name not in self._seen]
        if missing and (len(missing) == len(self._wanted) or not self._any_will_do):
            warnings.warn(
                f"{self._owner}: no metric is logged as {', '.join(missing)} up to epoch {epoch}; logged: "
                f"{', '.join(sorted(self._seen)) or 'none'}; choose with columns={{NAME: METRIC}}",
                stacklevel=5,  # the line of Lightning that calls the callbacks
            )
        self._wanted = []
