"""Published numbers whose setting and protocol are those of a run, for its page."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from yaml import YAMLError

from vae_lightning.app import rows
from vae_lightning.app.facts import GROUPS, composed
from vae_lightning.app.row import Published, Row
from vae_lightning.app.row_reading import row_of
from vae_lightning.errors import ConfigError
from vae_lightning.runs.configuration import NOT_THE_RUN, among, at, differences, key_of
from vae_lightning.runs.run import Run

FREE = (*NOT_THE_RUN, "seed", "data.seed", "data.allow_subset", "logger")  # keys that no published number depends on


def published_for(run: Run) -> list[dict[str, Any]]:
    """{"row", "source", "number", "value", "others", "ours"} of each published value of the run's setting.

    `ours` is None where the run has not measured that number. A row with a mistake costs no page: `reproduce` names it.
    """
    found = []
    for name in rows.names():
        with suppress(ConfigError, YAMLError):
            row = row_of(name, *rows.row(name))
            found += [shown(row, each, run) for each in row.published if any(of_setting(row, each, run))]
    return found


def of_setting(row: Row, each: Published, run: Run) -> Iterator[bool]:
    """For each budget that is held to a published value: whether the run has the setting of that budget."""
    free = [row.choose.key] if row.choose else []
    for budget in each.tolerance:
        if each.run in row.names(budget):
            yield has_setting(run, row.words(each.run, budget), free)


def has_setting(run: Run, words: Sequence[str], free: Sequence[str]) -> bool:
    """Whether a run has the configuration that words give, but for the `free` keys, its place and its pictures."""
    known = {**dict.fromkeys(GROUPS), **run.choices, "epochs": str(run.config.get("epochs"))}
    said = {key_of(word): word.partition("=")[2] for word in words}
    if any(key in known and known[key] != value for key, value in said.items()):
        return False  # most runs end here, without a composition
    asked = composed([word for word in words if not word.startswith("hydra.")], run.config)
    if asked is None:
        return False
    keys = [key for key in differences(asked, run.config) if not among(key, [*FREE, *free])]
    left_out = [key for key in keys if key.startswith("callbacks.") and at(run.config, key) is None]
    return len(keys) == len(left_out)


def shown(row: Row, each: Published, run: Run) -> dict[str, Any]:
    """A published value beside the run's own."""
    metric = row.numbers[each.number]
    measured = {str(result.get("name")): result.get("value") for result in run.evaluation}
    ours = run.metrics.get(metric) if "/" in metric else measured.get(metric)
    texts = {"row": row.name, "source": row.source, "number": each.number, "others": each.others}
    return {**texts, "value": each.value, "ours": ours}
