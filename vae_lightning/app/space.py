"""The search space of a study: a range or some choices for each key of the configuration that the study chooses.

A range is {low, high} of two numbers, whole ones if both are whole, with log or step. Choices are options of a group or
other values. `sweep.space` holds them below their keys, which may be dotted or nested.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from vae_lightning.errors import ConfigError, shown
from vae_lightning.rules import is_number, number

FIELDS = ("low", "high", "log", "step", "choices")
PLACE = "sweep.space"
WORDS = ("true", "false", "null", "nan", "inf")  # that Hydra does not read as texts


@dataclass(frozen=True)
class Range:
    """The numbers from low to high; whole numbers if low, high and step are whole."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def probes(self) -> tuple[str, ...]:
        """The first and the last value of a trial, as words."""
        kind = int if self.is_whole else float
        return repr(kind(self.low)), repr(kind(self.high))

    @property
    def is_whole(self) -> bool:
        return all(type(value) is int for value in (self.low, self.high, self.step or 1))

    def suggested(self, trial: Any, key: str) -> str:
        """The trial's value, as a word."""
        if self.is_whole:
            step = int(self.step or 1)
            return repr(trial.suggest_int(key, int(self.low), int(self.high), step=step, log=self.log))
        return repr(trial.suggest_float(key, self.low, self.high, step=self.step, log=self.log))

    def value_of(self, value: Any) -> Any:
        """A value of the configuration as a value of this range; None if it is not in there."""
        if not is_number(value) or not self.low <= value <= self.high or (self.is_whole and value != int(value)):
            return None
        on_grid = self.step is None or abs((value - self.low) / self.step % 1 - 0.5) > 0.5 - 1e-9
        return (int(value) if self.is_whole else float(value)) if on_grid else None


@dataclass(frozen=True)
class Choices:
    """Some values, as the words that say them."""

    choices: tuple[str, ...]

    @property
    def probes(self) -> tuple[str, ...]:
        return self.choices

    def suggested(self, trial: Any, key: str) -> str:
        """The trial's value, as a word."""
        return str(trial.suggest_categorical(key, self.choices))

    def value_of(self, value: Any) -> Any:
        """A value of the configuration as one of the choices, or None."""
        return worded(value) if worded(value) in self.choices else None


Space = Mapping[str, Range | Choices]


def space_of(node: Any) -> Space:
    """The space that plain values describe. Raises ConfigError, with the key, for what is no range and no choice."""
    found = {key: dimension(key, values) for key, values in described(node)}
    if not found:
        raise ConfigError(f"{PLACE}: has no range; name one, such as '+{PLACE}.lr={{low:0.0001,high:0.01,log:true}}'")
    return found


def described(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(dotted key, its fields). A null takes a key out of the space."""
    if not isinstance(node, dict):
        raise refused(path, node)
    node = {key: value for key, value in node.items() if value is not None}
    own = {key: value for key, value in node.items() if not isinstance(value, dict)}
    below = {key: value for key, value in node.items() if isinstance(value, dict)}
    if path and (own or not below):
        yield path, own
    elif own:
        raise refused(*next(iter(own.items())))
    for key, value in below.items():
        yield from described(value, f"{path}.{key}" if path else str(key))


def refused(key: str, value: Any) -> ConfigError:
    """The answer to a value that is neither a range nor some choices."""
    place = f"{PLACE}.{key}" if key else PLACE
    return ConfigError(f"{place}={shown(value)}: must be low and high, with log or step, or choices")


def dimension(key: str, values: Mapping[str, Any]) -> Range | Choices:
    """The range or the choices of one key."""
    for name in (name for name in values if name not in FIELDS):
        raise refused(f"{key}.{name}", values[name])
    if "choices" in values:
        return choices_of(key, values)
    place = f"{PLACE}.{key}"
    for name in ("low", "high"):
        if name not in values:
            raise ConfigError(f"{place}: has no {name}; a range is low and high, with log or step; or say choices")
        number().check(f"{place}.{name}", values[name])
    made = Range(values["low"], values["high"], values.get("log", False), values.get("step"))
    check_range(place, made)
    return on_grid(made)


def on_grid(made: Range) -> Range:
    """The range whose high end is a step: {low: 2, high: 9, step: 3} ends at 8."""
    if made.step is None:
        return made
    low, high, step = (Decimal(str(value)) for value in (made.low, made.high, made.step))
    last = low + (high - low) // step * step
    return made if last == high else replace(made, high=int(last) if made.is_whole else float(last))


def check_range(place: str, made: Range) -> None:
    """Raises ConfigError for a range that is empty, or whose log or step cannot work."""
    if made.low > made.high:
        raise ConfigError(f"{place}: low={made.low} is above high={made.high}; exchange them")
    if made.low == made.high:
        raise ConfigError(f"{place}: low and high are both {made.low}, so there is nothing to choose; widen the range")
    if type(made.log) is not bool:
        raise ConfigError(f"{place}.log={shown(made.log)}: must be true or false")
    if made.log and made.low <= 0:
        raise ConfigError(f"{place}.low={made.low}: must be > 0 with log=true; raise it, or leave out log")
    if made.step is None:
        return
    number(above=0).check(f"{place}.step", made.step)
    if made.log:
        raise ConfigError(f"{place}.step={made.step}: does not go together with log=true; leave out one of them")
    if made.step > made.high - made.low:
        raise ConfigError(f"{place}.step={made.step}: must be <= high - low = {made.high - made.low:g}")


def choices_of(key: str, values: Mapping[str, Any]) -> Choices:
    """The choices of one key: two different values at least."""
    place, said = f"{PLACE}.{key}", values["choices"]
    if len(values) > 1:
        other = next(name for name in values if name != "choices")
        raise ConfigError(f"{place}.{other}={shown(values[other])}: does not go together with choices; leave out one")
    words = tuple(worded(value) for value in said) if isinstance(said, list) else ()
    if len(set(words)) < 2 or len(set(words)) < len(words):
        raise ConfigError(f"{place}.choices={shown(said)}: must be a list of two different values or more")
    return Choices(words)


def worded(value: Any) -> str:
    """A plain value as the right side of key=value, in Hydra's grammar."""
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_/][\w./+-]*", value, re.ASCII) and value.lower() not in WORDS
        quoted = re.sub(r"\\+(?='|\Z)", r"\g<0>\g<0>", value).replace("'", "\\'")  # only these escape anything
        return value if plain else f"'{quoted}'"
    return repr(value) if is_number(value) else json.dumps(value, ensure_ascii=False)


def stored(space: Space) -> dict[str, Any]:
    """The space as plain values, as a study keeps it."""
    return json.loads(json.dumps({key: asdict(part) for key, part in space.items()}))
