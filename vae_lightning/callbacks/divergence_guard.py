"""Stops a run whose loss or gradient is no longer a finite number, before that reaches the weights."""

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from vae_lightning.callbacks import pictures
from vae_lightning.errors import Diverged, check_whole


class DivergenceGuard(pl.Callback):
    """Raises Diverged before the optimiser's step where the loss or any gradient is not finite.

    The message says the step, beta, what was not finite, and the range of the batch's log variances where `encode`
    (a method's name or a function of x) returns them. The weights and the last checkpoint are as they were. Costs one
    look at the gradients per step. With a gradient scaler (16-mixed on a GPU) only the loss is looked at, since the
    scaler skips steps of its own.

    `every_n_steps` says how often the answer is waited for; None: at every step on a CPU, every 50 on an accelerator,
    where waiting would stop it. In between, a fused optimiser is told not to move the weights once the answer is no;
    one that is not fused is waited for at every step.
    """

    def __init__(self, encode: str = "encode", every_n_steps: int | None = None) -> None:
        self.encode, self.every_n_steps = encode, every_n_steps
        if every_n_steps is not None:
            check_whole(type(self).__name__, every_n_steps=every_n_steps)
        self._loss: Tensor | None = None
        self._batch: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        on_cpu = trainer.strategy.root_device.type == "cpu"
        fused = all(each.defaults.get("fused") for each in trainer.optimizers)
        self._wait = (self.every_n_steps or (1 if on_cpu else 50)) if fused else 1
        self._scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        self._parameters = [(name, each) for name, each in pl_module.named_parameters() if each.requires_grad]
        self._diverged_at = torch.full((), -1, device=pl_module.device)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batch = batch

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        self._loss = loss.detach().float()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        looked_at = [] if self._scaled else [each.grad.sum() for _, each in self._parameters if each.grad is not None]
        looked_at += [self._loss] if self._loss is not None else []
        total = torch.stack(looked_at).sum()  # not finite where one of them is not
        if self._wait == 1:
            if not math.isfinite(total):
                self._stop(trainer, pl_module, trainer.global_step)
            return
        first = (self._diverged_at < 0) & ~total.isfinite()
        self._diverged_at = torch.where(first, trainer.global_step, self._diverged_at)
        optimizer.found_inf = (self._diverged_at >= 0).float()  # type: ignore[attr-defined]  # what a gradient scaler says
        if (trainer.global_step + 1) % self._wait == 0 or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._ask(trainer, pl_module)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict) -> None:
        self._ask(trainer, pl_module)

    def _ask(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Waits for the answer of the steps so far."""
        if (step := int(self._diverged_at)) >= 0:
            self._stop(trainer, pl_module, step)

    def _stop(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int) -> None:
        bad = (name for name, each in self._parameters if each.grad is not None and not each.grad.isfinite().all())
        if self._loss is not None and not self._loss.isfinite():
            what = f"the loss is {float(self._loss)}"
        elif name := next(bad, None):
            what = f"the gradient of {name} is not finite"
        else:
            what = "its loss or a gradient was not finite"
        beta = f", beta {float(pl_module.beta):g}" if hasattr(pl_module, "beta") else ""  # type: ignore[arg-type]
        raise Diverged(
            f"diverged at step {step} (epoch {trainer.current_epoch + 1}{beta}): {what}"
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
