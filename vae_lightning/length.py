"""The length of a run: its end in epochs, its end in steps of the optimizer, or neither."""

import math
from dataclasses import dataclass
from typing import Any

from vae_lightning.errors import ConfigError


@dataclass(frozen=True)
class Length:
    """A run ends after `epochs` or after `max_steps` steps of the optimizer; inf stands for an end that is not known.

    An epoch has `per_epoch` batches; a stream does not know how many. A step takes `accumulated` batches. Under
    `manual` optimization a batch may step several optimizers, so only batches count there.
    """

    epochs: float
    per_epoch: float
    max_steps: float = math.inf
    accumulated: int = 1
    manual: bool = False

    @property
    def batches(self) -> float:
        """The batches of all epochs."""
        return self.epochs * self.per_epoch

    @property
    def steps(self) -> float:
        """The steps of the run; under manual optimization without `max_steps`, its batches."""
        return min(self.max_steps, self.epochs * self.steps_per_epoch)

    @property
    def steps_per_epoch(self) -> float:
        return math.ceil(self.per_epoch / self.accumulated) if math.isfinite(self.per_epoch) else math.inf

    @property
    def whole_epochs(self) -> float:
        """The epochs of the run, of which `max_steps` may cut off a part."""
        return min(self.epochs, self.max_steps / self.steps_per_epoch)

    @property
    def known(self) -> bool:
        return math.isfinite(self.steps)

    def needed_by(self, what: str) -> float:
        """The steps of the run. Raises ConfigError if they are not known."""
        if not self.known:
            raise ConfigError(
                f"{what} needs the length of the run, which is not known; give the trainer max_steps, or max_epochs "
                "and limit_train_batches"
            )
        return self.steps

    def progress(self, batches: int, steps: int) -> float:
        """The share of the run that is done after so many batches and steps, in [0, 1]."""
        return min(1.0, max(batches / self.batches, steps / self.max_steps))


def length_of(trainer: Any, per_epoch: float | None = None) -> Length:
    """The length of the run of a trainer. `per_epoch` is needed where the trainer has not loaded its data yet."""
    module = trainer.lightning_module
    return Length(
        epochs=math.inf if trainer.max_epochs in (None, -1) else max(1, trainer.max_epochs),
        per_epoch=trainer.num_training_batches if per_epoch is None else per_epoch,
        max_steps=math.inf if trainer.max_steps == -1 else trainer.max_steps,
        accumulated=trainer.accumulate_grad_batches,
        manual=module is not None and not module.automatic_optimization,
    )
