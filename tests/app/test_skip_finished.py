"""sweep.skip_finished: what is done is skipped, what was interrupted goes on, and an extended grid runs what is new."""

import csv
import json
import os
import re
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from conftest import NO_NETWORK, config
from hydra.core.hydra_config import HydraConfig
from sweeps import make_run

from vae_lightning import callbacks, status, train
from vae_lightning.app import finished
from vae_lightning.app.config import CONF
from vae_lightning.app.same import identity
from vae_lightning.app.words import sweep_overrides
from vae_lightning.runs import lock as lock_of
from vae_lightning.runs.jobs import Job, not_repeated, read_job, read_jobs
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.progress import progress, said
from vae_lightning.runs.sweep import Launch, Sweep, read_sweep

TINY = ["epochs=1", "network.hidden=[8]", "latent.dim=2", "project_dir=o", "report=false", "group=g"]
TINY += ["~callbacks.reconstruction_grid", "~callbacks.latent_traversal", "~callbacks.sample_grid", *NO_NETWORK]
TINY += ["+trainer.limit_train_batches=2", "+trainer.limit_test_batches=1", "+trainer.limit_val_batches=1"]
SKIP = "sweep.skip_finished=true"


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A project with the sweep `night` of two seeds. It has moved since, so that a copy is no copy of another one."""
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("VAE_LIGHTNING_DATA", str(folder / "no-data"))  # as `_own_environment` does for a test
        patch.setattr("sys.argv", ["vae", "-m", "seed=1,2", *TINY, "sweep.name=night"])
        train.main()
    return (folder / "o").rename(folder / "moved")


@pytest.fixture
def ask(answer, monkeypatch, tmp_path, kept, request):
    """The main job in this process: overrides -> (status, what it printed, what it said on stderr)."""
    if "night" in request.fixturenames:
        shutil.copytree(kept, tmp_path / "o", symlinks=True)
    monkeypatch.chdir(tmp_path)
    return partial(answer, train.main)


@pytest.fixture
def night(tmp_path):
    """The sweep `night`, trained and not yet changed."""
    return tmp_path / "o" / "multirun" / "night"


@pytest.fixture
def trained(monkeypatch):
    """The seeds of the jobs that train, in order."""
    seeds: list[int] = []
    start = callbacks.RunRecord.on_fit_start

    def noted(self, trainer, module):
        seeds.append(self._added["config"]["seed"])
        start(self, trainer, module)

    monkeypatch.setattr(callbacks.RunRecord, "on_fit_start", noted)
    return seeds


def the_sweep(folder: Path) -> Path:
    (sweep,) = (folder / "o" / "multirun").iterdir()
    return sweep


def table(sweep: Path) -> list[tuple[str, ...]]:
    """What sweep.csv says of the results."""
    with (sweep / "sweep.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return sorted((row["seed"], row["status"], row["elbo"], row["recon"], row["kl"]) for row in rows)


# --- jobs ------------------------------------------------------------------------------------------------------------


NIGHT = ["-m", *TINY, SKIP, "sweep.name=night"]


@pytest.mark.slow
def test_an_extended_sweep_runs_only_what_is_new(ask, answer, trained, night):
    before, whole, end = read_jobs(night), table(night), ": 2 jobs, 2 done"
    code, out, err = ask(*NIGHT, "seed=1,2")
    assert (code, trained, table(night)) == (0, [], whole), err
    assert "going on with the sweep o/multirun/night: 2 of its jobs are completed" in out
    assert (out.count("completed, nothing to do"), out.splitlines()[-1].endswith(end)) == (2, True)
    assert "changed since" not in err
    code, out, err = ask(*NIGHT, "seed=1,3", "beta=1,2")  # beta=1 is what the first jobs had
    assert (code, trained) == (0, [1, 3, 3]), err
    jobs = read_jobs(night)
    assert [job.number for job in jobs] == [0, 1, 2, 3, 4, 5]  # numbers go on
    assert jobs[:2] == before
    assert len({job.run_folder for job in jobs}) == 5
    assert out.splitlines()[-1].endswith(": 5 jobs, 5 done")
    code, out, _ = answer(status.main, night)
    assert (code, out.splitlines()[0]) == (0, f"{night}: 5 jobs, 5 done")
    assert len(table(night)) == 5
    assert "5 jobs" not in answer(status.main, night.parent.parent)[1]  # nothing is left of it


def test_an_interrupted_job_goes_on_and_a_failed_one_is_tried_again(ask, trained, monkeypatch, tmp_path):
    """The failed job ends nothing, is named in the last line, and the exit status is 1."""
    broken = [True]
    start = callbacks.GracefulStop.on_train_batch_end

    def breaks(self, trainer, module, *more):
        if broken[0] and trained[-1] == 1 and trainer.current_epoch == 1:
            raise RuntimeError("the disk is gone")
        start(self, trainer, module, *more)

    monkeypatch.setattr(callbacks.GracefulStop, "on_train_batch_end", breaks)
    words = ["-m", "seed=1,2", *TINY, "epochs=2"]
    code, out, err = ask(*words)
    assert (code, "the disk is gone" in err) == (1, True)
    assert out.splitlines()[-1].endswith(": 2 jobs, 1 done, 1 failed (job 0)")
    sweep = the_sweep(tmp_path)
    failed = read_jobs(sweep)[0]
    assert (failed.number, failed.status, "the disk is gone" in str(failed.error)) == (0, "failed", True)
    broken[0] = False
    code, out, _ = ask(*words, SKIP)
    assert (code, trained) == (0, [1, 2, 1])
    again = read_jobs(sweep)[0]
    assert (again.run, again.status, again.error) == (failed.run, "completed", None)
    record = json.loads((again.run_folder / "run_meta.json").read_text())
    assert record["attempts"]  # from its checkpoint
    assert record["config"]["run_dir"] == f"o/g/{again.run_folder.name}"
    assert {row[1] for row in table(sweep)} == {"completed"}


def test_a_job_in_flight_elsewhere_is_not_started_twice(ask, trained, monkeypatch, night):
    monkeypatch.setattr(finished, "PATIENCE", 0.0)
    other = Job(night / "jobs" / "0002.json", 2, identity=identity(config("seed=3", *TINY))).lock
    assert other is not None
    other.take()
    try:
        code, out, _ = ask(*NIGHT, "seed=1,3")
    finally:
        other.release()
    assert (code, trained) == (0, [])
    assert "runs in another process, not started twice" in out
    assert not (night / "jobs" / "0002.json").exists()  # its process writes the record
    run = read_jobs(night)[0].run_folder
    rewrite(run / "run_meta.json", status="running")
    lock = Lock(run)  # the run goes on by itself, with resume=DIR
    lock.take()
    try:
        code, out, _ = ask(*NIGHT, "seed=1,2")
        assert (code, trained) == (0, [])
        assert f"{run.name}: runs in another process" in out
    finally:
        lock.release()


def test_the_job_of_a_container_that_was_killed_is_taken_over(ask, trained, monkeypatch, night):
    """It is started again before its claims are silent: both, that of the job and that of the run."""
    monkeypatch.setattr(finished, "PATIENCE", 0.1)
    monkeypatch.setattr(lock_of, "SILENCE", 1.0)
    job = read_jobs(night)[0]
    rewrite(job.run_folder / "run_meta.json", status="running")
    rewrite(job.file, status="starting")
    shutil.rmtree(job.run_folder / "checkpoints")
    for path in (job.lock.path, job.run_folder / ".lock"):
        path.write_text("7 pod-a\n")
        os.utime(path, (time.time() + 3,) * 2)  # the time that the start of the command takes
    code, out, err = ask(*NIGHT, "seed=1,2")
    assert (code, trained, out.splitlines()[-1].endswith(": 2 jobs, 2 done")) == (0, [1], True), err
    assert "in another process" not in out


def test_the_last_line_names_the_jobs_that_are_left_to_another_process(ask, trained, monkeypatch, night):
    monkeypatch.setattr(finished, "PATIENCE", 0.1)
    job = read_jobs(night)[0]
    rewrite(job.run_folder / "run_meta.json", status="running")
    rewrite(job.file, status="starting")
    lock = Lock(job.run_folder)
    lock.take()
    code, out, _ = ask(*NIGHT, "seed=1,2")
    lock.release()
    assert (code, trained) == (0, [])
    assert "night: 2 jobs, 1 done, 1 running; " in out.splitlines()[-1]
    assert out.splitlines()[-1].endswith("; job 0 runs in another process, which this command does not wait for")


def rewrite(record: Path, **changes) -> None:
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))


@pytest.mark.slow
def test_what_diverged_would_diverge_again(ask, trained, night):
    rewrite(read_jobs(night)[1].run_folder / "run_meta.json", status="diverged", error="Diverged: loss=nan")
    code, out, _ = ask(*NIGHT, "seed=1,2")
    assert (code, trained) == (1, [])
    assert "diverged, not tried again; sweep.retry_diverged=true tries it" in out
    assert out.splitlines()[-1].endswith("1 failed (job 1)")
    assert ask(*NIGHT, "seed=1,2", "sweep.retry_diverged=true")[0] == 0
    assert trained == [2]


@pytest.mark.slow
def test_a_run_that_is_gone_is_trained_again(ask, trained, night):
    shutil.rmtree(read_jobs(night)[0].run_folder)
    assert ask(*NIGHT, "seed=1,2")[0] == 0
    assert trained == [1]


@pytest.fixture
def breaks(monkeypatch):
    """A list: while it is not empty, a training breaks in its first step, before there is a checkpoint."""
    broken: list[str] = []
    start = callbacks.GracefulStop.on_train_batch_end

    def step(self, trainer, module, *more):
        if broken:
            raise RuntimeError(broken[0])
        start(self, trainer, module, *more)

    monkeypatch.setattr(callbacks.GracefulStop, "on_train_batch_end", step)
    return broken


@pytest.mark.parametrize("left", ["failed", "running", "nothing"])
def test_a_job_without_a_number_takes_over_what_kept_nothing(ask, trained, breaks, tmp_path, left):
    """A run that was killed before its first checkpoint, or before its record, does not stand in its own way."""
    words = ["-m", "seed=1", *TINY, "date_prefix=false", "name=n"]
    breaks.append("the cable was pulled")
    assert ask(*words)[0] == 1
    record = tmp_path / "o" / "g" / "n" / "run_meta.json"
    if left == "running":
        rewrite(record, status="running")
    if left == "nothing":
        record.write_text("")
        assert "already holds a run" in ask(*words, SKIP)[2]  # it may be at its start
        os.utime(record, (0, 0))
    lock = Lock(record.parent)
    lock.take()
    assert ask(*words, SKIP)[0] == (0 if left == "running" else 2)
    lock.release()
    if left != "nothing":  # which may have been of any configuration
        code, _, err = ask("seed=1", *TINY, "date_prefix=false", "name=n", "beta=2", "resume=auto")
        assert (code, "already holds a run" in err) == (2, True), err
    breaks.clear()
    trained.clear()
    code, out, err = ask(*words, SKIP)
    assert (code, trained, out.splitlines()[-1].endswith(": 1 job, 1 done")) == (0, [1], True), err
    done = json.loads(record.read_text())
    assert (done["status"], "error" in done, done.get("attempts")) == ("completed", False, None)
    code, _, err = ask(*words[1:])
    assert (code, "already holds a run" in err) == (2, True), err


def test_changed_code_is_named(ask, trained, night):
    facts = json.loads((night / "sweep.json").read_text())
    facts["launches"][0]["code"] |= {"bound.py": "0", "torch": "1.0"}
    (night / "sweep.json").write_text(json.dumps(facts))
    code, _, err = ask(*NIGHT, "seed=1")
    assert (code, trained) == (0, [])
    (line,) = [line for line in err.splitlines() if "changed since the sweep began" in line]
    assert "completed jobs are skipped although bound.py, torch 1.0 -> " in line


# --- which sweep -----------------------------------------------------------------------------------------------------


@pytest.fixture
def untrained(ask, monkeypatch):
    """A sweep whose jobs do nothing."""
    monkeypatch.setattr(train, "skipped", lambda cfg, recorder: 0.0)
    return ask


@pytest.mark.sample(1)
@pytest.mark.parametrize("words", [["sweep.name=night"], ["group=h"], []], ids=str)
def test_another_configuration_is_refused_with_what_differs(untrained, tmp_path, words):
    assert untrained("-m", "seed=1,2", *TINY, *words)[0] == 0
    before = sorted(tmp_path.rglob("*"))
    code, _, err = untrained("-m", "seed=1,2", *TINY, *words, "lr=0.5", SKIP)
    assert (code, "lr: 0.001 -> 0.5" in err, err.count("\n")) == (2, True, 1), err
    assert sorted(tmp_path.rglob("*")) == before
    assert untrained("-m", "seed=1,2", *TINY, *words, "lr=0.5", SKIP, "sweep.name=other")[0] == 0
    assert "other" in {path.name for path in (tmp_path / "o" / "multirun").iterdir()}


@pytest.mark.slow
def test_a_name_is_that_of_one_sweep(untrained, tmp_path):
    assert untrained("-m", "seed=1,2", *TINY, "sweep.name=night")[0] == 0
    code, _, err = untrained("-m", "seed=1,2", *TINY, "sweep.name=night")
    assert (code, "there is a sweep of this name; sweep.skip_finished=true goes on with it" in err) == (2, True)
    assert untrained("-m", "seed=1", *TINY, "sweep.name=a/b")[0] == 2
    (tmp_path / "o" / "multirun" / "mine").mkdir()
    (tmp_path / "o" / "multirun" / "mine" / "notes.txt").touch()
    code, _, err = untrained("-m", "seed=1", *TINY, "sweep.name=mine")
    assert (code, "holds no sweep.json and other things" in err) == (2, True)
    code, _, err = untrained("-m", "sweep.skip_finished=true,false", *TINY)
    assert (code, "a sweep cannot vary its own keys" in err) == (2, True), err
    assert untrained("-m", "seed=1,2", *TINY, "sweep.skip_finished=yes")[0] == 2


@pytest.mark.slow
def test_a_folder_of_another_project_is_refused(untrained, tmp_path):
    assert untrained("-m", "seed=1,2", *TINY, "sweep.name=night")[0] == 0
    shutil.copytree(tmp_path / "o" / "multirun", tmp_path / "other" / "multirun")
    code, _, err = untrained("-m", "seed=1,2", *TINY, "sweep.name=night", SKIP, "project_dir=other")
    assert (code, "night: a sweep of another project (" in err) == (2, True), err
    (tmp_path / "o").rename(tmp_path / "moved")  # a project that moved as a whole is the same one
    assert untrained("-m", "seed=1,2", *TINY, "sweep.name=night", SKIP, "project_dir=moved")[0] == 0


def test_a_launch_that_is_refused_leaves_no_plan(untrained, tmp_path):
    assert untrained("-m", "seed=1,2", *TINY)[0] == 0
    assert untrained("-m", "seed=1,2", "loss=bce,nope", *TINY, SKIP)[0] == 2
    assert len(read_sweep(the_sweep(tmp_path)).launches) == 1


# --- ready sweeps ----------------------------------------------------------------------------------------------------

READY = sorted(path.stem for path in CONF.glob("sweep/*.yaml") if "params:" in path.read_text())


@pytest.mark.parametrize("option", READY)
def test_a_ready_sweep_composes_and_says_how_many_runs_it_has(option):
    config(f"sweep={option}")
    jobs, declared = [()], HydraConfig.get().sweeper.params
    assert HydraConfig.get().mode.name == "MULTIRUN"
    for override in sweep_overrides([], declared):
        values = [f"{override.key_or_group}={value}" for value in override.sweep_string_iterator()]
        jobs = [(*job, value) for job in jobs for value in values]
    head = (CONF / "sweep" / f"{option}.yaml").read_text().splitlines()[1]
    assert int(re.search(r"\((\d+) runs\)", head)[1]) == len(jobs)
    identities = [identity(config(f"sweep={option}", *job)) for job in jobs[:: len(jobs) // 4]]
    assert len({*identities}) == len(identities)


@pytest.mark.slow
def test_a_ready_sweep_runs_and_its_jobs_run_alone(ask, trained, tmp_path):
    words = [word for word in TINY if word != "group=g"]
    code, _, err = ask("sweep=collapse", "remedy=linear,capacity", "seed=1", *words)
    assert (code, trained) == (0, [1, 1]), err
    group = tmp_path / "o" / "collapse"
    runs = sorted(group.glob("2*"))
    assert [run.name.split("-", 2)[2] for run in runs] == ["linear-seed1", "capacity-seed1"]
    records = [json.loads((run / "run_meta.json").read_text()) for run in runs]
    assert [record["choices"]["bound"] for record in records] == ["elbo", "capacity"]
    with (group / "sweep.csv").open() as file:
        assert [row["remedy"] for row in csv.DictReader(file)] == ["capacity", "linear"]
    command = records[0]["command"][3:]
    assert "hydra.mode=RUN" in command
    assert ask(*command)[0] == 0
    assert trained == [1, 1, 1]
    assert len(list((tmp_path / "o" / "multirun").iterdir())) == 1


# --- the record ------------------------------------------------------------------------------------------------------


def launch(*axes: tuple[str, ...], first: int = 0) -> Launch:
    return Launch("2026", tuple(axis[0].partition("=")[0] for axis in axes if len(axis) > 1), axes, first, {})


def test_numbers_go_on_over_launches():
    one = launch(("seed=1", "seed=2"), ("beta=1",))
    two = launch(("beta=1", "beta=2"), ("seed=2", "seed=3"), ("sweep.skip_finished=true",), ("resume=auto",))
    sweep = Sweep(Path("s"), "o", None, "none", None, {"seed": 1}, (one, two))
    assert sweep.launched() == [1, 2, 3, 4]
    assert sweep.number(["beta=1", "seed=1"], 7) == 0
    assert sweep.number(["seed=3", "beta=2"], 0) == 4
    twice = Sweep(Path("s"), "o", None, "none", None, {"seed": 1}, (launch(("seed=1", "seed=1")),))
    assert [twice.number(["seed=1"], number) for number in (0, 1)] == [0, 1]  # the same job twice is two jobs
    decided = Sweep(Path("s"), "o", None, "none", None, {"seed": 1}, (one, launch(first=2)))
    assert decided.number(["seed=9"], 3) == 5  # a sweeper that decides as it goes


def test_words_that_do_not_change_the_run_make_no_new_jobs():
    """The same command from another folder, with workers, or with 1.0 for 1, is the same sweep."""
    one = launch(("beta=1", "beta=2"), ("project_dir=/a/o",), ("data.dir=pics/AA",), ("+trainer.limit_val_batches=1",))
    two = launch(
        ("beta=1.0", "beta=2.0"),
        ("project_dir=o",),
        ("data.dir=pics/A",),
        ("data.num_workers=0",),
        ("+trainer.limit_val_batches=1",),
    )
    sweep = Sweep(Path("s"), "o", None, "none", None, {"seed": 1}, (one, two))
    assert (sweep.launched(), sum(map(len, sweep.numbers.values()))) == ([0, 1], 2)
    other = replace(two, axes=(*two.axes[:-1], ("+trainer.limit_val_batches=1.0",)))
    assert replace(sweep, launches=(one, other)).launched() == [2, 3]
    varied = launch(("data.dir=a", "data.dir=b"), ("beta=1",))
    assert replace(sweep, launches=(varied,)).launched() == [0, 1]


def test_a_failed_job_is_repeated_only_by_a_job_of_its_own_place(tmp_path):
    """A page leaves out a failed job that a later one repeated; where the sweep varies the place, they are two jobs."""
    words = ("data.dir=a", "data.dir=b")
    jobs = [Job(tmp_path / "s" / "jobs" / f"000{i}.json", i, (word,), "g") for i, word in enumerate(words)]
    assert not_repeated(jobs) == jobs[1:]
    Sweep(tmp_path / "s", "o", "s", "none", "g", {"seed": 1}, (launch(words),)).write()
    assert not_repeated(jobs) == jobs


@pytest.mark.parametrize(
    ("words", "same"),
    [
        (["name=x", "group=other", "project_dir=elsewhere", "date_prefix=false"], True),
        (["data.dir=elsewhere", "data.num_workers=2", "sweep.name=x", "resume=auto"], True),
        (["seed=2"], False),
        (["beta=2"], False),
        (["schedule=linear"], False),
    ],
    ids=str,
)
def test_an_identity_has_neither_paths_nor_names(words, same):
    assert (identity(config(*TINY, *words)) == identity(config(*TINY))) == same


@pytest.mark.parametrize("key", ["data.dir", "data.num_workers", "name"])
def test_a_place_that_the_sweep_varies_is_in_the_identity(key):
    first, second, again = (identity(config(*TINY, f"{key}={value}"), [key]) for value in (1, 2, 1))
    assert first == again != second


def test_progress_counts_what_is_on_disk(tmp_path):
    folder = tmp_path / "o" / "multirun" / "night"
    seeds = tuple(f"seed={seed}" for seed in range(6))
    Sweep(folder, str(tmp_path / "o"), "night", "none", "g", {"seed": 1}, (launch(seeds),)).write()
    runs = [make_run(tmp_path / "o" / "g" / f"r{seed}", seed=seed) for seed in range(4)]
    for number, known in enumerate(("completed", "starting", "failed", "interrupted")):
        file = folder / "jobs" / f"{number:04d}.json"
        Job(file, number, (seeds[number],), "g", known, None, f"../../../g/r{number}", "ab" * 32).write()
    for run, now in zip(runs[1:], ("running", "failed", "interrupted"), strict=True):
        meta = json.loads((run / "run_meta.json").read_text())
        (run / "run_meta.json").write_text(json.dumps({**meta, "status": now, "seconds": None, "started": "no time"}))
    assert said(progress(folder)).endswith("night: 6 jobs, 1 done, 4 left, 1 failed (job 2)")
    lock = Lock(runs[1])
    lock.take()
    try:
        assert said(progress(folder)).endswith("6 jobs, 1 done, 1 running, 3 left, 1 failed (job 2); about 50s left")
    finally:
        lock.release()


def test_a_record_of_somebody_names_no_lock_elsewhere(tmp_path):
    Job(tmp_path / "jobs" / "0000.json", 0, identity="../../../../victim").write()
    assert read_job(tmp_path / "jobs" / "0000.json").lock is None
