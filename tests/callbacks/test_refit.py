"""Before the first fit, in a second fit, and after a fit that failed."""

import copy
import csv
import json
import pickle

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from conftest import ForeignVAE
from lightning.pytorch.callbacks import LearningRateFinder, ModelCheckpoint
from PIL import Image
from strangers import PROJECTS, LargeImages, Tuned, images, plain, quiet_trainer

from vae_lightning import callbacks
from vae_lightning.callbacks import (
    CompileStep,
    CurveLog,
    DivergenceGuard,
    EpochWeights,
    LatentUsage,
    ReconstructionGrid,
    RunRecord,
)
from vae_lightning.errors import Diverged


def rows_of(folder, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "curves" / name).read_text().splitlines()))


# --- before the first fit --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: DivergenceGuard("to_latent"), lambda: LatentUsage("to_latent")])
def test_a_checkpoint_before_the_first_fit(tmp_path, make):
    module, trainer = ForeignVAE(), quiet_trainer(tmp_path, make(), max_epochs=1)
    trainer.strategy.connect(module)
    trainer.save_checkpoint(tmp_path / "before.ckpt")
    trainer.fit(module, plain(), ckpt_path=tmp_path / "before.ckpt", weights_only=False)
    assert trainer.global_step == 5


def test_tuners_do_not_disturb_the_curves(tmp_path):
    """The tuners run batches before the first epoch, and restore a checkpoint."""
    parts = [CurveLog({"loss": "foreign_loss"}), LatentUsage("to_latent"), RunRecord(), DivergenceGuard("to_latent")]
    PROJECTS["tuners"].train(tmp_path, *parts)
    assert [row["epoch"] for row in rows_of(tmp_path, "train_log.csv")] == ["1", "2"]
    assert [row["epoch"] for row in rows_of(tmp_path, "latent_usage.csv")] == ["1", "2"]
    assert json.loads((tmp_path / "run_meta.json").read_text())["epochs_done"] == 2


def test_a_guard_that_stopped_a_run_may_watch_another_with_a_tuner(tmp_path):
    class Diverges(ForeignVAE):
        def training_step(self, batch, batch_idx):
            return super().training_step(batch, batch_idx) * float("nan")

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), fused=True)

    guard = DivergenceGuard("to_latent", every_n_steps=50)
    with pytest.raises(Diverged):
        quiet_trainer(tmp_path, guard, max_epochs=1).fit(Diverges(), plain())
    tuner = LearningRateFinder(num_training_steps=4)
    trainer = quiet_trainer(tmp_path, tuner, guard, max_epochs=1)
    trainer.fit(Tuned())
    assert trainer.state.finished


# --- two fits --------------------------------------------------------------------------------------------------------


def test_latent_usage_of_a_model_with_other_units(tmp_path):
    usage = LatentUsage("to_latent")
    for latent in (2, 3):
        quiet_trainer(tmp_path, usage, max_epochs=1).fit(ForeignVAE(latent), plain())
    (row,) = rows_of(tmp_path, "latent_usage.csv")
    assert list(row) == ["epoch", "active_units", "kl_z1", "kl_z2", "kl_z3"]
    assert len(usage.state_dict()["last_active"]) == 3


def test_the_reconstructions_of_a_second_fit_are_of_its_own_images(tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks.pictures, "caption", lambda *_: "")
    grid = ReconstructionGrid(lambda x: x, num_images=4)
    quiet_trainer(tmp_path / "a", grid, max_epochs=1).fit(ForeignVAE(), plain())
    quiet_trainer(tmp_path / "b", grid, max_epochs=1).fit(LargeImages(), plain(side=6))
    quiet_trainer(tmp_path / "c", ReconstructionGrid(lambda x: x, num_images=4), max_epochs=1).fit(
        LargeImages(), plain(side=6)
    )
    second, alone = (
        np.asarray(Image.open(tmp_path / fold / "reconstructions" / "epoch_0001.png")) for fold in ("b", "c")
    )
    assert np.array_equal(second, alone)
    assert grid.images is None


def test_the_record_of_a_second_fit_has_nothing_of_the_first(tmp_path):
    class Breaks(ForeignVAE):
        def training_step(self, batch, batch_idx):
            raise KeyError

    record = RunRecord()
    record.add(note="both")
    quiet_trainer(tmp_path, record, max_epochs=2).fit(ForeignVAE(), plain())
    with pytest.raises(KeyError):
        quiet_trainer(tmp_path, record, max_epochs=2).fit(Breaks(), plain())
    meta = json.loads((tmp_path / "run_meta.json").read_text())
    assert (meta["status"], meta["note"]) == ("failed", "both")
    assert not {"metrics", "epochs_done"} & set(meta)


def test_the_curves_of_a_second_fit_are_its_own(tmp_path):
    log = CurveLog({"loss": "foreign_loss", "val": "foreign_val_loss"})
    quiet_trainer(tmp_path / "a", log, max_epochs=2).fit(ForeignVAE(), plain(), plain())
    quiet_trainer(tmp_path / "b", log, max_epochs=1, check_val_every_n_epoch=2).fit(ForeignVAE(), plain(), plain())
    (row,) = rows_of(tmp_path / "b", "train_log.csv")
    assert (row["epoch"], row["val"]) == ("1", "")
    assert (tmp_path / "b" / "curves" / "losses.png").is_file()


