"""Whoever reads the output, or stops reading it, changes nothing of a run."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import QUICK, ROOT

from vae_lightning.output import Unfailing, on_terminal, say, unfailing
from vae_lightning.train import main

BROKEN = ["closed pipe", "full disk", "no stream", "closed stream", "ascii", "cp1252"]


@pytest.fixture
def stream(request):
    """A stream that fails to take a text with characters outside ASCII, each in its own way."""
    if request.param == "no stream":
        return None
    if request.param in ("ascii", "cp1252"):
        return io.TextIOWrapper(io.BytesIO(), encoding=request.param)
    if request.param == "full disk":
        return Path("/dev/full").open("w", encoding="utf-8")
    reader, writer = os.pipe()
    os.close(reader)
    broken = os.fdopen(writer, "w", encoding="utf-8")
    if request.param == "closed stream":
        broken.close()
    return broken


@pytest.mark.parametrize("stream", BROKEN, indirect=True)
def test_a_text_that_cannot_be_printed_raises_nothing(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    for error in (False, True):
        say("█ 名 \udc80", error=error)
        say("and again", error=error)
    assert on_terminal() is False
    with unfailing():
        print("█ 名")
        print("█ 名", file=sys.stderr, flush=True)
        assert sys.stdout.isatty() is False
    assert sys.stdout is stream


def test_only_the_characters_that_the_encoding_lacks_are_lost(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    say("recon █ 12.5")
    assert narrow.buffer.getvalue() == b"recon ? 12.5\n"  # type: ignore[attr-defined]


def test_a_slow_reader_loses_only_one_text():
    class Slow(io.StringIO):
        fails = True

        def write(self, text):
            if self.fails:
                self.fails = False
                raise BlockingIOError
            return super().write(text)

    slow = Slow()
    for text in ("first", "second"):
        Unfailing(slow).write(text)
    assert slow.getvalue() == "second"


@pytest.mark.sample(2)
@pytest.mark.parametrize("stream", BROKEN, indirect=True)
def test_a_run_whose_output_nobody_can_read_is_a_run(monkeypatch, stream, tmp_path):
    """At 756e4e9 the last line of the run failed, and the run with it: status 1, record `failed`."""
    words = [*QUICK, "network.hidden=[4]", f"project_dir={tmp_path}", "group=g", "name=n", "date_prefix=false"]
    words += ["+trainer.limit_train_batches=2", "~callbacks.latent_traversal"]
    words += ["+callbacks.bar._target_=lightning.pytorch.callbacks.TQDMProgressBar", "~callbacks.progress"]
    monkeypatch.setattr(sys, "argv", ["vae", *words])
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    main()
    assert json.loads((tmp_path / "g" / "n" / "run_meta.json").read_text())["status"] == "completed"


@pytest.mark.parametrize(
    ("shell", "status"),
    [("| head -1", 0), (">&-", 0), (">/dev/full", 0), (">&- 2>&-", 0), ("2>/dev/full", 2), ("2>&1 | head -0", 2)],
)
def test_a_command_ends_as_if_its_output_were_read(tmp_path, shell, status):
    """A real process: also what the interpreter itself writes when it ends must not fail."""
    folder = "none" if status else "."
    line = f"'{sys.executable}' -m vae_lightning.status {folder} {shell}; exit ${{PIPESTATUS[0]}}"
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert "Exception ignored" not in done.stderr
    assert "Traceback" not in done.stderr
    assert ("cannot be written" in done.stderr) == (shell == ">/dev/full")


def test_a_file_never_gets_the_number_of_a_closed_stream(tmp_path):
    """What C code prints would go into the checkpoint that has number 1."""
    probe = "import os; from vae_lightning.output import unfailing\n"
    probe += "with unfailing(), open('kept', 'w') as file: os.write(1, b'from C'); file.write(str(file.fileno()))"
    line = f"'{sys.executable}' -c \"$PROBE\" >&- 2>&-"
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PROBE": probe}
    assert subprocess.run(["bash", "-c", line], cwd=tmp_path, env=variables, timeout=60).returncode == 0
    assert int(Path(tmp_path / "kept").read_text()) > 2
