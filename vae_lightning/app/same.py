"""Whether two configurations are the same run: without the places of runs and data, and without names.

Imports neither torch nor Lightning.
"""

import json
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from vae_lightning.app import older
from vae_lightning.app.config import plain
from vae_lightning.runs.configuration import (
    DATA_PLACE,
    NOT_THE_RUN,
    PLACE,
    among,
    at,
    comparable,
    differences,
    leaves,
    without_place,
)
from vae_lightning.runs.digest import sha256
from vae_lightning.runs.run import Run

IN_VALUES = (*(key for key in PLACE if key not in ("sweep", "allow_drift", "allow_targets")), *DATA_PLACE)


def identity(cfg: DictConfig) -> str:
    """The SHA-256 of a resolved configuration. Values that follow from a name or a place do not follow it."""
    cfg = cfg.copy()
    for key in IN_VALUES:
        group, _, name = key.rpartition(".")
        if name in [*(OmegaConf.select(cfg, group) if group else cfg)]:  # a key without a value yet is not `in` cfg
            OmegaConf.update(cfg, key, f"<{key}>")
    values = {key: comparable(key, value) for key, value in leaves(plain(cfg)) if not among(key, NOT_THE_RUN)}
    return sha256(json.dumps(values, sort_keys=True, default=str).encode())


def is_same(run: Run, cfg: DictConfig) -> bool:
    """Whether a run has the configuration `cfg`, apart from its place and the keys that `allow_drift` names."""
    saved, asked = older.config_of(run), cfg.copy()
    if saved["seed"] != cfg.seed:
        return False
    with open_dict(asked):
        for key in ("run_dir", "project_dir", "group", "name", "save_dir"):
            if key in saved:  # other values contain it
                asked[key] = saved[key]
    for key in cfg.allow_drift:
        if OmegaConf.select(asked, key) is not None:
            OmegaConf.update(asked, key, at(saved, key))  # the values that follow from it are its own, too
    return all(is_place(key, saved) for key in differences(saved, plain(asked)))


def is_place(key: str, saved: Any) -> bool:
    """Whether a key says where the run and its data are: folders may move."""
    value = at(saved, key)
    return among(key, NOT_THE_RUN) or without_place(value, str(saved["run_dir"])) != value