def test_the_initial_weights_are_not_written_by_a_resumed_run(tmp_path):
    keep = ModelCheckpoint(tmp_path, "mid", every_n_train_steps=3, enable_version_counter=False)
    trainer = quiet_trainer(tmp_path, EpochWeights(), keep, max_steps=3, enable_checkpointing=True)
    trainer.fit(ForeignVAE(), plain())
    before = torch.load(tmp_path / "vae_epoch_0000.pt", weights_only=True)
    trainer = quiet_trainer(tmp_path, EpochWeights(), max_epochs=1)
    trainer.fit(ForeignVAE(), plain(), ckpt_path=tmp_path / "mid.ckpt", weights_only=False)
    after = torch.load(tmp_path / "vae_epoch_0000.pt", weights_only=True)
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


# --- two encoders ----------------------------------------------------------------------------------------------------


class TwoEncoders(ForeignVAE):
    """The second encoder uses none of its three units."""

    def to_style(self, x):
        return torch.zeros(len(x), 3), torch.zeros(len(x), 3)


def usages(*folders) -> list[LatentUsage]:
    return [LatentUsage("to_latent", dirpath=folders[0]), LatentUsage("to_style", dirpath=folders[1])]


def test_two_encoders_have_metrics_and_files_of_their_own(tmp_path):
    trainer = quiet_trainer(tmp_path, *usages(None, None), max_epochs=1)
    trainer.fit(TwoEncoders(), plain())
    (first,), (second,) = rows_of(tmp_path, "latent_usage.csv"), rows_of(tmp_path, "latent_usage_2.csv")
    assert (len(first), len(second)) == (4, 5)
    assert float(first["active_units"]) == float(trainer.callback_metrics["active_units"])
    assert float(second["active_units"]) == float(trainer.callback_metrics["active_units_2"]) == 0


def test_two_encoders_with_folders_of_their_own(tmp_path):
    trainer = quiet_trainer(tmp_path, *usages(tmp_path / "a", tmp_path / "b"), max_epochs=1)
    trainer.fit(TwoEncoders(), plain())
    assert [len(rows_of(tmp_path / folder, "latent_usage.csv")[0]) for folder in "ab"] == [4, 5]


def test_two_encoders_are_resumed_with_the_state_of_each(tmp_path):
    parts = usages(None, None)
    trainer = quiet_trainer(tmp_path, *parts, max_epochs=1)
    trainer.fit(TwoEncoders(), plain())
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    again = usages(None, None)
    trainer = quiet_trainer(tmp_path, *again, max_epochs=2)
    seen = []

    class Look(pl.Callback):
        def on_train_start(self, *_):
            seen.extend(part.state_dict() for part in again)

    trainer.callbacks.append(Look())
    trainer.fit(TwoEncoders(), plain(), ckpt_path=tmp_path / "one.ckpt", weights_only=False)
    assert seen == [part.state_dict() for part in parts]
    assert [row["epoch"] for row in rows_of(tmp_path, "latent_usage_2.csv")] == ["1", "2"]


def test_state_keys_of_encoders():
    same = LatentUsage(), LatentUsage("encode")
    assert {usage.state_key for usage in same} == {"LatentUsage"}
    others = [LatentUsage("a"), LatentUsage("b"), LatentUsage("a", dirpath="x"), LatentUsage(len), LatentUsage(abs)]
    others.append(LatentUsage(lambda x: (x, x)))
    assert len({usage.state_key for usage in others}) == len(others)


# --- a compiled step -------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch) -> list[str]:
    """Which calls are compiled, with a compiler that does nothing."""
    seen: list[str] = []

    def compile(function, **_):
        def compiled(*arguments, **named):
            seen.append("compiled")
            return function(*arguments, **named)

        return compiled

    monkeypatch.setattr(torch, "compile", compile)
    return seen


class Objective(ForeignVAE):
    fails = False

    def objective(self, x, weight=1.0):
        if self.fails:
            raise KeyError("in the step")
        return (self.autoencode(x) - x).square().mean() * weight

    def training_step(self, batch, batch_idx):
        return self.objective(x=batch[0], weight=0.5)


def test_a_compiled_method_takes_keyword_arguments(tmp_path, calls):
    module = Objective()
    quiet_trainer(tmp_path, CompileStep(), max_epochs=1).fit(module, plain())
    assert calls == ["compiled"] * 5


def test_a_fit_that_failed_leaves_the_module_as_it_was(tmp_path, calls):
    step, module = CompileStep(), Objective()
    module.fails = True
    for _ in range(2):
        with pytest.raises(KeyError, match="in the step"):
            quiet_trainer(tmp_path, step, max_epochs=1).fit(module, plain())
        assert "objective" not in vars(module)
    pickle.dumps((module, step))
    module.fails = False
    calls.clear()
    quiet_trainer(tmp_path, step, max_epochs=1).fit(module, plain())
    assert calls == ["compiled"] * 5
    pickle.dumps((module, step))


def test_copies_that_are_made_during_a_fit_are_not_compiled(tmp_path, calls):
    class Copies(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            self.copies = [copy.deepcopy(pl_module), pickle.loads(pickle.dumps(pl_module))]

    copies = Copies()
    quiet_trainer(tmp_path, CompileStep(), copies, max_steps=1).fit(Objective(), plain())
    calls.clear()
    for module in copies.copies:
        module.objective(images(), 1.0).backward()
        assert module.encoder.weight.grad is not None
        assert module.objective.__self__ is module
    assert calls == []


def test_a_function_that_the_user_put_into_the_module_is_put_back(tmp_path, calls):
    module = Objective()
    own = module.objective = lambda x, weight: module.decoder(torch.zeros(1, 2)).sum()
    quiet_trainer(tmp_path, CompileStep(), max_epochs=1).fit(module, plain())
    assert module.objective is own
    assert len(calls) == 5
