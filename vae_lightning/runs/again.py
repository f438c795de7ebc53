"""The command line that runs a run again."""

from collections.abc import Iterable, Sequence

from vae_lightning.runs.configuration import key_of
from vae_lightning.runs.readings import sequence
from vae_lightning.runs.run import Run

NOT_AGAIN = ("resume", "allow_drift", "save_dir", "date_prefix")  # they name a folder that already holds a run


def flags_of(run: Run) -> list[str]:
    """The words that say where the run's configurations are, such as --config-dir=FOLDER."""
    return list(sequence(run.record.get("flags")))


def again(overrides: Iterable[str], flags: Sequence[str] = ()) -> list[str]:
    """The words that start a run of the same configuration in a folder of its own."""
    return [*flags, *(word for word in overrides if key_of(word) not in NOT_AGAIN)]
