"""Lightning's Trainer with a compiled step, bfloat16 and a short way through the epoch."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch

from vae_lightning.callbacks import CompileStep
from vae_lightning.output import say
from vae_lightning.trainer.epoch_loop import EpochLoop


class FastTrainer(pl.Trainer):
    """Lightning's Trainer with `EpochLoop` and a compiled step, in bfloat16 if the accelerator computes in it.

    `precision="auto"` is bf16-mixed on such an accelerator and 32-true on others. `compile_mode` is the mode of
    `CompileStep`; None compiles nothing. `compiles` names the method of the module that is compiled. Checkpoints are
    those of Lightning's Trainer.
    """

    def __init__(
        self,
        *,
        precision: Any = "auto",
        compile_mode: str | None = "default",
        compiles: str = "objective",
        accelerator: Any = "auto",
        callbacks: Sequence[pl.Callback] | pl.Callback | None = None,
        **options: Any,
    ) -> None:
        callbacks = [callbacks] if isinstance(callbacks, pl.Callback) else list(callbacks or ())
        if compile_mode is not None:
            callbacks.append(CompileStep(compiles, compile_mode))
        if precision == "auto":
            precision = "bf16-mixed" if has_bfloat16(accelerator) else "32-true"
            if precision == "32-true":
                say("no bfloat16 on this machine: training in float32", error=True)
        super().__init__(precision=precision, accelerator=accelerator, callbacks=callbacks, **options)
        steps = self.fit_loop.epoch_loop
        self.fit_loop.epoch_loop = EpochLoop(self, steps.min_steps, steps.max_steps)


def has_bfloat16(accelerator: Any) -> bool:
    """Whether the accelerator that Lightning would take has instructions for bfloat16.

    Emulated bfloat16 is slower than float32 and does not count.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return False
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # older torch does not have it
    return accelerator in ("auto", "cpu") and any("bf16" in name and there for name, there in capabilities.items())
