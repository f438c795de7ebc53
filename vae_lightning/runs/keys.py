"""The configuration keys that a set of runs was swept over, and the runs that differ only in their seed.

Keys are dotted; values are compared and shown as short texts.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from vae_lightning.runs.configuration import NOT_THE_RUN, among, comparable, key_of, leaves, without_place

SEED, TARGET = "seed", "._target_"
ASIDE = (*NOT_THE_RUN, "logger", "save_weights")  # keys that say where a run is and what it logs
ABSENT = "–"
Columns = dict[str, tuple[str, ...]]  # key -> its value in each run


class Configured(Protocol):
    """A run with its configuration, its {group: option}, and the words of its command line."""

    @property
    def config(self) -> Mapping[str, Any]: ...

    @property
    def choices(self) -> Mapping[str, Any]: ...

    @property
    def overrides(self) -> tuple[str, ...]: ...


def flat(run: Configured) -> dict[str, str]:
    """{dotted key: value as text} of a run's configuration. The run's own folder reads RUN in every run.

    An override without a key in the configuration, such as experiment=iwae, is added.
    """
    here = str(run.config.get("run_dir") or "")
    pairs = {key: text(without_place(value, here), key) for key, value in leaves(dict(run.config)) if key}
    for override in run.overrides:
        key, value = key_of(override), override.partition("=")[2]
        if re.fullmatch(r"[\w/@.]+", key) and key.partition("/")[0].partition(".")[0] not in run.config:
            pairs.setdefault(key, value)
    return pairs


def text(value: Any, key: str = "") -> str:
    """The value of a key as the page shows it: 4 and not 4.0 where they are one value, a text without quotes."""
    return value if isinstance(value, str) else json.dumps(comparable(key, value), ensure_ascii=False, default=str)


def told_apart(configs: Sequence[Mapping[str, str]]) -> Columns:
    """{key: its value in each run} of the keys that differ between runs, in the order of the configuration.

    The seed, keys that repeat it, and keys that say where a run is do not count.
    """
    keys = dict.fromkeys(key for config in configs for key in config)
    columns = {key: tuple(config.get(key, ABSENT) for config in configs) for key in keys if not among(key, ASIDE)}
    seeds = tuple(config.get(SEED, ABSENT) for config in configs)
    return {
        key: column
        for key, column in columns.items()
        if len(set(column)) > 1 and not (column == seeds and key.rpartition(".")[2] == SEED)
    }


def swept(runs: Sequence[Configured]) -> list[str]:
    """The keys that a reader would say the runs were swept over.

    Keys that change together are one choice: beta, and not schedule.beta beside it. Of such keys those count that a
    command line names; `latent=z2` names the first key below `latent`. If it names none, the shortest counts. A choice
    of a class, or of several values at once, is called by its group: network, not network.hidden and
    network.activation. Keys that a named one decides fold into it: remedy, not bound and schedule beside it.
    """
    said = dict.fromkeys(key_of(override) for run in runs for override in run.overrides)
    differing = without_decided(with_choices(told_apart([flat(run) for run in runs]), runs, said), said)
    together: dict[tuple[int, ...], list[str]] = {}
    for key, column in differing.items():
        together.setdefault(pattern(column), []).append(key)
    chosen = {key for keys in together.values() for key in chosen_of(keys, said)}
    return [key for key in differing if key in chosen]


def with_choices(differing: Columns, runs: Sequence[Configured], said: Iterable[str]) -> Columns:
    """The columns, with one column of options in place of the keys that the options of a group explain.

    schedule.cycles is such a key, and so is its copy callbacks.beta_annealing.schedule.cycles. An option that differs
    from the others in a single value, as latent=z20 does, is shown by that value.
    """
    columns = dict(differing)
    for group in dict.fromkeys(key.partition(".")[0] for key in differing if "." in key):
        options = tuple(run.choices.get(group, "") for run in runs)
        below = [key for key in differing if among(key, [group])]
        explained = [key for key in below if explains(options, differing[key])]
        if not all(options) or not (len(explained) > 1 or f"{group}{TARGET}" in explained):
            continue
        mirrored = [key for key in differing if key.endswith(tuple(f".{name}" for name in explained))]
        gone = {*explained, *(key for key in mirrored if key not in said)}
        columns = {
            group if key == explained[0] else key: options if key == explained[0] else column
            for key, column in columns.items()
            if key == explained[0] or key not in gone
        }
    return {key.removesuffix(TARGET): column for key, column in columns.items()}


def without_decided(differing: Columns, said: Iterable[str]) -> Columns:
    """The columns without those that no command line names, and whose value a named key decides."""
    named = {key: column for key, column in differing.items() if any(among(key, [word]) for word in said)}
    return {
        key: column
        for key, column in differing.items()
        if key in named or not any(explains(options, column) for options in named.values())
    }


def explains(options: Sequence[str], column: Sequence[str]) -> bool:
    """Whether runs of the same option have the same value."""
    return len(set(zip(options, column, strict=True))) == len(set(options))


def pattern(column: Sequence[str]) -> tuple[int, ...]:
    """The same numbers for two columns that change together: (4, 1, 4) and (b, a, b) are both (0, 1, 0)."""
    numbers = {value: i for i, value in enumerate(dict.fromkeys(column))}
    return tuple(numbers[value] for value in column)


def chosen_of(keys: Sequence[str], said: Iterable[str]) -> list[str]:
    """For each override the key that it names, or the first key below it; if there is none, the shortest key.

    Of the named keys of one part, as schedule.length and schedule.unit, only the first counts.
    """
    place = {word: i for i, word in enumerate(said)}
    simple = sorted(keys, key=lambda key: (place.get(key, len(place)), key.count("."), len(key), key))
    named = [key for word in said if (key := next((key for key in simple if among(key, [word])), ""))]
    first_of_part = {key.rpartition(".")[0] or key: key for key in reversed(named)}
    return [key for key in dict.fromkeys(named) if key in first_of_part.values()] or simple[:1]


def value_of(run: Configured, config: Mapping[str, str], key: str) -> str:
    """The value of a key: of a group its option, else the last name of its class. `config` is `flat(run)`."""
    if key in config:
        return config[key]
    return run.choices.get(key) or config.get(f"{key}{TARGET}", ABSENT).rpartition(".")[2] or ABSENT
