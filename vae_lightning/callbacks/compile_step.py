"""The training step through torch.compile; checkpoints are the same as without it."""

from collections.abc import Callable
from typing import Annotated, Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from vae_lightning.callbacks.foreign import method as method_of
from vae_lightning.output import say
from vae_lightning.rules import check, one_of

MODES = ("default", "reduce-overhead", "max-autotune")


class CompileStep(pl.Callback):
    """Compiles `method` of the module, a function of tensors and plain numbers, for the time of a fit.

    Only calls with gradients are compiled, and only batches as large as the first batch: validation and a smaller last
    batch are not worth another compilation. A number (beta) becomes a tensor, so that a schedule does not compile again
    at every step. `mode` is the mode of torch.compile; "reduce-overhead" uses CUDA graphs. The module and the keys of
    its state_dict stay the same. If the compiler does not work, one line says so and the method runs uncompiled.
    Raises ConfigError for an unknown mode or an unknown method.
    """

    def __init__(self, method: str = "objective", mode: Annotated[str, one_of(MODES)] = "default") -> None:
        self.method, self.mode = method, mode
        check(self, type(self).__name__)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._eager = method_of(pl_module, self, "method", self.method)
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
        tensors = [torch.full((), value, device=x.device) if isinstance(value, float) else value for value in rest]
        try:
            return self._compiled(x, *tensors)
        except Exception as error:
            from torch._dynamo.exc import TorchDynamoException  # takes a second to import

            if not isinstance(error, TorchDynamoException):
                raise
            self._compiled = None
            say(f"not compiled: {reason(error)}; training goes on as it is, slower", error=True)
            return self._eager(x, *rest)


def reason(error: BaseException) -> str:
    """The first line of the compiler's message; the name of the error if there is no message."""
    cause = error.__cause__ or getattr(error, "inner_exception", None) or error
    return next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)[:200]
