"""The training step through torch.compile; checkpoints are the same as without it."""

from collections.abc import Callable
from typing import Annotated, Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from vae_lightning.callbacks.foreign import follow
from vae_lightning.callbacks.foreign import method as method_of
from vae_lightning.output import say
from vae_lightning.rules import check, one_of

MODES = ("default", "reduce-overhead", "max-autotune")


class CompileStep(pl.Callback):
    """Compiles `method` of the module, a function of tensors and plain numbers, for the time of a fit.

    Only calls with gradients are compiled, and only batches as large as the first batch: validation and a smaller last
    batch are not worth another compilation. A number (beta) becomes a tensor, so that a schedule does not compile again
    at every step. `mode` is the mode of torch.compile; "reduce-overhead" uses CUDA graphs. The module and the keys of
    its state_dict stay the same; a copy or a pickle of the module has the method that is not compiled. If the compiler
    does not work, one line says so and the method runs uncompiled. Raises ConfigError for an unknown mode or an unknown
    method.
    """

    def __init__(self, method: str = "objective", mode: Annotated[str, one_of(MODES)] = "default") -> None:
        self.method, self.mode = method, mode
        check(self, type(self).__name__)
        self._step: Step | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._remove()
        path, _, name = self.method.rpartition(".")
        self._step = Step(follow(pl_module, path), name, self.look_up(pl_module), self.mode)

    def look_up(self, pl_module: pl.LightningModule) -> Callable[..., Any]:
        """The method that is compiled. Raises ConfigError if the module does not have it."""
        return method_of(pl_module, self, "method", self.method)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._remove()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self._remove()

    def _remove(self) -> None:
        step, self._step = self._step, None
        if step is not None:
            step.leave()


class Step:
    """Stands in the place of a method, from its construction to `leave`."""

    def __init__(self, holder: Any, name: str, eager: Callable, mode: str) -> None:
        self.eager = eager
        self._batch_size: int | None = None
        self.compiled: Callable | None = torch.compile(eager, mode=mode, dynamic=False)
        self.members, self.name = vars(holder), name
        self.before = {key: value for key, value in self.members.items() if key == name}
        self.members[name] = self

    def leave(self) -> None:
        self.members.pop(self.name, None)
        self.members.update(self.before)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        tensors = [value for value in (*arguments, *named.values()) if isinstance(value, Tensor)]
        size = next((len(tensor) for tensor in tensors if tensor.ndim), None)
        if self.compiled is None or not torch.is_grad_enabled() or size != (self._batch_size or size):
            return self.eager(*arguments, **named)
        self._batch_size = size

        def tensor(value: Any) -> Any:
            return torch.full((), value, device=tensors[0].device) if isinstance(value, float) and tensors else value

        try:
            return self.compiled(*map(tensor, arguments), **{name: tensor(value) for name, value in named.items()})
        except Exception as error:
            from torch._dynamo.exc import TorchDynamoException  # takes a second to import

            if not isinstance(error, TorchDynamoException):
                raise
            self.compiled = None
            say(f"not compiled: {reason(error)}; training goes on as it is, slower", error=True)
            return self.eager(*arguments, **named)

    def __reduce__(self) -> tuple[Callable, tuple[Callable]]:
        return itself, (self.eager,)


def itself(method: Callable) -> Callable:
    """What a pickled `Step` becomes: the method that is not compiled."""
    return method


def reason(error: BaseException) -> str:
    """The first line of the compiler's message; the name of the error if there is no message."""
    cause = error.__cause__ or getattr(error, "inner_exception", None) or error
    return next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)[:200]
