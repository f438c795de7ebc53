"""Loggers beside the files in the run folder. <-> conf/logger/"""

import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from vae_lightning.errors import ConfigError, did_you_mean

MODES = ("online", "offline", "disabled")
PREDECESSOR = {"train/recon": "loss/recon", "train/kl": "loss/kl", "train/loss": "loss/total"}


class Wandb(WandbLogger):
    """Weights & Biases, with the predecessor's scalars (loss/recon, loss/kl, loss/total) beside ours.

    Raises ConfigError for an unknown mode, and for `online` without a key.
    """

    def __init__(
        self,
        project: str,
        save_dir: str,
        entity: str | None = None,
        mode: str = "online",
        name: str | None = None,
        tags: Sequence[str] | str = (),
        group: str | None = None,
    ) -> None:
        if mode not in MODES:
            raise ConfigError(f"logger.mode={mode}: {did_you_mean(mode, MODES)}")
        if mode == "online" and not has_key():
            raise ConfigError("logger.mode=online: no W&B key; set WANDB_API_KEY, or use logger.mode=offline")
        labels = tags.split(",") if isinstance(tags, str) else list(tags)
        more = {"entity": entity, "group": group, "tags": labels, "mode": mode}
        super().__init__(name=name, save_dir=save_dir, project=project, offline=mode == "offline", **more)

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        aliases = {name: metrics[key] for key, name in PREDECESSOR.items() if key in metrics}
        super().log_metrics({**metrics, **aliases}, step)


class TensorBoard(TensorBoardLogger):
    """TensorBoard's event file in the run folder's `tensorboard/`. Raises ConfigError where it is not installed."""

    def __init__(self, save_dir: str) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise ConfigError("logger=tensorboard: not installed; pip install 'vae-lightning[tensorboard]'")
        super().__init__(save_dir, name="tensorboard", version="", default_hp_metric=False)


def has_key() -> bool:
    """Whether W&B would find a key: in the environment, or from `wandb login`."""
    import wandb

    return wandb.login(prompt=False, verify=False)


def finish() -> None:
    """Ends the W&B run of this process, if there is one: the next job then gets a run of its own."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and getattr(wandb, "run", None) is not None:
        wandb.finish()
