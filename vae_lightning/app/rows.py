"""The rows of conf/reproduce/ as plain values, for the reproduce command."""

from typing import Any

from omegaconf import OmegaConf

from vae_lightning.errors import ConfigError, did_you_mean, shown
from vae_lightning.options import CONF

FOLDER = CONF / "reproduce"


def names() -> list[str]:
    """The names of all rows."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def row(name: str) -> tuple[str, dict[str, Any]]:
    """The first comment of a row's file, which is its title, and its values. Raises ConfigError for an unknown name."""
    if name not in names():
        raise ConfigError(f"{shown(name)}: no such row; {did_you_mean(name, names())}")
    path = FOLDER / f"{name}.yaml"
    title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    values: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    return title, values
