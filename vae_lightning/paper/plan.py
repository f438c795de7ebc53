"""The runs that a budget of a row pays for: their words, their folders, and what is known of them already."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_lightning.app.row import Row, last_of_each
from vae_lightning.app.space import worded
from vae_lightning.runs.configuration import key_of
from vae_lightning.runs.digest import sha256
from vae_lightning.runs.readings import mapping
from vae_lightning.runs.regular import json_of
from vae_lightning.runs.run import Run

QUICK = ("report=false", "~callbacks.reconstruction_grid", "~callbacks.sample_grid", "~callbacks.latent_traversal")
QUICK += ("~callbacks.latent_usage",)  # evaluate counts the active units
DONE = "reproduced.json"  # in a run's folder: the evaluations that are done, and what they took


@dataclass(frozen=True)
class Planned:
    """A run that a budget pays for: its words, those of its evaluation, and its folder below `root`."""

    name: str
    seed: int
    words: Sequence[str]
    evaluation: Sequence[str]
    root: Path
    trials: Sequence["Planned"] = ()  # that chose the value of the row's key

    @property
    def said(self) -> str:
        """Its words, as a result names them: without the place of the data and without what only saves time."""
        return " ".join(word for word in self.words if word not in QUICK and key_of(word) != "data.dir")

    @property
    def data_dir(self) -> list[str]:
        """The place of the data, as `evaluate` takes it."""
        return [word.replace("data.dir=", "data_dir=", 1) for word in self.words if key_of(word) == "data.dir"]

    @property
    def folder(self) -> Path:
        """Named after the run, its seed and its words, without the place of the data: other words are another run."""
        words = [word for word in self.words if key_of(word) != "data.dir"]
        return self.root / f"{slug(self.name)}-seed{self.seed}-{sha256(' '.join(words).encode())[:8]}"

    @property
    def run(self) -> Run:
        return Run(self.folder)


def slug(text: str) -> str:
    """A text as a name of a folder."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.")


def planned(row: Row, budget: str, root: Path, data: str) -> list[Planned]:
    """All runs of a budget; those of one seed follow each other. A key that is chosen is not among the words yet."""
    pairs = [(seed, name) for seed in row.budgets[budget].seeds for name in row.names(budget)]
    return [
        Planned(name, seed, placed(row.words(name, budget), seed, data), row.evaluation(name, budget), root)
        for seed, name in pairs
    ]


def placed(words: Sequence[str], seed: int, data: str) -> list[str]:
    """The words with seed and data. DATA in a word is the folder of the data: without one, that of `train`."""
    words = last_of_each([*QUICK, *words, f"seed={seed}"])
    if not any("DATA" in each for each in words):
        return [*words, *([word("data.dir", data)] if data and "experiment=ppca" not in words else [])]
    folder = data or usual_folder()
    split = (each.partition("=") for each in words)
    return [
        word(key, value.replace("DATA", folder)) if "DATA" in value else key + equals + value
        for key, equals, value in split
    ]


def usual_folder() -> str:
    """Where `train` looks for data."""
    from vae_lightning.data.from_files import CACHE  # brings torch along

    return os.environ.get("VAE_LIGHTNING_DATA", CACHE)


def word(key: str, path: str | Path) -> str:
    """KEY=PATH as Hydra reads it."""
    return f"{key}={worded(str(path))}"


def evaluation_of(one: Planned) -> Mapping[str, Any]:
    """What the evaluation of the run said, if it had the words of today; else nothing."""
    kept = mapping(json_of(one.folder / DONE))
    return kept if kept.get("words") == list(one.evaluation) else {}
