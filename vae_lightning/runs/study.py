"""study.json: the trials of an Optuna study for the page of its sweep, which needs no Optuna. Nothing here raises."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.files import STUDY
from vae_lightning.runs.readings import finite, mapping, sequence, text, whole
from vae_lightning.runs.regular import json_of


@dataclass(frozen=True)
class Trial:
    """One trial. Its state is complete, pruned, fail or running; `status` says more of one that failed."""

    number: int
    state: str
    status: str
    value: float | None
    params: Mapping[str, str]


@dataclass(frozen=True)
class Study:
    """A study as its page shows it. `importance` is {key: share}.

    `best` and `own` are the numbers of the best trial and of the one with the configuration's own values.
    """

    metric: str
    direction: str
    asked: int
    trials: tuple[Trial, ...]
    best: int | None
    own: int | None
    importance: Mapping[str, float]


def write_study(folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes study.json atomically. `facts` are the fields of `Study` as plain values."""
    write_text(folder / STUDY, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def read_study(folder: Path) -> Study | None:
    """The study of a folder; None where it has none. A malformed trial or value is left out."""
    facts = mapping(json_of(folder / STUDY))
    metric = text(facts.get("metric"))
    if metric is None:
        return None
    trials = tuple(filter(None, (trial_of(mapping(one)) for one in sequence(facts.get("trials")))))
    shares = {key: finite(share) for key, share in mapping(facts.get("importance")).items()}
    return Study(
        metric,
        "minimize" if facts.get("direction") == "minimize" else "maximize",
        whole(facts.get("asked")) or len(trials),
        trials,
        whole(facts.get("best")),
        whole(facts.get("own")),
        {key: share for key, share in shares.items() if share is not None and share >= 0},
    )


def trial_of(facts: Mapping[str, Any]) -> Trial | None:
    """One trial, or None."""
    number, state = whole(facts.get("number")), text(facts.get("state"))
    if number is None or state is None:
        return None
    params = {key: str(text(value)) for key, value in mapping(facts.get("params")).items()}
    return Trial(number, state, text(facts.get("status")) or state, finite(facts.get("value")), params)
