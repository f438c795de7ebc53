"""One function says which runs the words of a command line name."""

import json
from pathlib import Path

import pytest

from vae_lightning.errors import ConfigError
from vae_lightning.runs.folder import resolved
from vae_lightning.runs.named import named
from vae_lightning.runs.run import open_run


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """outputs/g/{1,2} with `latest` -> 2, outputs/h/3 with latest.txt, and a sweep's folder without runs."""
    monkeypatch.chdir(tmp_path)
    for name in ("g/1", "g/2", "h/3"):
        (tmp_path / "outputs" / name).mkdir(parents=True)
        (tmp_path / "outputs" / name / "run_meta.json").write_text(json.dumps({"config": {"seed": 1}}))
    (tmp_path / "outputs" / "g" / "latest").symlink_to("2")
    (tmp_path / "outputs" / "g" / "sweep.html").touch()
    (tmp_path / "outputs" / "h" / "latest.txt").write_text("3\n")
    (tmp_path / "outputs" / "multirun" / "t" / "jobs").mkdir(parents=True)
    return tmp_path / "outputs"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("outputs/g/1", ["1"]),
        ("outputs/g/1/", ["1"]),
        ("outputs/g/latest", ["2"]),
        ("outputs/h/latest", ["3"]),
        ("outputs/g", ["1", "2"]),
        ("outputs/g/*", ["1", "2"]),
        ("outputs/g/[12]", ["1", "2"]),
        ("outputs", ["1", "2", "3"]),
        ("outputs/*", ["1", "2", "3"]),
        (["outputs/g/2", "outputs/g/latest", "outputs/g", "./outputs/../outputs/h"], ["2", "1", "3"]),
        (".", ["1", "2", "3"]),
        ("~/g", ["1", "2"]),
    ],
    ids=str,
)
def test_runs_latest_groups_projects_and_globs(project, monkeypatch, words, names):
    monkeypatch.setenv("HOME", str(project))
    if words == ".":
        monkeypatch.chdir(project)
    assert [folder.name for folder in named(words)] == names


@pytest.mark.parametrize("word", ["nowhere", "outputs/x*", "outputs/multirun", "outputs/g/sweep.html", "h/latest"])
def test_a_word_without_a_run_is_answered_in_one_line(project, word):
    with pytest.raises(ConfigError, match=r"^runs=.*(no such folder|not a run folder)") as caught:
        named(["outputs/g", word], "runs")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", [".", "./", "../1", "checkpoints/..", "../latest", "../../h/latest"])
def test_a_run_is_found_from_inside_the_project(project, monkeypatch, place):
    (project / "g" / "1" / "checkpoints").mkdir()
    monkeypatch.chdir(project / "g" / "1")
    run = open_run(place)
    assert run.config == {"seed": 1}
    assert run.name in ("1", "2", "3")


@pytest.mark.parametrize("content", ["", "\n", "gone", "\udcff".encode("utf-8", "surrogateescape")])
def test_a_latest_txt_that_names_nothing(project, content):
    pointer = project / "h" / "latest.txt"
    pointer.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match="run=outputs/h/latest: "):
        open_run("outputs/h/latest")


def test_a_folder_that_a_user_calls_latest_hides_no_run(project):
    (project / "h" / "latest").mkdir()
    assert resolved("outputs/h/latest").name == "3"


def test_the_root_is_no_run():
    with pytest.raises(ConfigError, match="run=/: not a run folder"):
        open_run("/")
