"""Terminals that are not UTF-8: every command says all it has to say, and no output fails for its encoding."""

import ast
import io
import json
import os
import sys

import pytest
from conftest import QUICK, ROOT, command

from vae_lightning import compare, evaluate, montage, report, status, train

ENCODINGS = ["ascii", "cp1252", "latin-1", "utf-8"]
NAMES = ["group='ü 名'", "name=éλ🙂"]
SMALL = [*QUICK[:2], "data.mirrors=[]", "latent.dim=2", "callbacks.latent_traversal.size=3", "trainer.accelerator=cpu"]
SMALL += ["+trainer.limit_train_batches=2", "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1"]


class Terminal(io.TextIOWrapper):
    """A strict stream of an encoding; a terminal gets the progress bar, too."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """A command whose output has an encoding: (encoding, main, words) -> (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(encoding, main, *words, stream=io.TextIOWrapper):
        monkeypatch.setattr("sys.argv", ["vae", *map(str, words)])
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        with monkeypatch.context() as patch:
            streams = [stream(io.BytesIO(), encoding=encoding, write_through=True) for _ in range(2)]
            patch.setattr(sys, "stdout", streams[0])
            patch.setattr(sys, "stderr", streams[1])
            try:
                main()
                ended = 0
            except SystemExit as stop:
                ended = int(stop.code or 0)
            texts = [each.buffer.getvalue().decode(encoding) for each in streams]
        os.environ.pop("VAE_LIGHTNING_RUN_DIR", None)
        return ended, *texts

    return run


@pytest.mark.sample(1)
@pytest.mark.parametrize("stream", [io.TextIOWrapper, Terminal])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_command_under_every_encoding(ask, tmp_path, encoding, stream):
    ended, out, err = ask(encoding, train.main, *SMALL, *NAMES, stream=stream)
    assert ended == 0, err
    assert "BUNDLED SUBSET" in err
    assert "test ELBO" in out
    (run,) = (tmp_path / "outputs" / "ü 名").glob("2*")
    assert json.loads((run / "run_meta.json").read_text("utf-8"))["status"] == "completed"
    calls = [
        (evaluate.main, [f"run='{run}'", "num_samples=5", "curve=[1,5]", "num_images=20"], "nats"),
        (compare.main, [f"runs=['{run}']"], "elbo"),
        (montage.main, [f"run='{run}'"], "2 pictures -> "),
        (report.main, [run], "report.html"),
        (report.main, [run.parent], "sweep.html"),
        (status.main, [], "completed"),
    ]
    for main, words, says in calls:
        ended, out, err = ask(encoding, main, *words, stream=stream)
        assert (main.__module__, ended) == (main.__module__, 0), err
        assert says in out, out


MISTAKES = [
    (train.main, ["loss=名"]),
    (train.main, ["name='名/'"]),
    (train.main, ["resume=名"]),
    (train.main, ["-m", "name=名,é", "beta=-1"]),
    (evaluate.main, ["run=名"]),
    (compare.main, ["runs=[名]"]),
    (montage.main, ["run=名"]),
    (report.main, ["名"]),
    (status.main, ["名"]),
]


@pytest.mark.sample(4)
@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(("main", "words"), MISTAKES, ids=lambda part: part.__module__ if callable(part) else str(part))
def test_every_mistake_under_every_encoding(ask, encoding, main, words):
    ended, _, err = ask(encoding, main, *words)
    assert ended in (2, 4), err
    assert "Traceback" not in err
    assert "error: " in err


@pytest.mark.parametrize("words", [["--help"], ["--cfg", "job", "name=名"], ["--info", "defaults"]])
def test_what_hydra_prints(ask, words):
    ended, out, err = ask("ascii", train.main, *words)
    assert ended == 0, err
    assert len(out) > 200


def test_a_process_whose_locale_is_not_utf_8(tmp_path):
    (tmp_path / "名").mkdir()
    (tmp_path / "名" / "run_meta.json").write_text("{}")
    done = command("vae_lightning.status", cwd=tmp_path, PYTHONIOENCODING="ascii:strict", PYTHONUTF8="0")
    assert done.returncode == 2  # no outputs here
    done = command("vae_lightning.status", ".", cwd=tmp_path, PYTHONIOENCODING="ascii:strict", PYTHONUTF8="0")
    assert (done.returncode, "damaged" in done.stdout) == (0, True), done.stderr


def test_every_text_file_and_every_pipe_has_its_encoding():
    """Without one, Python takes that of the machine."""
    for path in (ROOT / "vae_lightning").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                given = {option.arg for option in node.keywords}
                said = "encoding" in given or any(ast.unparse(argument) == "'utf-8'" for argument in node.args)
                is_text = node.func.attr in ("read_text", "write_text") or "text" in given
                of_a_module = ast.unparse(node.func).startswith(("atomic.", "pages."))
                assert said or not is_text or of_a_module, (path.name, node.lineno)
