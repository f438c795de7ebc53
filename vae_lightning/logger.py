"""Loggers beside the files in the run folder. <-> conf/logger/"""

import importlib.util
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from vae_lightning.errors import ConfigError
from vae_lightning.rules import one_of

MODES = ("online", "offline", "disabled")
SYNONYMS = {"dryrun": "offline", "run": "online"}  # of W&B's older versions
TIMEOUT = 20  # seconds that W&B's server has to answer
PREDECESSOR = {"train/recon": "loss/recon", "train/kl": "loss/kl", "train/loss": "loss/total"}


class Wandb(WandbLogger):
    """Weights & Biases, with the predecessor's scalars (loss/recon, loss/kl, loss/total) beside ours.

    `mode` is online, offline or disabled; None takes the variable WANDB_MODE, else online. In the folder of a W&B run
    it goes on with that run. Raises ConfigError as `check_ready` does.
    """

    def __init__(
        self,
        project: str,
        save_dir: str,
        entity: str | None = None,
        mode: str | None = None,
        name: str | None = None,
        tags: Sequence[str] | str = (),
        group: str | None = None,
    ) -> None:
        mode, save_dir = self.check_ready(mode), os.path.expanduser(save_dir)
        import wandb

        labels = tags.split(",") if isinstance(tags, str) else list(tags)
        more = {"entity": entity, "group": group, "tags": labels, "mode": mode, "resume": "allow"}
        more["settings"] = wandb.Settings(init_timeout=TIMEOUT)
        super().__init__(
            name=name, save_dir=save_dir, project=project, id=run_id(save_dir), offline=mode == "offline", **more
        )

    @classmethod
    def check_ready(cls, mode: str | None = None) -> str:
        """The mode. Raises ConfigError for an unknown mode, and for `online` without a key or a server that answers.

        The command line asks before it claims a folder. The server is asked once in a process.
        """
        if mode is None and (said := os.environ.get("WANDB_MODE", "").strip().lower()):
            mode = SYNONYMS.get(said, said)
            one_of(MODES).check("WANDB_MODE", mode)
        mode = "online" if mode is None else mode
        one_of(MODES).check("logger.mode", mode)
        if mode == "online":
            if not has_key():
                raise ConfigError("logger.mode=online: no W&B key; set WANDB_API_KEY, or use logger.mode=offline")
            import wandb

            check_server(str(wandb.setup().settings.base_url))
        return mode

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        aliases = {name: metrics[key] for key, name in PREDECESSOR.items() if key in metrics}
        super().log_metrics({**metrics, **aliases}, step)


class TensorBoard(TensorBoardLogger):
    """TensorBoard's event file in the run folder's `tensorboard/`. Raises ConfigError where it is not installed."""

    def __init__(self, save_dir: str) -> None:
        self.check_ready()
        super().__init__(save_dir, name="tensorboard", version="", default_hp_metric=False)

    @classmethod
    def check_ready(cls) -> None:
        """Raises ConfigError where TensorBoard is not installed."""
        if importlib.util.find_spec("tensorboard") is None:
            raise ConfigError("logger=tensorboard: not installed; pip install 'vae-lightning[tensorboard]'")


def has_key() -> bool:
    """Whether W&B finds a key, in the environment or from `wandb login`."""
    import wandb

    return wandb.login(prompt=False, verify=False)


@cache
def check_server(url: str) -> None:
    """Raises ConfigError where W&B's server does not answer. Any answer will do. An answer is remembered."""
    try:
        urllib.request.urlopen(url, timeout=TIMEOUT).close()
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ConfigError(
            f"logger.mode=online: {url} does not answer ({reason}); use logger.mode=offline, and `wandb sync` later"
        ) from error


def run_id(save_dir: str) -> str | None:
    """The id of the W&B run whose files are in the folder: wandb/offline-run-20261124_120000-ID."""
    folders = sorted(Path(save_dir, "wandb").glob("*run-*-*"), key=lambda path: path.name.partition("run-")[2])
    return folders[-1].name.rpartition("-")[2] if folders else None


def finish() -> None:
    """Ends the W&B run of this process, if there is one, so that the next job gets a run of its own."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and getattr(wandb, "run", None) is not None:
        wandb.finish()
