"""`reproduce`: a small row from its start to its page, what it answers to mistakes, and a row that is killed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT
from datasets import image_folder
from documents import page as document
from documents import read
from matplotlib.backends.backend_agg import FigureCanvasAgg

from vae_lightning import reproduce
from vae_lightning.app import rows
from vae_lightning.app.row_reading import row_of
from vae_lightning.paper import figures, page, results
from vae_lightning.paper.judging import checks, means
from vae_lightning.paper.plan import Planned
from vae_lightning.paper.running import held
from vae_lightning.runs.run import Run

SMALL = """# A small row, for the tests.
source: nobody
known: made up
setting: experiment=ppca data.sizes=[200,50,50] lr=0.01 batch_size=50 report=false
evaluate: num_samples=10 curve=[1]
runs:
  a aevb:
  a wake-sleep: paper=wake_sleep
numbers:
  elbo: test/elbo
  nll: nll
published:
  - {run: a aevb, number: nll, value: 20, ci: 100, cpu: 0.001, others: 19 to 21}
claims:
  - {says: it learns, number: elbo, run: a aevb, least: -1000}
figure: curves
budgets:
  ci:
    words: epochs=1
  cpu:
    words: epochs=3
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder of rows that holds one, and the words that send everything into the test's folder."""
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "small.yaml").write_text(SMALL)
    monkeypatch.setattr(rows, "FOLDER", tmp_path / "rows")
    return [f"project_dir={tmp_path / 'outputs'}", f"results={tmp_path / 'results'}"]


def test_a_row_from_start_to_page(small, tmp_path, answer, monkeypatch):
    status, out, err = answer(reproduce.main, "small", "budget=ci", *small)
    assert status == 0, err
    result = json.loads((tmp_path / "results" / "small-ci.json").read_text())
    assert result["within"] is True
    assert [each["run"] for each in result["runs"]] == ["a aevb", "a wake-sleep"]
    assert all(None not in each["numbers"].values() and each["seconds"] > 0 for each in result["runs"])
    assert result["runs"][0]["curve"][0][0] == 200
    assert {"command", "seconds", "published"} <= set(result)
    assert all({"commit", "changed", "torch", "device", "ended"} <= set(each) for each in result["runs"])
    assert result["runs"][0]["numbers"]["nll"] != result["runs"][1]["numbers"]["nll"]
    assert figures.drawn_from(tmp_path / "results" / "small-ci.png") == figures.fingerprint(result)
    assert "within tolerance" in out

    ran = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs").rglob("*.json")}
    status, again, _ = answer(reproduce.main, "small", "budget=ci", *small)
    assert status == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs").rglob("*.json")} == ran
    assert "epoch" not in again
    assert json.loads((tmp_path / "results" / "small-ci.json").read_text()) == result

    status, listed, _ = answer(reproduce.main, "--list", *small)
    assert status == 0
    assert "small: A small row, for the tests." in listed
    assert "ci    within tolerance" in listed
    assert "cpu   not run (2 runs)" in listed
    assert "a aevb: nll 20 published; others 19 to 21; ours" in listed

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "results.md").write_text(f"# Results\n\n{page.BEGIN}\n{page.END}\n\nby hand\n")
    monkeypatch.chdir(tmp_path)
    shutil.move(tmp_path / "results", tmp_path / "docs" / "results")
    status, _, err = answer(reproduce.main, "--page")
    assert status == 0, err
    written = (tmp_path / "docs" / "results.md").read_text()
    assert "by hand" in written
    assert "published 20, others 19 to 21" in written
    assert "![A small row, for the tests.](results/small-ci.png)" in written


def test_a_row_outside_its_tolerance_ends_with_1(small, tmp_path, answer):
    status, out, err = answer(reproduce.main, "small", "budget=cpu", *small)
    assert status == 1, err
    assert "OUTSIDE" in out
    assert not json.loads((tmp_path / "results" / "small-cpu.json").read_text())["within"]


def test_a_result_of_another_setting_or_tolerance_is_judged_by_the_row_of_today(small, tmp_path, answer):
    assert answer(reproduce.main, "small", "budget=ci", *small)[0] == 0
    (tmp_path / "rows" / "small.yaml").write_text(SMALL.replace("ci: 100", "ci: 0.001"))
    assert "ci    outside: a aevb: nll" in answer(reproduce.main, "--list", *small)[1]
    (tmp_path / "rows" / "small.yaml").write_text(SMALL.replace("epochs=1", "epochs=2"))
    assert "ci    of another setting" in answer(reproduce.main, "--list", *small)[1]


