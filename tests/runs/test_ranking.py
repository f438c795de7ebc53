"""Paired differences and rankings against scipy.stats: the interval of the paired t-test."""

import numpy as np
import pytest
from scipy import stats

from vae_lightning.runs.folds import spread
from vae_lightning.runs.ranking import paired_difference, ranked, t_quantile


def drawn(count: int, seed: int) -> tuple[dict[int, float], dict[int, float]]:
    """Two settings whose numbers share what the seed does to them."""
    noise = np.random.default_rng(seed)
    shared = noise.normal(-100, 5, count)
    first, second = shared + noise.normal(1, 0.5, count), shared + noise.normal(0, 0.5, count)
    return dict(enumerate(first.tolist())), dict(enumerate(second.tolist()))


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("count", [2, 3, 5, 30])
def test_the_interval_is_that_of_the_paired_t_test(count, level):
    first, second = drawn(count, seed=count)
    found = paired_difference(first, second, level)
    test = stats.ttest_rel([*first.values()], [*second.values()])
    low, high = test.confidence_interval(level)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert found.is_clear == (test.pvalue < 1 - level)
    differences = np.subtract([*first.values()], [*second.values()])
    low, high = stats.t.interval(level, count - 1, differences.mean(), stats.sem(differences))
    assert (found.mean, found.half_width) == (pytest.approx((low + high) / 2), pytest.approx((high - low) / 2))
    assert found.count == count


def test_pairs_are_found_by_their_keys_whatever_their_order_and_the_others_do_not_count():
    first, second = {1: 5.0, 2: 7.0, 3: 100.0}, {9: -50.0, 2: 6.0, 1: 3.0}
    found = paired_difference(first, second)
    assert (found.mean, found.count) == (1.5, 2)
    assert paired_difference(second, first).mean == -1.5
    assert paired_difference({1: 1.0}, {2: 1.0}) is None


def test_one_pair_is_never_clear_and_neither_is_no_difference():
    one = paired_difference({1: 5.0}, {1: 1.0})
    assert (one.mean, one.half_width, one.is_clear) == (4.0, None, False)
    assert (one.low, one.high) == (-np.inf, np.inf)
    assert not paired_difference({1: 5.0, 2: 6.0}, {1: 5.0, 2: 6.0}).is_clear
    assert paired_difference({1: 5.0, 2: 6.0}, {1: 4.0, 2: 5.0}).is_clear  # exactly one, in both


def test_an_interval_of_a_level_holds_the_truth_that_often():
    """Of 2,000 draws with a difference of 1, about nine in ten intervals of 90 % hold it: within three deviations."""
    held = 0
    for seed in range(2000):
        found = paired_difference(*drawn(4, seed), level=0.9)
        held += found.low <= 1 <= found.high
    assert abs(held / 2000 - 0.9) < 3 * (0.9 * 0.1 / 2000) ** 0.5


@pytest.mark.parametrize("count", [2, 3, 10, 1000])
def test_the_quantile_of_student(count):
    assert t_quantile(0.95, count) == pytest.approx(stats.t.ppf(0.975, count - 1))


def runs_of(numbers: dict[int, float]) -> dict[tuple[int, str], float]:
    """One run of each seed."""
    return {(seed, ""): number for seed, number in numbers.items()}


def test_the_best_mean_comes_first_and_all_others_are_held_against_it():
    by_seed = {"a": {1: 1.0, 2: 2.0}, "none": {}, "b": {1: 3.0, 2: 4.5}, "c": {3: 2.0}}
    settings = {name: runs_of(numbers) for name, numbers in by_seed.items()}
    names = [place.setting for place in ranked(settings)]
    assert names == ["b", "c", "a"]
    assert [place.setting for place in ranked(settings, higher_is_better=False)] == ["a", "c", "b"]
    best, apart, last = ranked(settings)
    assert (best.to_best, apart.to_best) == (None, None)
    assert (last.to_best.mean, last.to_best.count) == (2.25, 2)
    assert (best.spread.mean, apart.spread.count) == (3.75, 1)
    assert ranked({}) == []


def test_a_seed_counts_once_whatever_else_its_runs_vary():
    """Three seeds with two runs each: means, errors and intervals are those of three numbers."""
    first = {(1, "a"): 1.0, (1, "b"): 3.0, (2, "a"): 2.0, (2, "b"): 6.0, (3, "a"): 5.0, (3, "b"): 5.0}
    second = {(1, "a"): 0.0, (1, "b"): 1.0, (2, "a"): 2.0, (2, "b"): 3.0, (3, "a"): 1.0, (3, "b"): 9.0}
    best, other = ranked({"first": first, "second": second})
    assert (best.spread.mean, best.spread.count) == (pytest.approx(11 / 3), 3)
    assert best.spread.error == pytest.approx(stats.sem([2.0, 4.0, 5.0]))
    test = stats.ttest_rel([2.0, 4.0, 5.0], [0.5, 2.5, 5.0]).confidence_interval(0.95)
    assert (other.to_best.count, other.to_best.low, other.to_best.high) == (3, *map(pytest.approx, test))
    del second[3, "b"]  # a pair that only one of them has does not count
    best, other = ranked({"first": first, "second": second})
    assert (best.spread.mean, other.to_best.mean) == (pytest.approx(11 / 3), pytest.approx((1.5 + 1.5 + 4.0) / 3))


def false_sentences(settings: int, seeds: int, cells: int, shared: float, draws: int = 600) -> float:
    """How often equal settings have an interval that leaves zero out; seeds move all cells of a setting by `shared`."""
    noise = np.random.default_rng(settings + seeds + cells)
    found = 0
    for _ in range(draws):
        numbers = noise.normal(-100, 5, (1, seeds, 1)) + shared * noise.normal(size=(settings, seeds, 1))
        numbers = numbers + noise.normal(size=(settings, seeds, cells))
        made = {i: {(s, c): numbers[i, s, c] for s in range(seeds) for c in range(cells)} for i in range(settings)}
        found += any(place.to_best and place.to_best.is_clear for place in ranked(made))
    return found / draws


@pytest.mark.parametrize(
    ("settings", "seeds", "cells", "shared"), [(2, 3, 4, 0.0), (2, 3, 4, 2.0), (3, 3, 2, 1.0), (7, 3, 1, 0.0)]
)
def test_equal_settings_have_a_clear_difference_in_one_sweep_of_twenty_at_most(settings, seeds, cells, shared):
    """Within three deviations; the best setting is chosen from the same numbers."""
    most = 0.05 + 3 * (0.05 * 0.95 / 600) ** 0.5
    assert false_sentences(settings, seeds, cells, shared) <= most
    if settings == 2:
        assert false_sentences(settings, seeds, cells, shared) >= 0.05 - 3 * (0.05 * 0.95 / 600) ** 0.5


def test_the_standard_error_of_a_mean():
    values = [1.0, 2.0, 4.0, 8.0]
    assert spread(values).error == pytest.approx(stats.sem(values))
    assert spread([1.0]).error is None
