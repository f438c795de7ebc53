"""Stops a run before a loss or gradient that is not a finite number reaches the weights."""

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from vae_lightning.callbacks.foreign import first_tensor, looking, mean_and_log_var
from vae_lightning.errors import Diverged
from vae_lightning.rules import Count, check


class DivergenceGuard(pl.Callback):
    """Raises Diverged before the step of the optimiser if the loss or a gradient is not finite.

    The message has the step, beta, the number that is not finite, and the range of the batch's log variances if the
    method `encode` returns them. The weights and the last checkpoint stay as they were. The guard reads the gradients
    once per step. With a gradient scaler (16-mixed on a GPU) it reads only the loss, because the scaler skips steps.

    The guard waits for its answer every `every_n_steps` steps. None is every step on a CPU and every 50 steps on an
    accelerator, which waiting would stop. Between two answers, a fused optimiser does not move the weights after a
    number that is not finite. For an optimiser that is not fused the guard waits at every step.
    """

    def __init__(self, encode: str = "encode", every_n_steps: Count | None = None) -> None:
        self.encode, self.every_n_steps = encode, every_n_steps
        check(self, type(self).__name__)
        self._loss: Tensor | None = None
        self._batch: Any = None
        self._diverged_at = torch.full((), -1)  # a step; -1 if none diverged

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._loss, self._batch, self._diverged_at = None, None, torch.full((), -1)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        on_cpu = trainer.strategy.root_device.type == "cpu"
        fused = all(optimizer.defaults.get("fused") for optimizer in trainer.optimizers)
        self._wait = (self.every_n_steps or (1 if on_cpu else 50)) if fused else 1
        self._scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        self._parameters = [(name, weight) for name, weight in pl_module.named_parameters() if weight.requires_grad]
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
        gradients = [weight.grad for _, weight in self._parameters if weight.grad is not None and not self._scaled]
        sums = [gradient.sum() for gradient in gradients] + ([self._loss] if self._loss is not None else [])
        total = torch.stack(sums).sum()  # not finite if one of them is not
        if self._wait == 1:
            if not math.isfinite(total):
                self._stop(trainer, pl_module, trainer.global_step)
            return
        first = (self._diverged_at < 0) & ~total.isfinite()
        self._diverged_at = torch.where(first, trainer.global_step, self._diverged_at)
        optimizer.found_inf = (self._diverged_at >= 0).float()  # type: ignore[attr-defined]  # the word of a gradient scaler
        if (trainer.global_step + 1) % self._wait == 0 or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._ask(trainer, pl_module)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict) -> None:
        self._ask(trainer, pl_module)

    def _ask(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Waits for the answer about the steps so far."""
        if (step := int(self._diverged_at)) >= 0:
            self._stop(trainer, pl_module, step)

    def _stop(self, trainer: pl.Trainer, pl_module: pl.LightningModule, step: int) -> None:
        bad = (
            name for name, weight in self._parameters if weight.grad is not None and not weight.grad.isfinite().all()
        )
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
        """The range of log sigma^2 of this batch, if the module has the method `encode`."""
        encode = getattr(pl_module, self.encode, None)
        if not callable(encode):
            return ""
        with looking(trainer, pl_module, seed=0):
            _, log_var = mean_and_log_var(encode(first_tensor(self._batch)))
        return f", log variances in [{float(log_var.min()):.3g}, {float(log_var.max()):.3g}]"
