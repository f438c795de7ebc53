"""Which configuration keys a set of runs was swept over, and the runs that differ in nothing but their seed.

Keys are dotted; values are compared and shown as short texts. Imports neither torch nor Lightning.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import yaml

from vae_lightning.config import CONF
from vae_lightning.pages.sweep_runs import SweptRun
from vae_lightning.runs.configuration import NOT_THE_RUN, leaves

SEED = "seed"
ASIDE = (*NOT_THE_RUN, "logger", "save_weights")  # where a run is and what it tells whom, not what it is
ABSENT = "–"


def flat(run: SweptRun) -> dict[str, str]:
    """{dotted key: value as text} of a run's configuration; the run's own folder reads RUN in every run.

    An override whose key is in no configuration, such as experiment=iwae, stands beside them.
    """
    here = str(run.config.get("run_dir") or "")
    pairs = {key: text(value, here) for key, value in leaves(dict(run.config)) if key}
    for override in run.overrides:
        key, _, value = override.lstrip("+~").partition("=")
        if re.fullmatch(r"[\w/@.]+", key) and key.partition("/")[0].partition(".")[0] not in run.config:
            pairs.setdefault(key, value)
    return pairs


def text(value: Any, here: str = "") -> str:
    """A value as it is shown: 4 and not 4.0, text without quotes."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shown.replace(here, "RUN") if here else shown


def told_apart(configs: Sequence[Mapping[str, str]]) -> dict[str, tuple[str, ...]]:
    """{key: its value in each run} of the keys that are not the same in all of them, in the configuration's order.

    Without the seed and what repeats it, and without what says only where a run is.
    """
    keys = dict.fromkeys(key for config in configs for key in config)
    columns = {key: tuple(config.get(key, ABSENT) for config in configs) for key in keys if not aside(key)}
    seeds = tuple(config.get(SEED, ABSENT) for config in configs)
    return {
        key: column
        for key, column in columns.items()
        if len(set(column)) > 1 and not (column == seeds and key.rpartition(".")[2] == SEED)
    }


def aside(key: str) -> bool:
    """Whether a key does not belong to what a run is."""
    return any(key == each or key.startswith(f"{each}.") for each in ASIDE)


def swept(runs: Sequence[SweptRun]) -> list[str]:
    """The keys a reader would say the runs were swept over.

    Keys that change together are one choice: beta, and not schedule.beta beside it. Of those the ones that a command
    line named, `latent=z2` naming the first below `latent`; where none was named, the shortest.
    """
    differing = told_apart([flat(run) for run in runs])
    together: dict[tuple[int, ...], list[str]] = {}
    for key, column in differing.items():
        numbered = {value: i for i, value in enumerate(dict.fromkeys(column))}
        together.setdefault(tuple(numbered[value] for value in column), []).append(key)
    said = dict.fromkeys(override.lstrip("+~").partition("=")[0] for run in runs for override in run.overrides)
    chosen = {key for keys in together.values() for key in chosen_of(keys, said)}
    return [key for key in differing if key in chosen]


def chosen_of(keys: Sequence[str], said: Iterable[str]) -> list[str]:
    """One key for each override that names one or the group above it (its class, if that is one), else the shortest."""
    simple = sorted(keys, key=lambda key: (key.count("."), not key.endswith("_target_"), len(key), key))
    named = [next((key for key in simple if key == each or key.startswith(f"{each}.")), None) for each in said]
    return list(dict.fromkeys(key for key in named if key)) or simple[:1]


def shown_key(key: str) -> str:
    """loss._target_ -> loss."""
    return key.removesuffix("._target_")


def shown_value(key: str, value: str) -> str:
    """The name of the option in place of its class: vae_lightning.loss.Bernoulli -> bce."""
    if not key.endswith("_target_"):
        return value
    group = key.removesuffix("._target_").replace(".", "/")
    return options(group).get(value) or value.rpartition(".")[2] or value


@cache
def options(group: str) -> Mapping[str, str]:
    """{class: option} of a configuration group, where one option has that class."""
    names: dict[str, list[str]] = {}
    for path in sorted((CONF / group).glob("*.yaml")) if re.fullmatch(r"[\w/]+", group) else ():
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        names.setdefault(str(content.get("_target_")), []).append(path.stem)
    return {target: found[0] for target, found in names.items() if len(found) == 1}
