"""Rules for values: each is declared once, in the annotation of the value, and checked in one place.

@dataclass(frozen=True)
class Linear:
    length: Positive = 0.5

    def __post_init__(self) -> None:
        check(self, "schedule")  # ConfigError: schedule.length=-1: must be a finite number > 0
"""

import inspect
import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args

from vae_lightning.errors import ConfigError, nearest, shown


@dataclass(frozen=True)
class Rule:
    """`holds` says whether a value keeps the rule; `must` completes the sentence "KEY=VALUE: ..."."""

    holds: Callable[[Any], bool]
    must: str | Callable[[Any], str]

    def check(self, key: str, value: Any) -> None:
        """Raises ConfigError with the key and the value when the value breaks the rule."""
        if not self.holds(value):
            raise ConfigError(f"{key}={shown(value)}: {self.says(value)}")

    def says(self, value: Any) -> str:
        """What a value that breaks the rule must be."""
        return self.must if isinstance(self.must, str) else self.must(value)


def whole(least: int, most: float = math.inf) -> Rule:
    """A whole number in [least, most]."""
    upper = f" and <= {most}" if math.isfinite(most) else ""
    return Rule(lambda v: type(v) is int and least <= v <= most, f"must be a whole number >= {least}{upper}")


def number(*, least: float = -math.inf, above: float = -math.inf, most: float = math.inf) -> Rule:
    """A finite number in [least, most] that is larger than `above`."""
    bounds = [f">= {least:g}" if least > -math.inf else "", f"> {above:g}" if above > -math.inf else ""]
    bounds.append(f"<= {most:g}" if most < math.inf else "")
    must = f"must be a finite number {' and '.join(filter(None, bounds))}".rstrip()
    return Rule(lambda v: is_number(v) and math.isfinite(v) and least <= v <= most and v > above, must)


def one_of(options: Collection[str]) -> Rule:
    """One of some words."""

    def must(value: Any) -> str:
        near = nearest(str(value), options)
        return f"{near}({', '.join(options)})" if near else f"must be one of {', '.join(options)}"

    return Rule(lambda v: isinstance(v, str) and v in options, must)


def wholes(least: int) -> Rule:
    """A whole number >= `least`, or a list of such numbers."""
    one = whole(least)
    return Rule(
        lambda v: all(map(one.holds, v)) if isinstance(v, list | tuple) else one.holds(v),
        f"must be a whole number >= {least}, or a list of such numbers",
    )


def optional(rule: Rule) -> Rule:
    """The same rule for a value that may also be None."""
    must = rule.must if callable(rule.must) else f"{rule.must}, or null"
    return Rule(lambda v: v is None or rule.holds(v), must)


def is_number(value: Any) -> bool:
    """Whether a value is a plain number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


REDUCTIONS = ("mean", "sum")
REDUCTION = Rule(
    lambda v: isinstance(v, str) and v in REDUCTIONS,
    "must be mean or sum (of the batch); averaging over pixels is not offered: on 784 pixels it would make beta 784 "
    "times as large",
)
PRECISION = Rule(
    lambda v: not str(v).endswith(("16-true", "float16")),
    "log densities need more digits than a 16-bit number has; use 32-true or bf16-mixed",
)
SEED = whole(0, 2**32 - 1)
FLAG = Rule(lambda v: type(v) is bool, "must be true or false")
Count = Annotated[int, whole(1)]
Positive = Annotated[float, number(above=0)]
NonNegative = Annotated[float, number(least=0)]
Seed = Annotated[int, SEED]


def check(part: object, owner: str) -> None:
    """Raises ConfigError for the first constructor argument of `part` that breaks the rule in its annotation.

    `part` keeps each such argument as an attribute of the same name; `owner` stands before the name, as in
    `schedule.length`. An argument without a rule is not checked. When the annotation allows None, None passes.
    """
    for name, rule in rules_of(type(part)):
        rule.check(f"{owner}.{name}", getattr(part, name))


def rules_of(kind: type) -> Iterator[tuple[str, Rule]]:
    """(name, rule) of the constructor arguments of a class whose annotations hold a rule."""
    for name, parameter in inspect.signature(kind, eval_str=True).parameters.items():
        annotations = (parameter.annotation, *get_args(parameter.annotation))
        rule = next((note for given in annotations for note in metadata(given) if isinstance(note, Rule)), None)
        if rule is not None:
            yield name, optional(rule) if type(None) in annotations else rule


def metadata(annotation: Any) -> tuple[Any, ...]:
    """The objects beside the type in `Annotated[type, ...]`."""
    return getattr(annotation, "__metadata__", ())
