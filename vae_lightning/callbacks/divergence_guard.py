"""Stops a run whose loss or gradient is no longer a finite number, before that reaches the weights."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from vae_lightning.callbacks import pictures
from vae_lightning.errors import Diverged


class DivergenceGuard(pl.Callback):
    """Raises Diverged before the optimiser's step where the loss or any gradient is not finite.

    The message says the step, beta, what was not finite, and the range of the batch's log variances where `encode`
    (a method's name or a function of x) returns them. The weights and the last checkpoint are as they were. Costs one
    look at the gradients per step. With a gradient scaler (16-mixed on a GPU) only the loss is looked at, since the
    scaler skips steps of its own.
    """

    def __init__(self, encode: str = "encode") -> None:
        self.encode = encode
        self._loss: Tensor | None = None
        self._batch: Any = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batch = batch

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        self._loss = loss.detach()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        gradients = {name: each.grad for name, each in pl_module.named_parameters() if each.grad is not None}
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        looked_at = [] if scaled or not gradients else [each.norm() for each in gradients.values()]
        looked_at += [self._loss] if self._loss is not None else []
        if torch.stack([each.float() for each in looked_at]).isfinite().all():
            return
        if self._loss is not None and not self._loss.isfinite():
            what = f"the loss is {float(self._loss)}"
        else:
            what = "the gradient of " + next(name for name, each in gradients.items() if not each.isfinite().all())
            what += " is not finite"
        beta = f", beta {float(pl_module.beta):g}" if hasattr(pl_module, "beta") else ""  # type: ignore[arg-type]
        raise Diverged(
            f"diverged at step {trainer.global_step} (epoch {trainer.current_epoch + 1}{beta}): {what}"
            f"{self._log_variances(trainer, pl_module)}; the weights are as before the step; lower lr"
        )

    def _log_variances(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> str:
        """The range of log sigma^2 of this batch, where the module can say it."""
        encode = getattr(pl_module, self.encode, None)
        if not callable(encode):
            return ""
        with pictures.looking(trainer, pl_module, seed=0):
            _, log_var = pictures.mean_and_log_var(encode(pictures.first_tensor(self._batch)))
        return f", log variances in [{float(log_var.min()):.3g}, {float(log_var.max()):.3g}]"
