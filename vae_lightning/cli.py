"""How a command starts and how it ends: Hydra before the task, one line and an exit status after a mistake.

Imports neither torch nor Lightning: `--help` and `--cfg` answer at once. HYDRA_FULL_ERROR=1 shows every traceback.
"""

import os
import sys
import traceback
from collections.abc import Callable
from errno import EACCES, EDQUOT, ENOSPC, ENOTDIR, EPERM, EROFS
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vae_lightning.config import CONF
from vae_lightning.errors import ConfigError, FolderError, UserError, did_you_mean


def run(config_name: str, task: Callable[[DictConfig], Any]) -> None:
    """Composes conf/<config_name>.yaml with the command line and runs `task`, once or once per job of a sweep."""
    asked = os.environ.get("HYDRA_FULL_ERROR", "0")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises to here instead of printing and leaving with 1
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(told(task))()
    except Exception as error:
        mistake = as_user_error(error, sys.argv[1:])
        if mistake is None or asked == "1":
            traceback.print_exc()
        elif not getattr(mistake, "was_told", False):
            print(f"error: {mistake}", file=sys.stderr)
        sys.exit(mistake.status if mistake else 1)
    finally:
        os.environ["HYDRA_FULL_ERROR"] = asked


def told(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """`task`, which says at once what a user can mend: a single run ends with it, a sweep goes on and ends badly."""

    def telling(cfg: DictConfig) -> Any:
        hydra_cfg = HydraConfig.get()
        if hydra_cfg.mode == RunMode.MULTIRUN:
            print(f"job {hydra_cfg.job.num}: {' '.join(hydra_cfg.overrides.task)}", flush=True)
        try:
            return task(cfg)
        except Exception as error:
            mistake = as_user_error(error, [])
            if mistake is None:
                raise
            print(f"error: {mistake}", file=sys.stderr, flush=True)
            if hydra_cfg.mode == RunMode.RUN:
                sys.exit(mistake.status)
            mistake.was_told = True  # type: ignore[attr-defined]
            raise mistake from None

    return telling


def as_user_error(error: BaseException, overrides: list[str]) -> UserError | None:
    """The mistake behind an exception as one line, or None where it is not the user's."""
    if isinstance(error, UserError):
        return error
    if isinstance(error.__cause__, UserError):
        return error.__cause__
    if isinstance(error, HydraException | OmegaConfBaseException):
        return ConfigError(explain(error, overrides))
    if type(error).__name__ == "MisconfigurationException":  # Lightning's; importing it here would cost seconds
        return ConfigError(" ".join(str(error).split()))
    if isinstance(error, OSError) and error.errno in (ENOSPC, EROFS, EACCES, EPERM, EDQUOT, ENOTDIR):
        return FolderError(
            f"{error.filename or 'the run folder'}: {error.strerror}; make room, or choose another folder"
        )
    return None


def explain(error: BaseException, overrides: list[str]) -> str:
    """Hydra's and OmegaConf's messages in one line, with the nearest option where an option was not found."""
    options = list(getattr(error, "options", None) or [])
    missing = str(getattr(error, "missing_cfg_file", None) or "")
    if options and "/" in missing:
        group, _, option = missing.rpartition("/")
        return f"{group}={option}: no such option; {did_you_mean(option, options)}"
    lines = [str(error), str(error.__cause__ or "")]
    text = " ".join(line.strip() for part in lines for line in part.splitlines() if line.strip())
    if "is not in struct" in text:
        key = text.partition("Key '")[2].partition("'")[0]
        used = next((o for o in overrides if o.lstrip("+~").partition("=")[0].split(".")[-1] == key), key)
        return f"{used}: no such key; --cfg job shows all keys, and +key=value adds one that its class takes"
    return text.partition(" full_key:")[0] or type(error).__name__
