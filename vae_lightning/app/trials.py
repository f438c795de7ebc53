"""The trial that this process runs: the job of a sweep whose values an Optuna study chose.

The task of such a sweep is a `Trials`, which a launcher sends to its workers. Imports neither torch nor Lightning.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vae_lightning.app.journal import Reports


@dataclass(frozen=True)
class Trials:
    """The task of each job of a study."""

    task: Callable[[DictConfig], Any]
    keys: tuple[str, ...]  # of the search space
    metric: str
    pruning: bool

    def __call__(self, cfg: DictConfig) -> Any:
        _running.append(self)
        try:
            return self.task(cfg)
        finally:
            _running.pop()


_running: list[Trials] = []  # at most one


def swept_keys() -> list[str] | None:
    """The keys whose values the study of this job chooses; None for a job of no study."""
    return list(_running[-1].keys) if _running else None


def number() -> int | None:
    """The number of this trial; None for a job of no study."""
    return int(HydraConfig.get().job.num) if _running else None


def callbacks() -> list[Any]:
    """The callback that prunes this trial; none for a job of no study, or of one that does not prune."""
    if not _running or not _running[-1].pruning:
        return []
    from vae_lightning.callbacks import Pruning

    trial = Reports(Path(HydraConfig.get().runtime.output_dir), number() or 0)
    return [Pruning(trial, _running[-1].metric)]
