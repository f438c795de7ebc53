"""The numbers of several evaluated runs, setting by setting: `python -m vae_lightning.compare 'runs=[DIR,DIR]'`.

`sweep=DIR by=KEY` ranks the settings of a sweep: which is better, and can they be told apart?
"""

import re
import sys

from omegaconf import DictConfig

from vae_lightning.app import command
from vae_lightning.app.config import FOLDERS_OF_RUNS, check_keys
from vae_lightning.errors import ConfigError, UserError, printable
from vae_lightning.output import say, warn
from vae_lightning.rules import Rule, optional, whole
from vae_lightning.runs.named import named

SEVERAL = "must be a list of runs, a group or a glob, such as runs=[A,B], runs=outputs/GROUP or 'runs=outputs/GROUP/*'"
OR_SWEEP = f"{SEVERAL}; or say sweep=DIR by=KEY"
RULES = {"runs": Rule(FOLDERS_OF_RUNS.holds, OR_SWEEP), "num_samples": optional(whole(1))}


def compare(cfg: DictConfig) -> None:
    """Ranks the settings of a sweep, or prints the newest evaluations of runs."""
    if cfg.sweep_dir is None and cfg.by is None:
        evaluations(cfg)
        return
    if cfg.runs is not None:
        raise ConfigError(f"runs={cfg.runs}: its settings are not ranked; say sweep=DIR by=KEY, or runs= alone")
    from vae_lightning.app.better import rank

    rank(cfg)


def evaluations(cfg: DictConfig) -> None:
    """Prints a column for each setting, mean ± standard deviation over its seeds, of each run's newest evaluation.

    A run of a group or glob that has no evaluation, or a damaged one, is left out, with a warning.
    """
    check_keys(cfg, RULES)
    words = [cfg.runs] if isinstance(cfg.runs, str) else list(cfg.runs)
    folders = named(words, "runs")
    if isinstance(cfg.runs, str) and len(folders) == 1:
        raise ConfigError(f"runs={cfg.runs}: only one run is there, {printable(folders[0])}; {SEVERAL}")
    from vae_lightning.evaluation.compare import newest, table

    evaluations, mistakes = {}, []
    for folder in folders:
        try:
            evaluations.update([newest(folder, cfg.num_samples)])
        except UserError as error:
            mistakes.append(error)
    if mistakes and (not evaluations or len(folders) == len(words)):  # then each word names one run
        raise mistakes[0]
    say(table(evaluations))
    for mistake in mistakes:
        warn(f"left out: {mistake}")
    for run in evaluations:
        command.tell_broken(run)


def main() -> None:
    """`sweep=DIR` is the key sweep_dir: for Hydra, `sweep` is the option group of `train`."""
    sys.argv[1:] = [re.sub(r"^(\+{0,2})sweep=", r"\1sweep_dir=", word) for word in sys.argv[1:]]
    command.run("compare", compare)


if __name__ == "__main__":
    main()
