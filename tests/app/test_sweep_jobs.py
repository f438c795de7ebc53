"""The jobs of a sweep: their names, their lines, what is left of a refused one, and a sweep that is repeated."""

import csv
import json
import re
import signal
from functools import partial
from pathlib import Path

import pytest
from conftest import NO_NETWORK, command, config
from hydra.core.hydra_config import HydraConfig

from vae_lightning import callbacks, train
from vae_lightning.app import fit
from vae_lightning.app.config import name_run
from vae_lightning.app.launch import Numbered
from vae_lightning.app.words import sweep_overrides
from vae_lightning.runs.files import RECORD
from vae_lightning.runs.folder import check_name
from vae_lightning.runs.jobs import read_jobs

TINY = ["epochs=1", "network.hidden=[8]", "latent.dim=2", "project_dir=o", "report=false"]
TINY += ["~callbacks.reconstruction_grid", "~callbacks.latent_traversal", *NO_NETWORK]
BATCHES = "+trainer.limit_train_batches=2"


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """The main job in this process: overrides -> (status, what it printed, what it said on stderr)."""
    monkeypatch.chdir(tmp_path)
    return partial(answer, train.main)


@pytest.fixture
def named(ask, monkeypatch):
    """The names of the jobs of a sweep that is prepared and not trained."""

    def run(*words: str) -> list[str]:
        jobs = []
        monkeypatch.setattr(fit, "fit", lambda job: jobs.append(job.folder) or 0.0)
        status, _, err = ask("-m", *words, *NO_NETWORK, "project_dir=o")
        assert status == 0, err
        return [folder.name for folder in jobs]

    return run


def rows(folder: Path) -> list[dict[str, str]]:
    """sweep.csv as it lies in a folder."""
    with (folder / "sweep.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["lr=0.01,0.001"], ["lr0.01-seed42", "lr0.001-seed42"]),
        (["lr=0.01,0.001", "seed=1,2"], [f"lr{lr}-seed{seed}" for lr in ("0.01", "0.001") for seed in (1, 2)]),
        (
            ["loss=bce,mse", "latent=z2,z8", "group=g"],
            [f"{a}-{b}-seed42" for a in ("bce", "mse") for b in ("z2", "z8")],
        ),
        (["loss=bce,mse"], ["seed42", "seed42"]),  # the group says it
        (["beta=1,4", "group=g"], ["beta1-seed42", "beta4-seed42"]),
        (["network.hidden=[8],[8,16]"], ["hidden8-seed42", "hidden8-16-seed42"]),
        (["data.protocol=grey,static", "group=g"], ["protocol-grey-seed42", "protocol-static-seed42"]),
        (["+trainer.gradient_clip_val=1,0.5"], ["gradient_clip_val1-seed42", "gradient_clip_val0.5-seed42"]),
        (["callbacks.sample_grid.columns=4,8"], ["columns4-seed42", "columns8-seed42"]),
        (
            [
                "callbacks.sample_grid.columns=4",
                "callbacks.sample_grid.num_images=8,16",
                "callbacks.sample_grid.columns=4",
            ],
            ["num_images8-seed42", "num_images16-seed42"],
        ),
        (["trainer=default,fast"], ["default-seed42", "fast-seed42"]),
        (["seed=1,2"], ["seed1", "seed2"]),
        (["seed=range(1,3)", "lr=0.1"], ["seed1", "seed2"]),
        (["name=a,b"], ["a", "b"]),
        (["name=mine", "lr=0.1,0.2"], ["mine", "mine"]),  # the user's own word
        (["report=true,false"], ["seed42", "seed42"]),  # the same run
    ],
    ids=str,
)
def test_what_differs_is_in_the_name(named, words, names):
    assert [name.split("-", 2)[2] for name in named(*words)] == names


def test_the_parameters_of_an_experiment_are_in_the_name(ask, named, tmp_path):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ngroup: g\nhydra:\n  sweeper:\n    params:\n      lr: 0.1,0.2\n      beta: 1,4\n"
    )
    names = named(f"--config-dir={tmp_path / 'conf'}", "experiment=mine", "beta=2")
    assert [name.split("-", 2)[2] for name in names] == ["lr0.1-seed42", "lr0.2-seed42"]


def job_name(swept: list[str], *words: str) -> str:
    """The name of a job that was composed with `words` in a sweep over the keys `swept`."""
    cfg = config("group=g", *words)
    return name_run(cfg, HydraConfig.get().runtime.choices, swept)[1]


