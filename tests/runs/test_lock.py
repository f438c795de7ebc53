"""Locks on file systems that honour `flock`, that keep it to one machine, and that have none."""

import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import ROOT

from vae_lightning.errors import CheckpointError
from vae_lightning.runs import lock as module
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.waiting import outlived

pytestmark = pytest.mark.skipif(module.fcntl is None, reason="Windows has no flock")


@pytest.fixture(params=["local", "none"])
def other_flock(request, monkeypatch) -> str:
    """A file system whose locks other machines do not see, and one without locks."""

    def flock(*_) -> None:
        if request.param == "none":
            raise OSError(37, "No locks available")

    monkeypatch.setattr(module.fcntl, "flock", flock)
    return request.param


def elsewhere(folder, age: float = 0) -> None:
    """The claim of another machine, last renewed `age` seconds ago."""
    (folder / ".lock").write_text("7 node7\n")
    os.utime(folder / ".lock", (time.time() - age,) * 2)


def test_a_claim_of_another_machine_counts_while_it_is_renewed(other_flock, tmp_path):
    elsewhere(tmp_path, age=module.SILENCE - 5)
    assert Lock(tmp_path).held
    with pytest.raises(CheckpointError, match="in use by process 7 on node7"):
        Lock(tmp_path).take()
    elsewhere(tmp_path, age=module.SILENCE + 5)
    assert not Lock(tmp_path).held
    lock = Lock(tmp_path)
    lock.take()
    assert (tmp_path / ".lock").read_text() == f"{os.getpid()} {socket.gethostname()}\n"
    lock.release()
    assert (tmp_path / ".lock").read_text() == ""
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("other_flock", ["none"], indirect=True)
def test_without_flock_a_living_process_of_this_machine_keeps_its_lock(other_flock, tmp_path):
    first = Lock(tmp_path)
    first.take()
    assert Lock(tmp_path).held
    with pytest.raises(CheckpointError, match=f"in use by process {os.getpid()};"):
        Lock(tmp_path).take()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / ".lock").write_text(f"{dead.pid} {socket.gethostname()}\n")
    assert not Lock(tmp_path).held
    first.release()
    assert (tmp_path / ".lock").read_text().startswith(str(dead.pid))  # only its own claim is taken back


@pytest.mark.parametrize("other_flock", ["none"], indirect=True)
def test_without_flock_one_of_many_gets_the_lock(other_flock, tmp_path):
    """The look at the claim and the claim itself are one step; without `alone` several threads had the lock at once."""
    won, start = [], threading.Barrier(8)

    def compete() -> None:
        lock = Lock(tmp_path)
        start.wait()
        try:
            lock.take()
        except CheckpointError:
            return
        won.append(lock)

    threads = [threading.Thread(target=compete) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    won[0].release()


def test_a_killed_process_that_was_taking_a_lock_keeps_nobody_out(tmp_path):
    (tmp_path / ".lock.taking").touch()
    os.utime(tmp_path / ".lock.taking", (time.time() - module.TAKING - 1,) * 2)
    with module.alone(tmp_path / ".lock"):
        assert (tmp_path / ".lock.taking").exists()
    assert not (tmp_path / ".lock.taking").exists()


def test_a_claim_is_renewed_and_a_second_user_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "BEAT", 0.02)
    lock = Lock(tmp_path)
    lock.take()
    os.utime(tmp_path / ".lock", (0, 0))
    deadline = time.monotonic() + 5
    while (tmp_path / ".lock").stat().st_mtime < time.time() - 60 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / ".lock").stat().st_mtime > time.time() - 60
    elsewhere(tmp_path)
    said = ""
    while "node7" not in said and time.monotonic() < deadline:
        time.sleep(0.02)
        said += capsys.readouterr().err
    assert "process 7 on node7 uses it as well" in said
    lock.release()


def test_a_killed_process_leaves_a_free_lock(tmp_path):
    """With flock the system frees it at once, whatever the claim says."""
    code = f"""
import os, signal
from pathlib import Path
from vae_lightning.runs.lock import Lock
Lock(Path({str(tmp_path)!r})).take()
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (tmp_path / ".lock").read_text() != ""
    assert not Lock(tmp_path).held
    Lock(tmp_path).take()


def test_a_claim_of_another_machine_is_waited_for_until_it_is_renewed_or_silent(other_flock, tmp_path, monkeypatch):
    """A container that is started again finds the claim of the one that was killed, under another host name."""
    monkeypatch.setattr(module, "SILENCE", 1.0)
    elsewhere(tmp_path)
    start = time.monotonic()
    assert outlived(Lock(tmp_path))  # nobody renews it
    assert 0.5 < time.monotonic() - start < 10
    monkeypatch.setattr(module, "SILENCE", 60.0)
    elsewhere(tmp_path, age=5)
    threading.Timer(0.3, elsewhere, [tmp_path]).start()
    assert not outlived(Lock(tmp_path))  # it is renewed
    assert time.monotonic() - start < 20
    monkeypatch.setattr(module, "SILENCE", 0.2)
    monkeypatch.setattr(module, "BEAT", 0.2)
    elsewhere(tmp_path, age=-3600)  # a clock that is an hour ahead
    assert not outlived(Lock(tmp_path))
    assert time.monotonic() - start < 30


def test_a_lock_of_this_machine_is_not_waited_for(other_flock, tmp_path):
    lock = Lock(tmp_path)
    lock.take()
    assert not outlived(Lock(tmp_path))
    lock.release()


def test_the_claim_in_a_file_may_be_anything(other_flock, tmp_path):
    for text in ("", "7\n", "x y\n", "99999999999999999999 host", "7 a b", "\x1b[2J \x00"):
        (tmp_path / ".lock").write_text(text)
        assert not Lock(tmp_path).held
