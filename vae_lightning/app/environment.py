"""Environment variables in a configuration: a folder may be one, no other value, whatever way its text takes.

The record of a run keeps all values. A text such as `${oc.${group}:SECRET}` or `${data.dir}` does not show that it is a
variable, so the resolver itself looks where its value goes. Imports neither torch nor Lightning.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from vae_lightning.app.places import FOLDERS
from vae_lightning.errors import ConfigError, shown
from vae_lightning.runs.configuration import leaves

OF_COMMANDS = ("run", "runs", "folder", "output", "checkpoint", "data_dir", "hydra.sweep.dir")  # of the other commands
_closed: list["Closed"] = []  # the values that are being looked at


class Closed:
    """A key with its text, and why its value is refused: OmegaConf drops the causes of its errors."""

    def __init__(self, said: str) -> None:
        self.said, self.refusal = said, ""


def env(name: str, *default: Any, _node_: Any) -> Any:
    """OmegaConf's `oc.env` for folders. Raises ConfigError for a value of any other key, also through another key."""
    place = str(_node_._get_full_key(None)).partition("[")[0]
    if _closed or place not in (*FOLDERS, *OF_COMMANDS):
        refusal = (
            f"{_closed[-1].said if _closed else place}: an environment variable may name a folder only "
            f"({', '.join(FOLDERS)}), since values are kept in the run's record; say the value itself"
        )
        for value in _closed:
            value.refusal = refusal
        raise ConfigError(refusal)
    return oc.env(name, *default)


@contextmanager
def closed(said: str) -> Iterator[None]:
    """No value that is resolved in the block, that of the key in `said`, may come from an environment variable.

    Raises ConfigError where one does. Other errors of the resolution come up where the value is read.
    """
    value = Closed(said)
    _closed.append(value)
    try:
        with suppress(OmegaConfBaseException):
            yield
    finally:
        _closed.remove(value)
    if value.refusal:
        raise ConfigError(value.refusal)


def check_environment(cfg: DictConfig, values: Mapping[str, Any]) -> None:
    """Raises ConfigError for a key that is no folder and whose value comes from an environment variable.

    `values` are the plain values of `cfg`, not resolved.
    """
    probe = cfg.copy()
    OmegaConf.update(probe, "run_dir", ".", force_add=True)  # filled in later, and others contain it
    for key, value in leaves(values):
        if "${" in str(value) and key not in FOLDERS:
            with closed(f"{key}={shown(value)}"):
                node = OmegaConf.select(probe, key)
                if OmegaConf.is_config(node):
                    OmegaConf.to_container(node, resolve=True)


OmegaConf.register_new_resolver("oc.env", env, replace=True)
