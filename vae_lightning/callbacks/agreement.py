"""What all processes of a distributed run agree on: the signal that any of them received."""

from typing import Any

import lightning.pytorch as pl
import torch
from torch import distributed


class Agreement:
    """Tells every process of a run the largest number that one of them says, in the same step.

    Every process must build it, and must ask as often as the others. It speaks over a group of its own (gloo), so no
    accelerator is waited for. In a run of one process the answer is the process's own number.
    """

    def __init__(self, trainer: pl.Trainer) -> None:
        several = trainer.world_size > 1 and distributed.is_available() and distributed.is_initialized()
        self._group: Any = distributed.new_group(backend="gloo") if several else None

    def __call__(self, number: int | None) -> int | None:
        """The number that all processes agree on; None if no process says one."""
        if self._group is None:
            return number
        said = torch.tensor([number or 0])
        distributed.all_reduce(said, distributed.ReduceOp.MAX, self._group)
        return int(said) or None
