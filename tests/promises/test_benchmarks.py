"""The benchmarks' own arithmetic; what they measure is measured by `make bench`, never by a test."""

import importlib
import json

import pytest
from conftest import ROOT

from benchmarks import contest, document, nll

NAMES = (ROOT / "Makefile").read_text().split("BENCHMARKS := ")[1].splitlines()[0].split()


@pytest.fixture(autouse=True)
def _results(monkeypatch, tmp_path):
    monkeypatch.setattr(contest, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(contest, "ROOT", tmp_path)
    monkeypatch.setattr(document, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(document, "ROOT", tmp_path)


def test_contestants_take_turns_and_the_first_round_does_not_count():
    order = []
    contestants = {name: lambda name=name: order.append(name) or float(len(order)) for name in "abc"}
    found = contest.take_turns(contestants, rounds=20, warm_up=1)
    rounds = ["".join(order[start : start + 3]) for start in range(0, 63, 3)]
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len(set(rounds)) == 6  # nobody always follows the same one
    assert found["a"] == [3 * number + each.index("a") + 1 for number, each in enumerate(rounds) if number]


def test_the_ratio_is_that_of_medians():
    assert contest.ratio({"a": [6.0, 8.0], "b": [4.0, 9.0]}, "a", "b") == pytest.approx(7 / 6.5)


def test_growth_is_judged_after_the_machines_drift_is_taken_out():
    from benchmarks.scaling import off_the_line, steadied

    found = {"a": [1.0, 2.0, 4.0], "b": [3.0, 6.0, 12.0]}  # a machine that became four times slower
    assert steadied(found) == {"a": 2.0, "b": 6.0}
    assert off_the_line({1: 3.0, 2: 5.0, 4: 9.0}) == pytest.approx(1)
    assert off_the_line({1: 10.0, 2: 11.0, 3: 14.0, 4: 20.0}) == pytest.approx(10 / 8.8)


def test_a_demand_says_whether_it_holds(capsys):
    assert contest.demand("x / y", 1.05, 1.10)["holds"]
    assert not contest.demand("x / y", 1.15, 1.10)["holds"]
    assert capsys.readouterr().out.splitlines() == [
        "holds: x / y: 1.05, at most 1.10",
        "FAILS: x / y: 1.15, at most 1.10",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_of_make_bench_can_be_run(name):
    assert callable(importlib.import_module(f"benchmarks.{name}").main)
    assert name == "nll" or name in document.NAMES


@pytest.mark.parametrize("contestant", ["ours", "bare", "tiled", "plain"])
def test_every_contestant_of_the_nll_runs(monkeypatch, contestant):
    monkeypatch.setattr(nll, "K", 4)
    monkeypatch.setattr(nll, "CURVE", (1,))
    monkeypatch.setattr(nll, "SAMPLES_OF_THE_PLAIN_LOOP", 2)
    getattr(nll, contestant)(nll.model(), nll.digits(2))


def test_the_document_holds_what_was_measured_and_nothing_else(monkeypatch, tmp_path):
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- sweep -->\ngone\n<!-- /sweep -->\nafter\n<!-- scaling -->\nkept\n<!-- /scaling -->\n")
    monkeypatch.setattr(document, "PAGE", page)
    seconds = {"one by one": [10.0, 12.0, 11.0], "joblib": [6.0, 5.5, 5.0]}
    found = {"seconds": seconds, "demands": [contest.demand("joblib / one by one", 0.5, 0.8)]}
    path = contest.record("sweep", **found)
    assert {"commit", "machine", "versions", "when"} <= set(json.loads(path.read_text()))
    document.main()
    text = page.read_text()
    assert text.startswith("before\n<!-- sweep -->\n`python -m benchmarks.sweep` at commit `")
    assert "| joblib | 5.50 | -9 % +9 % | 0.50 |" in text
    assert "| joblib / one by one | 0.50 | 0.80 | holds |" in text
    assert "gone" not in text
    assert text.endswith("<!-- /sweep -->\nafter\n<!-- scaling -->\nkept\n<!-- /scaling -->\n")
