"""What runs there are and how they stand; a run that nobody runs any more was killed."""

import json
from pathlib import Path

import pytest
from sweeps import make_run

from vae_lightning import status
from vae_lightning.runs.folder import owned
from vae_lightning.runs.jobs import Job
from vae_lightning.runs.study import write_study


@pytest.fixture
def show(monkeypatch, capsys):
    def run(*arguments) -> tuple[int, str, str]:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["status", *map(str, arguments)])
        code = 0
        try:
            status.main()
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_every_run_has_a_line(show, train):
    run = train("latent.dim=2", "group=g", "callbacks.latent_traversal.size=3")
    meta = json.loads((run / "run_meta.json").read_text())
    code, out, _ = show(run.parent.parent)
    one_line_each = out.replace("\n    ", "  ").splitlines()  # a long folder has a line of its own
    (line,) = [line for line in one_line_each if str(run) in line]  # `latest` is not a second one
    assert code == 0
    assert line.split()[:3] == ["completed", "1/1", f"{meta['metrics']['val/elbo']:.2f}"]
    for said, held, shown in (("running", False, "killed"), ("running", True, "running"), ("failed", False, "failed")):
        (run / "run_meta.json").write_text(json.dumps({**meta, "status": said}))
        if held:
            with owned(run):
                assert show(run)[1].splitlines()[1].split()[0] == shown
        else:
            assert show(run)[1].splitlines()[1].split()[0] == shown


def test_folders_without_runs(show, tmp_path):
    assert show(tmp_path)[:2] == (0, f"{tmp_path}: no runs\n")
    assert show(tmp_path / "none")[0] == 2
    assert "no such folder" in show(tmp_path / "none")[2]
    assert show("--help")[0] == 0


@pytest.mark.parametrize(("content", "shown"), [("", "killed"), ("{", "damaged")])
def test_records_cut_short(show, tmp_path, content, shown):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run_meta.json").write_text(content)
    assert show(tmp_path)[1].splitlines()[1].split()[:3] == [shown, "0/?", "-"]


def started(run, when: str):
    """Gives a run the time of its start."""
    meta = json.loads((run / "run_meta.json").read_text())
    (run / "run_meta.json").write_text(json.dumps({**meta, "started": when}))
    return run


def test_each_elbo_stands_beside_its_data_and_the_newest_run_comes_first(show, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole, ppca = {"subset": False}, {"name": "ppca", "protocol": "real", "subset": False}
    started(make_run(tmp_path / "outputs" / "a" / "20260101-001-seed1", data=whole), "2026-01-01T10:00:00.000+00:00")
    started(make_run(tmp_path / "outputs" / "b" / "20260103-001-seed1", data=ppca), "2026-01-03T10:00:00.000+00:00")
    made = make_run(tmp_path / "outputs" / "c" / "20260102-001-seed1", "data.protocol=dynamic", data=whole)
    started(made, "2026-01-02T10:00:00.000+00:00")
    head, *lines = show()[1].splitlines()
    assert head.split()[:4] == ["status", "epochs", "best", "ELBO"]
    assert [line.split()[-1] for line in lines] == [
        f"outputs/{name}-001-seed1" for name in ("b/20260103", "c/20260102", "a/20260101")
    ]
    said = ["ppca, real", "mnist, dynamic", "mnist, grey"]
    assert all(words in line for words, line in zip(said, lines, strict=True))


def test_kinds_of_likelihood_are_told_apart(show, tmp_path):
    make_run(tmp_path / "g" / "a")
    assert "Bernoulli" not in show(tmp_path)[1]
    make_run(tmp_path / "g" / "b", "loss=mse")
    assert {"grey, Bernoulli", "grey, density"} <= {
        f"grey, {line.split('grey, ')[1].split()[0]}" for line in show(tmp_path)[1].splitlines() if "grey, " in line
    }


def test_eighty_columns(show, tmp_path, monkeypatch):
    """A longer folder has a line of its own, whole: it is there to be copied."""
    monkeypatch.chdir(tmp_path)
    long = "outputs/mnist-dynamic-lat20-bce_logits-beta1-none-mean/20260101-001-seed1"
    make_run(tmp_path / long, "data.protocol=dynamic", data={"subset": False})
    make_run(tmp_path / "outputs" / "g" / "20260101-001-seed1", data={"subset": False})
    lines = show()[1].splitlines()
    assert max(map(len, lines)) <= 80
    assert f"    {long}" in lines
    assert any(line.startswith("completed") and line.endswith("outputs/g/20260101-001-seed1") for line in lines)


def test_a_run_and_a_group_s_latest(show, tmp_path):
    run = make_run(tmp_path / "g" / "a")
    (tmp_path / "g" / "latest.txt").write_text("a\n")
    for place in (run, tmp_path / "g" / "latest"):
        code, out, _ = show(place)
        assert (code, out.count("completed"), out.count("g/a")) == (0, 1, 1)


def study(project: Path, asked: int = 6, begun: int = 6) -> Path:
    """A study in the middle of its trials: two completed, one pruned, one diverged, one failed, one running."""
    folder = project / "multirun" / "night"
    ends = ("completed", "completed", "pruned", "diverged", "failed", "running")[:begun]
    states = {"completed": "complete", "diverged": "fail", "failed": "fail"}
    trials = [
        {"number": i, "state": states.get(end, end), "status": end, "value": -100.0, "params": {}}
        for i, end in enumerate(ends)
    ]
    for i, end in enumerate(ends):
        run = make_run(project / "g" / f"r{i}", status="pruned" if end == "pruned" else end)
        status = "starting" if end == "running" else "failed" if end == "diverged" else end
        Job(folder / "jobs" / f"{i:04d}.json", i, status=status, run=f"../../../g/{run.name}").write()
    write_study(folder, {"metric": "val/elbo", "direction": "maximize", "asked": asked, "trials": trials[:5]})
    return folder


def test_a_study_is_a_sweep_that_has_runs(show, tmp_path):
    folder = study(tmp_path, asked=8)
    with owned(tmp_path / "g" / "r5"):
        code, out, _ = show(folder)
        said = "8 jobs, 4 done, 1 running, 2 left, 1 failed (job 4)"
        assert (code, out.partition(";")[0].splitlines()[0]) == (0, f"{folder}: {said}")
        assert [out.count(f"{tmp_path / 'g' / f'r{i}'}\n") for i in range(6)] == [1] * 6
        assert show(tmp_path)[1].startswith(f"{folder}: {said}")  # it is not over
    assert "8 jobs, 4 done, 3 left, 1 failed (job 4)\n" in show(folder)[1]  # the command was killed


def test_a_study_that_is_over_has_no_line_in_its_project(show, tmp_path):
    folder = study(tmp_path, asked=5, begun=5)
    assert "multirun" not in show(tmp_path)[1]
    assert f"{folder}: 5 jobs, 4 done, 1 failed (job 4)" in show(folder)[1]


def test_the_runs_of_sweeps_without_a_record_are_found_by_their_jobs(show, tmp_path):
    folder = study(tmp_path)
    (folder / "study.json").unlink()
    for place in (folder, folder.parent):
        code, out, _ = show(place)
        assert (code, out.count(f"{tmp_path / 'g'}")) == (0, 6)
