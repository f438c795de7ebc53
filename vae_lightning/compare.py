"""The same numbers of several evaluated runs, and their mean: `python -m vae_lightning.compare runs=[DIR,DIR]`."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from vae_lightning import cli
from vae_lightning.errors import ConfigError

NAMES = ("elbo", "recon", "kl", "nll", "bits_per_dimension", "active_units", "mutual_information", "marginal_kl")
NAMES += ("ais", "appendix_d")
OF_K = ("elbo", "recon", "nll", "bits_per_dimension")
ONE_EVALUATION = ("data", "protocol", "subset", "split", "seed", "checkpoint_sha256")


def compare(cfg: DictConfig) -> None:
    """Prints a column for each run and the mean ± its standard error over runs, of each run's newest evaluation."""
    from vae_lightning.evaluation.result import average

    if not isinstance(cfg.runs, ListConfig) or not len(cfg.runs):
        raise ConfigError(f"runs={cfg.runs}: must be a list of run folders, such as runs=[outputs/a/latest]")
    found = {str(run): newest(str(run), cfg.num_samples) for run in cfg.runs}
    lines = []
    for name in NAMES:
        rows = {run: each[name] for run, each in found.items() if name in each}
        if len(rows) == len(found):
            mean, error = average(rows)
            columns = "".join(f"{row['value']:10.2f}" for row in rows.values())
            lines.append(f"{name:<22}{columns}{mean:10.2f}" + (f" ± {error:.2f}" if len(rows) > 1 else ""))
    nll = next(iter(found.values()))["nll"]
    print(f"{nll['data']}, {nll['protocol']}, {nll['split']}: {nll['num_images']:,} images, K = {nll['num_samples']:,}")
    for letter, run in zip(letters(), found, strict=False):
        print(f"{letter}  {run}")
    print(" " * 22 + "".join(f"{letter:>10}" for letter, _ in zip(letters(), found, strict=False)) + "      mean")
    print("\n".join(lines))


def newest(run: str, num_samples: int | None) -> dict[str, dict[str, Any]]:
    """{name: row} of one evaluation of a run: the last one, or the last one with that K.

    Raises ConfigError where there is none, and where the run has gone on since.
    """
    from vae_lightning.evaluation.result import read
    from vae_lightning.runs.digest import sha256

    again = f"python -m vae_lightning.evaluate run={run}"
    rows = read(Path(run))
    nlls = [row for row in rows if row["name"] == "nll" and num_samples in (None, row["num_samples"])]
    if not nlls:
        which = f" with num_samples={num_samples}" if num_samples else ""
        raise ConfigError(f"runs: {run} has no evaluation{which}; {again}")
    nll = nlls[-1]
    checkpoint = Path(run) / "checkpoints" / nll["checkpoint"]
    if checkpoint.is_file() and sha256(checkpoint) != nll["checkpoint_sha256"]:
        raise ConfigError(f"runs: {run} was trained further since it was evaluated; {again}")
    one = [row for row in rows if all(row[key] == nll[key] for key in ONE_EVALUATION)]
    return {row["name"]: row for row in one if row["num_samples"] == nll["num_samples"] or row["name"] not in OF_K}


def letters() -> list[str]:
    """Names for the columns."""
    return [chr(ord("A") + i) for i in range(26)]


def main() -> None:
    cli.run("compare", compare)


if __name__ == "__main__":
    main()
