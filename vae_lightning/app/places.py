"""The paths of a configuration: `~` is read once, file names stay in their folder, other folders are known by name."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_lightning.errors import CheckpointError, ConfigError, shown
from vae_lightning.runs.configuration import leaves
from vae_lightning.runs.place import at_home

# The keys that may read an environment variable.
FOLDERS = ("project_dir", "save_dir", "resume", "data.dir", "data.cache_dir")
LATE = ("callbacks", "logger", "trainer")  # the groups whose parts write, once the run folder is claimed
FILE_NAMES = ("filename", "prefix", "name", "version", "sub_dir")  # the last words of their keys
FOLDER_NAMES = ("dirpath", "save_dir", "default_root_dir", "root_dir", "log_dir", "dir")
NO_PATHS = ("group", "name", "project", "entity", "tags", "pattern")


def settled(cfg: DictConfig) -> DictConfig:
    """The configuration itself, each path in it with the home folder in place of `~`.

    Raises ConfigError where the user after `~` does not exist, and for the address of a folder on another machine:
    Lightning would write there, and the rest of the program here.
    """
    for key, value in leaves(OmegaConf.to_container(cfg)):
        if key.rpartition(".")[2] in NO_PATHS:
            continue
        value = known(cfg, key, value) if key in FOLDERS else value
        items = value if isinstance(value, list) else [value]
        if key in FOLDERS and re.match(r"\w{2,}:/", str(value)):
            raise ConfigError(f"{key}={shown(value)}: must be a folder of this machine, not an address")
        whole = [at_home(item, f"{key}={shown(item)}") if isinstance(item, str) else item for item in items]
        if whole != items:
            OmegaConf.update(cfg, key, whole if isinstance(value, list) else whole[0])
    return cfg


def known(cfg: DictConfig, key: str, value: Any) -> Any:
    """The value of a key once interpolations are resolved; `value` where they cannot be resolved yet."""
    if "${" in str(value):
        with suppress(OmegaConfBaseException):
            return OmegaConf.select(cfg, key)
    return value


def check_file_names(cfg: DictConfig, values: Mapping[str, Any]) -> None:
    """Raises ConfigError for a file name of a callback, logger or profiler that leads out of its folder.

    `values` are the plain values of `cfg`, not resolved.
    """
    for key, value in late_leaves(values, FILE_NAMES):
        name = str(known(cfg, key, value))
        for path in (PurePosixPath(name), PureWindowsPath(name)):
            if ".." in path.parts or path.is_absolute():
                raise ConfigError(f"{key}={shown(name)}: a file name stays in its folder; name another folder instead")


def late_leaves(config: Any, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """(dotted key, text) of the parts that write, for keys whose last word is one of `names`."""
    parts = {group: config.get(group) for group in LATE if isinstance(config.get(group), Mapping)}
    for key, value in leaves(parts):
        if key.rpartition(".")[2] in names and isinstance(value, str):
            yield key, value


def outside(config: Mapping[str, Any]) -> dict[str, str]:
    """{key: folder} of the folders outside of the run folder that the parts of a resolved configuration write into."""
    home = os.path.abspath(str(config.get("run_dir")))
    folders = {key: os.path.abspath(value) for key, value in late_leaves(config, FOLDER_NAMES)}
    return {key: folder for key, folder in folders.items() if not f"{folder}/".startswith(f"{home}/")}


def check_said(config: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raises CheckpointError for a folder outside of a run that is resumed, unless the command `asked` for it, too.

    The record of the run may be that of a stranger. Both configurations are resolved, in the same run folder.
    """
    said = outside(asked)
    for key, folder in outside(config).items():
        if said.get(key) != folder:
            raise CheckpointError(
                f"resume={config['run_dir']}: it also writes into {folder}; to allow that, say ++{key}={folder}"
            )
