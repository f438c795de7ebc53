"""Stops a run before a loss or gradient that is not a finite number reaches the weights."""

import cmath
import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from vae_lightning.batch import Place, images_of
from vae_lightning.callbacks.foreign import looking, mean_and_log_var, method
from vae_lightning.errors import Diverged
from vae_lightning.rules import Count, check


class DivergenceGuard(pl.Callback):
    """Raises Diverged before the step of the optimiser if the loss or a gradient is not finite.

    The message has the step, beta, the number that is not finite, the range of the batch's log variances if the method
    or function `encode` returns them, and whether the weights are finite. `batch` is the key or index of the images in
    a batch, or a function of the batch. The weights and the last checkpoint stay as they were. The guard reads the
    gradients of the optimiser's parameters once per step. With a gradient scaler (16-mixed) it reads only the loss,
    because the scaler skips steps.

    The guard waits for its answer every `every_n_steps` steps. None is every step on a CPU and every 50 steps on an
    accelerator, which waiting would stop. Between two answers, a fused optimiser does not move the weights after a
    number that is not finite. For an optimiser that is not fused the guard waits at every step.
    """

    def __init__(
        self,
        encode: str | Callable[[Tensor], Any] = "encode",
        every_n_steps: Count | None = None,
        batch: Place = None,
    ) -> None:
        self.encode, self.every_n_steps, self.batch = encode, every_n_steps, batch
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
        self._diverged_at = torch.full((), -1, device=pl_module.device)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._batch = batch

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        self._loss = farthest(loss.detach())

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        gradients = [] if self._scaled else gradients_of(optimizer)
        loss = torch.zeros(()) if self._loss is None else self._loss
        if self._wait == 1:
            if not (math.isfinite(loss) and all_finite(gradients)):
                self._stop(trainer, pl_module, trainer.global_step)
            return
        largest = get_total_norm(gradients, math.inf)
        finite = largest.to(pl_module.device).isfinite() & loss.to(pl_module.device).isfinite()
        self._diverged_at = torch.where((self._diverged_at < 0) & ~finite, trainer.global_step, self._diverged_at)
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
        weights = pl_module.named_parameters()
        gradients = [(name, weight.grad) for name, weight in weights if weight.grad is not None]
        if self._loss is not None and not self._loss.isfinite():
            what = f"the loss is {float(self._loss)}"
        elif name := first_not_finite(gradients):
            what = f"the gradient of {name} is not finite"
        else:
            what = "its loss or a gradient was not finite"
        more = f"{self._log_variances(trainer, pl_module)}; {advice(pl_module)}"
        raise Diverged(f"diverged at step {step} (epoch {trainer.current_epoch + 1}{beta(pl_module)}): {what}{more}")

    def _log_variances(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> str:
        """The range of log sigma^2 of this batch; an empty text if `encode` does not answer, whatever it raises."""
        with suppress(Exception), looking(trainer, pl_module, seed=0):
            encode = method(pl_module, self, "encode", self.encode)
            _, log_var = mean_and_log_var(encode(images_of(self._batch, self.batch)), "DivergenceGuard")
            return f", log variances in [{float(log_var.min()):.3g}, {float(log_var.max()):.3g}]"
        return ""


def gradients_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """The gradients that the next step of an optimiser uses."""
    weights = (weight for group in optimizer.param_groups for weight in group["params"])
    gradients = (numbers(weight.grad) for weight in weights if weight.grad is not None)
    return [gradient for gradient in gradients if gradient.numel()]


def all_finite(gradients: list[Tensor]) -> bool:
    """Whether all numbers are finite.

    On a CPU a sum takes a tenth of the time of a search for the largest number. A sum that is not finite holds a number
    that is not, or finite numbers overflow it; then the search decides.
    """
    if cmath.isfinite(sum(gradient.sum().item() for gradient in gradients)):
        return True
    return math.isfinite(get_total_norm(gradients, math.inf))


def farthest(loss: Tensor) -> Tensor:
    """The number of a loss that is the farthest from 0, or that is NaN: manual optimisation may have a vector."""
    return loss if loss.ndim == 0 else loss.flatten()[loss.flatten().abs().argmax()]


def numbers(tensor: Tensor) -> Tensor:
    """The numbers that a tensor stores: of a sparse one its values."""
    return tensor._values() if tensor.is_sparse else tensor


def first_not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """The name of the first tensor with a number that is not finite; an empty text if there is none."""
    return next((name for name, tensor in tensors if not numbers(tensor).isfinite().all()), "")


def advice(pl_module: pl.LightningModule) -> str:
    """What to try. It names a weight that is not finite, or a buffer that is NaN: a mask may be infinite."""
    with suppress(Exception):  # the numbers of a lazy or quantised layer cannot be read
        buffers = (name for name, buffer in pl_module.named_buffers() if buffer.isnan().any())
        if name := first_not_finite(pl_module.named_parameters()) or next(buffers, ""):
            return f"{name} is not finite either; go back to a checkpoint, and lower lr"
        return "all weights are finite; lower lr"
    return "lower lr"


def beta(pl_module: pl.LightningModule) -> str:
    """The weight of the KL, if the module has it as one number."""
    with suppress(Exception):
        return f", beta {float(pl_module.beta):g}"  # type: ignore[arg-type]
    return ""
