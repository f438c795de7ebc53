"""The same numbers of several evaluated runs, setting by setting: `python -m vae_lightning.compare 'runs=[DIR,DIR]'`."""

from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.app import command
from vae_lightning.app.config import FOLDER, WORDS, check_keys
from vae_lightning.errors import ConfigError
from vae_lightning.rules import Rule, optional, whole
from vae_lightning.runs.named import named

SEVERAL = "must be a list of runs, a group or a glob, such as runs=[A,B], runs=outputs/GROUP or 'runs=outputs/GROUP/*'"
RULES = {"runs": Rule(lambda v: FOLDER.holds(v) or (WORDS.holds(v) and len(v) > 0 and all(map(FOLDER.holds, v))), SEVERAL)}
RULES |= {"num_samples": optional(whole(1))}


def compare(cfg: DictConfig) -> None:
    """Prints a column for each setting, mean ± standard deviation over its seeds, of each run's newest evaluation."""
    check_keys(cfg, RULES)
    words = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    folders = named(words, "runs")
    if isinstance(cfg.runs, str) and len(folders) == 1:
        raise ConfigError(f"runs={cfg.runs}: {SEVERAL}")
    from vae_lightning.evaluation.compare import newest, table

    evaluated, left_out = {}, []
    for folder in folders:
        try:
            run, rows = newest(folder, cfg.num_samples)
            evaluated[run] = rows
        except ConfigError as error:
            if len(folders) == len(words):  # each word names one run
                raise
            left_out.append(error)
    if not evaluated:
        raise left_out[0]
    print(table(evaluated))
    for error in left_out:
        command.warn(error)
