"""Schedules of the learning rate: pure functions of the run's progress t in [0, 1]. <-> conf/lr_schedule/

t is the share of the optimizer's steps that is done; the value is the learning rate as a multiple of `lr`. torch's
LambdaLR applies it before every step. A schedule has no state: a resumed run continues the curve, and a run that is
made longer is on the curve of the longer run. All raise ConfigError when a field breaks its rule.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vae_lightning.errors import ConfigError
from vae_lightning.length import Length
from vae_lightning.rules import Count, check, number

Share = Annotated[float, number(least=0, most=1)]
BelowOne = Annotated[float, number(above=0, most=1)]


@dataclass(frozen=True)
class Constant:
    """`lr` throughout; the optimizer may have a fall of its own."""

    title: ClassVar[str] = ""
    moves: ClassVar[bool] = False

    def __call__(self, t: float) -> float:
        return 1.0


@dataclass(frozen=True)
class Cosine:
    """Follows Loshchilov & Hutter (2017), without restarts: half a cosine from `lr` to `final` times lr.

    The first `warmup` of the run is a linear rise from 0.
    """

    warmup: Share = 0.0
    final: Share = 0.0
    title: ClassVar[str] = ", falling along a cosine"

    def __post_init__(self) -> None:
        check(self, "lr_schedule")

    def __call__(self, t: float) -> float:
        if t < self.warmup:
            return t / self.warmup
        return between(1.0, self.final, (t - self.warmup) / (1 - self.warmup) if t < 1 else 1.0)


@dataclass(frozen=True)
class OneCycle:
    """Follows Smith & Topin (2018): a cosine from `lr` / `start` up to `lr` over the first `warmup` of the run, then
    one down to `lr` / (`start` `end`). The optimizer's momentum stays.
    """

    warmup: BelowOne = 0.3
    start: Annotated[float, number(least=1)] = 25.0
    end: Annotated[float, number(least=1)] = 1e4
    title: ClassVar[str] = ", in one cycle"

    def __post_init__(self) -> None:
        check(self, "lr_schedule")

    def __call__(self, t: float) -> float:
        first = 1 / self.start
        if t < self.warmup or self.warmup == 1:
            return between(first, 1.0, t / self.warmup)
        return between(1.0, first / self.end, (t - self.warmup) / (1 - self.warmup))


@dataclass(frozen=True)
class Step:
    """`steps` falls, evenly over the run after the warm-up; each multiplies the learning rate by `factor`.

    The first `warmup` of the run is a linear rise from 0.
    """

    steps: Count = 2
    factor: BelowOne = 0.1
    warmup: Share = 0.0
    title: ClassVar[str] = ", in steps"

    def __post_init__(self) -> None:
        check(self, "lr_schedule")
        if self.warmup == 1:
            raise ConfigError("lr_schedule.warmup=1: must be < 1, or there is no time for the steps")

    def __call__(self, t: float) -> float:
        if t < self.warmup:
            return t / self.warmup
        done = (t - self.warmup) / (1 - self.warmup)
        return self.factor ** min(self.steps, math.floor(round(done * (self.steps + 1), 9)))


def between(first: float, last: float, u: float) -> float:
    """Half a cosine from `first` at u = 0 to `last` at u = 1."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * u))


def mover(optimizer: object, schedule: object) -> str:
    """The key that moves the learning rate: lr_schedule or optimizer.final_lr; empty if it stays.

    Raises ConfigError if both do.
    """
    falls, moves = getattr(optimizer, "decays", False), getattr(schedule, "moves", True)
    if falls and moves:
        raise ConfigError(
            "optimizer.final_lr and lr_schedule: both move the learning rate; leave one of them out "
            "(optimizer.final_lr=null or lr_schedule=none)"
        )
    return "lr_schedule" if moves else "optimizer.final_lr" if falls else ""


def scheduled(made: Optimizer, optimizer: Any, schedule: Callable[[float], float], run: Callable[[], Length]) -> Any:
    """What `configure_optimizers` returns: the torch optimizer, with a scheduler if its learning rate moves.

    `run` is asked for the length of the run at every step but the first: a resumed run asks for step 0 before it knows
    its length.
    """
    key = mover(optimizer, schedule)
    if not key:
        return made
    curve = schedule if key == "lr_schedule" else optimizer.decay

    def multiple(step: int) -> float:
        return curve(min(1.0, step / run().needed_by(key)) if step else 0.0)

    return {"optimizer": made, "lr_scheduler": {"scheduler": LambdaLR(made, multiple), "interval": "step"}}
