"""sweep=optuna: the search space, the study on disk, what is refused, and studies that are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import NO_NETWORK, ROOT, config
from documents import blocks, code, page, rows
from omegaconf import OmegaConf

from vae_lightning import train
from vae_lightning.app import study as studies
from vae_lightning.app.journal import NAME, Reports, mend, rounded
from vae_lightning.app.space import Choices, Range, space_of, worded
from vae_lightning.app.study import Settings, opened, settings_of
from vae_lightning.errors import CheckpointError, ConfigError
from vae_lightning.runs.jobs import read_jobs
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.run import Run
from vae_lightning.runs.study import read_study

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason="the extra `optuna` is not installed")
TINY = ["epochs=1", "network.hidden=[8]", "latent.dim=2", "project_dir=o", "report=false", "batch_size=32"]
TINY += ["~callbacks.reconstruction_grid", "~callbacks.latent_traversal", "~callbacks.sample_grid", *NO_NETWORK]
TINY += ["+trainer.limit_train_batches=2", "+trainer.limit_val_batches=2", "+trainer.limit_test_batches=1"]
LR = {"low": 0.0001, "high": 0.01, "log": True}
SETTINGS = Settings("s", "val/elbo", "maximize", 4, None, 0, True)
CRASH = """
import lightning.pytorch as pl
from hydra.core.hydra_config import HydraConfig

class Crash(pl.Callback):
    def on_train_start(self, trainer, pl_module):
        if HydraConfig.get().job.num == {number}:
            raise RuntimeError("the cable was pulled")
