"""What runs there are and how they stand; a run that nobody runs any more was killed."""

import json

import pytest

from vae_lightning import status
from vae_lightning.runs.folder import owned


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
    (line,) = [line for line in out.splitlines() if str(run) in line]  # `latest` is not a second one
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
