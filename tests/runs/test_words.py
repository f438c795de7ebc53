"""Words for the numbers of a run."""

import pytest

from vae_lightning.runs.words import duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (5, "5s"), (59, "59s"), (60, "1m 00s"), (184, "3m 04s"), (3600, "1h 00m"), (3720, "1h 02m")],
)
def test_a_duration_has_its_two_largest_units(seconds, words):
    assert duration(seconds) == words
