"""A row of conf/reproduce/: what was published, how we run it, and what must hold."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from vae_lightning.runs.configuration import among, key_of

BUDGETS = ("ci", "cpu", "full")


@dataclass(frozen=True)
class Published:
    """A published value of one number of one run, and how far off each budget may be. Nats unless said."""

    run: str
    number: str
    value: float
    tolerance: Mapping[str, float]
    others: str = ""  # what other people's runs of the same gave
    at: float | None = None  # where it stands on the figure's axis


@dataclass(frozen=True)
class Claim:
    """An order that must hold between the mean values of two runs, or between one run and a limit.

    `higher` and `lower` are names of runs; `*` in both stands for the same text. With `least` or `most` the number of
    `run` is held against that limit, or against its number `than`. `slack` loosens the order.
    """

    says: str
    number: str
    budgets: Sequence[str] = BUDGETS
    higher: str = ""
    lower: str = ""
    run: str = ""
    than: str = ""
    least: float | None = None
    most: float | None = None
    slack: float = 0.0


@dataclass(frozen=True)
class Choice:
    """A key whose value is chosen by short trial runs: the value with the highest metric after them."""

    key: str
    values: Sequence[Any]
    words: Mapping[str, str]  # {pattern of runs: words}
    metrics: Sequence[str]  # the first of them that a run logs


@dataclass(frozen=True)
class Budget:
    """How much of the setting a budget pays for. `words` and `evaluate` are {pattern of runs: words}."""

    words: Mapping[str, str]
    evaluate: Mapping[str, str]
    runs: Sequence[str] = ("*",)
    seeds: Sequence[int] = (1,)
    says: str = ""


@dataclass(frozen=True)
class Row:
    """Everything of one YAML file. `numbers` maps a number to the metric or the result of `evaluate` that it is."""

    name: str
    title: str
    source: str
    known: str
    setting: Mapping[str, str]  # {pattern of runs: words}
    runs: Mapping[str, str]
    numbers: Mapping[str, str]
    budgets: Mapping[str, Budget]
    evaluate: str = ""
    choose: Choice | None = None
    published: Sequence[Published] = ()
    claims: Sequence[Claim] = ()
    figure: str = ""

    def names(self, budget: str) -> list[str]:
        """The runs that a budget pays for."""
        patterns = self.budgets[budget].runs
        return [name for name in self.runs if any(fnmatchcase(name, pattern) for pattern in patterns)]

    def words(self, run: str, budget: str) -> list[str]:
        """The words of a run: the setting's, its own, the budget's. A later word replaces one of the same key."""
        texts = [*matching(self.setting, run), self.runs[run], *matching(self.budgets[budget].words, run)]
        return last_of_each(" ".join(texts).split())

    def evaluation(self, run: str, budget: str) -> list[str]:
        """The words of `evaluate` for a run; none where nothing is evaluated."""
        texts = [self.evaluate, *matching(self.budgets[budget].evaluate, run)]
        return last_of_each(" ".join(texts).split())


def matching(texts: Mapping[str, str], run: str) -> list[str]:
    """The texts whose pattern fits a run, in order."""
    return [text for pattern, text in texts.items() if fnmatchcase(run, pattern)]


def last_of_each(words: Sequence[str]) -> list[str]:
    """The words, each key once, with its last value. A choice of a group drops earlier words of keys below it."""
    kept: dict[str, str] = {}
    for word in words:
        key = key_of(word)
        kept = {other: said for other, said in kept.items() if not among(other, [key])} | {key: word}
    return list(kept.values())


def pairs_of(claim: Claim, runs: Sequence[str]) -> list[tuple[str, str]]:
    """(higher, lower) of a claim; `*` stands for the same text in both."""
    head, star, tail = claim.higher.partition("*")
    pattern = re.compile(re.escape(head) + (r"(.*)" if star else "") + re.escape(tail))
    pairs = []
    for run in runs:
        if match := pattern.fullmatch(run):
            lower = claim.lower.replace("*", match[1]) if star else claim.lower
            pairs += [(run, lower)] if lower in runs else []
    return pairs
