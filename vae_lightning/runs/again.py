"""The command line that runs a run again."""

from collections.abc import Iterable, Sequence

from vae_lightning.runs.configuration import key_of
from vae_lightning.runs.readings import sequence
from vae_lightning.runs.run import Run

NOT_AGAIN = ("resume", "allow_drift", "save_dir", "date_prefix")  # they name a folder that already holds a run
NOT_AGAIN += ("sweep.name", "sweep.skip_finished", "sweep.retry_diverged")


def flags_of(run: Run) -> list[str]:
    """The words that say where the run's configurations are, such as --config-dir=FOLDER."""
    return list(sequence(run.record.get("flags")))


def again(overrides: Iterable[str], flags: Sequence[str] = ()) -> list[str]:
    """The words that start a run of the same configuration in a folder of its own."""
    return [*flags, *(word for word in overrides if key_of(word) not in NOT_AGAIN)]


def alone(words: Iterable[str]) -> list[str]:
    """The words of one job of a sweep as those of a single run: sweep=OPTION would run the whole sweep."""
    kept = [word for word in words if not key_of(word).startswith("sweep.")]
    return [*kept, *(["hydra.mode=RUN"] if any(key_of(word) == "sweep" for word in kept) else [])]
