"""RunRecord beside a run that is already there: it adds, and loses nothing."""

import json
from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from conftest import ForeignVAE
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from vae_lightning.callbacks import RunRecord

IMAGES = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LOADER = DataLoader(TensorDataset(IMAGES), batch_size=4)
QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
STAGES = ("validate", "test", "predict")


class Measured(ForeignVAE):
    """Logs names of its own in a test, one of them also in training. `fails` raises in the given stage."""

    def __init__(self, fails: str = "") -> None:
        super().__init__()
        self.fails, self.worth = fails, 0.5

    def training_step(self, batch, batch_idx):
        self.log("accuracy", 0.25)
        return super().training_step(batch, batch_idx)

    def validation_step(self, batch, batch_idx):
        self._fail("validate")
        super().validation_step(batch, batch_idx)

    def test_step(self, batch, batch_idx):
        self._fail("test")
        self.log_dict({"test_loss": self.worth, "fid": self.worth, "accuracy": self.worth})

    def predict_step(self, batch, batch_idx):
        self._fail("predict")
        return batch[0]

    def _fail(self, stage):
        if self.fails == stage:
            raise RuntimeError("on purpose")


@pytest.fixture
def trainer(tmp_path):
    return partial(pl.Trainer, default_root_dir=tmp_path, enable_checkpointing=False, **QUIET)


@pytest.fixture
def meta(tmp_path):
    """run_meta.json of a finished run."""
    return lambda: json.loads((tmp_path / "run_meta.json").read_text())


@pytest.fixture
def finished(foreign_fit, tmp_path, meta):
    record = RunRecord()
    record.add(config={"lr": 0.1}, note="first")
    foreign_fit(record, module=Measured())
    return meta()


@pytest.mark.parametrize("stage", STAGES)
def test_a_finished_run_keeps_its_record(finished, trainer, meta, stage):
    """At 756e4e9 a test left {"metrics": {}}."""
    getattr(trainer(callbacks=[RunRecord()]), stage)(Measured(), LOADER)
    after = meta()
    assert {**after, "metrics": None, "tested": None} == {**finished, "metrics": None, "tested": None}
    assert finished["metrics"].items() <= after["metrics"].items()
    assert ("fid" in after["metrics"]) == ("test_loss" in after["metrics"]) == (stage == "test")


def test_a_metric_of_the_training_keeps_its_name(finished, trainer, meta):
    module = Measured()
    for module.worth in (0.5, 0.75):
        trainer(callbacks=[RunRecord()]).test(module, LOADER)
        values = {"accuracy": 0.25, "test/accuracy": module.worth, "fid": module.worth, "test_loss": module.worth}
        assert values.items() <= meta()["metrics"].items()


@pytest.mark.parametrize("stage", STAGES)
def test_a_test_that_fails_is_no_failed_run(finished, trainer, meta, stage):
    with pytest.raises(RuntimeError, match="on purpose"):
        getattr(trainer(callbacks=[RunRecord()]), stage)(Measured(fails=stage), LOADER)
    assert meta() == finished


def test_one_callback_over_two_folders_mixes_nothing(finished, trainer, meta, tmp_path):
    record = RunRecord()
    record.add(note="second")
    other = trainer(callbacks=[record], max_epochs=1)
    other._default_root_dir = str(tmp_path / "other")
    other.fit(Measured(), LOADER, LOADER)
    trainer(callbacks=[record]).test(Measured(), LOADER)
    assert meta()["started"] == finished["started"]
    assert meta()["config"] == {"lr": 0.1}
    assert "config" not in json.loads((tmp_path / "other" / "run_meta.json").read_text())


def test_a_fit_that_never_begins_leaves_the_facts_of_the_run(finished, trainer, meta):
    class Fails(pl.Callback):
        def setup(self, *_, **__):
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        trainer(callbacks=[RunRecord(), Fails()], max_epochs=1).fit(Measured(), LOADER)
    assert meta()["status"] == "failed"
    assert (meta()["config"], meta()["metrics"]) == (finished["config"], finished["metrics"])


def test_a_damaged_record_is_left_as_it_is(trainer, tmp_path, capsys):
    (tmp_path / "run_meta.json").write_text('{"status": "comp')
    trainer(callbacks=[RunRecord()]).test(Measured(), LOADER)
    assert (tmp_path / "run_meta.json").read_text() == '{"status": "comp'
    assert "damaged, left as it is" in capsys.readouterr().err


def test_the_best_checkpoint_is_on_record_while_the_run_lives(trainer, tmp_path, meta):
    """What a run that is killed leaves behind."""

    class Looks(pl.Callback):
        seen: list

        def on_train_epoch_start(self, *_):
            self.seen = [*getattr(self, "seen", []), meta().get("best_checkpoint")]

    looks, best = Looks(), ModelCheckpoint(tmp_path / "mine", "{epoch}", monitor="foreign_val_loss", save_top_k=2)
    fit = pl.Trainer(max_epochs=3, default_root_dir=tmp_path, callbacks=[RunRecord(), looks, best], **QUIET)
    fit.fit(ForeignVAE(), LOADER, LOADER)
    assert looks.seen[0] is None
    assert looks.seen[1] == "mine/epoch=0.ckpt"
    assert meta()["best_checkpoint"] == f"mine/{best.best_model_path.rpartition('/')[2]}"
