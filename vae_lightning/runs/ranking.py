"""Which setting is better: means over seeds, and paired differences with confidence intervals (Student's t).

A setting is a mapping from pair to number, such as {seed: ELBO}. Two numbers with the same pair are compared with each
other. What the seed does to both of them cancels. In a ranking each seed may have several runs, one for each value of
the other keys: {(seed, values): ELBO}.
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Generic, TypeVar

from vae_lightning.runs.folds import Spread, spread

Setting = TypeVar("Setting", bound=Hashable)
Numbers = Mapping[Any, float]  # {pair: number}
Runs = Mapping[tuple[Any, Any], float]  # {(seed, values of the other keys): number}
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
    """A setting in a ranking; its spread is over seeds.

    `to_best` is the best setting minus this one: None for the best, or without pairs.
    """

    setting: Setting
    spread: Spread
    to_best: Difference | None

    @property
    def seeds(self) -> int:
        """The number of seeds in common with the best setting."""
        return self.to_best.count if self.to_best else 0

    @property
    def is_clear(self) -> bool:
        """Whether the setting can be told apart from the best one."""
        return self.to_best is not None and self.to_best.is_clear


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
    settings: Mapping[Setting, Runs], higher_is_better: bool = True, level: float = LEVEL
) -> list[Place[Setting]]:
    """The settings that have a number, best mean first; equal means keep their order. A seed counts once.

    All intervals hold together with probability `level` or more: the best setting is chosen from the same numbers, so
    each interval has the level 1 - (1 - level) / P, with P the number of pairs of settings (Bonferroni).
    """
    spreads = {setting: over for setting, runs in settings.items() if (over := spread([*of_seeds(runs).values()]))}
    sign = -1 if higher_is_better else 1
    order = sorted(spreads, key=lambda setting: sign * spreads[setting].mean)
    of_one = 1 - (1 - level) / max(1, math.comb(len(order), 2))
    best = settings[order[0]] if order else {}
    return [
        Place(setting, spreads[setting], None if i == 0 else seed_difference(best, settings[setting], of_one))
        for i, setting in enumerate(order)
    ]


def seed_difference(first: Runs, second: Runs, level: float) -> Difference | None:
    """The paired difference of the means of each seed over the runs that both settings have."""
    ours, theirs = (
        {pair: number for pair, number in one.items() if pair in first and pair in second} for one in (first, second)
    )
    return paired_difference(of_seeds(ours), of_seeds(theirs), level)


def of_seeds(runs: Runs) -> dict[Any, float]:
    """{seed: mean over its runs}. Runs of one seed are no independent draws, so a seed is one number."""
    numbers: dict[Any, list[float]] = {}
    for (seed, _), number in runs.items():
        numbers.setdefault(seed, []).append(number)
    return {seed: fmean(values) for seed, values in numbers.items()}