def test_a_value_of_another_setting_is_not_shown_as_if_it_were_ours(small, tmp_path, answer):
    (tmp_path / "rows" / "small.yaml").write_text(SMALL.replace("ci: 100, ", ""))
    _, out, _ = answer(reproduce.main, "small", "budget=ci", *small)
    assert "published 20, others 19 to 21, in another setting" in out
    assert "(ci, another setting)" in answer(reproduce.main, "--list", *small)[1]


def test_results_that_cannot_be_written_end_the_command_before_it_trains(small, tmp_path, answer):
    (tmp_path / "results").write_text("")
    status, out, err = answer(reproduce.main, "small", "budget=ci", *small)
    assert (status, out, err.count("\n")) == (6, "", 1)
    assert "choose another folder" in err
    status, out, err = answer(reproduce.main, "small", "budget=ci", small[0], "results=/proc")
    assert (status, out, err.count("\n")) == (6, "", 1)
    assert "/proc: " in err


def test_runs_that_diverge_leave_no_picture_of_others(small, tmp_path, answer):
    text = SMALL.replace("figure: curves", "figure: samples").replace("lr=0.01", "lr=1e30")
    (tmp_path / "rows" / "small.yaml").write_text(text)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "small-ci.png").write_bytes(b"of another day")
    status, out, err = answer(reproduce.main, "small", "budget=ci", *small)
    assert status == 1, err
    assert "OUTSIDE" in out
    assert not (tmp_path / "results" / "small-ci.png").exists()


def test_the_models_of_a_row_draw_its_picture(small, tmp_path, answer):
    (tmp_path / "rows" / "small.yaml").write_text(SMALL.replace("figure: curves", "figure: samples"))
    assert answer(reproduce.main, "small", "budget=ci", *small)[0] == 0
    result = json.loads((tmp_path / "results" / "small-ci.json").read_text())
    assert figures.drawn_from(tmp_path / "results" / "small-ci.png") == figures.fingerprint(result)


