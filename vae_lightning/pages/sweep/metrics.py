"""A number of the runs of a sweep by its name: elbo, nll, active_units, or a metric as it was logged, as val/elbo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vae_lightning.errors import ConfigError, did_you_mean
from vae_lightning.pages.sweep.runs import SPLITS, SweptRun
from vae_lightning.runs.configuration import among

HIGHER = ("elbo", "iwae", "miwae")  # the first word of the name's last part: iwae_50
LOWER = ("recon", "nll", "loss", "seconds")
NATS = (*HIGHER, "recon", "kl", "nll", "loss")
SET = {"test": "the test set", "val": "the validation set", "train": "the training set"}
WEIGHING = ("beta", "schedule", "bound", "reduction")  # keys that change what the loss is


@dataclass(frozen=True)
class Metric:
    """A number of some runs, {id(run): value}. `of` says what it was measured on; more can be better, worse or None."""

    name: str
    of: str
    values: Mapping[int, float]

    @property
    def title(self) -> str:
        """elbo of the test set."""
        return f"{self.name} of {self.of}" if self.of else self.name

    @property
    def word(self) -> str:
        return self.name.rpartition("/")[2].partition("_")[0]

    @property
    def unit(self) -> str:
        return "nats" if self.word in NATS else "s" if self.word == "seconds" else ""

    @property
    def higher_is_better(self) -> bool | None:
        """None for a number that is neither, such as the KL or the number of active units."""
        return True if self.word in HIGHER else False if self.word in LOWER else None


def metric(name: str, runs: Sequence[SweptRun], differing: Sequence[str]) -> Metric:
    """The metric of a name. `differing` are the keys that differ between the runs.

    A name without a split is that of the test set, if a run has it; else of the validation set, else of training.
    Raises ConfigError if no run has the metric, and if its values cannot be compared.
    """
    if name == "nll":
        return bound(runs)
    splits = [name.partition("/")[0]] if name.partition("/")[0] in SPLITS else SPLITS
    word = name.rpartition("/")[2]
    by_split = {split: of_split(runs, split, word) for split in splits}
    split = next((split for split, found in by_split.items() if found), splits[0])
    values = by_split[split] or {id(run): n for run in runs if (n := number(run, name)) is not None}
    if not values:
        raise ConfigError(f"metric={name}: no run logged it; {did_you_mean(name, logged(runs))}")
    if not by_split[split]:
        return Metric(name, "", values)
    check_alike(name, word, split, [run for run in runs if id(run) in values], differing)
    return Metric(name, SET[split], values)


def of_split(runs: Sequence[SweptRun], split: str, word: str) -> dict[int, float]:
    """{id(run): value} of the runs that have a number of a split."""
    values = {}
    for run in runs:
        own = run.numbers.get(word) if run.split == split and word in ("elbo", "recon", "kl") else None
        value = run.metrics.get(f"{split}/{word}", own)
        if value is not None:
            values[id(run)] = value
    return values


def number(run: SweptRun, name: str) -> float | None:
    """A number that belongs to no split."""
    return run.numbers.get(name, run.metrics.get(name))


def bound(runs: Sequence[SweptRun]) -> Metric:
    """The NLL of the newest evaluation of each run. Raises ConfigError unless all have the same K and N."""
    known = {id(run): run.nll for run in runs if run.nll}
    again = "python -m vae_lightning.evaluate run=FOLDER num_samples=K"
    if not known:
        raise ConfigError(f"metric=nll: no run was evaluated; {again}")
    kinds = {(nll.num_samples, nll.num_images) for nll in known.values()}
    if len(kinds) > 1:
        said = "; ".join(f"K = {k:,}, N = {n:,}" for k, n in sorted(kinds))
        raise ConfigError(
            f"metric=nll: bounds of different K or N are never compared ({said}); evaluate alike: {again}"
        )
    ((k, n),) = kinds
    return Metric("nll", f"K = {k:,} on {n:,} test images", {key: nll.value for key, nll in known.items()})


def check_alike(name: str, word: str, split: str, runs: Sequence[SweptRun], differing: Sequence[str]) -> None:
    """Raises ConfigError for values of different images, and for a loss that was weighed in different ways."""
    sizes = {run.sizes.get(split) for run in runs} - {None}
    if len(sizes) > 1:
        said = ", ".join(map(str, sorted(sizes, key=str)))
        raise ConfigError(f"metric={name}: measured on different numbers of {split} images ({said}); choose another")
    weighing = next((key for key in differing if among(key, WEIGHING)), None)
    if word == "loss" and weighing:
        raise ConfigError(f"metric={name}: {weighing} differs, and it weighs the loss; say metric=elbo")


def logged(runs: Sequence[SweptRun]) -> list[str]:
    """The names that a metric may have."""
    short = [word for word in ("elbo", "recon", "kl") if any(word in run.numbers for run in runs)]
    more = [key for key in ("active_units", "epochs", "seconds") if any(key in run.numbers for run in runs)]
    evaluated = ["nll"] if any(run.nll for run in runs) else []
    return [*short, *more, *evaluated, *sorted({key for run in runs for key in run.metrics} - set(more))]
