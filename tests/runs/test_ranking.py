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


def test_the_best_mean_comes_first_and_all_others_are_held_against_it():
    settings = {"a": {1: 1.0, 2: 2.0}, "none": {}, "b": {1: 3.0, 2: 4.5}, "c": {3: 2.0}}
    names = [place.setting for place in ranked(settings)]
    assert names == ["b", "c", "a"]
    assert [place.setting for place in ranked(settings, higher_is_better=False)] == ["a", "c", "b"]
    best, apart, last = ranked(settings)
    assert (best.to_best, apart.to_best) == (None, None)
    assert (last.to_best.mean, last.to_best.count) == (2.25, 2)
    assert (best.spread.mean, apart.spread.count) == (3.75, 1)
    assert ranked({}) == []


def test_the_standard_error_of_a_mean():
    values = [1.0, 2.0, 4.0, 8.0]
    assert spread(values).error == pytest.approx(stats.sem(values))
    assert spread([1.0]).error is None
