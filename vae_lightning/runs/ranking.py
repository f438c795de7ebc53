"""Which setting is better: means over runs, and paired differences with confidence intervals (Student's t).

A setting is a mapping from pair to number: {1: -98.2, 2: -98.4}. Two numbers with the same pair, such as the same
seed, are compared with each other. What the seed does to both of them cancels.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vae_lightning.runs.folds import Spread, spread

Setting = TypeVar("Setting", bound=Hashable)
Numbers = Mapping[Any, float]  # {pair: number}
LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """The mean of `count` paired differences, and half the width of its interval: None for one pair."""

    mean: float
    half_width: float | None
    count: int

    @property
    def is_clear(self) -> bool:
        """Whether zero lies outside the interval. One pair is never clear, and neither is no difference at all."""
        return self.half_width is not None and abs(self.mean) > self.half_width

    @property
    def low(self) -> float:
        return self.mean - (math.inf if self.half_width is None else self.half_width)

    @property
    def high(self) -> float:
        return self.mean + (math.inf if self.half_width is None else self.half_width)


@dataclass(frozen=True)
class Place(Generic[Setting]):
    """A setting in a ranking. `to_best` is the best setting minus this one: None for the best, or without pairs."""

    setting: Setting
    spread: Spread
    to_best: Difference | None


def paired_difference(first: Numbers, second: Numbers, level: float = LEVEL) -> Difference | None:
    """first - second over the pairs that both have; None where they have none in common.

    mean(d) +- t s(d) / sqrt(n), with t the (1 + level) / 2 quantile of Student's t with n - 1 degrees of freedom and
    s(d) the standard deviation of the n differences (n - 1). The interval is that of the paired t-test.
    """
    over_pairs = spread([first[pair] - second[pair] for pair in first if pair in second])
    if over_pairs is None:
        return None
    error, count = over_pairs.error, over_pairs.count
    return Difference(over_pairs.mean, None if error is None else t_quantile(level, count) * error, count)


def t_quantile(level: float, count: int) -> float:
    """How many standard errors of `count` numbers half the interval of a level is wide: 12.7 for two, at 95 %."""
    from scipy.special import stdtrit

    return float(stdtrit(count - 1, (1 + level) / 2))


def ranked(
    settings: Mapping[Setting, Numbers], higher_is_better: bool = True, level: float = LEVEL
) -> list[Place[Setting]]:
    """The settings that have a number, best mean first; equal means keep their order."""
    spreads = {setting: over for setting, numbers in settings.items() if (over := spread(list(numbers.values())))}
    sign = -1 if higher_is_better else 1
    order = sorted(spreads, key=lambda setting: sign * spreads[setting].mean)
    return [
        Place(
            setting,
            spreads[setting],
            paired_difference(settings[order[0]], settings[setting], level) if setting != order[0] else None,
        )
        for setting in order
    ]
