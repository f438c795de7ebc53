"""How a command starts and how it ends: Hydra before the task, one line and an exit status after a mistake.

Imports neither torch nor Lightning: `--help` and `--cfg` answer at once. HYDRA_FULL_ERROR=1 shows every traceback.
"""

import os
import signal
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
from vae_lightning.errors import ConfigError, FolderError, Interrupted, UserError, did_you_mean

FLAGS = {
    "--epochs": "epochs=VALUE",
    "--batch-size": "batch_size=VALUE",
    "--latent-dim": "latent.dim=VALUE",
    "--loss": "loss=VALUE",
    "--reduction": "loss.reduction=VALUE",
    "--beta": "beta=VALUE",
    "--beta-schedule": "schedule=VALUE (its cyclic is schedule=triangle)",
    "--lr": "lr=VALUE",
    "--device": "trainer.accelerator=VALUE",
    "--seed": "seed=VALUE",
    "--project-dir": "project_dir=VALUE",
    "--group": "group=VALUE",
    "--name": "name=VALUE",
    "--no-date-prefix": "date_prefix=false",
    "--save-dir": "save_dir=VALUE",
    "--save-weights": "save_weights=true",
    "--wandb": "logger=wandb",
    "--wandb-mode": "logger.mode=VALUE",
    "--wandb-project": "logger.project=VALUE",
    "--wandb-entity": "logger.entity=VALUE",
    "--wandb-run-name": "logger.name=VALUE",
    "--wandb-tags": "logger.tags=[VALUE]",
}  # of the script repository this one succeeds


def run(config_name: str, task: Callable[[DictConfig], Any]) -> None:
    """Composes conf/<config_name>.yaml with the command line and runs `task`, once or once per job of a sweep."""
    if (answer := predecessor(sys.argv[1:])) is not None:
        print(f"error: {answer}", file=sys.stderr)
        sys.exit(ConfigError.status)
    asked = os.environ.get("HYDRA_FULL_ERROR", "0")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises to here instead of printing and leaving with 1
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(told(task))()
    except KeyboardInterrupt:  # before or after training; within it, GracefulStop answers
        print("error: interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
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
            if isinstance(mistake, Interrupted):  # whoever stops a job means the sweep
                print(not_started(hydra_cfg.job.num), file=sys.stderr, flush=True)
                sys.exit(mistake.status)
            mistake.was_told = True  # type: ignore[attr-defined]
            raise mistake from None

    return telling


def not_started(job: int) -> str:
    """Which jobs of this sweep never began, as far as the command line says how many there are."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    params = HydraConfig.get().sweeper.get("params") or {}
    asked = OverridesParser.create().parse_overrides([arg for arg in sys.argv[1:] if "=" in arg])
    swept = [each for each in asked if each.is_sweep_override()]
    named = {each.key_or_group for each in swept}
    declared = OverridesParser.create().parse_overrides([f"{k}={v}" for k, v in params.items() if k not in named])
    total = 1
    for each in (*swept, *(each for each in declared if each.is_sweep_override())):
        total *= len(list(each.sweep_string_iterator()))
    left = range(job + 1, total)
    return f"the sweep ends here; not started: {', '.join(f'job {k}' for k in left)}" if left else "the sweep ends here"


def predecessor(arguments: list[str]) -> str | None:
    """The answer to flags of the script repository: `--latent-dim 2` is `latent.dim=2`. None where there are none."""
    old, new = [], []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        flag, _, value = argument.partition("=")
        if flag in FLAGS:
            old.append(flag)
            new.append(FLAGS[flag].replace("VALUE", value or following))
    return f"{' '.join(old)}: flags became key=value; here it is {' '.join(new)}" if old else None


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
    if type(error).__name__ == "MissingMandatoryValue":
        key = str(error).rpartition(": ")[2].split()[0]
        folder = "outputs/GROUP/latest"
        return f"{key}: it must be given, such as {key}={f'[{folder}]' if key.endswith('s') else folder}"
    lines = [str(error), str(error.__cause__ or "")]
    text = " ".join(line.strip() for part in lines for line in part.splitlines() if line.strip())
    if "is not in struct" in text:
        key = text.partition("Key '")[2].partition("'")[0]
        used = next((o for o in overrides if o.lstrip("+~").partition("=")[0].split(".")[-1] == key), key)
        return f"{used}: no such key; --cfg job shows all keys, and +key=value adds one that its class takes"
    return text.partition(" full_key:")[0] or type(error).__name__
