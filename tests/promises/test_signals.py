"""SIGTERM, SIGINT, SIGHUP and SIGKILL at every moment of a run and of a sweep: R2 and R4."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import lightning.pytorch as pl
import pytest
from alike import assert_same_run
from conftest import ROOT
from nurse import WORDS, log, run_of
from omegaconf import DictConfig, OmegaConf

from vae_lightning.app.mistakes import as_user_error
from vae_lightning.callbacks import RunRecord
from vae_lightning.errors import ConfigError, Interrupted

TERM, INT, HUP, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL
RUN = [*WORDS, "group=g", "epochs=2", "schedule=cyclic", "+trainer.limit_train_batches=8"]
RUN += ["+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1"]
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def unbroken(nursery, tmp_path_factory) -> Path:
    """The run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    assert nursery(folder, *RUN)["status"] == 0, log(folder)
    return run_of(folder)


def record(run: Path) -> dict:
    return json.loads((run / "run_meta.json").read_text())


def errors(folder: Path) -> list[str]:
    return [line for line in log(folder).splitlines() if "error:" in line or "Traceback" in line]


def goes_on(nursery, folder: Path, unbroken: Path) -> None:
    """A resume ends where the unbroken run does, and nothing is missing."""
    assert nursery(folder, *RUN, "resume=auto")["status"] == 0, log(folder)
    run = run_of(folder)
    assert_same_run(unbroken, run)
    assert record(run)["status"] == "completed"
    assert (run / "report.html").is_file()


# --- the windows before, between and after the steps -----------------------------------------------------------------

WINDOWS = [  # (function, whether the signal comes before it, what is there to resume)
    ("app.prepare.claim", False, False),
    ("app.fit.facts_of", True, False),
    ("callbacks.RunRecord.on_fit_start", False, False),
    ("callbacks.GracefulStop.on_train_start", True, False),
    ("module.VAE.test_step", True, True),
    ("callbacks.RunRecord.on_test_end", False, True),
    ("app.fit.write_page", True, True),
    ("app.fit.leave", False, True),
]


@pytest.mark.sample(2)
@pytest.mark.parametrize(("function", "before", "saved"), WINDOWS)
@pytest.mark.parametrize("number", [TERM, INT, pytest.param(HUP, marks=slow)])
def test_a_signal_outside_of_the_steps(nursery, tmp_path, function, before, saved, number):
    """At 756e4e9: SIGTERM between the record's `running` and the first step, or in the test: exit 0, `failed`."""
    ended = nursery(tmp_path, *RUN, strike_in=[function, number, before])
    assert ended["status"] == 128 + number, log(tmp_path)
    run = run_of(tmp_path)
    assert record(run)["status"] == "interrupted"
    (line,) = errors(tmp_path)
    assert line.startswith(f"error: stopped by {number.name}")
    assert (f"go on with resume={run.relative_to(tmp_path).parent}" in line) == saved


@slow
@pytest.mark.parametrize("function", ["module.VAE.test_step", "app.fit.write_page"])
def test_a_signal_after_the_training_is_made_good_by_a_resume(nursery, tmp_path, unbroken, function):
    assert nursery(tmp_path, *RUN, strike_in=[function, TERM, True])["status"] == 143
    goes_on(nursery, tmp_path, unbroken)


KILLS = ["module.VAE.test_step", "app.fit.write_page", "callbacks.RunRecord.on_fit_end", "callbacks.RunRecord.end"]


@pytest.mark.sample(1)
@pytest.mark.parametrize("function", KILLS)
def test_a_kill_after_the_training_is_made_good_by_a_resume(nursery, tmp_path, unbroken, function):
    """At 756e4e9: killed in the test, `completed` without test metrics and report, for ever; killed after the last
    checkpoint and before the end of the fit, `completed` after a resume, without any metric of the training."""
    assert nursery(tmp_path, *RUN, strike_in=[function, KILL, True])["status"] == -KILL
    assert record(run_of(tmp_path))["status"] == "running"
    goes_on(nursery, tmp_path, unbroken)
    assert nursery(tmp_path, *RUN, "resume=auto")["status"] == 0


