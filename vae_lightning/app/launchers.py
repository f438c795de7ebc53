"""The launcher of a sweep as a configuration describes it: installed or not, what it may say, the threads of a job.

The options are in conf/hydra/launcher/. Imports neither torch nor Lightning.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from vae_lightning.app.mistakes import EXTRAS
from vae_lightning.app.trust import located
from vae_lightning.errors import ConfigError, shown
from vae_lightning.rules import Rule, optional, whole
from vae_lightning.runs.configuration import among, at, key_of, leaves

JOBLIB, LOCAL, SLURM, RAY = "JoblibLauncher", "LocalLauncher", "SlurmLauncher", "RayLauncher"  # their classes
ELSEWHERE = (LOCAL, SLURM, RAY)  # their jobs are no children of the command's process
SHARES = {"n_jobs": JOBLIB, "cpus_per_task": f"{LOCAL} {SLURM}", "ray.remote.num_cpus": RAY}  # {key: launchers}
RULES = {
    "n_jobs": Rule(lambda v: type(v) is int and v != 0, "must be the number of jobs at once, or -1 for all cores"),
    "cpus_per_task": optional(whole(1)),
    "ray.remote.num_cpus": optional(whole(1)),
}
WORDS = ("partition", "qos", "account", "constraint", "exclude", "gres", "comment", "mem_per_gpu", "mem_per_cpu")
WORDS += ("prefer", "require", "backend", "pre_dispatch", "batch_size", "max_nbytes", "mmap_mode")
PLAIN = re.compile(r"[\w.,:*&|\[\]-]*")  # none of these characters ends a line of sbatch's script
PLUGINS = {"address": "local", "submitit_folder": "${hydra.sweep.dir}/.submitit/%j", "name": "${hydra.job.name}"}


def kind(launcher: Any) -> str:
    """The name of the launcher's class, such as JoblibLauncher."""
    return str(OmegaConf.select(launcher, "_target_") or "").rpartition(".")[2] if launcher else ""


def check(hydra_values: Mapping[str, Any], words: Sequence[str]) -> None:
    """Raises ConfigError for a launcher that is not installed, a number it cannot have, and what only a user may say.

    `hydra_values` are the plain values of Hydra's node, and `words` are those of the command line.
    """
    launcher = hydra_values.get("launcher")
    if not isinstance(launcher, Mapping) or "_target_" not in launcher:
        return
    target = str(launcher["_target_"])
    option = str((at(hydra_values, "runtime.choices") or {}).get("hydra/launcher"))
    if target.startswith("hydra_plugins.") and located(target, "hydra.launcher._target_") is None and option in EXTRAS:
        raise ConfigError(f"hydra/launcher={option}: not installed; pip install {EXTRAS[option]}")
    for key, rule in RULES.items():
        if (value := at(launcher, key)) is not None:
            rule.check(f"hydra.launcher.{key}", value)
    said = [key_of(word) for word in words]
    for key, value in leaves(launcher):
        key = f"hydra.launcher.{key}"
        if not is_plain(key, value) and not among(key, said):
            raise ConfigError(f"{key}={shown(value)}: a file says it; only the command line may")


def is_plain(key: str, value: Any) -> bool:
    """Whether a file may say a value: one that starts no program, and names no file and no other machine."""
    name = key.rpartition(".")[2]
    if value in (None, [], {}) or isinstance(value, bool | int | float) or name == "_target_":
        return True  # `check_targets` looks at the class
    return value == PLUGINS.get(name) or (name in WORDS and PLAIN.fullmatch(str(value)) is not None)


def threads(launcher: Any) -> int | None:
    """The threads of one job: its share of the cores. None where the launcher says nothing of it.

    OMP_NUM_THREADS of the environment comes first, as everywhere.
    """
    share = next((OmegaConf.select(launcher, key) for key, kinds in SHARES.items() if kind(launcher) in kinds), None)
    if share is None:
        return None
    if (said := os.environ.get("OMP_NUM_THREADS", "")).isdecimal() and int(said) > 0:
        return int(said)
    return share_of_one(int(share)) if kind(launcher) == JOBLIB else int(share)


def share_of_one(jobs: int) -> int:
    """Cores / jobs, at least 1. A negative number of jobs counts from the number of cores, as joblib counts."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // (jobs if jobs > 0 else max(1, cores + 1 + jobs)))


def share_cores() -> None:
    """Gives torch the threads of one job, in a job of a sweep."""
    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode == RunMode.MULTIRUN and (number := threads(hydra_cfg.launcher)) is not None:
        sys.modules["torch"].set_num_threads(number)
