"""`compare sweep=DIR by=KEY`: the settings of a sweep ranked, in words and in a picture. Imports no torch."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.app import command
from vae_lightning.app.config import FOLDER, TEXT, WORDS, check_keys
from vae_lightning.errors import ConfigError, printable, shown
from vae_lightning.output import say
from vae_lightning.pages.sweep import better_figure, folds
from vae_lightning.pages.sweep.better import compared
from vae_lightning.pages.sweep.better_text import lines
from vae_lightning.rules import Rule, number, optional
from vae_lightning.runs.folder import resolved
from vae_lightning.runs.named import is_run
from vae_lightning.runs.run import Run

BY = Rule(
    lambda v: TEXT.holds(v) or (WORDS.holds(v) and len(v) > 0 and all(map(TEXT.holds, v))),
    "must be a key that the sweep varies, such as by=beta, or a list of keys",
)
LEVEL = Rule(lambda v: number(above=0).holds(v) and v < 1, "must be a number between 0 and 1, such as 0.95")
RULES = {"sweep_dir": FOLDER, "by": BY, "metric": TEXT, "level": LEVEL, "output": optional(TEXT)}


def rank(cfg: DictConfig) -> None:
    """Prints the ranking and writes its picture. Raises ConfigError for what is no sweep, or cannot be compared."""
    FOLDER.check("sweep", cfg.sweep_dir)
    check_keys(cfg, RULES)
    by = [cfg.by] if isinstance(cfg.by, str) else list(dict.fromkeys(cfg.by))
    folder = folder_of_runs(cfg.sweep_dir)
    output = Path(cfg.output or folder / picture_name(by, cfg.metric))
    better_figure.check_output(output)
    sweep = folds.read(folder)
    found = compared(sweep, by, cfg.metric, cfg.level)
    say("\n".join(lines(found)))
    better_figure.write(found, output)
    say(f"picture: {printable(output)}")
    for run in sweep.runs:
        if run.folder is not None:
            command.tell_broken(Run(run.folder))


def folder_of_runs(word: str) -> Path:
    """The folder that `sweep` names. Raises ConfigError unless it holds runs."""
    folder = resolved(word)
    if not os.path.isdir(folder):
        raise ConfigError(f"sweep={shown(word)}: no such folder; name a group of runs, or a folder below multirun/")
    if is_run(folder):
        raise ConfigError(f"sweep={shown(word)}: is one run; name a folder of runs, such as its group {folder.parent}")
    if not folds.any_runs(folder):
        raise ConfigError(f"sweep={shown(word)}: no run in it; name a group of runs, or a folder below multirun/")
    return folder


def picture_name(by: Sequence[str], metric: str) -> str:
    """compare_beta_elbo.png."""
    name = re.sub(r"[^\w.-]+", "-", "_".join((*by, metric)))
    return f"compare_{name[:150]}.png"