def test_a_completed_run_stays_completed(nursery, tmp_path):
    """A signal after the last write changes nothing."""
    ended = nursery(tmp_path, *RUN, "report=false", strike_in=["callbacks.RunRecord.end", TERM, False])
    assert (ended["status"], errors(tmp_path)) == (0, [])
    assert record(run_of(tmp_path))["status"] == "completed"


# --- inside an epoch -------------------------------------------------------------------------------------------------


@pytest.mark.sample(1)
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_stopped_within_its_first_epoch(nursery, tmp_path, unbroken, workers):
    """At 756e4e9, with workers: other weights (-225.447 against -225.511) and "step 41, in epoch 1" of 36; and the
    picture of the untrained model was drawn again with trained weights."""
    words = [*RUN, f"data.num_workers={workers}"]
    stop = ["callbacks.GracefulStop.on_train_batch_end", TERM, True]
    assert nursery(tmp_path, *words, strike_in=stop)["status"] == 143
    run = run_of(tmp_path)
    untrained = {path: path.read_bytes() for path in run.rglob("epoch_0000.png")}
    assert untrained
    assert nursery(tmp_path, *words, "resume=auto", strike_in=stop)["status"] == 143
    steps = [line.split(" after step ")[1].split(";")[0] for line in errors(tmp_path)]
    assert steps == ["1, in epoch 1", "2, in epoch 1"]
    assert nursery(tmp_path, *words, "resume=auto")["status"] == 0
    assert_same_run(unbroken, run)
    assert {path: path.read_bytes() for path in untrained} == untrained


def test_a_signal_that_reaches_omegaconf_is_still_the_signal(monkeypatch, tmp_path):
    """OmegaConf builds the error anew from its text, and the run was recorded as failed, with status 2."""
    stopped = Interrupted(TERM, "stopped by SIGTERM")
    monkeypatch.setattr(DictConfig, "_get_impl", lambda *arguments, **options: (_ for _ in ()).throw(stopped))
    with pytest.raises(TypeError, match="Interrupted") as rebuilt:
        _ = OmegaConf.create({"x": 1}).x
    assert as_user_error(rebuilt.value, []) is stopped
    record, trainer = RunRecord(str(tmp_path)), pl.Trainer(logger=False, enable_checkpointing=False)
    record.end(trainer, rebuilt.value)
    assert json.loads((tmp_path / "run_meta.json").read_text())["status"] == "interrupted"
    circle, mistake = ValueError("one"), ConfigError("other")
    circle.__context__, mistake.__context__ = mistake, circle
    assert as_user_error(mistake, []) is mistake
    full = OSError(28, "No space left on device")
    full.__context__ = stopped
    assert as_user_error(full, []).status == 6


DESTRUCTOR = """
import signal, sys, time
from vae_lightning.errors import Interrupted
from vae_lightning.signals import answering
class Held:
    def __del__(self):
        signal.raise_signal(signal.{name})
def work():
    held = Held()
    {drop}
    time.sleep(30)
try:
    with answering("stopped by {{}}".format):
        work()
except Interrupted as stop:
    print(stop)
    sys.exit(stop.status)
"""


@pytest.mark.parametrize("drop", ["del held", "import weakref; w = weakref.ref(held, lambda _: 1 / 0); del held"])
@pytest.mark.parametrize("number", [TERM, INT, HUP])
def test_a_signal_in_a_destructor_is_answered_a_moment_later(number, drop):
    """Python prints an error that a destructor raises and goes on: the run went on too. Other such errors are shown."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = DESTRUCTOR.format(name=number.name, drop=drop)
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=25)
    assert (ended.returncode, ended.stdout) == (128 + number, f"stopped by {number.name}\n")
    assert "Interrupted" not in ended.stderr
    assert ("ZeroDivisionError" in ended.stderr) == ("1 / 0" in drop)


ENDED = """
import signal, sys, time
from vae_lightning.errors import Interrupted
from vae_lightning.signals import Answer, answering
class Held:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)
try:
    with answering("stopped by {}".format):
        inner, held = Answer(str, waits=True), Held()
        inner.begin()
        del held
        inner.end()
        time.sleep(5)
