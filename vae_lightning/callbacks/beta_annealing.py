"""Annealing of a weight of any LightningModule, by its name."""

from collections.abc import Callable, Iterator
from typing import Any

import lightning.pytorch as pl
from torch import Tensor

from vae_lightning.callbacks.foreign import follow
from vae_lightning.errors import ConfigError
from vae_lightning.length import length_of
from vae_lightning.schedule import in_fractions, span

LOOK_AHEAD = 1000  # points of the curve that say whether it is level


class BetaAnnealing(pl.Callback):
    """Sets `attribute` of the module to `schedule(t)` before every training batch, t = batch / batches of the run.

    `attribute` is the name of a number or of a tensor of one element, and may be dotted (`"loss.kl_weight"`).
    `schedule` is one of `vae_lightning.schedule` or any function of t in [0, 1). In a run that `max_steps` ends, t is
    also at least the share of these steps. A schedule in steps counts the steps of the optimizer; under manual
    optimization, where a batch may step several optimizers, it counts batches. Raises ConfigError if the module has no
    such number, if the schedule ends after the run, or if it needs the length of the run and that is not known.
    """

    def __init__(self, schedule: Callable[[float], float], attribute: str = "beta") -> None:
        self.schedule, self.attribute = schedule, attribute

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.look_up(pl_module)

    def look_up(self, pl_module: pl.LightningModule) -> None:
        """Raises ConfigError if the module has no such number."""
        try:
            found = is_number(follow(pl_module, self.attribute))
        except AttributeError:
            found = False
        if not found:
            known = ", ".join(name for name, _ in numbers(pl_module)) or "none"
            raise ConfigError(
                f"BetaAnnealing(attribute={self.attribute!r}): {type(pl_module).__name__} has no number of that name; "
                f"it has: {known}"
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._span = span(self.schedule, length_of(trainer))
        stretched = (self.schedule, self._span.steps, self._span.whole_epochs)
        self._curve = self.schedule if trainer.fast_dev_run else in_fractions(*stretched)  # type: ignore[attr-defined]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        t = self._span.progress(trainer.fit_loop.total_batch_idx, trainer.global_step)
        value = float(self._curve(t))
        path, _, name = self.attribute.rpartition(".")
        holder = follow(pl_module, path)
        current = getattr(holder, name)
        if isinstance(current, Tensor):
            current.data.fill_(value)
        elif current != value:
            setattr(holder, name, value)

    def has_ended(self, trainer: pl.Trainer) -> bool:
        """Whether the number stays as it is for the rest of the run: the curve is level from here on."""
        t = self._span.progress(trainer.fit_loop.total_batch_idx + 1, trainer.global_step)
        rest = [t + (1 - t) * i / LOOK_AHEAD for i in range(LOOK_AHEAD)]
        return len({float(self._curve(later)) for later in rest}) == 1


def numbers(root: Any, prefix: str = "", depth: int = 3) -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of the numbers that an object holds, down to `depth` objects deep."""
    members = {**vars(root), **vars(root).get("_buffers", {}), **vars(root).get("_modules", {})}
    for name, value in members.items():
        if name.startswith("_"):
            continue
        if is_number(value):
            yield prefix + name, value
        elif depth > 1 and hasattr(value, "__dict__") and not isinstance(value, pl.Trainer | type):
            yield from numbers(value, f"{prefix}{name}.", depth - 1)


def is_number(value: Any) -> bool:
    """Whether a value is a plain number or a tensor of one element."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain or (isinstance(value, Tensor) and value.numel() == 1)
