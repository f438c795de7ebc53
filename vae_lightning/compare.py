"""The same numbers of several evaluated runs, and their mean: `python -m vae_lightning.compare runs=[DIR,DIR]`."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from vae_lightning import cli
from vae_lightning.errors import ConfigError

NAMES = ("elbo", "recon", "kl", "nll", "bits_per_dimension", "active_units", "mutual_information", "marginal_kl")
NAMES += ("ais", "appendix_d")


def compare(cfg: DictConfig) -> None:
    """Prints a column for each run and the mean ± its standard error over runs."""
    from vae_lightning.evaluation.result import average, read

    if not isinstance(cfg.runs, ListConfig) or not len(cfg.runs):
        raise ConfigError(f"runs={cfg.runs}: must be a list of run folders, such as runs=[outputs/a/latest]")
    found = {str(run): read(Path(run)) for run in cfg.runs}
    for run, rows in found.items():
        if not rows:
            raise ConfigError(f"runs: {run} has no evaluation.json; python -m vae_lightning.evaluate run={run}")
    for letter, run in zip(letters(), found, strict=False):
        print(f"{letter}  {run}")
    print(" " * 22 + "".join(f"{letter:>10}" for letter, _ in zip(letters(), found, strict=False)) + "      mean")
    for name in NAMES:
        row = {run: newest(rows, name, cfg.num_samples) for run, rows in found.items()}
        if any(each is None for each in row.values()):
            continue
        mean, error = average({run: each for run, each in row.items() if each is not None})
        columns = "".join(f"{each['value']:10.2f}" for each in row.values() if each)
        print(f"{name:<22}{columns}{mean:10.2f}" + (f" ± {error:.2f}" if len(row) > 1 else ""))


def newest(rows: list[dict[str, Any]], name: str, num_samples: int | None) -> dict[str, Any] | None:
    """The row measured last under that name; of those that have a K, with that K."""
    wanted = [
        row
        for row in rows
        if row["name"] == name
        and (name not in ("elbo", "recon", "nll") or row["num_samples"] == (num_samples or row["num_samples"]))
    ]
    return wanted[-1] if wanted else None


def letters() -> list[str]:
    """Names for the columns."""
    return [chr(ord("A") + i) for i in range(26)]


def main() -> None:
    cli.run("compare", compare)


if __name__ == "__main__":
    main()
