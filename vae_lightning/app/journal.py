"""The journal of an Optuna study: a text file of JSON lines that Optuna appends to.

A killed process leaves whole lines, and a file system without locks of ranges, such as NFS, holds it, too. Nothing in
it is a pickle. Optuna is imported when a study begins. Imports neither torch nor Lightning.
"""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from vae_lightning.errors import CheckpointError, ConfigError
from vae_lightning.runs.files import JOURNAL
from vae_lightning.runs.regular import content_of

NAME = "vae_lightning"  # of the study in its journal
MOST_JOURNAL = 2**28  # bytes


def library() -> Any:
    """The package optuna, which prints only warnings. Raises ConfigError where it is not installed."""
    try:
        import optuna  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigError("sweep=optuna: not installed; pip install 'vae-lightning[optuna]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def storage_of(folder: Path) -> Any:
    """Optuna's storage of the journal in a folder."""
    storages = library().storages
    path = str(folder / JOURNAL)
    lock = storages.journal.JournalFileOpenLock(path)
    return storages.JournalStorage(storages.journal.JournalFileBackend(path, lock_obj=lock))


def sampler_of(seed: int) -> Any:
    """Optuna's sampler TPE, whose real numbers have four digits: a name, a command and a table show them whole."""
    optuna = library()

    class Rounding(optuna.samplers.TPESampler):
        def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
            values = super().sample_relative(study, trial, search_space)
            return {name: rounded(value, search_space[name]) for name, value in values.items()}

        def sample_independent(self, study: Any, trial: Any, param_name: str, param_distribution: Any) -> Any:
            value = super().sample_independent(study, trial, param_name, param_distribution)
            return rounded(value, param_distribution)

    return Rounding(seed=seed)


def rounded(value: Any, distribution: Any) -> Any:
    """A real number with four digits, inside its range; any other value, and one on a grid, as it is."""
    if not isinstance(value, float) or getattr(distribution, "step", None) is not None:
        return value
    return min(max(float(f"{value:.4g}"), distribution.low), distribution.high)


def mend(journal: Path) -> None:
    """Cuts off a last line that a full disk or a power failure left torn, and removes a lock of a killed process."""
    if journal.is_symlink():
        raise CheckpointError(f"{journal}: is a link; move the study itself to its place")
    if not journal.exists():
        return
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    content = content_of(journal, MOST_JOURNAL)
    whole = content.rfind(b"\n") + 1
    for number, line in enumerate(content[:whole].splitlines(), 1):
        try:
            json.loads(line)
        except ValueError:
            raise CheckpointError(
                f"{journal}, line {number}: damaged; begin another study with sweep.name=NAME"
            ) from None
    if whole < len(content):
        os.truncate(journal, whole)


class Reports:
    """A trial of a study, for the callback `Pruning` of its run. The study is read when the first value is reported."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number

    @cached_property
    def _trial(self) -> Any:
        optuna = library()
        options = {"sampler": optuna.samplers.RandomSampler(), "pruner": optuna.pruners.MedianPruner()}
        study = optuna.load_study(study_name=NAME, storage=storage_of(self.folder), **options)
        return optuna.trial.Trial(study, study.get_trials(deepcopy=False)[self.number]._trial_id)

    def report(self, value: float, step: int) -> None:
        """Keeps a value. A resumed run may repeat a step; its first value stays."""
        known = self._trial.study.get_trials(deepcopy=False)[self.number].intermediate_values
        if step not in known:
            self._trial.report(value, step)

    def should_prune(self) -> bool:
        """Whether the trial is worse than the median of the others after as many reports."""
        return bool(self._trial.should_prune())
