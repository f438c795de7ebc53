"""Mistakes that training would find late are found before a folder is made; the rest is a failed run, status 1."""

import json
from pathlib import Path

import pytest
from conftest import QUICK, config, vae

from vae_lightning.app import rehearsal
from vae_lightning.callbacks import BetaAnnealing, LatentUsage
from vae_lightning.errors import ConfigError
from vae_lightning.runs.run import open_run
from vae_lightning.status import main as status_main
from vae_lightning.train import main

LIGHTNING = "lightning.pytorch.callbacks"
STOP = f"+callbacks.stop._target_={LIGHTNING}.EarlyStopping"
RATE = f"+callbacks.rate._target_={LIGHTNING}.LearningRateMonitor"
LOGS = """
import lightning.pytorch as pl
import vae_lightning

class Logs(pl.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        pl_module.log("val/own", 1.0)

class Module(vae_lightning.VAE):
    def training_step(self, *args):
        self.log("train/own", 1.0, on_step=False, on_epoch=True)
        return super().training_step(*args)
"""
PAPERS = """
import vae_lightning

class Needs(vae_lightning.VAE):
    def __init__(self, *, wanted, **options):
        super().__init__(**options)

class Other:
    pass

class Broken(vae_lightning.VAE):
    def __init__(self, **options):
        1 + "a"
"""
MCEM = ["paper=mcem", "+trainer.limit_val_batches=0", "~callbacks.best"]


@pytest.fixture
def ask(answer, tmp_path):
    """The main job: words -> (status, what it said on stderr)."""

    def run(*words):
        status, _, err = answer(main, *QUICK, f"project_dir={tmp_path / 'o'}", "+trainer.limit_test_batches=2", *words)
        return status, err

    return run


@pytest.mark.sample(6)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([STOP, "+callbacks.stop.monitor=val_loss"], "callbacks.stop.monitor=val_loss: it is not logged; did you mean "
         "val/loss?"),
        ([STOP, "+callbacks.stop.monitor=val/loss", "data.val_size=0"], "val/loss: it is not logged"),
        ([STOP, "+callbacks.stop.monitor=val/loss", "+trainer.limit_val_batches=0"], "val/loss: it is not logged"),
        ([STOP, "+callbacks.stop.monitor=val/elbo"], "callbacks.stop.mode=min: this takes the worst val/elbo for the "
         "best; say callbacks.stop.mode=max"),
        ([STOP, "+callbacks.stop.monitor=val/iwae_50", "bound=iwae", "bound.num_samples=50"], "the worst val/iwae_50"),
        ([RATE], "callbacks.rate: LearningRateMonitor needs a logger; add one: logger=tensorboard"),
        ([f"+callbacks.d._target_={LIGHTNING}.DeviceStatsMonitor"], "callbacks.d: DeviceStatsMonitor needs a logger"),
        ([STOP, "+callbacks.stop.monitor=val/kl", STOP.replace("stop", "also"), "+callbacks.also.monitor=val/kl"],
         "callbacks.also: a second EarlyStopping with the same settings as callbacks.stop"),
        ([STOP, "+callbacks.stop.monitor=train/elbo", *MCEM], "did you mean train/log_pxz? (train/log_pxz, "
         "train/step_size)"),
        ([STOP, "+callbacks.stop.monitor=train/log_pxz", *MCEM], "this takes the worst train/log_pxz for the best"),
        (["+trainer.limit_train_batches=0.001"], "limit_train_batches"),
        (["+trainer.limit_train_batches=0"], "nothing would be trained"),
        (["+trainer.limit_val_batches=0.001"], "limit_val_batches"),
        (["trainer.limit_test_batches=0.001"], "limit_test_batches"),
        (["+trainer.overfit_batches=0.001"], "limit_train_batches"),
        (["+trainer.limit_train_batches=5", "schedule=linear", "schedule.unit=steps", "schedule.length=20"],
         "schedule.length=20 steps: ends after the run, which has 5"),
        (["+trainer.max_steps=3", "schedule=linear", "schedule.unit=epochs", "schedule.length=1"], "ends after the"),
        (["trainer.max_epochs=1", "epochs=4"], "trainer.max_epochs=1: the number of epochs is another key, epochs=1"),
        (["+trainer.accumulate_grad_batches=4", "schedule=linear", "schedule.unit=steps", "schedule.length=20"],
         "ends after the run, which has 9"),
        (["+trainer.accumulate_grad_batches=0"], "trainer.accumulate_grad_batches=0: must be a whole number >= 1"),
        (["+trainer.check_val_every_n_epoch=0"], "trainer.check_val_every_n_epoch=0: must be a whole number >= 1"),
        (["trainer.num_sanity_val_steps=abc"], "trainer.num_sanity_val_steps=abc: must be a whole number >= -1"),
        (["+trainer.val_check_interval=1000000"], "trainer.val_check_interval=1000000: an epoch has 36 batches"),
        (["+trainer.val_check_interval=0"], "trainer.val_check_interval=0: must be > 0"),
    ],
    ids=lambda value: " ".join(value)[-60:] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_is_found_before_the_folder(ask, tmp_path, words, says):
    """At 756e4e9 each of these left a folder, with status 1 or 2."""
    status, err = ask(*words)
    assert says in err
    assert status == 2
    assert err.count("error:") == 1
    assert "Traceback" not in err
    assert not (tmp_path / "o").exists()


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "words",
    [
        [STOP, "+callbacks.stop.monitor=val/elbo", "+callbacks.stop.mode=max"],
        [STOP, "+callbacks.stop.monitor=val/kl", "+callbacks.stop.mode=max"],
        [STOP, "+callbacks.stop.monitor=train/loss"],
        [STOP, "+callbacks.stop.monitor=val/own", "+callbacks.log._target_=logs_own.Logs", "allow_targets=[logs_own.]"],
        [STOP, "+callbacks.stop.monitor=train/log_pxz", "+callbacks.stop.mode=max", *MCEM],
        [STOP, "+callbacks.stop.monitor=train/own", "+paper._target_=logs_own.Module", "allow_targets=[logs_own.]"],
        [RATE, "logger=tensorboard"],
        ["data.val_size=0"],
        ["+trainer.limit_val_batches=0"],
        ["+trainer.limit_train_batches=5", "schedule=linear", "schedule.unit=steps", "schedule.length=5"],
        ["+trainer.val_check_interval=50", "+trainer.check_val_every_n_epoch=null"],
        ["+trainer.val_check_interval=0.5"],
    ],
    ids=lambda words: " ".join(words)[-60:],
)
def test_what_works_is_let_through(ask, tmp_path, monkeypatch, words):
    (tmp_path / "logs_own.py").write_text(LOGS)
    monkeypatch.syspath_prepend(tmp_path)
    status, err = ask(*words)
    assert status == 0, err
    assert len(list(tmp_path.rglob("run_meta.json"))) == 1


