"""An Optuna study: what it looks for, its trials, and how each trial ended. Imports neither torch nor Lightning."""

import json
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from vae_lightning.app.journal import NAME, library, mend, sampler_of, storage_of
from vae_lightning.app.space import Space, stored
from vae_lightning.errors import CheckpointError
from vae_lightning.rules import FLAG, Count, Positive, Rule, Seed, check, one_of
from vae_lightning.runs.configuration import NOT_THE_RUN, among, differences, leaves
from vae_lightning.runs.files import JOURNAL
from vae_lightning.runs.folder import check_name
from vae_lightning.runs.lock import Lock

LOCK = ".study.lock"
TEXT = Rule(lambda v: type(v) is str and v.strip() != "", "must be the name of a metric, such as val/elbo")


@dataclass(frozen=True)
class Settings:
    """The node `sweep` of sweep=optuna; `space` is read by `space_of`."""

    name: str
    metric: Annotated[str, TEXT]
    direction: Annotated[str, one_of(("maximize", "minimize"))]
    trials: Count
    timeout: Positive | None
    seed: Seed
    pruning: Annotated[bool, FLAG]

    def __post_init__(self) -> None:
        check(self, "sweep")
        check_name("sweep.name", str(self.name))


def settings_of(node: Mapping[str, Any]) -> Settings:
    """The settings in the node `sweep`. Raises ConfigError for the first key that breaks its rule."""
    return Settings(**{field.name: node[field.name] for field in fields(Settings)})


@dataclass(frozen=True)
class Study:
    """A study that this process holds."""

    folder: Path
    settings: Settings
    space: Space

    @cached_property
    def _study(self) -> Any:
        optuna = library()
        options = {"study_name": NAME, "storage": storage_of(self.folder), "load_if_exists": True}
        return optuna.create_study(direction=self.settings.direction, pruner=optuna.pruners.MedianPruner(), **options)

    def begin(self, config: Mapping[str, Any], drift: Sequence[str], first: Mapping[str, Any]) -> None:
        """Notes what is looked for, with which configuration. The first trial has the values `first`, if there are any.

        Raises CheckpointError where the study has trials of another search space, objective or configuration.
        """
        direction = self._study.direction.name.lower()
        asked = {"metric": self.settings.metric, "direction": self.settings.direction, "space": stored(self.space)}
        asked |= {"config": json.loads(json.dumps(config))}
        known = self._study.user_attrs.get(NAME)
        if known is None:
            self._study.set_user_attr(NAME, asked)
            if first:
                self._study.enqueue_trial(dict(first))
            known = asked
        check_same(self, {**known, "direction": direction}, asked, drift)

    @property
    def trials(self) -> list[Any]:
        """The trials so far, as Optuna's frozen trials. One that waits to begin is none yet."""
        return [trial for trial in self._study.get_trials(deepcopy=False) if trial.state.name != "WAITING"]

    @property
    def finished(self) -> int:
        return sum(trial.state.is_finished() for trial in self.trials)

    @property
    def in_flight(self) -> list[int]:
        """The numbers of the trials that began and did not end."""
        return [trial.number for trial in self.trials if not trial.state.is_finished()]

    @property
    def own(self) -> int | None:
        """The number of the trial that has the configuration's own values, or None."""
        return next((trial.number for trial in self.trials[:1] if trial.system_attrs.get("fixed_params")), None)

    @property
    def best(self) -> Any:
        """The completed trial with the best value, or None."""
        done = [trial for trial in self.trials if trial.state.name == "COMPLETE"]
        sign = 1 if self.settings.direction == "maximize" else -1
        return max(done, key=lambda trial: sign * trial.value, default=None)

    def ask(self) -> int:
        """The number of a new trial."""
        return self._study.ask().number

    def words(self, number: int) -> list[str]:
        """The words of a trial: what it already has, and the rest from a sampler of its own.

        Each trial has its own random numbers, so a study that was killed proposes what it would have proposed.
        """
        own = random.Random(f"{self.settings.seed}/{number}").getrandbits(32)
        self._study.sampler = sampler_of(own)
        trial = self._trial(number)
        return [f"{key}={part.suggested(trial, key)}" for key, part in self.space.items()]

    def _trial(self, number: int) -> Any:
        frozen = self._study.get_trials(deepcopy=False)[number]
        return library().trial.Trial(self._study, frozen._trial_id)

    def tell(self, number: int, state: str, value: float | None = None, **facts: Any) -> None:
        """Ends a trial: COMPLETE with its value, PRUNED or FAIL; `facts` stay with it."""
        trial = self._trial(number)
        for key, fact in facts.items():
            trial.set_user_attr(key, fact)
        state = library().trial.TrialState[state]
        self._study.tell(number, values=value, state=state)

    def importance(self) -> dict[str, float]:
        """{key: share} by PED-ANOVA, which share of the variance among good trials a key explains; maybe empty."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return dict(library().importance.get_param_importances(self._study))
        except (ValueError, RuntimeError, ZeroDivisionError):  # too few trials, or all alike
            return {}


@contextmanager
def opened(folder: Path, settings: Settings, space: Space) -> Iterator[Study]:
    """The study in a folder, held by this process; a new one where the folder has none.

    Raises CheckpointError where another process holds it, or where its journal is damaged or of another program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = Lock(folder, LOCK)
    lock.take()
    try:
        mend(folder / JOURNAL)
        yield Study(folder, settings, space)
    finally:
        lock.release()


def check_same(study: Study, known: Mapping[str, Any], asked: Mapping[str, Any], drift: Sequence[str]) -> None:
    """Raises CheckpointError where a study was begun with another search space, objective or configuration."""
    before, now = ({key.removeprefix("config."): value for key, value in leaves(dict(tree))} for tree in (known, asked))
    keys = [key for key in differences(before, now) if not among(key, (*NOT_THE_RUN, *drift))]
    changed = {key: f"{before.get(key)} -> {now.get(key)}" for key in keys}
    if changed:
        what = "search space" if any(key.startswith("space.") for key in changed) else "objective or configuration"
        named = ", ".join(f"{key}: {values}" for key, values in list(changed.items())[:3])
        raise CheckpointError(
            f"sweep.name={study.settings.name}: {study.folder} holds a study of another {what} ({named}); say the "
            "same, or begin another study with sweep.name=NAME"
        )