def test_names_are_short_safe_and_always_the_same():
    odd = "'a:b/c *?\"<>| \\ü日本.'"
    words = [f"+optimizer.{'very_long_key' * 9}={odd}", "+trainer.odd=" + odd]
    swept = [word.partition("=")[0].lstrip("+") for word in words]
    name = job_name(swept, *words)
    assert name == job_name(swept, *words)
    assert len(name) <= 80
    assert name.isascii()
    assert not set(name) & set(':/*?"<>| \\=')
    assert check_name("name", name) == name
    assert name.endswith("-seed42")
    other = [word.replace("日", "本") for word in words]
    assert job_name(swept, *other) != name  # the digest tells them apart


def test_keys_with_the_same_last_part_are_told_in_full():
    assert job_name(["network.x", "loss.x"], "+network.x=1", "+loss.x=2") == "network.x1-loss.x2-seed42"


# --- lines -----------------------------------------------------------------------------------------------------------


class Stream:
    """A stream that keeps each call of `write`."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, text: str) -> None:
        self.written.append(text)

    def flush(self) -> None:
        pass


def test_each_line_of_a_job_carries_its_number_and_is_written_at_once():
    inner = Stream()
    stream = Numbered(inner)
    stream.prefix = "job 3: "
    print("run folder: o\n  epoch", end="", file=stream)
    print("   ELBO", file=stream, flush=True)
    print("\nbest epoch", file=stream)
    print("job 3: beta=2", file=stream)
    print("no end", end="", file=stream)
    stream.end()
    print("between two jobs", file=stream)
    assert inner.written == [
        "job 3: run folder: o\n",
        "job 3:   epoch   ELBO\n",
        "job 3: best epoch\n",
        "job 3: beta=2\n",
        "job 3: no end\n",
        "between two jobs\n",
    ]
    assert (stream.isatty(), stream.encoding) == (False, "utf-8")


def test_hydra_says_nothing_after_a_job_that_was_refused(ask):
    status, _, err = ask("-m", *TINY, "latent.dim=0.5,0")
    assert status == 2
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error", "error"]


def test_a_sweep_that_cannot_be_composed_leaves_no_folder(ask, tmp_path):
    status, _, err = ask("-m", *TINY, "loss=bce,nonsense")
    assert (status, [*tmp_path.rglob("*")]) == (2, [tmp_path / "o"]), err


@pytest.mark.parametrize("size", [1, 2, 9])
def test_a_job_that_fails_in_one_batch_does_not_end_the_others(ask, monkeypatch, size):
    """Hydra raises after each batch; repeating the sweep would end at the same job."""
    monkeypatch.setattr(fit, "fit", lambda job: float((job.folder / RECORD).write_text("{}")))
    words = ["-m", "beta=-1,1,-2,2", f"hydra.sweeper.max_batch_size={size}", "sweep.name=s", *TINY]
    status, out, err = ask(*words)
    assert (status, re.findall(r"^job (\d): ", out, re.MULTILINE)) == (1, [*"0123"])
    jobs = read_jobs(Path("o/multirun/s"))
    assert [job.status for job in jobs] == ["failed", "completed", "failed", "completed"]
    assert "beta=-1" in err
    assert "beta=-2" in err


def test_batches_that_cannot_be_composed_leave_no_folder(ask, tmp_path):
    status, out, err = ask("-m", "loss=bce,bcee", "hydra.sweeper.max_batch_size=1", *TINY)
    assert (status, "did you mean bce" in err, "job 0" in out) == (2, True, False), err
    assert not [*tmp_path.rglob("run_meta.json")]


def test_an_error_of_the_program_is_still_told_with_its_job(ask, monkeypatch):
    def broken(job):
        raise RuntimeError("a mistake of the program")

    monkeypatch.setattr(fit, "fit", broken)
    status, _, err = ask("-m", "seed=1,2", *TINY)
    assert status == 1
    assert "Error executing job with overrides: ['seed=1'" in err
    assert "a mistake of the program" in err


def test_what_a_sweep_varies():
    config("experiment=mnist_grid")
    declared = HydraConfig.get().sweeper.params
    words = ["loss=mse", "lr=0.1,0.2", "--config-dir=a,b", "-m", "seed=1"]
    assert [override.key_or_group for override in sweep_overrides(words, declared)] == ["schedule", "latent", "lr"]


# --- a sweep that is repeated ----------------------------------------------------------------------------------------


@pytest.fixture
def stop_in_job(monkeypatch):
    """Sends the process a SIGTERM in the first training step of the n-th run from now, 0 being the next."""

    def arrange(number: int) -> None:
        left = [number]
        start = callbacks.GracefulStop.on_train_batch_end

        def raising(self, trainer, *arguments):
            if trainer.global_step == 1:
                left[0] -= 1
                if left[0] == -1:
                    signal.raise_signal(signal.SIGTERM)
            start(self, trainer, *arguments)

        monkeypatch.setattr(callbacks.GracefulStop, "on_train_batch_end", raising)

    return arrange


@pytest.mark.slow
def test_a_killed_sweep_is_repeated_with_resume_auto(ask, stop_in_job, tmp_path):
    """Finished is finished: status 0, its numbers on the page; the stopped job goes on, the others begin."""
    words = ["-m", "seed=1,2,3", *TINY, "group=g"]
    stop_in_job(1)
    assert ask(*words)[0] == 143
    group = tmp_path / "o" / "g"
    (first, second) = sorted(group.glob("2*"))
    weights = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    for repetition in range(2):
        status, out, err = ask(*words, "resume=auto")
        assert (status, [line for line in err.splitlines() if not line.startswith("!!")]) == (0, [])
        assert out.count("completed, nothing to do") == (3 if repetition else 1)
        assert weights == {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
        runs = sorted(group.glob("2*"))
        assert (runs[:2], len(runs)) == ([first, second], 3)
        newest = max((tmp_path / "o" / "multirun").iterdir())
        for folder in (group, newest, *(tmp_path / "o" / "multirun").iterdir()):
            assert {row["status"] for row in rows(folder)} == {"completed"}
        assert sorted(row["seed"] for row in rows(newest)) == ["1", "2", "3"]
        assert all(float(row["elbo"]) < 0 for row in rows(newest))
    assert json.loads((second / "run_meta.json").read_text())["attempts"]


@pytest.mark.slow
def test_a_job_goes_on_with_its_own_run_and_no_other(ask, stop_in_job, tmp_path):
    """A changed configuration in the same group is another run; allow_drift names what may have changed."""
    words = ["-m", "seed=1,2", *TINY, "group=g", BATCHES, "schedule=none"]
    assert ask(*words)[0] == 0
    status, out, _ = ask(*words, "resume=auto", "lr=0.01")
    assert (status, out.count("nothing to do")) == (0, 0)
    assert len(list((tmp_path / "o" / "g").glob("2*"))) == 4
    status, out, err = ask(*words, "resume=auto", "epochs=2", "allow_drift=[epochs]")
    assert status == 0, err
    runs = sorted((tmp_path / "o" / "g").glob("2*"))
    assert [json.loads((run / "run_meta.json").read_text())["epochs_done"] for run in runs] == [2, 2, 1, 1]


def test_a_name_that_was_said_must_be_the_run_s(ask, stop_in_job, tmp_path):
    stop_in_job(0)
    assert ask(*TINY, "group=g", "name=alpha")[0] == 143
    assert ask(*TINY, "group=g", "name=beta", "resume=auto")[0] == 0
    statuses = {
        path.parent.name[13:]: json.loads(path.read_text())["status"] for path in tmp_path.rglob("run_meta.json")
    }
    assert statuses == {"alpha": "interrupted", "beta": "completed"}


def test_auto_takes_the_newest_by_its_time_and_not_by_its_name(ask, tmp_path):
    words = [*TINY, "group=g", BATCHES, "date_prefix=false"]
    assert ask(*words, "name=zeta")[0] == 0
    assert ask(*words, "name=alpha")[0] == 0
    for name in ("zeta", "alpha"):
        record = tmp_path / "o" / "g" / name / "run_meta.json"
        meta = json.loads(record.read_text())
        record.write_text(json.dumps({**meta, "status": "interrupted", "epochs_done": 0}))
    _, out, _ = ask(*words, "resume=auto")
    assert "o/g/alpha" in out
    assert "o/g/zeta" not in out


@pytest.mark.slow
def test_a_joblib_sweep_is_repeated_with_resume_auto(tmp_path):
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    words = ["-m", "seed=1,2", "lr=0.1,0.2", *TINY, "group=g", BATCHES, *launcher]
    assert command("vae_lightning.train", *words, cwd=tmp_path).returncode == 0
    runs = sorted((tmp_path / "o" / "g").glob("2*"))
    assert sorted(run.name.split("-", 2)[2] for run in runs) == [f"lr0.{i}-seed{j}" for i in (1, 2) for j in (1, 2)]
    done = command("vae_lightning.train", *words, "resume=auto", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("completed, nothing to do") == 4
    assert sorted((tmp_path / "o" / "g").glob("2*")) == runs
