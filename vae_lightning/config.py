"""The configuration: where its YAML files are, what its root keys may be, and the names composed from it.

Imports neither torch nor Lightning, so that a mistake is answered at once.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.errors import ConfigError

HERE = Path(__file__).resolve().parent
CONF = next(path for path in (HERE / "conf", HERE.parent / "conf") if path.is_dir())

Rule = tuple[Callable[[Any], bool], str]


def whole(least: int, most: float = math.inf) -> Rule:
    """A whole number in [least, most]."""
    upper = f" and <= {most}" if math.isfinite(most) else ""
    return (lambda v: type(v) is int and least <= v <= most, f"must be a whole number >= {least}{upper}")


def number(holds: Callable[[float], bool], must: str) -> Rule:
    """A finite number for which `holds`."""
    return (lambda v: type(v) in (int, float) and math.isfinite(v) and holds(v), f"must be a finite number {must}")


RULES: dict[str, Rule] = {
    "seed": whole(0, 2**32 - 1),
    "epochs": whole(1),
    "batch_size": whole(1),
    "lr": number(lambda v: v > 0, "> 0"),
    "beta": number(lambda v: v >= 0, ">= 0"),
    "hidden_dim": (lambda v: v is None or (type(v) is int and v >= 1), "must be a whole number >= 1, or null"),
    "date_prefix": (lambda v: type(v) is bool, "must be true or false"),
    "save_weights": (lambda v: type(v) is bool, "must be true or false"),
}


def check(cfg: DictConfig) -> None:
    """Raises ConfigError for the first root key that cannot be what its name says."""
    check_keys(cfg, RULES)


def check_keys(cfg: DictConfig, rules: Mapping[str, Rule]) -> None:
    """Raises ConfigError for the first of the keys, dotted ones too, that breaks its rule."""
    for key, (holds, must) in rules.items():
        value = OmegaConf.select(cfg, key)
        if not holds(value):
            raise ConfigError(f"{key}={value}: {must}")


def name_run(cfg: DictConfig, choices: Mapping[str, str]) -> tuple[str, str]:
    """Group and name of the run, composed where they are empty: mnist-lat20-bce-beta1-none-mean and seed42."""
    protocol = cfg.data.get("protocol", "grey")  # results of two are never compared
    protocol = "" if protocol == "grey" else f"-{protocol}"
    bound = "" if choices["bound"] == "elbo" else f"-{choices['bound']}"
    composed = (
        f"{choices['data']}{protocol}-lat{cfg.latent.dim}-{choices['loss']}-beta{cfg.beta:g}-{choices['schedule']}"
        f"-{cfg.loss.reduction}{bound}"
    )
    return str(cfg.group or composed), str(cfg.name or f"seed{cfg.seed}")
