"""What Hydra composes is checked before Hydra acts on it: it makes folders, sets variables and builds objects itself.

A YAML file of somebody else may have written any of it. Imports neither torch nor Lightning.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import hydra._internal.hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from vae_lightning.app import launchers
from vae_lightning.app.trust import ALLOWED, check_targets
from vae_lightning.errors import ConfigError, shown
from vae_lightning.options import CONF
from vae_lightning.runs.configuration import at, key_of, leaves

OF_HYDRA = ("hydra.", "hydra_plugins.")  # its launchers and sweepers
FOLDERS = ("run.dir", "output_subdir", "sweep.dir", "sweep.subdir", "job.chdir")  # Hydra's keys
LOGS = ("job_logging", "hydra_logging")
HANDLERS = ("logging.StreamHandler", "logging.NullHandler")
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")


class CheckedLoader(ConfigLoaderImpl):
    """Hydra's loader, which composes the configuration of a run and of each job of a sweep."""

    def load_configuration(self, config_name: Any, overrides: list[str], *arguments: Any, **options: Any) -> DictConfig:
        cfg = super().load_configuration(config_name, overrides, *arguments, **options)
        check_composed(cfg, overrides)
        return cfg


def install() -> None:
    """Has Hydra compose with `CheckedLoader`, and look for plugins among the installed packages only."""
    hydra._internal.hydra.ConfigLoaderImpl = CheckedLoader  # type: ignore[misc]
    with without_working_folder():
        Plugins.instance()
    for path in CONF.glob("hydra/*/*.yaml"):  # takes the place of a plugin's option, which Hydra would merge with it
        ConfigStore.instance().repo["hydra"].get(path.parent.name, {}).pop(path.name, None)


@contextmanager
def without_working_folder() -> Iterator[None]:
    """Imports nothing from the working folder, which `python -m` puts first: it may hold a folder `hydra_plugins`."""
    before = list(sys.path)
    here = Path.cwd()
    sys.path[:] = [place for place in before if place and Path(place).resolve() != here.resolve()]
    try:
        yield
    finally:
        sys.path[:] = before


def check_composed(cfg: DictConfig, words: Sequence[str]) -> None:
    """Raises ConfigError for what only the user may say, where a file says it; `words` are those of the command line.

    That is `allow_targets`, and of Hydra's own keys: folders, environment variables, logs that are more than lines on
    a stream, classes of packages that are not allowed, and programs, files and addresses of a launcher.
    """
    said = {key_of(word) for word in words}
    values: Any = OmegaConf.to_container(cfg, resolve=False)
    trusted = values.get("allow_targets") or []
    if trusted and "allow_targets" not in said:
        raise ConfigError(
            f"allow_targets={shown(trusted)}: a file says it; only the command line may: it names the "
            "packages that you trust"
        )
    own = values.get("hydra", {})
    for key in FOLDERS:
        if at(own, key) not in (None, *(at(ours, key) for ours in ours_of_hydra())):
            raise ConfigError(
                f"hydra.{key}={shown(at(own, key))}: Hydra makes no folders here; take it out of the file"
            )
    for key in ("job.env_set", "job.env_copy"):
        if at(own, key) and not any(word.startswith(f"hydra.{key}") for word in said):
            raise ConfigError(f"hydra.{key}={shown(at(own, key))}: a file says it; only the command line may")
    for log in LOGS:
        check_log(f"hydra.{log}", own.get(log) or {})
    launchers.check(own, words)
    check_targets({"hydra": own}, [*ALLOWED, *OF_HYDRA, *(trusted if isinstance(trusted, list) else [])])


@cache
def ours_of_hydra() -> list[Any]:
    """What conf/ says of Hydra's own keys, for each command."""
    files = [OmegaConf.to_container(OmegaConf.load(path)) for path in sorted(CONF.glob("*.yaml"))]
    return [file["hydra"] for file in files if isinstance(file, dict) and "hydra" in file]


def check_log(place: str, log: Mapping[str, Any]) -> None:
    """Raises ConfigError for a log that calls a function of the file's choice, or writes anything but lines."""
    for key, value in leaves(log):
        name = key.rpartition(".")[2]
        calls = name in ("()", "factory") or (name == "class" and value not in HANDLERS)
        refers = any(mark in str(value) for mark in ("://", "${")) and value not in STREAMS
        if calls or refers:
            raise ConfigError(
                f"{place}.{key}={shown(value)}: a log may only write lines to a stream ({', '.join(HANDLERS)}); "
                "take it out of the file"
            )
