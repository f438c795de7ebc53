"""The end of an epoch is read after the module's own hook, as checkpoints read it; a metric that is missing is told."""

import csv
import json
import warnings

import lightning.pytorch as pl
import pytest
import torch
from conftest import ForeignVAE
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from strangers import plain, quiet_trainer

from vae_lightning.callbacks import CurveLog, EpochWeights, LatentUsage, Progress, RunRecord, SampleGrid

COLUMNS = {"total": "train_loss"}


class LogsAtTheEnd(ForeignVAE):
    """Logs the metric of the epoch, and moves its weights, in its own hook."""

    def on_train_epoch_end(self) -> None:
        self.log("train_loss", 100.0 * self.current_epoch)
        self.encoder.bias.data.fill_(self.current_epoch)


def rows_of(tmp_path, name: str = "train_log.csv") -> list[dict[str, str]]:
    return list(csv.DictReader((tmp_path / "curves" / name).read_text().splitlines()))


@pytest.mark.parametrize("options", [{}, {"check_val_every_n_epoch": 2}, {"max_steps": 13}, {"limit_val_batches": 0}])
def test_the_row_of_an_epoch_has_what_the_module_logs_at_its_end(foreign_fit, tmp_path, options):
    columns = {**COLUMNS, "loss": "foreign_loss"}
    foreign_fit(CurveLog(columns), module=LogsAtTheEnd(), epochs=3, **options)
    assert [float(row["total"]) for row in rows_of(tmp_path)] == [0, 100, 200]
    assert all(row["loss"] for row in rows_of(tmp_path))


def test_a_run_that_early_stopping_ends_has_its_last_row(foreign_fit, tmp_path):
    stop = EarlyStopping("train_loss", patience=1)  # the metric rises
    foreign_fit(stop, CurveLog(COLUMNS), module=LogsAtTheEnd(), epochs=9)
    assert [float(row["total"]) for row in rows_of(tmp_path)] == [0, 100]


def test_the_record_and_the_lines_have_it_too(foreign_fit, tmp_path, capsys):
    _, trainer = foreign_fit(RunRecord(), Progress(COLUMNS), module=LogsAtTheEnd(), epochs=3)
    record = json.loads((tmp_path / "run_meta.json").read_text())
    assert (record["epochs_done"], record["metrics"]["train_loss"]) == (3, 200)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "/3" in line]
    assert [line[1] for line in lines] == ["0", "100", "200"]
    assert [type(part) for part in trainer.callbacks] == [RunRecord, Progress]


def test_a_record_of_a_run_that_fails_has_the_last_whole_epoch(foreign_fit, tmp_path):
    class Breaks(LogsAtTheEnd):
        def on_train_epoch_start(self):
            assert self.current_epoch < 2

    with pytest.raises(AssertionError):
        foreign_fit(RunRecord(), CurveLog(COLUMNS), module=Breaks(), epochs=3)
    record = json.loads((tmp_path / "run_meta.json").read_text())
    assert (record["epochs_done"], record["metrics"]["train_loss"]) == (2, 100)
    assert [float(row["total"]) for row in rows_of(tmp_path)] == [0, 100]


def test_an_error_in_the_modules_hook_leaves_the_trainer_as_it_was(foreign_fit):
    class Breaks(ForeignVAE):
        def on_train_epoch_end(self):
            raise KeyError(len(self.trainer.callbacks))

    log = CurveLog()
    with pytest.raises(KeyError) as error:
        foreign_fit(log, module=Breaks())
    frame = next(entry for entry in error.traceback if entry.name == "fit")
    assert frame.locals["trainer"].callbacks == [log]


class LooksAtFiles(Checkpoint):
    """What a checkpoint would find on the disk when it is written."""

    def __init__(self, folder) -> None:
        self.folder, self.seen = folder, []

    def on_train_epoch_end(self, trainer, pl_module):
        weights = sorted(self.folder.glob("vae_epoch_*.pt"))[-1]
        bias = torch.load(weights, weights_only=True)["encoder.bias"][0].item()
        self.seen.append((len(rows_of(self.folder)), len(list(self.folder.glob("samples/*.png"))), bias))


def test_files_are_on_the_disk_before_the_checkpoint_and_hold_its_weights(tmp_path):
    look = LooksAtFiles(tmp_path)
    parts = [CurveLog(COLUMNS), EpochWeights(), SampleGrid("dream"), look]
    quiet_trainer(tmp_path, *parts, max_epochs=3, enable_checkpointing=True).fit(LogsAtTheEnd(), plain(), plain())
    assert look.seen == [(1, 2, 0.0), (2, 3, 1.0), (3, 4, 2.0)]


