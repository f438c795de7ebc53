"""docs/extending.md: its blocks, written into a folder outside the checkout, do what the page says."""

import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
from conftest import NO_NETWORK
from documents import EXTENDING, blocks

QUICK = ["epochs=1", "+trainer.limit_train_batches=2", "callbacks.latent_traversal.size=3", "report=false"]
SHORT = {"evaluate": ["num_images=10", "num_samples=12", "curve=[]"]}
FILES = {
    path[1]: text
    for language in ("python", "yaml")
    for text in blocks(EXTENDING, language)
    if (path := re.match(r"# (\S+)\n", text))
}
*PARTS, WHOLE = [text.splitlines() for text in blocks(EXTENDING, "bash")]
ALLOWED = "allow_targets=[my_vae.]"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The folder of the page, which is also the current one."""
    for name, text in {"my_vae/__init__.py": "", **FILES}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_vae"]:
        del sys.modules[name]


@pytest.fixture
def run(answer):
    """A command line of the page, in this process and on few images."""

    def call(line: str) -> str:
        module, *words = shlex.split(line)[2:]
        command = module.rpartition(".")[2]
        begins = command == "train" and not any(word.startswith("resume=") for word in words)
        own_data = "data=rectangles" in words
        short = [*QUICK, *(() if own_data else NO_NETWORK)] if begins else SHORT.get(command, [])
        given = [word for word in words if word.partition("=")[0] not in {s.partition("=")[0] for s in short}]
        status, out, err = answer(importlib.import_module(module).main, *given, *short)
        assert status == 0, err
        return out

    return call


def test_a_part_is_short():
    python = {name: text for name, text in FILES.items() if name.endswith(".py")}
    assert len(python) == len(FILES) - len(python) == 4
    for name, text in python.items():
        assert len(text.splitlines()) < 30, name


@pytest.mark.sample(2)
@pytest.mark.parametrize("line", [line for lines in PARTS for line in lines])
def test_every_part_trains(folder, run, line):
    run(line)
    (record,) = folder.glob("outputs/*/2*/run_meta.json")
    assert json.loads(record.read_text())["status"] == "completed"
    assert "my_vae." in record.read_text()


def test_a_run_of_own_parts_is_as_good_as_any(folder, run):
    train, resume, evaluate, compare, report = WHOLE
    run(train)
    assert "nothing to do" in run(resume)
    run(evaluate)
    assert json.loads((folder / "first" / "evaluation.json").read_text())
    assert "first" in run(compare)
    run(report)
    assert (folder / "first" / "report.html").stat().st_size > 10_000
    (snippet,) = [text for text in blocks(EXTENDING, "python") if text not in FILES.values()]
    names: dict = {}
    exec(snippet, names)
    assert names["images"].shape == (16, 1, 28, 28)


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_without_the_word_the_answer_says_which(folder, run, answer, command):
    run(WHOLE[0])
    (line,) = [line for line in WHOLE if f"vae_lightning.{command} " in line]
    words = [word for word in shlex.split(line)[3:] if word != ALLOWED]
    status, _, err = answer(importlib.import_module(f"vae_lightning.{command}").main, *words)
    assert status in (2, 4)
    assert "allow_targets=[my_vae.]" in err.replace("my_package.", "my_vae.")


def test_the_density_of_the_page_integrates_to_one(folder):
    from my_vae.loss import Logistic

    x = torch.linspace(-10, 10, 20_001, dtype=torch.float64).view(-1, 1, 1, 1)
    params = torch.full((len(x), 1, 1, 1, 1), 0.3, dtype=torch.float64)
    total = Logistic(scale=0.5).log_px_z(x, params).exp().sum() * (x[1] - x[0])
    assert total.item() == pytest.approx(1, abs=1e-5)


def test_the_schedule_of_the_page_is_a_staircase(folder):
    from my_vae.schedule import Staircase

    assert [Staircase(beta=2.0)(t) for t in (0, 0.24, 0.25, 0.6, 0.99, 1.0)] == [0.5, 0.5, 1.0, 1.5, 2.0, 2.0]
