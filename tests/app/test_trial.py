"""fast_dev_run tries a configuration, and keeps nothing."""

import tempfile
from pathlib import Path

import pytest
from options import OF_GROUP

from vae_lightning.train import main

SMALL = ["network.hidden=[4]", "data.mirrors=[]", "callbacks.latent_traversal.size=3", "latent=z2"]


@pytest.fixture
def trial(answer, tmp_path, monkeypatch):
    """The main job as a trial: words -> (status, what it printed, what it said on stderr)."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    return lambda *words: answer(main, *SMALL, *words)


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.sample(2)
@pytest.mark.parametrize("schedule", OF_GROUP["schedule"])
def test_every_schedule_can_be_tried(trial, tmp_path, schedule):
    """At 756e4e9: "schedule.cycles=1: more than the 0.5 steps of its length"."""
    status, out, err = trial("+trainer.fast_dev_run=true", f"schedule={schedule}")
    assert status == 0, err
    assert "trial (fast_dev_run) of 1 batch in training, validation and test: it works; nothing is kept" in out
    assert "test ELBO" in out
    assert "run folder" not in out
    assert left(tmp_path) == []


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "words",
    [
        ["+trainer.fast_dev_run=3"],
        ["+trainer.fast_dev_run=3", "trainer=fast", "trainer.compile_mode=null"],
        ["+trainer.fast_dev_run=1", "schedule=linear", "schedule.unit=steps", "schedule.length=500"],
        ["+trainer.fast_dev_run=1", "schedule=cyclic", "schedule.unit=epochs", "schedule.length=7"],
        ["+trainer.fast_dev_run=true", "optimizer.final_lr=1e-5", "save_weights=true"],
        ["+trainer.fast_dev_run=true", "logger=wandb", "logger.mode=offline"],
        ["+trainer.fast_dev_run=true", "data.val_size=0"],
        ["+trainer.fast_dev_run=true", "bound=iwae", "+callbacks.stop.mode=max", "+callbacks.stop.monitor=val/elbo",
         "+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping"],
        ["+trainer.fast_dev_run=true", "resume=auto"],
    ],
    ids=lambda words: " ".join(words)[:70],
)  # fmt: skip
def test_a_trial_of_anything_ends_well_and_leaves_nothing(trial, tmp_path, words):
    status, out, err = trial(*words)
    assert status == 0, err
    assert "nothing is kept" in out
    assert [path for path in left(tmp_path) if "wandb" not in path.parts or "outputs" in path.parts] == []


def test_a_sweep_of_trials_leaves_no_jobs(trial, answer, tmp_path):
    status, out, err = answer(main, "-m", *SMALL, "seed=1,2", "+trainer.fast_dev_run=true")
    assert status == 0, err
    assert out.count("nothing is kept") == 2
    assert not list(tmp_path.rglob("*.json")) + list(tmp_path.rglob("sweep.html"))


def test_a_trial_finds_the_mistakes_of_the_whole_run(trial, tmp_path):
    status, _, err = trial(
        "+trainer.fast_dev_run=true", "schedule=linear", "schedule.unit=epochs", "schedule.length=99"
    )
    assert status == 2
    assert "ends after the run, which has 20" in err
    status, _, err = trial("+trainer.fast_dev_run=true", "+callbacks.best.save_top_k=3")
    assert (status, "save_top_k=3" in err) == (2, True)
    assert left(tmp_path) == []


def test_a_trial_that_fails_leaves_nothing(trial, tmp_path, monkeypatch):
    from vae_lightning.errors import ConfigError
    from vae_lightning.module import VAE

    def fails(*_):
        raise ConfigError("x=1: on purpose")

    monkeypatch.setattr(VAE, "training_step", fails)
    status, _, err = trial("+trainer.fast_dev_run=true")
    assert status == 2
    assert "on purpose" in err
    assert left(tmp_path) == []


@pytest.mark.parametrize("value", ["-1", "abc", "1.5", "null"])
def test_other_values_are_refused(trial, tmp_path, value):
    status, _, err = trial(f"+trainer.fast_dev_run={value}")
    assert status == 2
    assert f"trainer.fast_dev_run={'None' if value == 'null' else value}: must be true, false or a whole number" in err
    assert left(tmp_path) == []


def test_a_run_is_not_resumed_as_a_trial(trial, train, tmp_path):
    run = train("epochs=1")
    before = {path: path.stat().st_mtime_ns for path in left(run)}
    status, _, err = trial(f"resume={run}", "epochs=2", "+trainer.fast_dev_run=true",
                           "allow_drift=[epochs,trainer.fast_dev_run,network.hidden,callbacks,latent]")  # fmt: skip
    assert status in (2, 4)
    assert err.startswith("error:")
    assert {path: path.stat().st_mtime_ns for path in left(run)} == before
