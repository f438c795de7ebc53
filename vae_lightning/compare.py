"""The same numbers of several evaluated runs, and their mean: `python -m vae_lightning.compare runs=[DIR,DIR]`."""

from omegaconf import DictConfig

from vae_lightning.app import command
from vae_lightning.app.config import WORDS, check_keys
from vae_lightning.output import say
from vae_lightning.rules import Rule, optional, whole

RUNS = Rule(lambda v: WORDS.holds(v) and len(v) > 0, "must be a list of run folders, such as runs=[outputs/a/latest]")
RULES = {"runs": RUNS, "num_samples": optional(whole(1))}


def compare(cfg: DictConfig) -> None:
    """Prints a column for each run and the mean ± its standard error over runs, of each run's newest evaluation."""
    check_keys(cfg, RULES)
    from vae_lightning.evaluation.compare import newest, table

    say(table({folder: newest(folder, cfg.num_samples) for folder in cfg.runs}))


def main() -> None:
    command.run("compare", compare)


if __name__ == "__main__":
    main()
