"""Schedules by tables of (progress, beta), and what holds for all of them."""

import dataclasses

import pytest

from vae_lightning import schedule as module
from vae_lightning.errors import ConfigError
from vae_lightning.schedule import Constant, Cosine, Cyclic, Linear, Sigmoid, Triangle, in_fractions

ALL = [Constant, Linear, Cyclic, Triangle, Sigmoid, Cosine]


def test_the_list_above_is_complete():
    classes = {
        value
        for value in vars(module).values()
        if dataclasses.is_dataclass(value) and value.__module__ == module.__name__
    }
    assert classes == set(ALL)


@pytest.mark.parametrize(
    ("schedule", "table"),
    [
        (Constant(beta=4.0), {0.0: 4.0, 0.5: 4.0, 1.0: 4.0}),
        (Linear(length=0.5), {0.0: 0.0, 0.25: 0.5, 0.5: 1.0, 0.75: 1.0, 1.0: 1.0}),
        (Linear(length=1.0, beta=2.0), {0.0: 0.0, 0.25: 0.5, 1.0: 2.0}),
        (Cyclic(), {0.0: 0.0, 0.0625: 0.5, 0.125: 1.0, 0.2: 1.0, 0.25: 0.0, 0.3125: 0.5, 1.0: 1.0}),
        (Cyclic(cycles=2, ratio=1.0), {0.0: 0.0, 0.25: 0.5, 0.499: 0.998, 0.5: 0.0, 0.75: 0.5}),
        (Cyclic(cycles=2, length=0.5), {0.0: 0.0, 0.125: 1.0, 0.25: 0.0, 0.5: 1.0, 0.9: 1.0}),
        (Triangle(), {0.0: 0.0, 0.25: 0.5, 0.5: 1.0, 0.75: 0.5, 1.0: 0.0}),
        (Triangle(length=0.5), {0.125: 0.5, 0.25: 1.0, 0.5: 0.0, 0.8: 0.0}),
        (Sigmoid(length=1.0, steepness=12), {0.0: 0.0, 0.5: 0.5, 0.25: 0.04518, 1.0: 1.0}),
        (Cosine(length=1.0), {0.0: 0.0, 0.5: 0.5, 0.25: 0.14645, 1.0: 1.0}),
    ],
    ids=str,
)
def test_curve(schedule, table):
    for t, beta in table.items():
        assert schedule(t) == pytest.approx(beta, abs=1e-4), t


def test_a_cycle_starts_at_zero_whatever_the_rounding():
    steps, cycles = 2_900, 29
    curve = Cyclic(cycles=cycles)
    assert [curve(step / steps) for step in range(0, steps, steps // cycles)] == [0.0] * cycles


@pytest.mark.parametrize("kind", ALL)
def test_every_schedule_stays_between_zero_and_beta(kind):
    values = [kind(beta=3.0)(t / 1000) for t in range(1001)]
    assert min(values) >= 0
    assert max(values) == pytest.approx(3.0, abs=0.02)


@pytest.mark.parametrize("kind", [Linear, Sigmoid, Cosine])
def test_a_warm_up_never_falls(kind):
    values = [kind()(t / 1000) for t in range(1001)]
    assert values == sorted(values)


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not Constant])
@pytest.mark.parametrize(("length", "unit"), [(0.5, "fraction"), (5, "epochs"), (500, "steps")])
def test_units_describe_the_same_curve(kind, length, unit):
    curve = in_fractions(kind(length=length, unit=unit), steps=1000, epochs=10)
    assert curve == kind(length=0.5, unit="fraction")


def test_a_schedule_that_outlasts_the_run_is_refused_with_both_numbers():
    with pytest.raises(ConfigError, match=r"length=30 epochs.*has 20"):
        in_fractions(Linear(length=30, unit="epochs"), steps=100, epochs=20)
    with pytest.raises(ConfigError, match=r"length=101 steps.*has 100"):
        in_fractions(Cosine(length=101, unit="steps"), steps=100, epochs=20)
    with pytest.raises(ConfigError, match=r"length=1.5 fraction.*has 1"):
        in_fractions(Triangle(length=1.5), steps=100, epochs=20)


def test_any_function_of_progress_passes_through():
    def own(t: float) -> float:
        return t * t

    assert in_fractions(own, steps=10, epochs=1) is own


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (Constant, {"beta": -1}),
        (Constant, {"beta": float("nan")}),
        (Constant, {"beta": "abc"}),
        (Linear, {"length": 0}),
        (Linear, {"unit": "epoch"}),
        (Cyclic, {"cycles": 0}),
        (Cyclic, {"cycles": 2.5}),
        (Cyclic, {"ratio": 1.5}),
        (Cyclic, {"ratio": 0}),
        (Cyclic, {"ratio": float("nan")}),
        (Sigmoid, {"steepness": -1}),
    ],
)
def test_a_wrong_value_is_named(kind, wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(ConfigError, match=f"schedule.{name}={value}: "):
        kind(**wrong)
