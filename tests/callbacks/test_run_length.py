"""The length of a run: known, known in steps, or not known; and the clock of schedules, which counts batches."""

import csv
import itertools
import math
import signal

import lightning.pytorch as pl
import pytest
import torch
from conftest import ForeignVAE
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from strangers import IMAGES, Gan, Stream, images, listed, plain, quiet_trainer
from torch.utils.data import DataLoader

from vae_lightning import VAE
from vae_lightning.app.rehearsal import num_batches
from vae_lightning.callbacks import BetaAnnealing, CurveLog, GracefulStop, OutputBias, Progress, SampleGrid, output_bias
from vae_lightning.errors import ConfigError, Interrupted
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.length import Length
from vae_lightning.network import MLP
from vae_lightning.optimizer import Adam
from vae_lightning.schedule import Constant, Linear, Triangle

BATCHES = IMAGES // 4


def annealed(tmp_path, schedule, module=None, loader=None, callbacks=(), **limits) -> list[float]:
    """The weight in every batch."""
    module = module or ForeignVAE()
    trainer = quiet_trainer(tmp_path, BetaAnnealing(schedule, "kl_weight"), *callbacks, **limits)
    trainer.fit(module, plain() if loader is None else loader)
    return module.weights_seen


def stream(endless: bool = False) -> DataLoader:
    return listed(Stream(endless))


# --- a stream --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schedule", "limits", "expected"),
    [
        (Linear(1.0), {"max_steps": 8}, [b / 8 for b in range(8)]),
        (lambda t: t, {"max_steps": 8}, [b / 8 for b in range(8)]),
        (Linear(1.0), {"max_epochs": 2, "limit_train_batches": 3}, [b / 6 for b in range(6)]),
        (Linear(1, "epochs"), {"max_epochs": 2, "limit_train_batches": 3}, [min(1, b / 3) for b in range(6)]),
        (Linear(4, "steps"), {"max_epochs": 2}, [min(1, b / 4) for b in range(2 * BATCHES)]),
        (Triangle(4, "steps"), {"max_epochs": 2}, [0, 0.5, 1, 0.5, *[0] * (2 * BATCHES - 4)]),
        (Constant(0.3), {"max_epochs": 2}, [0.3] * 2 * BATCHES),
    ],
)
def test_annealing_works_where_a_length_can_be_had(tmp_path, schedule, limits, expected):
    assert annealed(tmp_path, schedule, loader=stream(), **limits) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("schedule", "limits", "says"),
    [
        (Linear(1.0), {"max_epochs": 2}, "needs the length of the run.*max_steps"),
        (lambda t: t, {"max_epochs": 2}, "needs the length of the run"),
        (Linear(1.0), {"max_epochs": -1}, "needs the length of the run"),
        (Linear(1.0), {"max_time": "00:00:01:00"}, "needs the length of the run"),
        (Linear(1, "epochs"), {"max_epochs": 2}, "the batches of an epoch are not known.*limit_train_batches"),
        (Linear(1, "epochs"), {"max_steps": 8}, "the batches of an epoch are not known"),
    ],
)
def test_annealing_refuses_in_one_line_where_there_is_none(tmp_path, schedule, limits, says):
    with pytest.raises(ConfigError, match=says) as error:
        annealed(tmp_path, schedule, loader=stream(), **limits)
    assert "\n" not in str(error.value)


