"""Schedules of beta, the weight of the KL: pure functions of the run's progress t in [0, 1]. <-> conf/schedule/

Each is a shape stretched over `length`, counted in `unit`: a `fraction` of the run, `epochs` or `steps`. `in_fractions`
turns the last two into the first once the length of the run is known. No state, so a resumed run continues the curve.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from vae_lightning.errors import ConfigError, did_you_mean

Schedule = Callable[[float], float]
AnySchedule = TypeVar("AnySchedule", bound=Schedule)
UNITS = ("fraction", "epochs", "steps")


@dataclass(frozen=True)
class Constant:
    """beta throughout: 1 is the paper, more is a beta-VAE (Higgins et al. 2017)."""

    beta: float = 1.0

    def __post_init__(self) -> None:
        check(self)

    def __call__(self, t: float) -> float:
        return self.beta


@dataclass(frozen=True)
class Linear:
    """Follows Bowman et al. (2016): rises from 0 to beta over `length`, then stays."""

    length: float = 0.5
    unit: str = "fraction"
    beta: float = 1.0

    def __post_init__(self) -> None:
        check(self)

    def __call__(self, t: float) -> float:
        return self.beta * min(1.0, t / self.length)


@dataclass(frozen=True)
class Cyclic:
    """Follows Fu et al. (2019): `cycles` times from 0 to beta, each in the first `ratio` of its cycle, where it stays.

    Not the predecessor's `cyclic`: that one is `Triangle`.
    """

    cycles: int = 4
    ratio: float = 0.5
    length: float = 1.0
    unit: str = "fraction"
    beta: float = 1.0

    def __post_init__(self) -> None:
        check(self)

    def __call__(self, t: float) -> float:
        if t >= self.length:
            return self.beta
        within_cycle = round(t / self.length * self.cycles, 9) % 1.0  # rounded: a cycle starts at 0, not at 0.999...
        return self.beta * min(1.0, within_cycle / self.ratio)


@dataclass(frozen=True)
class Triangle:
    """The predecessor's `cyclic`: one rise from 0 to beta and one fall back to 0 over `length`, then 0."""

    length: float = 1.0
    unit: str = "fraction"
    beta: float = 1.0

    def __post_init__(self) -> None:
        check(self)

    def __call__(self, t: float) -> float:
        return self.beta * max(0.0, 1.0 - abs(2 * t / self.length - 1.0))


@dataclass(frozen=True)
class Sigmoid:
    """Inspired by Bowman et al. (2016): a logistic rise from 0 to beta over `length`, steepest half-way, then stays.

    Shifted and scaled so that it starts at 0 and ends at beta exactly; `steepness` is its range of logits.
    """

    length: float = 0.5
    unit: str = "fraction"
    steepness: float = 12.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        check(self)

    def __call__(self, t: float) -> float:
        u = min(1.0, t / self.length)
        half = math.tanh(self.steepness / 4)
        return self.beta * (0.5 + 0.5 * math.tanh(self.steepness / 2 * (u - 0.5)) / half)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 0 to beta over `length`, level at both ends, then stays."""

    length: float = 0.5
    unit: str = "fraction"
    beta: float = 1.0

    def __post_init__(self) -> None:
        check(self)

    def __call__(self, t: float) -> float:
        return self.beta * 0.5 * (1 - math.cos(math.pi * min(1.0, t / self.length)))


def in_fractions(schedule: AnySchedule, steps: float, epochs: float) -> AnySchedule:
    """The same curve with its length as a fraction of a run of `steps` optimizer steps in `epochs` epochs.

    Raises ConfigError where the curve would end after the run does. A schedule without a length comes back as it is.
    """
    if not hasattr(schedule, "length"):
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


def check(schedule: object) -> None:
    """Raises ConfigError for the first field that cannot be what its name says."""
    rules: dict[str, tuple[Callable[[float], bool], str]] = {
        "beta": (lambda v: math.isfinite(v) and v >= 0, "must be a finite number >= 0"),
        "length": (lambda v: math.isfinite(v) and v > 0, "must be a finite number > 0"),
        "ratio": (lambda v: 0 < v <= 1, "must be in (0, 1]"),
        "cycles": (lambda v: v >= 1 and v == int(v), "must be a whole number >= 1"),
        "steepness": (lambda v: math.isfinite(v) and v > 0, "must be a finite number > 0"),
    }
    for name, value in vars(schedule).items():
        if name == "unit":
            if value not in UNITS:
                raise ConfigError(f"schedule.unit={value}: {did_you_mean(str(value), UNITS)}")
            continue
        holds, must = rules[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not holds(value):
            raise ConfigError(f"schedule.{name}={value}: {must}")
