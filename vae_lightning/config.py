"""The configuration: where its YAML files are, what its root keys may be, and the names composed from it.

Imports neither torch nor Lightning, so that a mistake is answered at once.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.arguments import RENAMED, renamed
from vae_lightning.errors import ConfigError, nearest, shown
from vae_lightning.rules import REDUCTION

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


TEXT: Rule = (lambda v: type(v) is str and v.strip() != "", "must not be empty")
TEXT_OR_NULL: Rule = (lambda v: v is None or str(v).strip() != "", "must not be empty; null lets it be composed")
FOLDER_OR_NULL: Rule = (lambda v: v is None or TEXT[0](v), "must be a folder, or null")
LIST: Rule = (lambda v: OmegaConf.is_list(v) and all(type(each) is str for each in v), "must be a list, such as [lr]")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "auto")
FOLDERS = ("project_dir", "save_dir", "resume", "data.dir")
RULES: dict[str, Rule] = {
    "seed": whole(0, 2**32 - 1),
    "epochs": whole(1),
    "batch_size": whole(1),
    "lr": number(lambda v: v > 0, "> 0"),
    "beta": number(lambda v: v >= 0, ">= 0"),
    "latent.dim": whole(1),
    "reduction": (REDUCTION.holds, str(REDUCTION.must)),
    "date_prefix": (lambda v: type(v) is bool, "must be true or false"),
    "save_weights": (lambda v: type(v) is bool, "must be true or false"),
    "report": (lambda v: type(v) is bool, "must be true or false"),
    "project_dir": (TEXT[0], "must be a folder"),
    "save_dir": FOLDER_OR_NULL,
    "group": TEXT_OR_NULL,
    "name": TEXT_OR_NULL,
    "resume": FOLDER_OR_NULL,
    "allow_drift": LIST,
    "allow_targets": LIST,
    "trainer.max_epochs": whole(1),
    "trainer.precision": (lambda v: str(v) in PRECISIONS, f"must be one of {', '.join(PRECISIONS)}"),
}


def check(cfg: DictConfig) -> None:
    """Raises ConfigError for the first key that cannot be what its name says, or that reads the environment."""
    for key, value in leaves(OmegaConf.to_container(cfg)):
        if re.search(r"\$\{\s*oc\.env", str(value)) and key not in FOLDERS:
            raise ConfigError(
                f"{key}={shown(value)}: an environment variable may name a folder only ({', '.join(FOLDERS)}), since "
                "values are kept in the run's record; say the value itself"
            )
    for key in RENAMED:  # an experiment of the user's may still say them
        if (value := OmegaConf.select(cfg, key)) is not None:
            raise ConfigError(f"{key}={shown(value)}: this key has a new name; here it is {renamed(key, shown(value))}")
    check_keys(cfg, RULES)


def check_added(overrides: Sequence[str]) -> None:
    """Raises ConfigError for a +key=value whose root key nothing reads."""
    main = OmegaConf.load(CONF / "train.yaml")
    known = {str(key) for key in main} | {path.name for path in CONF.iterdir() if path.is_dir()}
    for override in overrides:
        key = override.lstrip("+").partition("=")[0]
        root = key.replace("@", "/").replace(".", "/").partition("/")[0]
        if override.startswith("+") and root not in known:
            raise ConfigError(f"{shown(override)}: nothing reads this key; {nearest(root, known)}--cfg job shows all")


def leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything in plain values that is not a dictionary; lists as a whole."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, node


def check_keys(cfg: DictConfig, rules: Mapping[str, Rule]) -> None:
    """Raises ConfigError for the first of the keys, dotted ones too, that breaks its rule."""
    for key, (holds, must) in rules.items():
        value = OmegaConf.select(cfg, key)
        if not holds(value):
            raise ConfigError(f"{key}={shown(value)}: {must}")


def name_run(cfg: DictConfig, choices: Mapping[str, str]) -> tuple[str, str]:
    """Group and name of the run, composed where they are null: mnist-lat20-bce-beta1-none-mean and seed42."""
    protocol = cfg.data.get("protocol", "grey")  # results of two are never compared
    protocol = "" if protocol == "grey" else f"-{protocol}"
    bound = "" if choices["bound"] == "elbo" else f"-{choices['bound']}"
    composed = (
        f"{choices['data']}{protocol}-lat{cfg.latent.dim}-{choices['loss']}-beta{cfg.beta:g}-{choices['schedule']}"
        f"-{cfg.reduction}{bound}"
    )
    group, name = cfg.group or composed, cfg.name or f"seed{cfg.seed}"
    return unicodedata.normalize("NFC", str(group)), unicodedata.normalize("NFC", str(name))
