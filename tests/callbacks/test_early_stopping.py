"""Early stopping: it waits until annealing ends, says why, and a stopped run is finished."""

import csv
import json
from pathlib import Path

import pytest
from alike import assert_same_run

from vae_lightning import checkpoint
from vae_lightning.callbacks import BetaAnnealing, EarlyStopping
from vae_lightning.errors import ConfigError
from vae_lightning.runs.run import open_run
from vae_lightning.schedule import Constant, Cyclic, Linear, Triangle
from vae_lightning.train import main

STOPS = ["+callbacks@callbacks.early_stopping=early_stopping", "callbacks.early_stopping.patience=2"]
LEVEL = ["lr=1e-30", "latent=z2", "callbacks.latent_traversal.size=3"]  # weights, and so val/elbo, stay as they are
LEVEL += ["+trainer.limit_train_batches=4", "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1"]


def epochs_of(run: Path) -> int:
    with (run / "curves" / "train_log.csv").open() as file:
        return len(list(csv.DictReader(file)))


def record_of(run: Path) -> dict:
    return json.loads((run / "run_meta.json").read_text())


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("words", "epochs"),
    [
        ([], 3),
        (["schedule=linear", "schedule.length=0.5"], 7),
        (["schedule=linear", "schedule.length=2", "schedule.unit=epochs"], 4),
        (["schedule=linear", "schedule.length=1.0"], 10),
        (["trainer=fast", "trainer.compile_mode=null", "trainer.precision=32-true"], 3),
        (["experiment=capacity"], 7),
    ],
    ids=["constant", "linear", "epochs", "whole run", "fast", "capacity"],
)
def test_patience_counts_from_the_end_of_annealing(train, capsys, words, epochs):
    run = train(*STOPS, *LEVEL, *words, "epochs=10")
    assert epochs_of(run) == epochs
    record = record_of(run)
    assert record["status"] == "completed"
    if epochs < 10:
        said = f"val/elbo was not better in 2 validations after epoch {epochs}; the best is -"
        assert record["stopped_early"].startswith(said)
        assert f"stopped early: {said[:40]}" in " ".join(capsys.readouterr().out.split())
    else:
        assert "stopped_early" not in record
    assert "test/elbo" in record["metrics"]


def test_a_stopped_run_is_finished(train, answer):
    run = train(*STOPS, *LEVEL, "epochs=10", "report=true")
    before = checkpoint.load(run / "checkpoints" / "last.ckpt")["global_step"]
    status, _, err = answer(main, f"resume={run}")
    assert status == 0, err
    assert record_of(run)["status"] == "completed"
    assert "attempts" not in record_of(run)
    assert checkpoint.load(run / "checkpoints" / "last.ckpt")["global_step"] == before
    assert epochs_of(run) == 3


@pytest.mark.slow
def test_a_run_that_ended_between_its_stop_and_its_test_trains_no_more(train, answer):
    words = [*STOPS, *LEVEL, "epochs=10", "date_prefix=false", "group=g"]
    whole, part = train(*words, "name=whole"), train(*words, "name=part")
    record = {key: value for key, value in record_of(part).items() if key != "stopped_early"}
    (part / "run_meta.json").write_text(json.dumps(record | {"status": "interrupted"}))
    status, _, err = answer(main, f"resume={part}")
    assert status == 0, err
    assert_same_run(whole, part)
    assert record_of(part)["stopped_early"] == record_of(whole)["stopped_early"]


@pytest.mark.slow
def test_a_stopped_run_that_is_given_more_epochs_goes_on(train, answer):
    run = train(*STOPS, *LEVEL, "epochs=4")
    assert epochs_of(run) == 3
    status, _, err = answer(main, f"resume={run}", "epochs=10", "allow_drift=[epochs]")
    assert status == 0, err
    assert epochs_of(run) == 5  # two more validations without a better value
    assert open_run(run).epochs_done == 5


def test_it_works_in_any_project(foreign_fit):
    stop = EarlyStopping("foreign_loss", "min", patience=1, min_delta=1e9)
    _, trainer = foreign_fit(BetaAnnealing(Linear(0.5), "kl_weight"), stop, epochs=8)
    assert trainer.current_epoch == 5  # annealed for four epochs; the fourth is the first that counts
    assert stop.stopped_early.startswith("foreign_loss was not better in 1 validation after epoch 5")


@pytest.mark.parametrize(
    ("schedule", "first"),
    [(Constant(), 0), (Linear(0.5), 4), (Cyclic(cycles=2, ratio=0.5), 6), (Triangle(), 8), (lambda t: t, 8)],
)
def test_annealing_has_ended_once_the_curve_is_level(foreign_fit, schedule, first):
    class Ask(EarlyStopping):
        def _run_early_stopping_check(self, trainer):
            ended.append(annealing.has_ended(trainer))

    ended: list[bool] = []
    annealing = BetaAnnealing(schedule, "kl_weight")
    foreign_fit(annealing, Ask("foreign_loss", "min"), epochs=8)
    assert ended == [epoch >= first for epoch in range(1, 9)]


@pytest.mark.parametrize("wrong", [{"patience": 0}, {"min_delta": -1.0}])
def test_numbers_that_cannot_be_are_named(wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=rf"EarlyStopping\.{name}="):
        EarlyStopping(**wrong)


def test_a_metric_that_is_not_logged_is_refused_at_once(answer, tmp_path):
    status, _, err = answer(main, *STOPS, "callbacks.early_stopping.monitor=val/elbow", f"project_dir={tmp_path / 'o'}")
    assert status == 2
    assert "callbacks.early_stopping.monitor=val/elbow: it is not logged" in err
