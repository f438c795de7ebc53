"""How a command starts and how it ends: Hydra before the task, one line and an exit status after a mistake.

Imports neither torch nor Lightning: `--help` and `--cfg` answer at once. HYDRA_FULL_ERROR=1 shows every traceback.
"""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from vae_lightning.arguments import check_arguments, quoted
from vae_lightning.config import CONF
from vae_lightning.errors import Interrupted, UserError
from vae_lightning.mistakes import as_user_error
from vae_lightning.runs.lock import is_first_process


def run(config_name: str, task: Callable[[DictConfig], Any]) -> None:
    """Composes conf/<config_name>.yaml with the command line and runs `task`, once or once per job of a sweep."""
    asked = os.environ.get("HYDRA_FULL_ERROR", "0")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises to here instead of printing and leaving with 1
    try:
        if is_first_process():  # Lightning starts the others, with a folder of Hydra's added
            check_arguments(sys.argv[1:])
        sys.argv[1:] = [quoted(each) for each in sys.argv[1:]]
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=config_name)(told(task))()
    except KeyboardInterrupt:  # before or after training; within it, GracefulStop answers
        print("error: interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        mistake = as_user_error(error, sys.argv[1:])
        if mistake is None or asked == "1":
            traceback.print_exc()
        elif not getattr(mistake, "was_told", False):
            tell(mistake)
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
            tell(mistake)
            if hydra_cfg.mode == RunMode.RUN:
                sys.exit(mistake.status)
            if isinstance(mistake, Interrupted):  # whoever stops a job means the sweep
                print(not_started(hydra_cfg.job.num), file=sys.stderr, flush=True)
                sys.exit(mistake.status)
            mistake.was_told = True  # type: ignore[attr-defined]
            raise mistake from None

    return telling


def tell(mistake: UserError) -> None:
    """One line on stderr, whatever stood in it."""
    line = "".join(each if each.isprintable() else " " for each in str(mistake))
    print(f"error: {line}", file=sys.stderr, flush=True)


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
