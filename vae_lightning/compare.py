"""The same numbers of several evaluated runs, and their mean: `python -m vae_lightning.compare runs=[DIR,DIR]`."""

from omegaconf import DictConfig

from vae_lightning.app import command
from vae_lightning.app.config import WORDS, check_keys
from vae_lightning.errors import ConfigError
from vae_lightning.rules import optional, whole

RULES = {"runs": WORDS, "num_samples": optional(whole(1))}


def compare(cfg: DictConfig) -> None:
    """Prints a column for each run and the mean ± its standard error over runs, of each run's newest evaluation."""
    check_keys(cfg, RULES)
    if not cfg.runs:
        raise ConfigError("runs=[]: must be a list of run folders, such as runs=[outputs/a/latest]")
    from vae_lightning.evaluation.compare import newest, table

    print(table({folder: newest(folder, cfg.num_samples) for folder in cfg.runs}))


def main() -> None:
    command.run("compare", compare)


if __name__ == "__main__":
    main()