"""


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """The main job in this process: overrides -> (status, what it printed, what it said on stderr)."""
    monkeypatch.chdir(tmp_path)
    return partial(answer, train.main)


# --- the search space -------------------------------------------------------------------------------------------------


def test_keys_may_be_dotted_or_nested_and_a_null_takes_one_out():
    node = {"lr": LR, "latent": {"dim": {"low": 2, "high": 8}}, "batch_size": {"choices": [16, 32]}, "beta": None}
    dotted = {"lr": LR, "latent.dim": {"low": 2, "high": 8}, "batch_size": {"choices": [16, 32]}}
    assert space_of(node) == space_of(dotted)
    assert space_of(node)["latent.dim"] == Range(2, 8)
    assert space_of(node)["batch_size"] == Choices(("16", "32"))
    both = space_of({"optimizer": {"choices": ["adam", "adamw"], "weight_decay": {"low": 0.0, "high": 1.0}}})
    assert [*both] == ["optimizer", "optimizer.weight_decay"]


MISTAKES = {
    "lr: low=2 is above high=1; exchange": {"lr": {"low": 2, "high": 1}},
    "lr: low and high are both 1, so there is nothing to choose": {"lr": {"low": 1, "high": 1}},
    "lr.low=0: must be > 0 with log=true": {"lr": {"low": 0, "high": 1, "log": True}},
    "lr.low=-1.0: must be > 0 with log=true": {"lr": {"low": -1.0, "high": 1, "log": True}},
    "lr: has no high": {"lr": {"low": 1}},
    "lr: has no low": {"lr": {}},
    "lr.low=a: must be a finite number": {"lr": {"low": "a", "high": 1}},
    "lr.high=nan: must be a finite number": {"lr": {"low": 0, "high": float("nan")}},
    "lr.log=yes: must be true or false": {"lr": {"low": 1, "high": 2, "log": "yes"}},
    "lr.step=0: must be a finite number > 0": {"lr": {"low": 1, "high": 2, "step": 0}},
    "lr.step=3: must be <= high - low = 1": {"lr": {"low": 1, "high": 2, "step": 3}},
    "lr.step=0.1: does not go together with log=true": {"lr": {"low": 1, "high": 2, "step": 0.1, "log": True}},
    "lr.hihg=2: must be low and high, with log or step, or choices": {"lr": {"low": 1, "hihg": 2}},
    "lr=3: must be low and high": {"lr": 3},
    "latent.dim=3: must be low and high": {"latent": {"dim": 3}},
    "loss.choices=[]: must be a list of two different values": {"loss": {"choices": []}},
    "loss.choices=['bce', 'bce']: must be a list of two different": {"loss": {"choices": ["bce", "bce"]}},
    "loss.low=1: does not go together with choices": {"loss": {"choices": [1, 2], "low": 1}},
}


@pytest.mark.parametrize("says", MISTAKES)
def test_a_range_that_cannot_work_is_named(says):
    with pytest.raises(ConfigError) as error:
        space_of(MISTAKES[says])
    assert str(error.value).startswith(f"sweep.space.{says}")


def test_a_space_needs_a_range():
    for node in ({}, {"lr": None}):
        with pytest.raises(ConfigError, match=r"sweep.space: has no range"):
            space_of(node)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (3, "3"),
        (1e-05, "1e-05"),
        (True, "true"),
        (None, "null"),
        ("mlp_paper", "mlp_paper"),
        ("a b", "'a b'"),
        ("it's", "'it\\'s'"),
        ("/a/b", "/a/b"),
        ("a\\b", "'a\\b'"),
        ("a\\'b\\", "'a\\\\\\'b\\\\'"),
        ("true", "'true'"),
        ("10", "'10'"),
        ([512, 256], "[512, 256]"),
    ],
)
def test_a_value_reads_back_from_the_command_line(value, word):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    assert worded(value) == word
    assert OverridesParser.create().parse_override(f"key={word}").value() == value


def test_the_configurations_own_values_are_a_trial_only_inside_the_space():
    assert (Range(1, 9).value_of(4), Range(1, 9).value_of(10), Range(1, 9).value_of(4.5)) == (4, None, None)
    assert (Range(0.0, 1.0, step=0.25).value_of(0.75), Range(0.0, 1.0, step=0.25).value_of(0.7)) == (0.75, None)
    assert (Range(0.0, 1.0).value_of("x"), Choices(("bce", "mse")).value_of("mse")) == (None, "mse")


# --- the study on disk ------------------------------------------------------------------------------------------------


@needs_optuna
def test_a_trial_has_random_numbers_of_its_own_and_four_digits(tmp_path):
    """A study that is opened anew for each trial proposes what one that stays open proposes."""
    space = space_of({"lr": LR, "latent.dim": {"low": 2, "high": 50, "log": True}, "loss": {"choices": ["bce", "mse"]}})

    def trial(study: studies.Study) -> list[str]:
        study.begin({}, [], {})
        words = study.words(number := study.ask())
        study.tell(number, "COMPLETE", -float(words[0].partition("=")[2]), status="completed")
        return words

    with opened(tmp_path / "whole", SETTINGS, space) as study:
        whole = [trial(study) for _ in range(13)]  # more than TPE draws at random
    anew = []
    for _ in range(13):
        with opened(tmp_path / "anew", SETTINGS, space) as study:
            anew.append(trial(study))
    assert anew == whole
    assert len({tuple(words) for words in whole}) > 10
    numbers = [float(words[0].partition("=")[2]) for words in whole]
    assert numbers == [float(f"{number:.4g}") for number in numbers]


@needs_optuna
@pytest.mark.filterwarnings("error")
def test_a_range_ends_with_its_last_value_and_its_probes_are_what_a_trial_gets(tmp_path):
    """Optuna would warn of an end that no step reaches, and a trial would get 2.0 where 2 was tried."""
    node = {"a": {"low": 2, "high": 9, "step": 3}, "b": {"low": 0.0, "high": 1.0, "step": 0.3}}
    space = space_of({**node, "c": {"low": 2, "high": 8, "step": 2.0}, "d": {"low": 1, "high": 2.5}})
    assert space_of({"x": {"low": 0.5, "high": 9, "step": 1}})["x"] == Range(0.5, 8.5, step=1)
    assert (space["a"], space["b"]) == (Range(2, 8, step=3), Range(0.0, 0.9, step=0.3))
    assert [part.probes for part in space.values()] == [("2", "8"), ("0.0", "0.9"), ("2.0", "8.0"), ("1.0", "2.5")]
    with opened(tmp_path, SETTINGS, space) as study:
        study.begin({}, [], {})
        for _ in range(20):
            words = study.words(number := study.ask())
            study.tell(number, "COMPLETE", 0.0, status="completed")
            values = [word.partition("=")[2] for word in words]
            assert values[0] in ("2", "5", "8")
            assert values[2] in ("2.0", "4.0", "6.0", "8.0")


@needs_optuna
def test_numbers_stay_in_their_range():
    from optuna.distributions import FloatDistribution

    assert rounded(0.000123456, FloatDistribution(0.0001, 0.01)) == 0.0001235
    assert rounded(0.99999999, FloatDistribution(0.0, 0.99999999)) == 0.99999999
    assert rounded(0.12345678, FloatDistribution(0.0, 1.0, step=0.12345678)) == 0.12345678
    assert rounded("a", None) == "a"


@needs_optuna
def test_pruning_is_by_the_median_of_the_other_trials(tmp_path):
    with opened(tmp_path, SETTINGS, space_of({"lr": LR})) as study:
        study.begin({}, [], {})
        for value in (-3.0, -1.0, -2.0, -5.0, -4.0):  # the median is -3
            number = study.ask()
            Reports(tmp_path, number).report(value, 0)
            study.tell(number, "COMPLETE", value, status="completed")
        for value, pruned in ((-3.1, True), (-2.9, False)):
            reports = Reports(tmp_path, study.ask())
            reports.report(value, 0)
            reports.report(0.0, 0)  # a resumed run says it again
            assert reports.should_prune() is pruned


@needs_optuna
def test_a_torn_line_is_cut_off_and_a_damaged_one_is_named(tmp_path):
    with opened(tmp_path, SETTINGS, space_of({"lr": LR})) as study:
        study.begin({}, [], {})
        study.words(study.ask())
    journal = tmp_path / "optuna.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"wor')
    (tmp_path / "optuna.journal.lock").touch()  # of a process that was killed while it wrote
    with opened(tmp_path, SETTINGS, space_of({"lr": LR})) as study:
        assert journal.read_bytes() == whole
        assert study.in_flight == [0]
    journal.write_bytes(b"nonsense\n" + whole)
    with pytest.raises(CheckpointError, match=r"optuna\.journal, line 1: damaged"):
        mend(journal)
    journal.unlink()
    journal.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="is a link"):
        mend(journal)


@needs_optuna
def test_a_study_of_another_kind_is_refused_with_what_differs(tmp_path):
    def begin(space=None, settings=SETTINGS, config=None, drift=()):
        with opened(tmp_path, settings, space_of(space or {"lr": LR})) as study:
            study.begin(config or {"epochs": 3, "project_dir": "a"}, drift, {})

    begin()
    begin(config={"epochs": 3, "project_dir": "b"})
    with pytest.raises(CheckpointError, match=r"another search space \(space\.lr\.high: 0\.01 -> 1\.0\)"):
        begin({"lr": {**LR, "high": 1.0}})
    with pytest.raises(CheckpointError, match=r"another search space \(space\.beta\.low: None -> 1"):
        begin({"lr": LR, "beta": {"low": 1, "high": 2}})
    with pytest.raises(CheckpointError, match=r"another objective.*\(metric: val/elbo -> val/kl\)"):
        begin(settings=Settings("s", "val/kl", "maximize", 4, None, 0, True))
    with pytest.raises(CheckpointError, match=r"direction: maximize -> minimize"):
        begin(settings=Settings("s", "val/elbo", "minimize", 4, None, 0, True))
    with pytest.raises(CheckpointError, match=r"another objective or configuration \(epochs: 3 -> 4\)"):
        begin(config={"epochs": 4})
    begin(config={"epochs": 4}, drift=["epochs"])


@needs_optuna
def test_a_study_of_beta_1_0_goes_on_with_beta_1(tmp_path):
    def begin(**config):
        with opened(tmp_path, SETTINGS, space_of({"lr": LR})) as study:
            study.begin(config, [], {})

    begin(beta=1.0, trainer={"limit_train_batches": 1.0})
    begin(beta=1, trainer={"limit_train_batches": 1.0})
    with pytest.raises(CheckpointError, match=r"\(trainer\.limit_train_batches: 1\.0 -> 1\)"):
        begin(beta=1, trainer={"limit_train_batches": 1})


# --- the command ------------------------------------------------------------------------------------------------------

REFUSED = {
    "sweep=optun": (2, "sweep=optun: no such option; did you mean optuna?"),
    "sweep.trials=0": (2, "sweep.trials=0: must be a whole number >= 1"),
    "sweep.direction=up": (2, "sweep.direction=up: must be one of maximize, minimize"),
    "sweep.timeout=-1": (2, "sweep.timeout=-1: must be a finite number > 0"),
    "sweep.name=../x": (2, "sweep.name=../x: must be the name of one folder"),
    "sweep.space.lr.low=1": (2, "sweep.space.lr: low=1 is above high=0.01"),
    "sweep.space.lr.low=0": (2, "sweep.space.lr.low=0: must be > 0 with log=true"),
    "~sweep.space.lr": (2, "sweep.space: has no range"),
    "+sweep.space.lrr={low:1,high:2}": (2, "sweep.space.lrr: lrr=1: no such key; did you mean lr=1?"),
    "+sweep.space.beta={low:-1,high:2}": (2, "sweep.space.beta: beta=-1: must be a finite number >= 0"),
    "+sweep.space.loss={choices:[bce,bcee]}": (2, "sweep.space.loss: loss=bcee: no such option; did you mean bce?"),
    "+sweep.space.bound.num_samples={low:1,high:5,step:2.0}": (2, "sweep.space.bound.num_samples: bound"),
    "+sweep.space.seed={low:1,high:9}": (2, "sweep.space.seed: the best seed is luck, and no setting; leave it out"),
    "+sweep.space.data.seed={low:1,high:9}": (2, "sweep.space.data.seed: the best seed is luck"),
    "+sweep.space.name={choices:[a,b]}": (2, "sweep.space.name: says where a run is or what it keeps"),
    "+sweep.space.data.protocol={choices:[grey,threshold]}": (
        2,
        "sweep.space.data.protocol: its values differ in the protocol of the data, and such results are never "
        "compared; leave it out, and begin a study for each",
    ),
    "+sweep.space.data.val_size={low:100,high:200}": (
        2,
        "sweep.space.data.val_size: its values differ in the sizes of",
    ),
    "+sweep.space.loss={choices:[bce,mse]}": (
        2,
        "sweep.space.loss: its values differ in the measure of the likelihood",
    ),
    "+sweep.space.beta={low:1,high:2} sweep.metric=val/loss sweep.direction=minimize": (
        2,
        "sweep.space.beta: it weighs the loss, so val/loss does not compare its values; say sweep.metric=val/elbo",
    ),
    "sweep.metric=val/elbow": (2, "sweep.metric=val/elbow: no trial logs it before its test; did you mean val/elbo?"),
    "sweep.metric=test/elbo": (2, "sweep.metric=test/elbo: no trial logs it before its test"),
    "sweep.metric=val/recon": (2, "sweep.direction=maximize: this takes the worst val/recon for the best"),
    "lr=0.01": (2, "lr=0.01: the study chooses it"),
    "seed=1,2": (2, "seed=1,2: sweep=optuna takes its values from sweep.space"),
    "resume=auto": (2, "resume=auto: leave it out; a study goes on by itself"),
    "+trainer.fast_dev_run=true": (2, "trainer.fast_dev_run: it keeps nothing"),
}


@needs_optuna
@pytest.mark.sample(8)
@pytest.mark.parametrize("word", REFUSED)
def test_a_mistake_is_one_line_and_leaves_nothing(ask, tmp_path, word):
    words = [word] if word.startswith("sweep=") else ["sweep=optuna", *word.split(" ")]
    status, _, err = ask(*words, *TINY)
    expected, says = REFUSED[word]
    assert (status, f"error: {says}" in err) == (expected, True), err
    assert "Traceback" not in err
    assert [*tmp_path.iterdir()] == []


@needs_optuna
def test_what_may_be_compared_may_be_searched(ask):
    """Several batch sizes, two losses of one measure, and beta by the ELBO."""
    space = ["+sweep.space.batch_size={choices:[16,32]}", "+sweep.space.loss={choices:[bce,bce_logits]}"]
    tiny = [word for word in TINY if not word.startswith("batch_size")]
    status, out, err = ask("sweep=optuna", *space, "+sweep.space.beta={low:1,high:2}", "sweep.trials=1", *tiny)
    assert (status, "1 completed" in out) == (0, True), err


def test_without_optuna_the_extra_is_named(ask, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    status, _, err = ask("sweep=optuna", *TINY)
    assert (status, err.splitlines()[-1]) == (
        2,
        "error: sweep=optuna: not installed; pip install 'vae-lightning[optuna]'",
    )
    assert [*tmp_path.iterdir()] == []


@pytest.mark.slow
@needs_optuna
def test_a_study_goes_on_where_it_was(ask, tmp_path, monkeypatch):
    """Two trials, then a third that never got a run, then what is left: one crashes, one diverges."""
    (tmp_path / "crashing.py").write_text(CRASH.format(number=1))
    monkeypatch.syspath_prepend(tmp_path)
    words = ["sweep=optuna", *TINY, "+callbacks.crash._target_=crashing.Crash", "allow_targets=[crashing.]"]
    words += ["~sweep.space.lr", "+sweep.space.lr={choices:[0.001,1e30]}", "sweep.seed=3"]
    status, out, err = ask(*words, "sweep.trials=2")
    assert status == 1, err
    assert err.splitlines()[-1] == "error: 1 of the trials failed: trial 1 (RuntimeError: the cable was pulled)"
    assert "study optuna: 2 trials (1 completed, 1 failed); best: trial 0, val/elbo=-" in out
    folder = tmp_path / "o" / "multirun" / "optuna"
    settings = Settings("optuna", "val/elbo", "maximize", 4, None, 3, True)
    with opened(folder, settings, space_of({"lr": {"choices": [0.001, 1e30]}})) as study:
        study.ask()  # and the process is killed
        status, _, err = ask(*words, "sweep.trials=4")
        assert (status, "in use by process" in err) == (4, True), err
    status, out, err = ask(*words, "sweep.trials=4")
    assert status == 0, err
    shown = read_study(folder)
    assert [trial.number for trial in shown.trials] == [0, 1, 2, 3]
    ends = [trial.status for trial in shown.trials]
    assert ends[:2] == ["completed", "failed"]
    assert {*ends[2:]} <= {"completed", "diverged"}
    diverged = [trial.params["lr"] == "1e+30" for trial in shown.trials if trial.number != 1]
    assert diverged == [end == "diverged" for end in (ends[0], *ends[2:])]
    jobs = read_jobs(folder)
    assert [job.number for job in jobs] == [0, 1, 2, 3]
    assert [Run(job.run_folder).status for job in jobs] == ends
    assert shown.trials[0].value == Run(jobs[0].run_folder).metrics["val/elbo"]
    page = (folder / "sweep.html").read_text()
    assert page.count('<circle class="trial complete') == ends.count("completed") + 1  # and the legend's
    status, out, err = ask(*words, "sweep.trials=4")
    assert (status, "job " in out) == (0, False), err
    status, _, err = ask(*words, "sweep.trials=5", "beta=2")
    assert (status, "another objective or configuration (beta: 1.0 -> 2" in err) == (4, True), err


@needs_optuna
def test_trials_without_a_date_have_a_number_in_their_name(ask, tmp_path):
    """Two trials may have the same values."""
    words = ["sweep=optuna", *TINY, "date_prefix=false", "group=g", "sweep.trials=2", "sweep.pruning=false"]
    status, _, err = ask(*words, "~sweep.space.lr", "+sweep.space.lr={choices:[0.001,0.00100]}")
    assert status == 2, err  # the same value twice is no choice
    status, _, err = ask(*words, "~sweep.space.lr", "+sweep.space.bound.num_samples={low:1,high:2}", "sweep.trials=3")
    assert status == 0, err
    names = [path.name.rpartition("-")[2] for path in (tmp_path / "o" / "g").glob("*-trial*")]
    assert sorted(names) == ["trial0", "trial1", "trial2"]


# --- killed -----------------------------------------------------------------------------------------------------------


def study_of(folder: Path, *words: str, kill_at: int | None = None) -> int:
    """A study in a process of its own; SIGKILL once the job with the number `kill_at` has a run with a checkpoint."""
    arguments = ["sweep=optuna", "sweep.trials=12", *TINY, "epochs=3", *words]
    arguments += ["+callbacks.crash._target_=crashing.Crash", "allow_targets=[crashing.]"]
    arguments += ["~sweep.space.lr", "+sweep.space.lr={choices:[0.001,0.003,0.01,0.03,1e30]}"]
    arguments += ["+sweep.space.latent.dim={low:2,high:16,log:true}", "latent=z8"]
    arguments = [word for word in arguments if word not in ("latent.dim=2", "epochs=1")]
    process = subprocess.Popen(
        [sys.executable, "-m", "vae_lightning.train", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while kill_at is not None and process.poll() is None:
        jobs = [job for job in read_jobs(folder / "o") if job.number == kill_at and job.run_folder]
        if jobs and Run(jobs[0].run_folder).last.is_file():
            os.killpg(process.pid, signal.SIGKILL)
            break
        time.sleep(0.01)
    return process.wait(timeout=280)


@needs_optuna
@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_killed_study_comes_to_what_it_would_have_come_to(tmp_path, launcher):
    """12 trials, some that diverge and one that crashes; one by one, they are those of a study that was not killed."""
    if launcher == "joblib" and find_spec("hydra_plugins.hydra_joblib_launcher") is None:
        pytest.skip("the extra `sweep` is not installed")
    more = [] if launcher == "basic" else ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    kept = {}
    for name, kills in (("whole", []), ("killed", [3, 8])):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "crashing.py").write_text(CRASH.format(number=5))
        assert [study_of(folder, *more, kill_at=kill) for kill in kills] == [-9] * len(kills)
        study_of(folder, *more)
        kept[name] = read_study(folder / "o" / "multirun" / "optuna")
        jobs = read_jobs(folder / "o" / "multirun" / "optuna")
        assert [job.number for job in jobs] == [*range(12)]
        assert not any(Lock(job.run_folder).held for job in jobs)
        ends = [trial.status for trial in kept[name].trials]
        assert len(ends) == 12
        assert ends[5] == "failed"
        others = [trial for trial in kept[name].trials if trial.number != 5]
        assert [trial.status == "diverged" for trial in others] == [trial.params["lr"] == "1e+30" for trial in others]
        assert json.loads((jobs[5].file).read_text())["error"] == "RuntimeError: the cable was pulled"
        best = max(trial.value for trial in kept[name].trials if trial.state == "complete")
        assert best > kept[name].trials[0].value  # of the configuration without the study
    if launcher == "basic":
        assert "diverged" in [trial.status for trial in kept["whole"].trials]
        assert kept["killed"].trials == kept["whole"].trials


# --- the document -----------------------------------------------------------------------------------------------------


@needs_optuna
def test_optuna_itself_reads_the_study_as_the_document_says(tmp_path, monkeypatch, capsys):
    with opened(tmp_path / "outputs" / "multirun" / "optuna", SETTINGS, space_of({"lr": LR})) as study:
        study.begin({}, [], {"lr": 0.001})
        study.words(study.ask())
        study.tell(0, "COMPLETE", -1.0, status="completed")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(blocks(page("optuna"), "python")[0], names)
    assert capsys.readouterr().out == "{'lr': 0.001}\n"
    assert names["study"].user_attrs[NAME]["space"]["lr"]["high"] == 0.01


def test_the_documented_study_of_ones_own_composes(tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "wide.yaml").write_text(blocks(page("optuna"), "yaml")[0])
    cfg = config(f"hydra.searchpath=[file://{tmp_path}]", "sweep=wide")
    space = space_of(OmegaConf.to_container(cfg.sweep.space))
    assert space["lr"] == Range(0.0001, 0.1, log=True)
    assert space["latent.dim"] == Range(2, 64, log=True)
    assert space["network"] == Choices(("mlp", "mlp_paper", "conv"))
    assert settings_of(cfg.sweep) == Settings("wide", "val/elbo", "maximize", 60, None, 0, True)


def test_every_key_is_documented():
    keys = {code(row[0]).removeprefix("sweep.") for row in rows(page("optuna"), "Keys")}
    assert keys == {field.name for field in fields(Settings)} | {"space"}
