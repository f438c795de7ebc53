"""The front door of a command: --help, --version, --copy-config, and the list of commands."""

import os
import re
import time
from pathlib import Path

import pytest
from conftest import NO_NETWORK, ROOT, command

from vae_lightning import __main__ as listing
from vae_lightning import __version__, compare, evaluate, export, montage, predict, report, status, train
from vae_lightning.app import front
from vae_lightning.options import CONF, chosen, groups, options

MAINS = {
    "compare": compare.main,
    "evaluate": evaluate.main,
    "export": export.main,
    "montage": montage.main,
    "predict": predict.main,
    "report": report.main,
    "status": status.main,
    "train": train.main,
}
WITH_YAML = sorted(path.stem for path in CONF.glob("*.yaml"))


@pytest.fixture(scope="module")
def help_of_train() -> str:
    from vae_lightning.app.help_text import of_command

    return of_command("train")


@pytest.mark.parametrize("name", MAINS)
def test_every_command_answers_help_and_version_in_80_columns(answer, monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    for flag in ("--help", "-h"):
        ended, out, err = answer(MAINS[name], flag)
        assert (ended, err) == (0, "")
        assert out.startswith(f"usage: python -m vae_lightning.{name}")
        assert [line for line in out.splitlines() if len(line) > 80] == []
        assert "Examples:" in out
        assert "Hydra" not in out
    assert answer(MAINS[name], "--version") == (0, f"vae_lightning {__version__}\n", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", WITH_YAML)
def test_help_shows_five_examples_and_where_results_go(name):
    from vae_lightning.app.help_text import of_command

    text = of_command(name)
    examples = text.partition("\nExamples:\n")[2].partition("\nResults: ")
    assert examples[0].count("  python -m vae_lightning.") == 5
    assert examples[2]


def test_help_lists_every_option_with_the_first_line_of_its_yaml(help_of_train):
    flowing = " ".join(help_of_train.split())
    for group in chosen():
        assert f"\n{group}=\n" in help_of_train
        for name, option in options(group).items():
            if group != "callbacks" or option.says.startswith("Everything"):
                said = " ".join(
                    (CONF / group / f"{name}.yaml")
                    .read_text("utf-8")
                    .replace("# @package _global_\n", "")[2:]
                    .partition("\n")[0]
                    .split()
                )
                assert said in flowing, (group, name)
                assert re.search(rf"^[* ] {name}( |$)", help_of_train, re.MULTILINE), (group, name)
    assert set(groups()) == set(chosen())


def test_help_lists_every_root_key_with_its_default(help_of_train):
    from omegaconf import OmegaConf

    root = OmegaConf.load(CONF / "train.yaml")
    for key in root:
        if key not in ("defaults", "hydra", "run_dir"):
            value = str(root[key]).replace("None", "null").lower()
            assert re.search(rf"^  {key}={re.escape(value)}( |$)", help_of_train, re.MULTILINE), key
    assert "run_dir" not in help_of_train.partition("Keys,")[2].partition("Examples:")[0]


def test_what_is_no_option_is_not_listed_as_one(help_of_train):
    """At 756e4e9 `callbacks: best, beta_annealing, ...` stood there, and each of them was refused."""
    block = help_of_train.partition("\ncallbacks=\n")[2].partition("\n\n")[0]
    before, _, after = block.partition("+callbacks@callbacks.NAME=NAME")
    assert re.findall(r"^[* ] (\w+)", before, re.MULTILINE)[0] == "default"
    assert "progress" in before.partition("holds:")[2]
    assert re.findall(r"^  (\w+)", after, re.MULTILINE)
    assert "  ema " in after
    assert "  progress " not in after


def test_the_option_that_is_chosen_by_itself_is_marked(help_of_train):
    marked = re.findall(r"^\* (\w+)", help_of_train, re.MULTILINE)
    assert marked == [name for group, name in chosen().items() if name is not None]


def test_options_of_ones_own_are_listed(answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for place in ("ours", "solo"):
        (tmp_path / place / "loss").mkdir(parents=True)
        (tmp_path / place / "loss" / f"{place}.yaml").write_text("# A loss of my own.\n_target_: my.Loss\n")
    _, out, _ = answer(train.main, "--config-dir", "ours", "--help")
    assert re.search(r"^  ours +A loss of my own\.$", out, re.MULTILINE)
    assert re.search(r"^\* bce ", out, re.MULTILINE)
    _, out, _ = answer(train.main, "--config-path=solo", "--help")
    assert re.search(r"^  solo +A loss of my own\.$", out, re.MULTILINE)
    assert not re.search(r"^  (ours|bce) ", out, re.MULTILINE)
    assert answer(train.main, "--config-dir", "none", "--help")[0] == 2


def test_help_and_version_are_quick(tmp_path):
    """Without torch; the bound is wide, since machines differ."""
    for words in (["vae_lightning.train", "--help"], ["vae_lightning", "--version"]):
        started = time.perf_counter()
        assert command(*words, cwd=tmp_path).returncode == 0
        assert time.perf_counter() - started < 5


def test_the_package_lists_its_commands(answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ended, out, err = answer(listing.main)
    assert (ended, err) == (0, "")
    named = re.findall(r"^  (\w+) ", out, re.MULTILINE)
    scripts = re.findall(r'^vae-(\w+) = "vae_lightning\.', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(scripts) == sorted(front.commands())
    assert set(MAINS) <= set(named)
    assert max(map(len, out.splitlines())) <= 80
    assert answer(listing.main, "--help") == (0, out, "")
    assert answer(listing.main, "--version") == (0, f"vae_lightning {__version__}\n", "")
    assert answer(listing.main, "train", "loss=mse")[::2] == (2, "error: train: say python -m vae_lightning.train\n")
    assert "did you mean train?" in answer(listing.main, "trian")[2]


# --- a copy of conf/ -------------------------------------------------------------------------------------------------


def test_a_copy_of_the_configuration_is_taken_in_its_place(answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    ended, out, err = answer(train.main, "--copy-config", "mine")
    assert (ended, err) == (0, "")
    assert (
        out
        == f"in mine: {len([*CONF.rglob('*.yaml')])} YAML files; --config-path mine takes them in place of our own\n"
    )
    copied = {path.relative_to("mine") for path in Path("mine").rglob("*") if path.is_file()}
    assert copied == {path.relative_to(CONF) for path in CONF.rglob("*.yaml")}
    yaml = Path("mine/train.yaml")
    yaml.write_text(yaml.read_text("utf-8").replace("epochs: 20 ", "epochs: 7 "), encoding="utf-8")
    for flag in (["--config-path", "mine"], ["--config-path=mine"], ["-cp", str(tmp_path / "mine")]):
        ended, out, err = answer(train.main, *flag, "--cfg", "job")
        assert (ended, err) == (0, "")
        assert "\nepochs: 7\n" in out


def test_nothing_is_copied_over_what_is_there(answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine", "note.txt").write_text("mine")
    os.symlink("nowhere", "link")
    for words in (["--copy-config", "mine"], ["--copy-config=mine"], ["--copy-config", "link"], ["--copy-config"]):
        ended, _, err = answer(train.main, *words, *NO_NETWORK[:0])
        assert (ended, err.count("\n")) == (2, 1), words
        assert err.startswith("error: --copy-config")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "mine"]
    assert [path.name for path in Path("mine").iterdir()] == ["note.txt"]
