"""Ends a run early that an Optuna study gives up."""

from functools import cache
from typing import Any, Protocol

import lightning.pytorch as pl

from vae_lightning.callbacks.beta_annealing import BetaAnnealing
from vae_lightning.callbacks.epoch_end import after_module
from vae_lightning.errors import ConfigError, Pruned, did_you_mean


class Trial(Protocol):
    """What the callback asks of a trial. A trial of Optuna has both methods."""

    def report(self, value: float, step: int) -> None: ...

    def should_prune(self) -> bool: ...


class Pruning(pl.Callback):
    """Reports `monitor` to a trial after each validation, and raises Pruned if the study's pruner gives the run up.

    The step of a report is the number of validations before it. A metric that only the training logs is reported at the
    end of each epoch. The run ends before its next batch, so the checkpoint of the epoch is there, and a run whose last
    validation is over is never pruned. While a `BetaAnnealing` of the trainer still rises, nothing is pruned. Pruned is
    also a `TrialPruned` of Optuna, which `study.optimize` expects. In a distributed run the first process reports, and
    all processes end. Raises ConfigError if the metric is not logged.
    """

    def __init__(self, trial: Trial, monitor: str = "val/elbo") -> None:
        self.trial, self.monitor = trial, monitor
        self._reports, self._gives_up = 0, ""
        self._after_epoch = False  # whether the training logs the metric, and not the validation

    @property
    def state_key(self) -> str:
        return self._generate_state_key(monitor=self.monitor)

    def state_dict(self) -> dict[str, Any]:
        return {"reports": self._reports}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._reports = int(state_dict.get("reports", 0))

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit":  # before a resumed fit loads the state of its checkpoint
            self._reports, self._gives_up, self._after_epoch = 0, "", False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if self._gives_up:
            raise kind_of_pruned()(self._gives_up)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        if self.monitor not in trainer.callback_metrics:
            self._after_epoch = True
        elif not self._after_epoch:
            self._report(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._after_epoch or not trainer.enable_validation:
            after_module(trainer, lambda: self._report(trainer))

    def _report(self, trainer: pl.Trainer) -> None:
        value, names = trainer.callback_metrics.get(self.monitor), sorted(trainer.callback_metrics)
        if value is None:
            raise ConfigError(
                f"Pruning(monitor={self.monitor!r}): it is not logged; {did_you_mean(self.monitor, names)}"
            )
        step, gives_up = self._reports, False
        self._reports += 1
        if trainer.is_global_zero:
            self.trial.report(float(value), step)
            annealed = [part for part in trainer.callbacks if isinstance(part, BetaAnnealing)]  # type: ignore
            gives_up = all(part.has_ended(trainer) for part in annealed) and self.trial.should_prune()
        if trainer.strategy.broadcast(gives_up):
            self._gives_up = (
                f"pruned after epoch {trainer.current_epoch + 1}: {self.monitor}={float(value):.6g} is behind"
            )


@cache
def kind_of_pruned() -> type[Pruned]:
    """Pruned, as a kind of Optuna's TrialPruned where Optuna is installed."""
    try:
        from optuna.exceptions import TrialPruned  # pyright: ignore[reportMissingImports]
    except ImportError:
        return Pruned
    # In another process it is a Pruned: a class that is made here has no name there.
    return type("Pruned", (Pruned, TrialPruned), {"__reduce__": lambda error: (Pruned, (str(error),), error.__dict__)})
