"""The command on record and the page's line run again."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from vae_lightning.app.config import CONF
from vae_lightning.pages.run.facts import commands
from vae_lightning.pages.sweep import folds, view
from vae_lightning.runs.run import Run, open_run
from vae_lightning.train import main

TINY = ["epochs=1", "network.hidden=[4]", "report=false", "data.mirrors=[]", "+trainer.limit_train_batches=2"]


@pytest.fixture
def mine(tmp_path) -> Path:
    """A folder of somebody's configurations, with an awkward name."""
    folder = tmp_path / "my conf"
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text("# @package _global_\nlatent:\n  dim: 3\n")
    (folder / "other.yaml").write_text("defaults:\n  - train\n  - _self_\nlatent:\n  dim: 3\n")
    return folder


def runs(folder: Path) -> list[Run]:
    return [open_run(path.parent) for path in sorted(folder.rglob("run_meta.json"))]


def everything_but_the_folder(run: Run) -> str:
    return json.dumps(run.config).replace(run.config["run_dir"], "")


def line_of(run: Run) -> list[str]:
    """The words of the page's line, as a shell reads them."""
    words = shlex.split(dict(commands(run))["rerun"])
    assert words[:3] == ["python", "-m", "vae_lightning.train"]
    return words[3:]


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "flags",
    [
        ["--config-dir={mine}", "experiment=mine"],
        ["--config-dir=my conf", "experiment=mine"],
        ["-cd", "{mine}", "experiment=mine"],
        ["--config-dir", "my conf", "--config-name=other"],
        ["hydra.searchpath=['file://{mine}']", "experiment=mine"],
    ],
    ids=" ".join,
)
def test_a_run_with_configurations_of_ones_own_runs_again(answer, monkeypatch, tmp_path, mine, flags):
    """At 756e4e9 the line had no --config-dir: "experiment=mine: no such option"."""
    monkeypatch.chdir(tmp_path)
    words = [flag.format(mine=mine) for flag in flags]
    status, _, err = answer(main, *words, *TINY, "project_dir=o", "name='a b $x'", "seed=5")
    assert status == 0, err
    (run,) = runs(tmp_path / "o")
    record = run.record["command"]
    for again in (record[3:], line_of(run)):
        assert answer(main, *again)[0] == 0
    first, *more = runs(tmp_path / "o")
    assert len(more) == 2
    for other in more:
        assert everything_but_the_folder(other) == everything_but_the_folder(first)
        assert other.metrics == first.metrics
        assert line_of(other) == line_of(first)


@pytest.mark.sample(1)
@pytest.mark.parametrize("words", [["name=n", "date_prefix=false"], ["save_dir={tmp}/here"], ["name='名 (x)'"]])
def test_the_line_makes_a_folder_of_its_own(answer, tmp_path, words):
    words = [word.format(tmp=tmp_path) for word in words]
    status, _, err = answer(main, *TINY, *words, f"project_dir={tmp_path / 'o'}", "group=g")
    assert status == 0, err
    (run,) = runs(tmp_path)
    status, _, err = answer(main, *line_of(run))
    assert status == 0, err
    assert len(runs(tmp_path)) == 2


@pytest.mark.slow
def test_the_line_of_a_resumed_run_starts_a_new_one(answer, tmp_path, mine):
    words = [f"--config-dir={mine}", "experiment=mine", *TINY, f"project_dir={tmp_path / 'o'}", "group=g"]
    assert answer(main, *words)[0] == 0
    (run,) = runs(tmp_path / "o")
    assert answer(main, f"--config-dir={mine}", f"resume={run.path}", "epochs=2", "allow_drift=[epochs]")[0] == 0
    (run,) = runs(tmp_path / "o")
    assert not [word for word in line_of(run) if word.startswith(("resume", "allow_drift"))]
    assert answer(main, *line_of(run))[0] == 0
    assert [each.epochs_done for each in runs(tmp_path / "o")] == [2, 2]


def test_each_job_of_a_sweep_has_its_own_line(answer, tmp_path, mine, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert answer(main, "-m", f"--config-dir={mine}", "experiment=mine", *TINY, "project_dir=o", "seed=1,2")[0] == 0
    both = runs(tmp_path / "o")
    assert [run.record["command"][3] for run in both] == [f"--config-dir={mine}"] * 2
    assert [run.record["command"][-1] for run in both] == ["seed=1", "seed=2"]
    assert "-m" not in both[0].record["command"][3:]
    (page,) = (tmp_path / "o").glob("multirun/*/sweep.html")
    sweep = folds.read(page.parent)
    assert len(sweep.runs) == 2
    assert all(run.flags == (f"--config-dir={mine}",) for run in sweep.runs)
    assert shlex.split(str(view.command(sweep)))[3:5] == ["-m", f"--config-dir={mine}"]


def test_a_config_path_is_on_record(answer, tmp_path):
    whole = shutil.copytree(CONF, tmp_path / "conf")
    changed = yaml.safe_load((whole / "latent" / "z2.yaml").read_text())
    (whole / "latent" / "z2.yaml").write_text(yaml.safe_dump({**changed, "dim": 4}))
    words = [f"--config-path={whole}", "latent=z2", *TINY, f"project_dir={tmp_path / 'o'}"]
    status, _, err = answer(main, *words)
    assert status == 0, err
    (run,) = runs(tmp_path / "o")
    assert run.config["latent"]["dim"] == 4
    assert answer(main, *line_of(run))[0] == 0
    assert [each.config["latent"]["dim"] for each in runs(tmp_path / "o")] == [4, 4]


def test_an_older_record_has_no_flags(tmp_path):
    (tmp_path / "run_meta.json").write_text(json.dumps({"config": {"a": 1}, "overrides": ["a=1", "resume=x"]}))
    assert line_of(open_run(tmp_path)) == ["a=1"]
