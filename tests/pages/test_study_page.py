"""The section of an Optuna study on the page of its sweep: what it shows, and files that are not as they should be."""

import json
import re
from pathlib import Path

import pytest
from sweeps import make_run

from vae_lightning.pages.sweep import study
from vae_lightning.pages.sweep.page import write_sweep_page
from vae_lightning.runs.study import read_study, write_study

FACTS = {
    "metric": "val/elbo",
    "direction": "maximize",
    "asked": 6,
    "best": 3,
    "own": 0,
    "importance": {"lr": 0.75, "latent.dim": 0.25},
    "trials": [
        {"number": 0, "state": "complete", "status": "completed", "value": -120.0, "params": {"lr": 0.001}},
        {"number": 1, "state": "fail", "status": "diverged", "value": None, "params": {"lr": 9.0}},
        {"number": 2, "state": "pruned", "status": "pruned", "value": -150.0, "params": {"lr": 0.0002}},
        {"number": 3, "state": "complete", "status": "completed", "value": -100.5, "params": {"lr": 0.003}},
        {"number": 4, "state": "running", "status": None, "value": None, "params": {}},
    ],
}


@pytest.fixture
def folder(tmp_path) -> Path:
    make_run(tmp_path / "20260101-001-seed42")
    return tmp_path


def test_a_sweep_without_a_study_has_no_such_section(folder):
    assert 'id="study"' not in write_sweep_page(folder).read_text()


def test_the_section_shows_the_best_the_history_and_the_importances(folder):
    write_study(folder, FACTS)
    page = write_sweep_page(folder).read_text()
    section = page[page.index('id="study"') :].partition("</section>")[0]
    assert "−100.50" in section
    assert "−120.00" in section  # of the configuration itself, beside the best
    assert re.findall(r"width: ([\d.]+)%", section) == ["75.0", "25.0"]
    chart = section.partition('<p class="legend')[0]
    assert [chart.count(f'class="trial {state}') for state in ("complete", "pruned", "fail", "running")] == [2, 1, 1, 1]
    assert chart.count("is-best") == 1
    assert "trial 1, diverged; lr=9.0" in chart


def test_the_line_goes_from_best_to_best_and_passes_over_pruned_trials(folder):
    write_study(folder, FACTS)
    chart = study.study_view(folder)["chart"]
    first, best = (next(dot for dot in chart["dots"] if dot["says"].startswith(f"trial {n},")) for n in (0, 3))
    assert chart["line"] == f"M{first['x']} {first['y']}H{best['x']}V{best['y']}H628.0"
    assert best["y"] < first["y"]
    write_study(folder, {**FACTS, "direction": "minimize", "best": 0})
    chart = study.study_view(folder)["chart"]
    assert chart["line"] == f"M{first['x']} {first['y']}H628.0"


def test_an_outlier_lies_on_the_edge_and_equal_values_have_a_scale():
    scale = study.scale_of([-1e9, -105.0, -104.0, -103.0, -102.0, -101.0, -100.0], maximises=True)
    assert scale.low > -130
    assert scale(-1e9) == scale(scale.low)
    flat = study.scale_of([-5.0, -5.0], maximises=True)
    assert flat.low < -5 < flat.high
    for low, high in ((-105.0, -100.0), (0.0, 1e-6), (-1e6, 1e6), (2.0, 9.0)):
        ticks = study.Scale(low, high).ticks
        assert 3 <= len(ticks) <= 7
        assert all(low <= tick <= high + 1e-9 * (high - low) for tick in ticks)


@pytest.mark.parametrize(
    "facts",
    [
        [],
        {"metric": 3},
        {"metric": "m", "trials": {}},
        {"metric": "m", "trials": [1, None, {"number": "x"}, {"number": 1, "state": [], "params": 3}]},
        {
            "metric": "m",
            "trials": [{"number": 0, "state": "complete", "value": "nan", "params": {"a": [1]}}],
            "best": [],
        },
        {"metric": "m", "trials": [{"number": 7, "state": "odd", "value": 1e300}], "importance": {"a": "b", "c": -1}},
    ],
)
def test_a_malformed_file_breaks_no_page(folder, facts):
    (folder / "study.json").write_text(json.dumps(facts))
    assert write_sweep_page(folder).is_file()


def test_a_text_cannot_become_markup(folder):
    bad = "<script>alert(1)</script>"
    trial = {"number": 0, "state": bad, "status": bad, "value": 1.0, "params": {bad: bad}}
    write_study(folder, {"metric": bad, "trials": [trial], "best": 0, "importance": {bad: 1.0}})
    assert read_study(folder).metric == bad
    assert bad not in write_sweep_page(folder).read_text()