except Interrupted as stop:
    sys.exit(stop.status)
"""


def test_a_signal_that_was_put_off_is_for_the_answer_that_is_left():
    """It was lost where the answer that put it off ended within that moment."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", ENDED], env=environment, timeout=25).returncode == 143


THREAD = """
import signal, sys, threading, time
from vae_lightning.errors import Interrupted
from vae_lightning.signals import answering
def fails():
    try:
        1 / 0
    except ZeroDivisionError:
        sys.excepthook(*sys.exc_info())  # as multiprocessing's thread does, whose worker is gone
    raise ValueError
def threads():
    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()
try:
    with answering("stopped by {}".format, waits=True) as answer:
        if BEFORE:
            signal.raise_signal(signal.SIGTERM)
        threads()
        answer.go()
except Interrupted as stop:
    sys.exit(stop.status)
"""


@pytest.mark.parametrize("before", [True, False])
def test_after_a_signal_no_thread_tells_of_its_own_errors(before):
    """A data worker that was gone made a traceback of forty lines beside the one line of the signal."""
    environment, code = {**os.environ, "PYTHONPATH": str(ROOT)}, THREAD.replace("BEFORE", str(before))
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=25)
    assert ended.returncode == (143 if before else 0)
    for error in ("ZeroDivisionError", "ValueError"):
        assert (error in ended.stderr) == (not before)


FORK = """
import os, sys, threading
from vae_lightning.signals import answering
def fails():
    try:
        raise ERROR
    except Exception:
        sys.excepthook(*sys.exc_info())
with answering("stopped by {}".format):
    if os.fork() == 0:
        thread = threading.Thread(target=fails)
        thread.start()
        thread.join()
        os._exit(0)
    os.wait()
"""


@pytest.mark.parametrize(("error", "said"), [("ConnectionResetError", False), ("EOFError", False), ("KeyError", True)])
def test_a_data_worker_does_not_tell_that_the_run_left_it(error, said):
    """The thread that hands its tensors over made a traceback beside the one line of the signal."""
    environment, code = {**os.environ, "PYTHONPATH": str(ROOT)}, FORK.replace("ERROR", error)
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=25)
    assert (ended.returncode, error in ended.stderr) == (0, said)


@pytest.mark.sample(2)
@pytest.mark.parametrize("number", [TERM, INT, HUP])
@pytest.mark.parametrize("function", ["callbacks.RunRecord.on_fit_start", "module.VAE.test_step"])
def test_a_signal_that_other_code_drops_ends_the_run(nursery, tmp_path, function, number):
    """The run trained to its end; or Lightning, which had noted SIGTERM, left with status 0 and a failed run."""
    assert nursery(tmp_path, *RUN, strike_in=[function, number, True, "dropped"])["status"] == 128 + number
    run = run_of(tmp_path)
    assert record(run)["status"] == "interrupted"
    (line,) = errors(tmp_path)
    assert line.startswith(f"error: stopped by {number.name}; ")
    assert ("has no checkpoint" in line) == ("fit_start" in function)


@pytest.mark.sample(2)
@pytest.mark.parametrize("number", [TERM, INT, HUP])
@pytest.mark.parametrize("function", ["data.MNISTDataModule.prepare_data", "app.fit.facts_of", "module.VAE.test_step"])
def test_an_error_that_a_signal_leaves_behind_is_the_signal(nursery, tmp_path, function, number):
    """A codec that was imported just then: "unknown encoding: ascii", with a traceback, status 1 and `failed`."""
    assert nursery(tmp_path, *RUN, strike_in=[function, number, True, "replaced"])["status"] == 128 + number
    (line,) = errors(tmp_path)
    assert line.startswith(f"error: stopped by {number.name}")
    assert [record(run)["status"] for run in (tmp_path / "o").glob("g/2*")] == ["interrupted"] * (
        "data" not in function
    )


