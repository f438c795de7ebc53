"""Configurations as plain values: which values are one value, and which are the run's own folder."""

import pytest

from vae_lightning.runs.configuration import differences
from vae_lightning.runs.folds import folded
from vae_lightning.runs.keys import flat, swept


class Swept:
    """A run as far as keys are told apart."""

    def __init__(self, seed: int = 1, words: tuple[str, ...] = (), **values) -> None:
        self.seed, self.started, self.name = seed, "", "r"
        self.config, self.choices, self.overrides = {"seed": seed, **values}, {}, words


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        ({"beta": 1.0}, {"beta": 1}, []),
        ({"network": {"hidden": [8.0]}}, {"network": {"hidden": [8]}}, []),
        ({"trainer": {"limit_train_batches": 1.0}}, {"trainer": {"limit_train_batches": 1}}, ["limit_train_batches"]),
        ({"lr": 1e-3}, {"lr": 0.001}, []),
        ({"lr": 1e300}, {"lr": 1e300}, []),
    ],
    ids=str,
)
def test_a_whole_number_is_its_float_but_not_below_trainer(old, new, keys):
    assert [key.rpartition(".")[2] for key in differences(old, new)] == keys
    runs = [Swept(words=("trainer.limit_train_batches=1",), **values) for values in (old, new)]
    assert [key.rpartition(".")[2] for key in swept(runs)] == keys


def test_one_batch_and_all_batches_are_two_settings_of_two_seeds():
    runs = [Swept(seed, trainer={"limit_train_batches": value}) for value in (1, 1.0) for seed in (1, 2)]
    folds = folded(runs, ["trainer.limit_train_batches"])
    assert [(values, len(members)) for values, members in folds] == [(("1",), 2), (("1.0",), 2)]


@pytest.mark.parametrize(
    ("folder", "value", "shown"),
    [
        ("o/g/1", "o/g/1", "RUN"),
        ("o/g/1", "o/g/1/checkpoints", "RUN/checkpoints"),
        ("o/g/1", ["o/g/1/a", "b"], '["RUN/a", "b"]'),
        ("o/g/1", "o/g/10/checkpoints", "o/g/10/checkpoints"),
        ("o/g/1", "/data/o/g/1", "/data/o/g/1"),
        (".", "./checkpoints", "RUN/checkpoints"),
        (".", "vae_lightning.network.MLP", "vae_lightning.network.MLP"),
        (".", "../x", "../x"),
        (".", 0.01, "0.01"),
        ("8", 18, "18"),
        ("/", "/checkpoints", "RUN/checkpoints"),
    ],
    ids=str,
)
def test_a_value_is_the_runs_own_folder_or_below_it(folder, value, shown):
    assert flat(Swept(run_dir=folder, callbacks=value))["callbacks"] == shown
