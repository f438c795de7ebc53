"""Configurations and overrides written before the layout of version 0.2, in the words of today."""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vae_lightning.errors import CheckpointError
from vae_lightning.runs.configuration import at
from vae_lightning.runs.run import Run

TRAINERS = ("lightning.pytorch.Trainer", "vae_lightning.trainer.FastTrainer")
NETWORKS = {  # class -> (hidden, activation, initial)
    "vae_lightning.network.MLP": ([400], "relu", "torch"),
    "vae_lightning.network.PaperMLP": ([500], "tanh", "normal"),
    "vae_lightning.network.IwaeMLP": ([200, 200], "tanh", "glorot"),
}


def config_of(run: Run) -> dict[str, Any]:
    """The configuration of a run in today's words. Raises CheckpointError where the record does not hold all of it."""
    if run.lacks:
        why = next((f" ({line})" for line in run.broken if run.lacks.partition(".")[0] in line), "")
        raise CheckpointError(
            f"{run.path}: its record is damaged, config.{run.lacks} is not there{why}; train it again"
        )
    return upgraded(run.config)


def upgraded(config: Mapping[str, Any]) -> dict[str, Any]:
    """A saved configuration with today's keys and classes. One of today's comes back as it is."""
    new = copy.deepcopy(dict(config))
    new.pop("hidden_dim", None)
    upgrade_network(new)
    upgrade_data(new)
    loss, trainer = new.get("loss"), new.get("trainer")
    if isinstance(loss, dict) and "reduction" in loss:
        new["reduction"] = loss.pop("reduction")
    if isinstance(trainer, dict) and trainer.get("_target_") == "vae_lightning.trainer.Trainer":
        trainer["_target_"] = "lightning.pytorch.Trainer"
    if isinstance(trainer, dict) and trainer.get("_target_") in TRAINERS:
        trainer.setdefault("gradient_clip_val", None)
    new.setdefault("lr_schedule", {"_target_": "vae_lightning.lr_schedule.Constant"})
    return new


def upgrade_network(config: dict[str, Any]) -> None:
    """network.hidden_dim, one number or null, becomes network.hidden, with the activation and initial weights."""
    network = config.get("network")
    if not isinstance(network, dict) or "hidden_dim" not in network:
        return
    hidden, activation, initial = NETWORKS.get(str(network.get("_target_")), ([400], "relu", "torch"))
    size = network.pop("hidden_dim")
    network["hidden"] = hidden if size is None else [size] * len(hidden)
    network |= {"_target_": "vae_lightning.network.MLP", "activation": activation, "initial": initial}


def upgrade_data(config: dict[str, Any]) -> None:
    """data.files goes; data.sources becomes data.mirrors: null, or [] where no network was allowed."""
    data = config.get("data")
    if not isinstance(data, dict) or "sources" not in data:
        return
    data.pop("files", None)
    sources = data.pop("sources")
    data["mirrors"] = None if isinstance(sources, dict) and {"mirrors", "npm"} & set(sources) else []


def upgraded_words(overrides: Sequence[str], config: Mapping[str, Any]) -> list[str]:
    """The overrides of a saved configuration with today's keys."""
    hidden = at(upgraded(config), "network.hidden")
    words = (upgraded_word(override, hidden) for override in overrides)
    return list(dict.fromkeys(word for word in words if word))


def upgraded_word(override: str, hidden: Any) -> str:
    """One override with today's key; empty where there is nothing left to say."""
    key, equals, value = override.partition("=")
    if key == "hidden_dim":
        return "" if value == "null" else f"network.hidden={hidden}".replace(" ", "")
    if key == "loss.reduction":
        return f"reduction={value}"
    if re.match(r"~data\.sources\.(mirrors|npm)", key):
        return "data.mirrors=[]"
    return "" if re.match(r"[+~]*data\.(files|sources)\b", key) else f"{key}{equals}{value}"
