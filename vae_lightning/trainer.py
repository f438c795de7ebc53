"""Lightning's Trainer as fast as the machine. <-> conf/trainer/"""

import sys
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch

from vae_lightning.callbacks import CompileStep
from vae_lightning.epoch_loop import EpochLoop


class Trainer(pl.Trainer):
    """Lightning's Trainer with `EpochLoop` in place of its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        steps = self.fit_loop.epoch_loop
        self.fit_loop.epoch_loop = EpochLoop(self, steps.min_steps, steps.max_steps)


class FastTrainer(Trainer):
    """`Trainer` with the step compiled, and in bfloat16 where the accelerator computes in it.

    `precision="auto"` is bf16-mixed there and 32-true elsewhere. `compile_mode` is that of `CompileStep`; None compiles
    nothing. `compiles` names the module's method. Checkpoints are as ever.
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
                print("no bfloat16 on this machine: training in float32", file=sys.stderr, flush=True)
        super().__init__(precision=precision, accelerator=accelerator, callbacks=callbacks, **options)


def has_bfloat16(accelerator: Any) -> bool:
    """Whether the accelerator that Lightning would take has instructions for bfloat16; emulated, it is slower than
    float32."""
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return False
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # none in older torch
    return accelerator in ("auto", "cpu") and any("bf16" in name and there for name, there in capabilities.items())
