"""Evaluated runs side by side: a column for each setting, over its seeds, in 80 columns."""

import json
from pathlib import Path

import pytest
from sweeps import evaluate, make_run, make_sweep

from vae_lightning import compare

pytestmark = pytest.mark.usefixtures("_in_a_folder")


@pytest.fixture
def _in_a_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def ask(answer):
    """compare in this process: what runs= says -> (status, lines, stderr)."""

    def run(runs: str, *more: str) -> tuple[int, list[str], str]:
        status, out, err = answer(compare.main, f"runs={runs}", *more)
        return status, out.splitlines(), err

    return run


def sweep(group: str, **more) -> list[Path]:
    """Four settings of two seeds, evaluated: an NLL of 100, 101, 110, 111, 120, 121, 130, 131."""
    runs = make_sweep(Path("outputs") / group, betas=(1.0, 4.0), dims=(2, 20), seeds=(1, 2), **more)
    for i, run in enumerate(runs):
        evaluate(run, 100.0 + 10 * (i // 2) + i % 2)
    return runs


def row(lines: list[str], name: str) -> list[str]:
    """The cells of a number in all blocks of the table."""
    return [line[i : i + 20].strip() for line in lines if line.startswith(name) for i in range(20, len(line), 20)]


@pytest.mark.parametrize("runs", ["[outputs/g]", "outputs/g", "outputs/g/*", "[outputs/g/*]", "[outputs]", "outputs/*"])
def test_eight_runs_of_four_settings_are_four_columns(ask, runs):
    sweep("g")
    status, lines, err = ask(runs)
    assert (status, err) == (0, "")
    assert max(map(len, lines)) <= 80
    settings = [line for line in lines if line[1:3] == "  " and line[0] in "ABCD"]
    for line, (beta, dim) in zip(settings, [(1, 2), (1, 20), (4, 2), (4, 20)], strict=True):
        assert f"beta {beta}, latent.dim {dim}; n = 2: " in line
    cells = row(lines, "nll")
    assert cells == ["100.50 ± 0.71", "120.50 ± 0.71", "110.50 ± 0.71", "130.50 ± 0.71"]


def test_a_seed_that_ran_twice_counts_once(ask):
    runs = sweep("g")
    again = make_run(Path("outputs/g/zz"), "latent=z2", beta=1.0, seed=1, said=("beta=1", "latent=z2", "seed=1"))
    evaluate(again, 90.0)
    meta = json.loads((again / "run_meta.json").read_text())
    (again / "run_meta.json").write_text(json.dumps({**meta, "started": "2026-02-01T00:00:00.000+00:00"}))
    _, lines, _ = ask("outputs/g")
    assert row(lines, "nll")[0] == "95.50 ± 7.78"  # 90 and 101
    assert f"   not counted, since a newer run has the same seed: {runs[0].name}" in lines


def test_a_run_that_did_not_complete_stands_alone(ask):
    runs = sweep("g")
    meta = json.loads((runs[1] / "run_meta.json").read_text())
    (runs[1] / "run_meta.json").write_text(json.dumps({**meta, "status": "interrupted"}))
    _, lines, _ = ask("outputs/g")
    assert row(lines, "nll")[:2] == ["100.00", "101.00"]
    assert any("interrupted; n = 1" in line for line in lines)


def test_nats_of_a_mass_and_of_a_density_are_shown_apart(ask):
    for name, loss in (("a", "bce"), ("b", "mse")):
        evaluate(make_run(Path("outputs/g") / name, f"loss={loss}"), 100.0)
    status, lines, _ = ask("outputs/g")
    assert status == 0
    assert [line.rpartition("; ")[2] for line in lines if "images, K = " in line] == ["Bernoulli", "density"]
    assert sum(line.startswith("nll") for line in lines) == 2


@pytest.mark.parametrize("count", [1, 27, 60])
def test_eighty_columns_whatever_is_compared(ask, count):
    """Long names, many settings, huge numbers."""
    for i in range(count):
        run = make_run(
            Path("outputs") / ("a-very-long-name-of-a-group-" * 4) / f"{'long' * 20}-{i}", lr=0.001 * (i + 1)
        )
        evaluate(run, 1e9 * (i + 1))
    status, lines, _ = ask("[outputs/*]")
    assert status == 0
    assert max(map(len, lines)) <= 80
    letters = [cell for line in lines if line.startswith(" " * 20) and line.strip().isupper() for cell in line.split()]
    assert letters[-1] == {1: "A", 27: "AA", 60: "BH"}[count]
    assert len(row(lines, "nll")) == len(letters) == count


def test_runs_without_an_evaluation_are_left_out_of_a_group_and_said(ask):
    runs = sweep("g")
    (runs[0] / "evaluation.json").unlink()
    status, lines, err = ask("outputs/g")
    assert (status, err.count("\n")) == (0, 1)
    assert f"{runs[0].name} has no evaluation; python -m vae_lightning.evaluate" in err
    assert row(lines, "nll")[0] == "101.00"
    status, _, err = ask(f"[{runs[0]},{runs[1]}]")  # named by itself, it is missed
    assert (status, err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("runs", "says"),
    [
        ("outputs/g/20260101-001-seed1", "must be a list of runs, a group or a glob"),
        ("[]", "must be a list"),
        ("''", "must be a list"),
        ("[outputs/g,'']", "must be a list"),
        ("3", "must be a list"),
        ("null", "must be a list"),
        ("outputs/x*", "no such folder"),
        ("[outputs/multirun]", "no such folder"),
    ],
)
def test_what_names_no_runs_is_answered_in_one_line(ask, runs, says):
    sweep("g")
    status, _, err = ask(runs)
    assert (status, err.count("\n")) == (2, 1)
    assert says in err


def test_nothing_is_left_in_the_working_folder(answer):
    sweep("g")
    before = sorted(path for path in Path.cwd().iterdir())
    assert answer(compare.main, "-m", "runs=[outputs/g],[outputs/g/*]")[0] == 0
    assert sorted(path for path in Path.cwd().iterdir()) == before