def test_a_job_that_has_the_signal_is_not_sent_it_again(tmp_path):
    """A signal to the whole group reached a worker twice, and the second one ended it before it was saved."""
    code = f"""
import os, signal, time
from pathlib import Path
from vae_lightning.app import stopped
from vae_lightning.signals import answering
folder = Path({str(tmp_path)!r})
with answering("stopped by {{}}".format, waits=True), stopped.watching(folder):
    os.kill(os.getpid(), signal.SIGTERM)
    stopped.mark(folder, signal.SIGTERM)
    time.sleep(3 * stopped.SECONDS)
    os._exit(7)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 7


# --- any moment ------------------------------------------------------------------------------------------------------


@slow
@pytest.mark.parametrize("number", [TERM, INT, HUP])
@pytest.mark.parametrize("how", [[], ["data.num_workers=2"], ["-m", "seed=42,43"]], ids=["single", "workers", "sweep"])
def test_forty_moments_from_start_to_exit(nursery, tmp_path, unbroken, number, how):
    """The status fits the records, one line is said, and what goes on ends where the unbroken run does."""
    whole = tmp_path / "whole"
    whole.mkdir()
    start = time.monotonic()
    assert nursery(whole, *how, *RUN)["status"] == 0
    seconds, seen = time.monotonic() - start, set()
    for moment in range(40):
        folder = tmp_path / str(moment)
        folder.mkdir()
        ended = nursery(folder, *how, *RUN, kill_after=seconds * moment / 39, signal=number)
        statuses = [record(run)["status"] for run in sorted((folder / "o" / "g").glob("2*"))]
        seen.update(statuses)
        if ended["status"] == 0:
            assert (set(statuses), errors(folder)) == ({"completed"}, []), log(folder)
        else:  # before the first line of the command the signal has its own effect
            assert ended["status"] in ((128 + number,) if statuses else (128 + number, -number)), log(folder)
            assert set(statuses[:-1]) <= {"completed"}
            assert statuses[-1:] in ([], ["interrupted"], ["completed"] if "-m" in how else []), log(folder)
            assert len(errors(folder)) <= 1, log(folder)
        if moment % 4 == 0:
            assert nursery(folder, *how, *RUN, "resume=auto")["status"] == 0, log(folder)
            begun = [run for run in (folder / "o" / "g").glob("2*") if (run / "checkpoints" / "last.ckpt").is_file()]
            assert {record(run)["status"] for run in begun} == {"completed"}
            assert {record(run)["seed"] for run in begun} == ({42, 43} if "-m" in how else {42})
            for run in (run for run in begun if record(run)["seed"] == 42):
                assert_same_run(unbroken, run)
    assert "interrupted" in seen


# --- sweeps ----------------------------------------------------------------------------------------------------------

JOBLIB = ["-m", *RUN, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=1,2,3,4", "report=false", "epochs=600"]


def processes(folder: Path) -> list[int]:
    """The processes that work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if os.readlink(entry / "cwd") == str(folder) and (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


@slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("to", ["parent", "group", "one worker", "killed parent"])
@pytest.mark.parametrize("number", [TERM, INT])
def test_a_signal_ends_a_sweep_of_joblib(tmp_path, number, to):
    """At 756e4e9 a signal to the parent left workers that trained on; after one to the group a worker began the next
    job."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vae_lightning.train", *JOBLIB]
    parent = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        process_group=0,
    )
    group = tmp_path / "o" / "g"
    deadline = time.monotonic() + 120
    while len([*group.glob("2*/curves/train_log.csv")]) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    if to == "group":
        os.killpg(parent.pid, number)
    elif to == "one worker":
        lock = next(iter(group.glob("2*/.lock")))
        os.kill(int(lock.read_text().split()[0]), number)
    else:
        parent.send_signal(KILL if to == "killed parent" else number)
    said = parent.communicate(timeout=60)[1]
    assert parent.returncode == (-KILL if to == "killed parent" else 128 + number), said
    deadline = time.monotonic() + 20
    while processes(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert processes(tmp_path) == []
    runs = [record(run) for run in group.glob("2*")]
    assert [run["status"] for run in runs] == ["interrupted", "interrupted"]
    assert "Traceback" not in said
    if to != "killed parent":
        assert "not started: job 2, job 3" in said
