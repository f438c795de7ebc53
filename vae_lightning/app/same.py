"""Whether two configurations are the same run: without the places of runs and data, and without names.

Imports neither torch nor Lightning, except where data have to be looked at.
"""

import json
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from vae_lightning.app import older
from vae_lightning.app.config import plain
from vae_lightning.app.trust import ALLOWED, check_targets
from vae_lightning.errors import shown
from vae_lightning.runs.configuration import (
    DATA_PLACE,
    DATA_SOURCES,
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


def identity(cfg: DictConfig, swept: Sequence[str] = ()) -> str:
    """The SHA-256 of a resolved configuration. Values that follow from a name or a place do not follow it.

    A name or a place that the sweep varies, which the keys `swept` say, is a part of it.
    """
    cfg = cfg.copy()
    for key in (key for key in IN_VALUES if not among(key, swept)):
        group, _, name = key.rpartition(".")
        if name in [*(OmegaConf.select(cfg, group) if group else cfg)]:  # a key without a value yet is not `in` cfg
            OmegaConf.update(cfg, key, f"<{key}>")
    known = ((key, value) for key, value in leaves(plain(cfg)) if among(key, swept) or not among(key, NOT_THE_RUN))
    values = {key: comparable(key, value) for key, value in known}
    return sha256(json.dumps(values, sort_keys=True, default=str).encode())


def is_same(run: Run, cfg: DictConfig, swept: Sequence[str] = ()) -> bool:
    """Whether a run has the configuration `cfg`, apart from its place and the keys that `allow_drift` names.

    Keys that the sweep varies count, too. `has_data` says whether the run also had the data.
    """
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
    varied = [key for key in swept if not among(key, DATA_SOURCES)]
    return all(is_place(key, saved) and not among(key, varied) for key in differences(saved, plain(asked)))


def has_data(run: Run, cfg: DictConfig) -> bool:
    """Whether a run had the data of a configuration: from the same place, or with the same checksums.

    Data from another place are looked at, so this may raise what their data module raises, and imports torch.
    """
    if not other_sources(run, cfg):
        return True
    from vae_lightning.app.build import data_module, described

    check_targets({"data": OmegaConf.to_container(cfg.data)}, [*ALLOWED, *cfg.allow_targets])
    known = run.data.get("sha256")
    return known is not None and known == described(data_module(cfg.data)).get("sha256")


def other_sources(run: Run, cfg: DictConfig) -> str:
    """The places of its data at which a configuration differs from a run, as data.dir=elsewhere; empty if at none."""
    node: Any = OmegaConf.to_container(cfg.data, resolve=True)
    keys = differences(older.config_of(run).get("data"), node, "data")
    named = (key for key in keys if among(key, DATA_SOURCES) and not among(key, cfg.allow_drift))
    return " ".join(f"{key}={shown(at({'data': node}, key))}" for key in named)


def is_place(key: str, saved: Any) -> bool:
    """Whether a key says where the run and its data are: folders may move."""
    value = at(saved, key)
    return among(key, NOT_THE_RUN) or without_place(value, str(saved["run_dir"])) != value