def test_a_page_is_not_written_from_a_folder_without_results(small, tmp_path, answer, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    before = f"{page.BEGIN}\nthe results of today\n{page.END}\n"
    (tmp_path / "docs" / "results.md").write_text(before)
    status, _, err = answer(reproduce.main, "--page", "results=docs/reslts")
    assert (status, err.count("\n")) == (3, 1)
    assert "results=docs/reslts: holds no result" in err
    assert (tmp_path / "docs" / "results.md").read_text() == before


def test_data_that_moved_are_found_by_the_evaluation_too(small, tmp_path, answer):
    """The row was trained, then the data went to another folder, then the row asked for an evaluation."""
    image_folder(tmp_path / "pictures")
    setting = "data=image_folder data.size=8 data.val_size=20 data.test_size=20 network.hidden=[8] batch_size=20"
    text = re.sub("setting: .*", f"setting: {setting} report=false", SMALL).replace(
        "  a wake-sleep: paper=wake_sleep\n", ""
    )
    (tmp_path / "rows" / "small.yaml").write_text(
        re.sub("evaluate: .*\n", "", text).replace("nll: nll", "nll: test/loss")
    )
    status, _, err = answer(reproduce.main, "small", "budget=ci", f"data={tmp_path / 'pictures'}", *small)
    assert status in (0, 1), err
    moved = shutil.move(tmp_path / "pictures", tmp_path / "moved")
    (tmp_path / "rows" / "small.yaml").write_text(text)
    status, out, err = answer(reproduce.main, "small", "budget=ci", f"data={moved}", *small)
    assert status in (0, 1), err
    assert "epoch" not in out
    (run,) = json.loads((tmp_path / "results" / "small-ci.json").read_text())["runs"]
    assert run["numbers"]["nll"] is not None
    status, _, err = answer(reproduce.main, "small", "budget=cpu", f"data={tmp_path / 'nothing'}", *small)
    assert status in (2, 3)
    assert "data=DIR" in err


def test_a_choice_takes_the_best_value(small, tmp_path, answer):
    text = SMALL.replace(
        "numbers:",
        "choose:\n  key: lr\n  values: [1.0e-6, 0.02]\n  words: epochs=1\n  metric: train/nothing train/elbo\nnumbers:",
        1,
    )
    (tmp_path / "rows" / "small.yaml").write_text(text.replace("  a wake-sleep: paper=wake_sleep\n", ""))
    status, out, err = answer(reproduce.main, "small", "budget=ci", *small)
    assert status == 0, err
    assert "lr=0.02 is chosen" in out
    (run,) = json.loads((tmp_path / "results" / "small-ci.json").read_text())["runs"]
    assert "lr=0.02" in run["words"]
    assert results.is_of(row_of("small", *rows.row("small")), "ci", {"runs": [run]})


def test_runs_of_one_setting_share_their_trials_and_the_result_counts_them_once(small, tmp_path, answer):
    choice = "choose:\n  key: lr\n  values: [1.0e-6, 0.02]\n  words: epochs=1\n  metric: train/elbo\nnumbers:"
    text = SMALL.replace("numbers:", choice, 1).replace("  a wake-sleep: paper=wake_sleep", "  a long: epochs=2")
    (tmp_path / "rows" / "small.yaml").write_text(
        text.replace("    words: epochs=1\n", "    words:\n      a aevb: epochs=1\n")
    )
    assert answer(reproduce.main, "small", "budget=ci", *small)[0] == 0
    trials = [Run(path.parent) for path in tmp_path.glob("outputs/reproduce/small-ci/trials/*/run_meta.json")]
    assert len(trials) == 2
    result = json.loads((tmp_path / "results" / "small-ci.json").read_text())
    own = sum(run["seconds"] for run in result["runs"])
    assert result["seconds"] == pytest.approx(own + sum(trial.seconds for trial in trials), abs=0.6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["iwae_tabel1"], "iwae_tabel1: no such row; did you mean iwae_table1?"),
        (["iwae_table1", "budget=cup"], "budget=cup: no such budget of iwae_table1; did you mean cpu?"),
        (
            ["gaussian_likelihoods", "budget=ci"],
            "budget=ci: no such budget of gaussian_likelihoods; use one of cpu, full",
        ),
        (["iwae_table1", "bugdet=ci"], "bugdet=ci: no such key; did you mean budget?"),
        (["iwae_table1", "results="], "results=: must not be empty"),
        (["--lst"], "--lst: no such flag; did you mean --list?"),
        (["iwae_table1", "aevb_fig2"], "must be one NAME"),
        (["budget=ci"], "must be one NAME"),
        (["--list", "budget=ci"], "budget=ci: --list does not read it; leave it out"),
        (["--page", "data=here"], "data=here: --page does not read it; leave it out"),
        (["../secret"], "no such row"),
    ],
)
def test_a_mistake_is_one_line(answer, words, said):
    status, out, err = answer(reproduce.main, *words)
    assert (status, out) == (2, "")
    assert said in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_help_answers(answer):
    status, out, _ = answer(reproduce.main, "--help")
    assert status == 0
    assert "--list" in out


@pytest.mark.parametrize("content", ["", "{", "[]", '{"name": 3}', '{"runs": []}'])
def test_a_damaged_result_is_one_line(small, tmp_path, answer, content):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "small-ci.json").write_text(content)
    status, _, err = answer(reproduce.main, "--list", *small)
    assert status == 3
    assert "small-ci.json" in err
    assert err.count("\n") == 1


def test_a_run_that_another_process_holds_is_left_to_it(small, tmp_path, answer):
    row = row_of("small", *rows.row("small"))
    root = tmp_path / "outputs" / "reproduce" / "small-ci"
    from vae_lightning.paper.plan import planned

    first = planned(row, "ci", root, "")[0]
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root), first.folder.name],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert child.stdout.readline()
        status, _, err = answer(reproduce.main, "small", "budget=ci", *small)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert status == 1
    assert "in the hands of another process" in err
    assert not first.folder.exists()
    assert planned(row, "ci", root, "")[1].run.status == "completed"


HOLD = """
import sys, time
from pathlib import Path
from vae_lightning.runs.lock import Lock
root = Path(sys.argv[1]); root.mkdir(parents=True, exist_ok=True)
Lock(root, f".{sys.argv[2]}.lock").take()
print("held", flush=True)
time.sleep(60)
"""


def test_a_lock_is_released(tmp_path):
    one = Planned("a", 1, ["x=1"], [], tmp_path)
    with held(one):
        pass
    with held(one):
        pass


# --- the page of results --------------------------------------------------------------------------------------------

FOLDER = ROOT / "docs" / "results"


