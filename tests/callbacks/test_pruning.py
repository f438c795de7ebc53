"""Pruning: what it reports, when it ends a run, and that it needs no study of this package."""

import lightning.pytorch as pl
import pytest
import torch
from conftest import ForeignVAE
from torch.utils.data import DataLoader, TensorDataset

from vae_lightning.callbacks import BetaAnnealing, Pruning
from vae_lightning.errors import ConfigError, Pruned
from vae_lightning.schedule import Linear


class Trial:
    """A trial that gives up once it has `most` reports."""

    def __init__(self, most: int = 99) -> None:
        self.most, self.reported = most, []

    def report(self, value: float, step: int) -> None:
        self.reported.append((step, value))

    def should_prune(self) -> bool:
        return len(self.reported) >= self.most


@pytest.fixture
def fit(tmp_path):
    """A fit of somebody else's module for four epochs of two batches: callbacks, options -> its trainer."""
    images = TensorDataset(torch.rand(8, 1, 4, 4))

    def run(*parts: pl.Callback, module: pl.LightningModule | None = None, validates=True, ckpt=None, **options):
        given = {"max_epochs": 4, "num_sanity_val_steps": 1, **options}
        trainer = pl.Trainer(
            default_root_dir=tmp_path,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[*parts],
            **given,
        )
        loader = DataLoader(images, batch_size=4)
        trainer.fit(module or ForeignVAE(), loader, loader if validates else None, ckpt_path=ckpt, weights_only=True)
        return trainer

    return run


def test_it_reports_each_validation_and_not_the_sanity_check(fit):
    trial = Trial()
    trainer = fit(Pruning(trial, "foreign_val_loss"))
    assert [step for step, _ in trial.reported] == [0, 1, 2, 3]
    assert trial.reported[-1][1] == pytest.approx(float(trainer.callback_metrics["foreign_val_loss"]))


def test_several_validations_of_an_epoch_are_several_reports(fit):
    trial = Trial()
    fit(Pruning(trial, "foreign_val_loss"), val_check_interval=1, max_epochs=2)
    assert [step for step, _ in trial.reported] == [0, 1, 2, 3]


@pytest.mark.parametrize("validates", [True, False])
def test_a_metric_of_the_training_is_reported_at_the_end_of_its_epoch(fit, validates):
    trial = Trial()
    trainer = fit(Pruning(trial, "foreign_loss"), validates=validates)
    assert [step for step, _ in trial.reported] == [0, 1, 2, 3]
    assert trial.reported[-1][1] == pytest.approx(float(trainer.callback_metrics["foreign_loss"]))


def test_a_metric_that_nobody_logs_is_an_error_that_names_those_that_are(fit):
    with pytest.raises(ConfigError, match=r"monitor='val/elbo'.*foreign_loss.*foreign_val_loss"):
        fit(Pruning(Trial()))


def test_the_run_ends_before_its_next_batch_with_the_checkpoint_of_the_epoch(fit, tmp_path):
    module, kept = ForeignVAE(), pl.callbacks.ModelCheckpoint(tmp_path, "last", monitor=None)
    with pytest.raises(Pruned, match="pruned after epoch 2: foreign_val_loss="):
        fit(Pruning(Trial(most=2), "foreign_val_loss"), kept, module=module)
    assert len(module.weights_seen) == 4  # two epochs of two batches
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4


def test_a_run_whose_last_validation_is_over_is_complete(fit):
    assert fit(Pruning(Trial(most=4), "foreign_val_loss")).current_epoch == 4


def test_nothing_is_pruned_while_the_weight_rises(fit):
    rising = BetaAnnealing(Linear(length=0.75), attribute="kl_weight")
    trial = Trial(most=1)
    with pytest.raises(Pruned, match="after epoch 3"):
        fit(rising, Pruning(trial, "foreign_val_loss"))
    assert [step for step, _ in trial.reported] == [0, 1, 2]


def test_a_resumed_run_goes_on_counting(fit, tmp_path):
    fit(Pruning(Trial(), "foreign_val_loss"), pl.callbacks.ModelCheckpoint(tmp_path, "last"), max_epochs=2)
    trial = Trial()
    fit(Pruning(trial, "foreign_val_loss"), ckpt=tmp_path / "last.ckpt")
    assert [step for step, _ in trial.reported] == [2, 3]


def test_it_is_what_optuna_expects(fit):
    """In `study.optimize`, with a pruner of Optuna: a real trial, and its TrialPruned."""
    optuna = pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        trainer = fit(Pruning(trial, "foreign_val_loss"), max_epochs=2)
        return float(trainer.callback_metrics["foreign_val_loss"])

    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=0.0))
    study.optimize(objective, n_trials=1)
    (trial,) = study.trials
    assert trial.state.name == "PRUNED"
    assert [*trial.intermediate_values] == [0]
