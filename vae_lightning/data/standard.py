"""The mean and the deviation of every number of a vector, and the way there and back.

N vectors of D numbers; x is [..., D].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vae_lightning.errors import DataError

CONSTANT = 1e-12  # a deviation below this part of the mean is the rounding of a constant, in float64
ROWS = 2**16  # that are summed at once


@dataclass(frozen=True)
class Standard:
    """`apply` maps x to (x - mean) / scale, `undo` maps it back. Both numbers are [D], in float64.

    log p of x itself is log p of what `apply` returns, less sum log scale nats: `log_scale`.
    """

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, x: Tensor) -> "Standard":
        """Mean and deviation over vectors x [N, D]. The scale of a number that never changes is 1."""
        parts = x.split(ROWS)
        mean = torch.stack([part.double().sum(0) for part in parts]).sum(0) / len(x)
        squares = torch.stack([(part.double() - mean).square().sum(0) for part in parts]).sum(0)
        scale = (squares / len(x)).sqrt()
        return cls(mean, torch.where(scale > CONSTANT * mean.abs(), scale, torch.ones_like(scale)))

    @classmethod
    def in_checkpoint(cls, content: Mapping[str, Any]) -> "Standard | None":
        """What a run's checkpoint says of its data; None where they were not standardised."""
        states = (state for state in content.values() if isinstance(state, Mapping) and set(state) == {"mean", "scale"})
        return next(map(cls.from_state, states), None)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Standard":
        """The numbers of a checkpoint. Raises DataError where they cannot be a mean and a scale."""
        mean, scale = state["mean"], state["scale"]
        tensors = isinstance(mean, Tensor) and isinstance(scale, Tensor)
        if not (tensors and mean.ndim == 1 and mean.shape == scale.shape and bool((scale > 0).all())):
            raise DataError("the checkpoint's mean and scale of the data are damaged; train it again")
        return cls(mean.double(), scale.double())

    @classmethod
    def in_json(cls, numbers: Any) -> "Standard":
        """From the two lists that `lists` makes. Raises DataError where they cannot be a mean and a scale."""
        try:
            return cls.from_state({key: torch.tensor(numbers[key], dtype=torch.float64) for key in ("mean", "scale")})
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise DataError("the mean and scale of the data are damaged; export the model again") from None

    def lists(self) -> dict[str, list[float]]:
        """The two numbers, for JSON."""
        return {key: value.tolist() for key, value in self.state().items()}

    def state(self) -> dict[str, Tensor]:
        """The two numbers, for a checkpoint."""
        return {"mean": self.mean, "scale": self.scale}

    def apply(self, x: Tensor) -> Tensor:
        """(x - mean) / scale, in float32."""
        return ((x.double().cpu() - self.mean) / self.scale).float().to(x.device)

    def undo(self, x: Tensor) -> Tensor:
        """mean + scale x: the data's own units, in float32."""
        return (self.mean + self.scale * x.double().cpu()).float().to(x.device)

    @property
    def log_scale(self) -> float:
        """sum log scale, nats."""
        return float(self.scale.log().sum())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Standard):
            return NotImplemented
        return torch.equal(self.mean, other.mean) and torch.equal(self.scale, other.scale)

    __hash__ = None  # type: ignore[assignment]
