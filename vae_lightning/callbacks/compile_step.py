"""The training step through torch.compile, without a trace of it in the checkpoints."""

import sys
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from vae_lightning.callbacks import pictures
from vae_lightning.errors import ConfigError, did_you_mean

MODES = ("default", "reduce-overhead", "max-autotune")


class CompileStep(pl.Callback):
    """Compiles `method` of the module, a function of tensors and plain numbers, for the time of a fit.

    Only calls with gradients are compiled, and of these only batches as large as the first: validation and a ragged
    last batch are not worth a compilation of their own. A number (beta) is handed over as a tensor, so that a schedule
    does not compile anew at every step. `mode` is that of torch.compile; "reduce-overhead" uses CUDA graphs. The
    module's parts stay what they are, and so do the keys of its state_dict. Without a working compiler one line says
    so, and the method runs as it is. Raises ConfigError for an unknown mode or a method that is not there.
    """

    def __init__(self, method: str = "objective", mode: str = "default") -> None:
        if mode not in MODES:
            raise ConfigError(f"CompileStep.mode={mode}: {did_you_mean(mode, MODES)}")
        self.method, self.mode = method, mode

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._eager = pictures.method(pl_module, self, "method", self.method)
        self._compiled: Callable | None = torch.compile(self._eager, mode=self.mode, dynamic=False)
        self._batch_size: int | None = None
        setattr(pl_module, self.method, self._step)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        vars(pl_module).pop(self.method, None)

    def _step(self, x: Tensor, *rest: Any) -> Any:
        if self._compiled is None or not torch.is_grad_enabled():
            return self._eager(x, *rest)
        self._batch_size = self._batch_size or len(x)
        if len(x) != self._batch_size:
            return self._eager(x, *rest)
        tensors = [torch.full((), each, device=x.device) if isinstance(each, float) else each for each in rest]
        try:
            return self._compiled(x, *tensors)
        except Exception as error:
            from torch._dynamo.exc import TorchDynamoException  # takes a second to import

            if not isinstance(error, TorchDynamoException):
                raise
            self._compiled = None
            print(f"not compiled: {reason(error)}; training goes on as it is, slower", file=sys.stderr, flush=True)
            return self._eager(x, *rest)


def reason(error: BaseException) -> str:
    """The first line of what a compiler said, or did not."""
    cause = error.__cause__ or getattr(error, "inner_exception", None) or error
    return next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)[:200]
