"""Early stopping that waits until annealing ends."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping as LightningsEarlyStopping

from vae_lightning.callbacks.beta_annealing import BetaAnnealing
from vae_lightning.callbacks.latent_usage import say
from vae_lightning.rules import Count, NonNegative, check


class EarlyStopping(LightningsEarlyStopping):
    """Lightning's early stopping, which judges no epoch before each `BetaAnnealing` of the trainer has ended.

    While the weight of the KL rises, the ELBO may fall for a time and rise again. The first epoch after that is the
    first that counts. `patience` counts validations. `stopped_early` is the reason in words once the run was stopped;
    it is printed, and `RunRecord` writes it. Further arguments are Lightning's.
    """

    def __init__(
        self,
        monitor: str = "val/elbo",
        mode: str = "max",
        patience: Count = 10,
        min_delta: NonNegative = 0.0,
        **more: Any,
    ) -> None:
        super().__init__(monitor, min_delta, patience, mode=mode, **more)
        self.min_delta = min_delta  # Lightning's has the sign of the mode
        check(self, type(self).__name__)
        self.min_delta = min_delta if mode == "max" else -min_delta
        self.stopped_early: str | None = None
        self._of_epochs: int | None = None  # the epochs that the stopped run was to have

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "stopped_early": self.stopped_early, "of_epochs": self._of_epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        patience = self.patience  # a resumed run may be given another one
        super().load_state_dict(state_dict)
        self.patience = patience
        self.stopped_early, self._of_epochs = state_dict.get("stopped_early"), state_dict.get("of_epochs")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        if stage == "fit":  # before a resumed fit loads the state of its checkpoint
            self.stopped_early, self.wait_count = None, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that was stopped and is resumed trains no more, unless it is given more epochs."""
        if self.stopped_early and trainer.max_epochs == self._of_epochs:
            trainer.should_stop = True
        elif self.stopped_early:
            self.stopped_early, self.wait_count = None, 0

    def _run_early_stopping_check(self, trainer: pl.Trainer) -> None:
        annealed = [part for part in trainer.callbacks if isinstance(part, BetaAnnealing)]  # type: ignore[attr-defined]
        if not all(part.has_ended(trainer) for part in annealed):
            return
        before = trainer.should_stop
        super()._run_early_stopping_check(trainer)
        if trainer.should_stop and not before:
            epoch, best = trainer.current_epoch + 1, float(self.best_score)
            self.stopped_early = f"{self._reason()} after epoch {epoch}; the best is {best:.2f}"
            self._of_epochs = trainer.max_epochs
            if trainer.is_global_zero:
                say(f"stopped early: {self.stopped_early}")

    def _reason(self) -> str:
        """Why the run stops, in words."""
        if self.wait_count >= self.patience:
            return f"{self.monitor} was not better in {self.wait_count} validation{'s' * (self.wait_count > 1)}"
        return f"{self.monitor} is not finite, or passed a threshold,"