def test_a_run_without_an_end_takes_a_schedule_in_steps_or_epochs(tmp_path):
    class Ends(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            trainer.should_stop = trainer.global_step == 8

    for schedule, length in ((Linear(4, "steps"), 4), (Linear(1, "epochs"), BATCHES)):
        seen = annealed(tmp_path, schedule, callbacks=[Ends()], max_epochs=-1)
        assert seen == pytest.approx([min(1, b / length) for b in range(8)])


@pytest.mark.parametrize("limits", [{"max_steps": 8}, {"max_epochs": 2}, {"max_epochs": 2, "limit_train_batches": 3}])
@pytest.mark.parametrize("terminal", [True, False])
def test_progress_of_a_stream(tmp_path, monkeypatch, capsys, limits, terminal):
    clock = itertools.count()
    monkeypatch.setattr("vae_lightning.callbacks.progress.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    quiet_trainer(tmp_path, Progress({"loss": "foreign_loss"}), **limits).fit(ForeignVAE(), stream())
    out = capsys.readouterr().out
    assert ("batch 3" in out) == (terminal and "limit_train_batches" not in limits)
    lines = [line for line in out.splitlines() if "/2" in line or "/?" in line]
    assert lines[-1].split()[-1] == "0s"


@pytest.mark.parametrize("limits", [{"max_steps": 8}, {"max_epochs": 2, "limit_train_batches": 4}])
def test_the_learning_rate_falls_over_a_stream(tmp_path, limits):
    seen = fall(tmp_path, **limits)
    assert seen == pytest.approx([1e-3 * 0.1 ** (k / 8) for k in range(8)])


@pytest.mark.parametrize("limits", [{"max_epochs": 2}, {"max_epochs": -1}])
def test_a_learning_rate_that_falls_for_an_unknown_time_is_refused(tmp_path, limits):
    with pytest.raises(ConfigError, match=r"optimizer\.final_lr needs the length of the run"):
        fall(tmp_path, **limits)


def fall(tmp_path, **limits) -> list[float]:
    """The learning rate in every batch of a stream."""
    seen = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, *_):
            seen.append(trainer.optimizers[0].param_groups[0]["lr"])

    module = VAE(MLP([1, 4, 4], 2, hidden=4), DiagonalGaussian(2), optimizer=Adam(1e-3, final_lr=1e-4))
    quiet_trainer(tmp_path, Watch(), **limits).fit(module, stream())
    return seen


@pytest.mark.parametrize(
    ("endless", "limits"), [(False, {"max_epochs": 1}), (True, {"max_steps": BATCHES}), (True, {"max_epochs": 1})]
)
def test_the_mean_of_a_stream_is_that_of_the_batches_of_the_run(tmp_path, endless, limits):
    module = ForeignVAE()
    module.decoder[0].bias.requires_grad_(False)
    more = {"limit_train_batches": BATCHES} if endless and "max_epochs" in limits else {}
    quiet_trainer(tmp_path, OutputBias("decoder.0.bias"), **limits, **more).fit(module, stream(endless))
    torch.testing.assert_close(module.decoder[0].bias.sigmoid(), images().mean(0).flatten())


def test_the_mean_of_a_stream_without_an_end_is_that_of_its_first_batches(tmp_path, monkeypatch):
    class Ends(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.should_stop = True

    monkeypatch.setattr(output_bias, "MOST", BATCHES)
    module = ForeignVAE()
    module.decoder[0].bias.requires_grad_(False)
    trainer = quiet_trainer(tmp_path, OutputBias("decoder.0.bias"), Ends(), max_epochs=-1)
    trainer.fit(module, stream(endless=True))
    torch.testing.assert_close(module.decoder[0].bias.sigmoid(), images().mean(0).flatten())


def test_the_mean_of_data_with_a_length_is_that_of_the_whole_epoch(tmp_path):
    module = ForeignVAE()
    module.decoder[0].bias.requires_grad_(False)
    quiet_trainer(tmp_path, OutputBias("decoder.0.bias"), max_steps=1).fit(module, plain())
    torch.testing.assert_close(module.decoder[0].bias.sigmoid(), images().mean(0).flatten())


def test_a_signal_in_a_stream(tmp_path):
    class Signals(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == BATCHES + 2:
                signal.raise_signal(signal.SIGTERM)

    parts = [Signals(), GracefulStop(), CurveLog({"loss": "foreign_loss"})]
    with pytest.raises(Interrupted, match=f"after step {BATCHES + 2}, in epoch 2"):
        quiet_trainer(tmp_path, *parts, max_steps=100).fit(ForeignVAE(), stream())
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()
    with (tmp_path / "curves" / "train_log.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]


# --- batches, not steps ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [{"max_epochs": 2}, {"max_steps": 20}, {"max_epochs": 2, "max_steps": 20}])
@pytest.mark.parametrize(
    ("schedule", "length"), [(Linear(1.0), 10), (lambda t: t, 10), (Linear(5, "steps"), 5), (Linear(1, "epochs"), 5)]
)
def test_two_optimizers_do_not_double_the_speed(tmp_path, schedule, length, limits):
    """max_steps counts the steps of both optimizers: 20 are ten batches."""
    assert annealed(tmp_path, schedule, Gan(), **limits) == pytest.approx([min(1, b / length) for b in range(10)])


@pytest.mark.parametrize("limits", [{"max_steps": 16}, {"max_epochs": 2, "limit_train_batches": 4}])
def test_two_optimizers_on_a_stream(tmp_path, limits):
    assert annealed(tmp_path, Linear(1.0), Gan(), stream(), **limits) == pytest.approx([b / 8 for b in range(8)])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [(Linear(1.0), [b / 10 for b in range(10)]), (Linear(3, "steps"), [min(1, b / 5) for b in range(10)])],
)
def test_accumulation_counts_batches_in_t_and_steps_in_steps(tmp_path, schedule, expected):
    """Five batches are three steps; t rises in every batch, and three steps are over after five batches."""
    seen = annealed(tmp_path, schedule, max_epochs=2, accumulate_grad_batches=2)
    assert seen == pytest.approx(expected)


@pytest.mark.parametrize("make", [ForeignVAE, Gan])
def test_a_run_that_is_resumed_within_an_epoch_goes_on_with_the_schedule(tmp_path, make):
    class Stops(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if len(pl_module.weights_seen) == 7:
                trainer.save_checkpoint(tmp_path / "mid.ckpt")
                raise KeyError

    whole = annealed(tmp_path, Linear(1.0), make(), max_epochs=2)
    with pytest.raises(KeyError):
        annealed(tmp_path, Linear(1.0), make(), callbacks=[Stops()], max_epochs=2)
    module = make()
    trainer = quiet_trainer(tmp_path, BetaAnnealing(Linear(1.0), "kl_weight"), max_epochs=2)
    trainer.fit(module, plain(), ckpt_path=tmp_path / "mid.ckpt", weights_only=False)
    assert module.weights_seen == whole[7:]


def test_pictures_of_two_optimizers_have_the_step_of_the_metrics(tmp_path):
    steps = []

    class Takes(CSVLogger):
        def log_image(self, key, images, step=None):
            steps.append(step)

    logger = Takes(tmp_path)
    quiet_trainer(tmp_path, SampleGrid("dream"), logger=logger, max_epochs=2, log_every_n_steps=1).fit(Gan(), plain())
    assert steps == [0, BATCHES, 2 * BATCHES]


def test_a_picture_of_the_untrained_model_is_not_drawn_again_by_a_resumed_run(tmp_path):
    keep = ModelCheckpoint(tmp_path, "mid", every_n_train_steps=3, enable_version_counter=False)
    parts = [SampleGrid("dream"), keep]
    quiet_trainer(tmp_path, *parts, max_steps=3, enable_checkpointing=True).fit(ForeignVAE(), plain())
    picture = tmp_path / "samples" / "epoch_0000.png"
    untrained = picture.read_bytes()
    trainer = quiet_trainer(tmp_path, SampleGrid("dream"), max_epochs=1)
    trainer.fit(ForeignVAE(), plain(), ckpt_path=tmp_path / "mid.ckpt", weights_only=False)
    assert picture.read_bytes() == untrained


# --- the length itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "steps", "epochs"),
    [
        (Length(2, 5), 10, 2),
        (Length(2, 5, accumulated=2), 6, 2),
        (Length(2, 5, max_steps=7), 7, 1.4),
        (Length(math.inf, 5, max_steps=20), 20, 4),
        (Length(2, math.inf, max_steps=20), 20, None),
        (Length(2, math.inf), math.inf, None),
        (Length(math.inf, 5), math.inf, None),
    ],
)
def test_steps_and_epochs_of_a_run(length, steps, epochs):
    assert length.steps == steps
    assert length.known == math.isfinite(steps)
    assert epochs is None or length.whole_epochs == epochs


@pytest.mark.parametrize(
    ("loader", "limit", "expected"),
    [
        (plain(), 1.0, 5),
        (plain(), 0.5, 2),
        (plain(), 3, 3),
        (stream(), 1.0, math.inf),
        (stream(), 3, 3),
    ],
)
def test_the_rehearsal_counts_batches_as_the_trainer_does(tmp_path, loader, limit, expected):
    class Data(pl.LightningDataModule):
        def train_dataloader(self):
            return loader

    trainer = quiet_trainer(tmp_path, limit_train_batches=limit)
    assert num_batches(trainer, Data())["train"] == expected


def test_a_schedule_that_outlasts_limited_batches_is_refused_before_a_folder_is_made(train, tmp_path):
    words = ["schedule=linear", "schedule.unit=steps", "schedule.length=4", "+trainer.limit_train_batches=3"]
    with pytest.raises(ConfigError, match="length=4 steps: ends after the run, which has 3"):
        train(*words)
    assert not list(tmp_path.glob("outputs/*/*"))
