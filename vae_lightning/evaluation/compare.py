"""The newest evaluations of several runs side by side. Nats per image."""

from collections.abc import Iterator, Mapping
from typing import Any

from vae_lightning.errors import ConfigError
from vae_lightning.evaluation.result import average, read
from vae_lightning.runs.digest import sha256
from vae_lightning.runs.files import CHECKPOINTS
from vae_lightning.runs.run import open_run

NAMES = ("elbo", "recon", "kl", "nll", "bits_per_dimension", "active_units", "mutual_information", "marginal_kl")
NAMES += ("ais", "appendix_d")
OF_K = ("elbo", "recon", "nll", "bits_per_dimension")
ONE_EVALUATION = ("data", "protocol", "subset", "split", "seed", "checkpoint_sha256")


def newest(folder: str, num_samples: int | None) -> dict[str, Mapping[str, Any]]:
    """{name: row} of one evaluation of a run: the last one, or the last one with that K.

    Raises ConfigError where there is none, and where the run was trained further since.
    """
    again = f"python -m vae_lightning.evaluate run={folder}"
    run = open_run(folder, key="runs")
    rows = read(run)
    nlls = [row for row in rows if row.get("name") == "nll" and num_samples in (None, row.get("num_samples"))]
    if not nlls:
        which = f" with num_samples={num_samples}" if num_samples else ""
        raise ConfigError(f"runs: {folder} has no evaluation{which}; {again}")
    nll = nlls[-1]
    checkpoint = run.path / CHECKPOINTS / str(nll.get("checkpoint"))
    if checkpoint.is_file() and sha256(checkpoint) != nll.get("checkpoint_sha256"):
        raise ConfigError(f"runs: {folder} was trained further since it was evaluated; {again}")
    one = [row for row in rows if all(row.get(key) == nll.get(key) for key in ONE_EVALUATION)]
    return {
        str(row.get("name")): row
        for row in one
        if row.get("num_samples") == nll.get("num_samples") or row.get("name") not in OF_K
    }


def table(evaluations: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """A column for each run, {folder: {name: row}}, and the mean ± its standard error over runs."""
    return "\n".join(lines(evaluations))


def lines(evaluations: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    nll = next(iter(evaluations.values()))["nll"]
    letters = [chr(ord("A") + i) for i in range(26)]
    yield f"{nll['data']}, {nll['protocol']}, {nll['split']}: {nll['num_images']:,} images, K = {nll['num_samples']:,}"
    yield from (f"{letter}  {folder}" for letter, folder in zip(letters, evaluations, strict=False))
    yield " " * 22 + "".join(f"{letter:>10}" for letter, _ in zip(letters, evaluations, strict=False)) + "      mean"
    for name in NAMES:
        rows = {folder: found[name] for folder, found in evaluations.items() if name in found}
        if len(rows) == len(evaluations):
            mean, error = average(rows)
            columns = "".join(f"{row['value']:10.2f}" for row in rows.values())
            yield f"{name:<22}{columns}{mean:10.2f}" + (f" ± {error:.2f}" if len(rows) > 1 else "")
