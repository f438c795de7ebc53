"""Schedules of beta, the weight of the KL: pure functions of the run's progress t in [0, 1]. <-> conf/schedule/

A schedule is a shape stretched over `length`, counted in `unit`: a `fraction` of the run, `epochs` or `steps`.
`in_fractions` turns epochs and steps into a fraction once the length of the run is known. `span` is what a schedule
runs over where that length is not known. A schedule has no state, so a resumed run continues the curve. All raise
ConfigError when a field breaks its rule.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeVar

from vae_lightning.errors import ConfigError
from vae_lightning.length import Length
from vae_lightning.rules import Count, NonNegative, Positive, check, number, one_of

Schedule = Callable[[float], float]
AnySchedule = TypeVar("AnySchedule", bound=Schedule)
Unit = Annotated[str, one_of(("fraction", "epochs", "steps"))]


@dataclass(frozen=True)
class Constant:
    """beta throughout: 1 is the paper, a larger one is a beta-VAE (Higgins et al. 2017)."""

    beta: NonNegative = 1.0
    title: ClassVar[str] = ""

    def __post_init__(self) -> None:
        check(self, "schedule")

    def __call__(self, t: float) -> float:
        return self.beta


@dataclass(frozen=True)
class Linear:
    """Follows Bowman et al. (2016): rises from 0 to beta over `length`, then stays."""

    length: Positive = 0.5
    unit: Unit = "fraction"
    beta: NonNegative = 1.0
    title: ClassVar[str] = ", annealed linearly"

    def __post_init__(self) -> None:
        check(self, "schedule")

    def __call__(self, t: float) -> float:
        return self.beta * min(1.0, t / self.length)


@dataclass(frozen=True)
class Cyclic:
    """Follows Fu et al. (2019): `cycles` rises from 0 to beta, each over the first `ratio` of its cycle, then level.

    After `length` it stays at beta. Not the predecessor's `cyclic`: that one is `Triangle`.
    """

    cycles: Count = 4
    ratio: Annotated[float, number(above=0, most=1)] = 0.5
    length: Positive = 1.0
    unit: Unit = "fraction"
    beta: NonNegative = 1.0
    title: ClassVar[str] = ", annealed in cycles"

    def __post_init__(self) -> None:
        check(self, "schedule")

    def __call__(self, t: float) -> float:
        if t >= self.length:
            return self.beta
        within_cycle = round(t / self.length * self.cycles, 9) % 1.0  # rounded: a cycle starts at 0, not at 0.999...
        return self.beta * min(1.0, within_cycle / self.ratio)


@dataclass(frozen=True)
class Triangle:
    """The predecessor's `cyclic`: one rise from 0 to beta and one fall back to 0 over `length`, then 0."""

    length: Positive = 1.0
    unit: Unit = "fraction"
    beta: NonNegative = 1.0
    title: ClassVar[str] = ", up and down again"

    def __post_init__(self) -> None:
        check(self, "schedule")

    def __call__(self, t: float) -> float:
        return self.beta * max(0.0, 1.0 - abs(2 * t / self.length - 1.0))


@dataclass(frozen=True)
class Sigmoid:
    """Inspired by Bowman et al. (2016): a logistic rise from 0 to beta over `length`, steepest half-way, then stays.

    Shifted and scaled so that it starts at 0 and ends at beta exactly; `steepness` is its range of logits.
    """

    length: Positive = 0.5
    unit: Unit = "fraction"
    steepness: Positive = 12.0
    beta: NonNegative = 1.0
    title: ClassVar[str] = ", annealed along a sigmoid"

    def __post_init__(self) -> None:
        check(self, "schedule")

    def __call__(self, t: float) -> float:
        u = min(1.0, t / self.length)
        half = math.tanh(self.steepness / 4)
        return self.beta * (0.5 + 0.5 * math.tanh(self.steepness / 2 * (u - 0.5)) / half)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 0 to beta over `length`, level at both ends, then stays."""

    length: Positive = 0.5
    unit: Unit = "fraction"
    beta: NonNegative = 1.0
    title: ClassVar[str] = ", annealed along a cosine"

    def __post_init__(self) -> None:
        check(self, "schedule")

    def __call__(self, t: float) -> float:
        return self.beta * 0.5 * (1 - math.cos(math.pi * min(1.0, t / self.length)))


def in_fractions(schedule: AnySchedule, steps: float, epochs: float) -> AnySchedule:
    """The same curve with its length as a fraction of a run of `steps` optimizer steps in `epochs` epochs.

    Raises ConfigError when the curve would end after the run. A function of t that is no dataclass with a `length` and
    a `unit` comes back unchanged.
    """
    stretched = dataclasses.is_dataclass(type(schedule)) and hasattr(schedule, "length") and hasattr(schedule, "unit")
    if not stretched:
        return schedule
    length, unit = schedule.length, schedule.unit  # type: ignore[attr-defined]
    whole = {"fraction": 1.0, "epochs": epochs, "steps": steps}[unit]
    if length > whole:
        raise ConfigError(
            f"schedule.length={length:g} {unit}: ends after the run, which has {whole:g}; "
            "shorten the schedule or train longer"
        )
    cycles = getattr(schedule, "cycles", 1)
    if cycles > steps * length / whole:
        raise ConfigError(f"schedule.cycles={cycles}: more than the {steps * length / whole:g} steps of its length")
    return dataclasses.replace(schedule, length=length / whole, unit="fraction")  # type: ignore[type-var]


def span(schedule: Schedule, run: Length) -> Length:
    """The length over which t rises from 0 to 1: that of the run, or that of the schedule.

    A run may have no known end, or an end after steps of several optimizers. A schedule in steps or epochs then has a
    length of its own, after which t stays at 1. Under manual optimization a step of the schedule is a batch. Raises
    ConfigError for a schedule that needs a length which is not known.
    """
    unit, length = getattr(schedule, "unit", None), getattr(schedule, "length", 1)
    if unit == "epochs" and math.isinf(run.per_epoch):
        raise ConfigError(
            "schedule.unit=epochs: the batches of an epoch are not known; give the trainer limit_train_batches, or use "
            "schedule.unit=steps"
        )
    several = run.manual and math.isfinite(run.max_steps)  # optimizers
    if run.known and not (several and unit in ("steps", "epochs")):
        return run
    if unit == "epochs":
        return dataclasses.replace(run, epochs=length, max_steps=math.inf)
    if unit == "steps" and run.manual:
        return dataclasses.replace(run, epochs=1, per_epoch=length, max_steps=math.inf)
    if unit == "steps" or isinstance(schedule, Constant):
        return dataclasses.replace(run, epochs=math.inf, max_steps=length)
    run.needed_by("BetaAnnealing: a schedule that is not in steps")
    return run
