"""Words for the numbers of a run."""

import pytest

from vae_lightning.runs.words import duration, fixed


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (5, "5s"), (59, "59s"), (60, "1m 00s"), (184, "3m 04s"), (3600, "1h 00m"), (3720, "1h 02m")],
)
def test_a_duration_has_its_two_largest_units(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [(-98.214, 2, "-98.21"), (-0.0, 2, "0.00"), (-1e-9, 2, "0.00"), (-0.005, 3, "-0.005"), (-0.4, 0, "0")],
)
def test_a_number_that_rounds_to_zero_has_no_sign(value, digits, words):
    assert fixed(value, digits) == words