def test_latent_usage_looks_at_the_weights_that_the_module_leaves(foreign_fit, tmp_path):
    class SwitchesOff(ForeignVAE):
        def __init__(self):
            super().__init__()
            self.on = True

        def to_latent(self, x):
            mean, log_var = super().to_latent(x)
            return mean * 100 * self.on, log_var * 0

        def on_train_epoch_end(self):
            self.on = self.current_epoch < 1

    foreign_fit(LatentUsage("to_latent"), module=SwitchesOff(), epochs=3)
    assert [row["active_units"] for row in rows_of(tmp_path, "latent_usage.csv")] == ["2", "0", "0"]


@pytest.mark.parametrize("usage_first", [True, False])
def test_active_units_are_read_in_the_epoch_that_logs_them(foreign_fit, tmp_path, usage_first):
    parts = [LatentUsage("to_latent"), CurveLog({"active": "active_units"}), EarlyStopping("active_units", patience=9)]
    foreign_fit(*parts[:: 1 if usage_first else -1], epochs=2)
    used = [row["active_units"] for row in rows_of(tmp_path, "latent_usage.csv")]
    assert [row["active"] for row in rows_of(tmp_path)] == used


def test_a_resumed_run_neither_loses_nor_doubles_a_row(tmp_path):
    def fit(epochs: int, start=None):
        pl.seed_everything(0, verbose=False)
        keep = ModelCheckpoint(tmp_path, "last", save_on_train_epoch_end=True, enable_version_counter=False)
        parts = [CurveLog({**COLUMNS, "val": "foreign_val_loss"}), LatentUsage("to_latent"), keep]
        trainer = quiet_trainer(tmp_path, *parts, max_epochs=epochs, enable_checkpointing=True)
        trainer.fit(LogsAtTheEnd(), plain(), plain(), ckpt_path=start, weights_only=False)

    fit(2)
    fit(4, tmp_path / "last.ckpt")
    assert [(row["epoch"], float(row["total"])) for row in rows_of(tmp_path)] == [
        ("1", 0), ("2", 100), ("3", 200), ("4", 300),
    ]  # fmt: skip
    assert all(row["val"] for row in rows_of(tmp_path))
    assert [row["epoch"] for row in rows_of(tmp_path, "latent_usage.csv")] == ["1", "2", "3", "4"]


def test_a_metric_of_every_second_epoch_leaves_a_gap(foreign_fit, tmp_path):
    class Seldom(ForeignVAE):
        def on_train_epoch_end(self):
            if self.current_epoch % 2 == 0:
                self.log("fid", float(self.current_epoch))

    foreign_fit(CurveLog({"fid": "fid"}), module=Seldom(), epochs=4)
    assert [row["fid"] for row in rows_of(tmp_path)] == ["0", "", "2", ""]


# --- a metric that is not logged -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "missing"),
    [
        (lambda: CurveLog({"loss": "foreign_los"}), "foreign_los"),
        (lambda: CurveLog({"loss": "foreign_loss", "kl": "kl"}), "kl"),
        (CurveLog, "beta, train/recon"),
        (lambda: Progress({"loss": "foreign_los"}), "foreign_los"),
        (Progress, "train/elbo, train/recon"),
    ],
)
def test_a_metric_that_is_never_logged_is_told_once_with_those_that_are(foreign_fit, make, missing):
    callback = make()
    with pytest.warns(UserWarning, match=f"no metric is logged as {missing}") as caught:
        foreign_fit(callback, epochs=3)
    (told,) = [str(warning.message) for warning in caught if "no metric" in str(warning.message)]
    assert told.startswith(f"{type(callback).__name__}: ")
    assert "logged: foreign_loss, foreign_val_loss" in told


def test_there_is_no_chart_of_nothing(foreign_fit, tmp_path):
    with pytest.warns(UserWarning, match="no metric is logged as foreign_los"):
        foreign_fit(CurveLog({"loss": "foreign_los"}))
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["1", "2"]
    assert not (tmp_path / "curves" / "losses.png").exists()


def test_a_metric_of_validation_is_waited_for(foreign_fit):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*no metric")
        foreign_fit(CurveLog({"val": "foreign_val_loss"}), epochs=4, check_val_every_n_epoch=2)


def test_ones_own_columns_of_progress(foreign_fit, capsys):
    columns = {"loss": "foreign_loss", "validation loss": "foreign_val_loss"}
    foreign_fit(Progress(columns), epochs=2)
    _, header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["epoch", "loss", "validation", "loss", "time", "left"]
    assert len(lines) == 2
    for line in lines:
        epoch, loss, validation, _ = line.split()
        assert epoch.endswith("/2")
        assert float(loss) > 0
        assert float(validation) > 0
        assert len(line) == len(header)


def test_a_test_elbo_without_its_terms(foreign_fit, capsys):
    class Tested(ForeignVAE):
        def test_step(self, batch, batch_idx):
            self.log("test/elbo", -3.0)

    trainer = foreign_fit(Progress({"loss": "foreign_loss"}), module=Tested(), epochs=1)[1]
    trainer.test(trainer.lightning_module, plain(), verbose=False)
    assert "test ELBO -3.00 nats\n" in capsys.readouterr().out
