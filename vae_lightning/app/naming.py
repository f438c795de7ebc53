"""The name of a run: in a sweep what differs between the jobs, then the seed, as in lr0.01-mlp_paper-seed42."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.app import trials
from vae_lightning.runs.configuration import DATA_PLACE, NOT_THE_RUN, among
from vae_lightning.runs.digest import sha256
from vae_lightning.runs.keys import TARGET, text

IN_THE_GROUP = ("data", "latent", "loss", "beta", "schedule", "reduction", "bound", "data.protocol", "latent.dim")
LONGEST = 60  # letters before the seed


def job_name(cfg: DictConfig, choices: Mapping[str, Any], swept: Sequence[str]) -> str:
    """The composed name of a run. `swept` are the keys that its sweep varies; without a sweep the name is seed42.

    A composed group, which `group: null` asks for, already says some of the keys. The same configuration has the same
    name; two trials of a study may have the same values, so without a date the name ends with the number of the trial.
    The name has only letters, digits and `_+.-`; a digest marks values that had to be shortened or changed.
    """
    said = ("seed", *(IN_THE_GROUP if cfg.group is None else ()))
    named = [key for key in swept if among(key, DATA_PLACE) or not among(key, NOT_THE_RUN)]
    keys = [key.removesuffix(TARGET) for key in named if key not in said]
    last = [key.rpartition(".")[2] for key in keys]
    called = [short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)]
    parts = [part(cfg, choices, key, name) for key, name in zip(keys, called, strict=True)]
    trial = [] if cfg.date_prefix or trials.number() is None else [f"trial{trials.number()}"]
    return "-".join([*([bounded("-".join(parts))] if parts else []), f"seed{cfg.seed}", *trial])


def part(cfg: DictConfig, choices: Mapping[str, Any], key: str, name: str) -> str:
    """lr0.01, hidden16-16, protocol-static; of a group its option: mlp_paper."""
    if key in choices:
        return text(choices[key])
    value = OmegaConf.select(cfg, key)
    plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    shown = re.sub(r"[\[\]{}'\" ]", "", text(plain, key)).replace(",", "-")
    return f"{name}{shown}" if shown[:1].isdigit() else f"{name}-{shown}"


def bounded(words: str) -> str:
    """The words with at most LONGEST safe letters. Words that this changes end with a digest."""
    safe = re.sub(r"[^\w+.-]", "_", words, flags=re.ASCII).lstrip(".-")
    return safe if safe == words and len(safe) <= LONGEST else f"{safe[: LONGEST - 9]}-{sha256(words.encode())[:8]}"
