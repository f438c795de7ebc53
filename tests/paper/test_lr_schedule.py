"""Schedules of the learning rate against torch's own classes, and their way through a run."""

import math
from contextlib import suppress

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from test_module import loader, trainer
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR, SequentialLR, StepLR

from vae_lightning import VAE
from vae_lightning.errors import ConfigError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.lr_schedule import Constant, Cosine, OneCycle, Step, mover
from vae_lightning.network import MLP
from vae_lightning.optimizer import Adagrad, Adam, AdamW, Muon

STEPS, LR = 60, 0.3


def by_torch(make) -> list[float]:
    """The learning rate before each step of a run under a scheduler of torch."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR, momentum=0.9)
    scheduler, seen = make(optimizer), []
    for _ in range(STEPS):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def warmed_up(optimizer) -> SequentialLR:
    rise = LinearLR(optimizer, 1e-8, 1.0, total_iters=12)
    return SequentialLR(optimizer, [rise, CosineAnnealingLR(optimizer, STEPS - 12, 0.1 * LR)], [12])


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (Constant(), lambda o: StepLR(o, STEPS)),
        (Cosine(), lambda o: CosineAnnealingLR(o, STEPS)),
        (Cosine(final=0.2), lambda o: CosineAnnealingLR(o, STEPS, 0.2 * LR)),
        (Cosine(warmup=0.2, final=0.1), warmed_up),
        (Step(steps=2, factor=0.1), lambda o: StepLR(o, STEPS // 3, 0.1)),
        (Step(steps=5, factor=0.5), lambda o: StepLR(o, STEPS // 6, 0.5)),
    ],
    ids=["constant", "cosine", "final", "warm-up", "step", "steps"],
)
def test_the_curves_are_those_of_torchs_classes(schedule, make):
    assert [LR * schedule(step / STEPS) for step in range(STEPS)] == pytest.approx(by_torch(make), abs=1e-6)


def test_one_cycle_is_torchs_with_the_ends_at_the_ends_of_the_run():
    """torch ends its cycle at the last step, and its rise one step before the share that it is given."""
    total = STEPS + 1
    schedule = OneCycle(warmup=(0.3 * total - 1) / STEPS)
    found = by_torch(lambda o: OneCycleLR(o, LR, total_steps=total, pct_start=0.3))
    assert [LR * schedule(step / STEPS) for step in range(STEPS)] == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        (Cosine(), {0: 1, 0.5: 0.5, 1: 0}),
        (Cosine(warmup=0.1), {0: 0, 0.05: 0.5, 0.1: 1, 0.55: 0.5, 1: 0}),
        (Cosine(warmup=1.0, final=1.0), {0: 0, 0.5: 0.5, 1: 1}),
        (OneCycle(), {0: 1 / 25, 0.3: 1, 1: 1 / 25e4}),
        (OneCycle(warmup=1.0), {0: 1 / 25, 1: 1}),
        (Step(steps=1, warmup=0.5), {0: 0, 0.25: 0.5, 0.5: 1, 0.74: 1, 0.75: 0.1, 1: 0.1}),
    ],
)
def test_curves_at_points(schedule, points):
    assert [schedule(t) for t in points] == pytest.approx(list(points.values()))


def small(**options) -> VAE:
    torch.manual_seed(0)
    return VAE(MLP([1, 4, 4], 2, hidden=4), DiagonalGaussian(2), **options)


class Rates(ModelCheckpoint):
    """Notes the learning rate of each step, and keeps the checkpoint of each epoch."""

    def __init__(self, folder) -> None:
        super().__init__(folder, "kept", save_on_train_epoch_end=True, enable_version_counter=False)
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer, *_) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


RUNS = [Cosine(warmup=0.25), OneCycle(), Step()]


@pytest.mark.parametrize("limits", [{"max_epochs": 4}, {"max_steps": 12, "max_epochs": 9}], ids=["epochs", "steps"])
@pytest.mark.parametrize(
    "optimizer", [Adam(0.1), AdamW(0.1), Adagrad(0.1), Muon(0.1)], ids=lambda part: type(part).__name__
)
@pytest.mark.parametrize("schedule", RUNS, ids=lambda part: type(part).__name__)
def test_a_run_follows_the_curve(tmp_path, schedule, optimizer, limits):
    rates = Rates(tmp_path)
    module = small(optimizer=optimizer, lr_schedule=schedule)
    trainer(tmp_path, **limits, callbacks=[rates], enable_checkpointing=True).fit(module, loader())
    assert rates.seen == pytest.approx([0.1 * schedule(step / 12) for step in range(12)])


class Killed(Exception):
    pass


@pytest.mark.parametrize("schedule", RUNS, ids=lambda part: type(part).__name__)
def test_a_resumed_run_is_the_same_run(tmp_path, schedule):
    def fit(start: str | None = None, until: int = 4):
        def begin_epoch() -> None:
            if made.current_epoch == until:
                raise Killed

        rates, module = Rates(tmp_path), small(optimizer=AdamW(0.1), lr_schedule=schedule)
        made = trainer(tmp_path, max_epochs=4, callbacks=[rates], enable_checkpointing=True)
        module.on_train_epoch_start = begin_epoch
        with suppress(Killed):
            made.fit(module, loader(), ckpt_path=start, weights_only=True)
        return rates.seen, module.state_dict()

    seen, weights = fit()
    first, _ = fit(until=2)
    rest, again = fit(str(tmp_path / "kept.ckpt"))
    assert (len(first), first + rest) == (6, seen)
    assert all(torch.equal(weights[name], value) for name, value in again.items())


def test_a_longer_run_is_on_the_curve_of_the_longer_run(tmp_path):
    first = Rates(tmp_path)
    options = {"enable_checkpointing": True, "callbacks": [first]}
    made = {"optimizer": Adam(0.1), "lr_schedule": OneCycle()}
    trainer(tmp_path, max_epochs=2, **options).fit(small(**made), loader())
    more = Rates(tmp_path)
    options["callbacks"] = [more]
    start = str(tmp_path / "kept.ckpt")
    trainer(tmp_path, max_epochs=4, **options).fit(small(**made), loader(), ckpt_path=start, weights_only=True)
    assert more.seen[1:] == pytest.approx([0.1 * OneCycle()(step / 12) for step in range(7, 12)])


def test_the_final_rate_and_a_schedule_exclude_each_other():
    assert mover(Adam(0.1, 0.01), Constant()) == "optimizer.final_lr"
    assert mover(Adam(0.1), Cosine()) == "lr_schedule"
    assert mover(torch.optim.SGD, Constant()) == ""
    with pytest.raises(ConfigError, match="both move the learning rate"):
        mover(Adam(0.1, 0.01), Cosine())


def test_a_checkpoint_knows_its_schedule(tmp_path):
    fit = trainer(tmp_path)
    fit.fit(small(lr_schedule=Step(3, 0.5)), loader())
    fit.save_checkpoint(tmp_path / "a.ckpt")
    assert VAE.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True).lr_schedule == Step(3, 0.5)
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    del content["hyper_parameters"]["lr_schedule"]  # a checkpoint of an earlier version
    torch.save(content, tmp_path / "old.ckpt")
    assert VAE.load_from_checkpoint(tmp_path / "old.ckpt", weights_only=True).lr_schedule == Constant()


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Cosine, {"warmup": 1.5}),
        (Cosine, {"final": -0.1}),
        (OneCycle, {"warmup": 0.0}),
        (OneCycle, {"start": 0.5}),
        (OneCycle, {"end": math.nan}),
        (Step, {"steps": 0}),
        (Step, {"factor": 0.0}),
        (Step, {"warmup": 1.0}),
    ],
)
def test_numbers_that_cannot_be_are_named(kind, wrong):
    (name,) = wrong
    with pytest.raises(ConfigError, match=rf"lr_schedule\.{name}="):
        kind(**wrong)