def test_an_argument_that_paper_does_not_take_is_named(ask):
    status, err = ask(*MCEM, "+paper.foo=1")
    assert (status, "paper.foo: MonteCarloEM takes no such argument; it takes acceptance" in err) == (2, True), err


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "Needs",
            "paper: Needs.__init__() missing 1 required keyword-only argument: 'wanted'; say +paper.wanted=VALUE",
        ),
        ("Other", "paper._target_: Other is no VAE; derive it from that class"),
        ("Broken", "paper: TypeError: unsupported operand"),
    ],
)
def test_a_class_for_paper_that_cannot_be_built_is_one_line(ask, tmp_path, monkeypatch, name, says):
    (tmp_path / "own_paper.py").write_text(PAPERS)
    monkeypatch.syspath_prepend(tmp_path)
    status, err = ask(f"+paper._target_=own_paper.{name}", "allow_targets=[own_paper.]")
    assert says in err
    assert (status, err.count("error:"), "command line is made of" in err) == (2, 1, False)
    assert not (tmp_path / "o").exists()


def test_a_module_without_an_elbo_has_curves_a_state_and_an_end(answer, tmp_path):
    """Its curves were empty, `status` counted no epoch, and a finished run trained no more but was tested again."""
    words = [*QUICK, f"project_dir={tmp_path}", "group=g", "epochs=2", "+trainer.limit_train_batches=2", *MCEM]
    status, _, err = answer(main, *words)
    assert (status, "no metric is logged" in err) == (0, False), err
    header, *rows = (tmp_path / "g" / "latest" / "curves" / "train_log.csv").read_text().splitlines()
    assert header == "epoch,log_pxz,step_size"
    assert all(float(cell) for row in rows for cell in row.split(","))
    assert len(rows) == 2
    assert (tmp_path / "g" / "latest" / "curves" / "losses.png").is_file()
    assert "2/2" in answer(status_main, tmp_path)[1]
    assert "completed, nothing to do" in answer(main, f"resume={tmp_path / 'g' / 'latest'}")[1]


@pytest.mark.slow
def test_the_metrics_that_the_rehearsal_knows_are_those_that_are_logged(train):
    for words in (["bound=elbo"], ["bound=iwae", "bound.num_samples=2"], ["bound=miwae"], MCEM):
        logged = {key for key in open_run(train(*words)).metrics if not key.startswith("test/")}
        module = vae(config(*words))
        assert {*rehearsal.modes_of(module, [LatentUsage()], words is not MCEM)[0]} == logged


def test_a_mistake_that_is_found_late_is_a_failed_run(ask, tmp_path, monkeypatch):
    """Status 2 says that no folder was made."""

    def late(*_):
        raise ConfigError("x=1: found late")

    monkeypatch.setattr(BetaAnnealing, "on_train_start", late)
    status, err = ask()
    assert status == 1
    assert "error: x=1: found late" in err
    (record,) = tmp_path.rglob("run_meta.json")
    assert json.loads(record.read_text())["status"] == "failed"


def test_settings_of_the_data_that_no_checkpoint_holds_are_found_first(ask, tmp_path, monkeypatch):
    (tmp_path / "path_data.py").write_text(
        "from pathlib import Path\nfrom vae_lightning.data import MNISTDataModule\n"
        "class Mine(MNISTDataModule):\n"
        "    def __init__(self, root='x', **options):\n"
        "        super().__init__(**options)\n"
        "        root = Path(root)\n"
        "        self.save_hyperparameters({'root': root})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    status, err = ask("data._target_=path_data.Mine", "allow_targets=[path_data.]")
    assert status == 4
    assert "datamodule_hyper_parameters.root=x: a checkpoint cannot hold a pathlib." in err
    assert not Path(tmp_path / "o").exists()