def test_the_labels_of_an_axis_do_not_run_into_each_other():
    """-112.5 and -110.0 did, in a panel of four."""
    numbers = {"elbo": (-110.8, -98.3), "kl": (22.4, 34.0), "active units": (24.0, 50.0), "nll": (94.4, 105.0)}
    runs = [{"run": str(i), "seed": 1, "numbers": {key: each[i] for key, each in numbers.items()}} for i in (0, 1)]
    figure = figures.bars({"runs": runs})
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels() if label.get_text()]
        boxes = sorted((box.x0, box.x1) for box in boxes)
        assert all(right < left for (_, right), (left, _) in pairwise(boxes))


@pytest.mark.parametrize(
    ("run", "place"),
    [
        ("N1000 aevb 1e4", ("N1000", "aevb", 1e4)),
        ("N50000 wake-sleep 4e6", ("N50000", "wake-sleep", 4e6)),
        ("vae 30", ("", "vae", 30)),
        ("328 iwae", ("", "iwae", 328)),
        ("328 vae adam", ("", "vae adam", 328)),
    ],
)
def test_the_name_of_a_run_is_its_place_in_the_picture(run, place):
    assert figures.placed(run) == place


def test_the_page_is_what_the_json_says():
    found = page.all_results(FOLDER)
    assert page.with_part(read(document("results")), page.generated(found, FOLDER)) == read(document("results"))


@pytest.mark.parametrize("name", rows.names())
def test_every_row_has_its_result_on_a_cpu(name):
    assert (FOLDER / f"{name}-cpu.json").is_file()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_recorded_result_is_of_a_row_and_its_figure_is_drawn_from_it(path):
    result = results.read(path)
    row = row_of(result["name"], *rows.row(result["name"]))
    assert result["budget"] in row.budgets
    assert results.is_of(row, result["budget"], result), "the row has other runs or words today: run it again"
    assert result["checks"] == [asdict(check) for check in checks(row, result["budget"], means(result["runs"]))]
    assert result["published"] == results.published_of(row, result["budget"])
    assert result["within"] or path.with_suffix(".md").is_file(), "say why a check does not hold"
    picture = path.with_suffix(".png")
    if row.figure:
        assert figures.drawn_from(picture) == figures.fingerprint(result)


# --- slow -----------------------------------------------------------------------------------------------------------

CI = [name for name in rows.names() if "budgets" in rows.row(name)[1] and "ci" in rows.row(name)[1]["budgets"]]


@pytest.mark.slow
@pytest.mark.parametrize("name", CI)
def test_every_ci_budget_is_within_tolerance(tmp_path, answer, name):
    begun = time.process_time()  # other tests run beside this one
    words = [f"project_dir={tmp_path / 'outputs'}", f"results={tmp_path / 'results'}"]
    status, out, err = answer(reproduce.main, name, "budget=ci", *words)
    assert status == 0, (out[-2000:], err[-2000:])
    assert time.process_time() - begun < 120


@pytest.mark.slow
def test_a_row_that_is_killed_goes_on_and_ends_as_if_it_had_not_been(tmp_path):
    """SIGKILL a moment after a new checkpoint, three times; the numbers are then those of an undisturbed row."""
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "small.yaml").write_text(SMALL.replace("epochs=3", "epochs=100"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    numbers = []
    for place, kills in (("whole", 0), ("killed", 3)):
        words = [sys.executable, "probe.py", "small", "budget=cpu", f"project_dir={place}", f"results={place}-results"]
        for kill in range(kills):
            child = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
            wait_for_a_checkpoint(child, tmp_path / place)
            time.sleep(0.3 * kill)
            child.send_signal(signal.SIGKILL)
            child.wait()
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 1, done.stderr[-2000:]
        result = json.loads((tmp_path / f"{place}-results" / "small-cpu.json").read_text())
        numbers.append([each["numbers"] for each in result["runs"]])
    assert numbers[0] == numbers[1]
    assert sum(len(Run(path.parent).attempts) for path in (tmp_path / "killed").rglob("run_meta.json")) > 0


def wait_for_a_checkpoint(child: subprocess.Popen, folder: Path) -> None:
    """Waits until the row has written a checkpoint, or has ended."""
    begun = time.time()
    while child.poll() is None and time.time() < begun + 120:
        if any(path.stat().st_mtime > begun for path in folder.rglob("last.ckpt") if path.exists()):
            return
        time.sleep(0.05)


PROBE = """
from pathlib import Path
from vae_lightning import reproduce
from vae_lightning.app import rows
rows.FOLDER = Path("rows")
reproduce.main()
"""
