"""What strangers type: flags of Lightning and Hydra, names, classes of torch and of their own. Done, or one line."""

import json
import logging
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import NO_NETWORK, QUICK, config

from vae_lightning import VAE, train
from vae_lightning.app import fit
from vae_lightning.app.build import logger_nodes, named_callbacks

FEW = [*QUICK, "callbacks.latent_traversal.rows=2", "latent.dim=3", "save_dir=run", "trainer.accelerator=cpu"]
FEW += ["+trainer.limit_train_batches=2", "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1"]


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """The main job in an empty folder: overrides -> (status, output, stderr)."""
    monkeypatch.chdir(tmp_path)
    yield partial(answer, train.main)
    for logger in logging.root.manager.loggerDict.values():  # hydra/job_logging=disabled disables them all
        if isinstance(logger, logging.Logger):
            logger.disabled = False


@pytest.fixture
def checked(ask, monkeypatch):
    """The same up to where it would train."""
    monkeypatch.setattr(fit, "fit", lambda job: 0.0)
    return ask


def record(folder: str = "run") -> dict:
    return json.loads(Path(folder, "run_meta.json").read_text(encoding="utf-8"))


MISTAKES = {
    "callbacks=progress": "callbacks=progress: this is one callback, not a set of callbacks (default); "
    "+callbacks@callbacks.NAME=progress adds it",
    "callbacks.progress=progress": "~callbacks.progress leaves it out",
    "callbacks.progress=false": "~callbacks.progress leaves it out",
    "+callbacks.mine.monitor=val/elbo": "+callbacks.mine._target_=CLASS names its class",
    "callbacks.best._target_=torch.nn.Identity": "callbacks: Identity has no on_train_batch_end, state_key",
    "+callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping": "callbacks.stop: EarlyStopping.__init__() "
    "missing 1 required positional argument: 'monitor'",
    "+callbacks.bar._target_=lightning.pytorch.callbacks.TQDMProgressBar": "~callbacks.progress leaves out the one",
    "~loss": "loss=None: must be one of its options (bce, ",
    "~data": "data=None: must be one of its options (arrays, ",
    "~trainer": "trainer=None: must be one of its options (ddp, default, fast)",
    "~loss._target_": "loss={}: must be one of its options",
    "loss._target_=torch.nn.MSELoss": "loss: MSELoss has no num_parameters, log_px_z, mean, sample",
    "network._target_=torch.nn.Identity": "network: Identity has no encode, decode",
    "network._target_=torch.nn.Bilinear": "network._target_: Bilinear must take image_shape, latent_dim, num_para",
    "schedule._target_=torch.nn.Parameter": "schedule: Parameter has no __call__",
    "optimizer._target_=torch.optim.lr_scheduler.StepLR": "optimizer: StepLR.__init__() missing",
    "optimizer._target_=torch.optim.AdamX": "there is no AdamX in torch.optim; did you mean Adam",
    "optimizer._target_=torch.optim.lr_scheduler": "optimizer._target_=torch.optim.lr_scheduler: it is a module, not",
    "callbacks=null": "callbacks=null: not an option; say group=option; ~callbacks leaves the group out",
    "optimizer=null": "optimizer=null: not an option; say group=option (adagrad, adam, adamw, muon)",
    "paper=null": "paper=null: not an option; say group=option (full_vb, mcem, wake_sleep); to have none, leave it out",
    "+paper.foo=1": "paper={'foo': 1}: must be one of its options (full_vb, mcem, wake_sleep)",
    "+remedy.iwae=1": "+remedy.iwae=1: nothing reads this key",
    "+experiment.x.y=1": "+experiment.x.y=1: nothing reads this key",
    "+sweep.skipfinished=true": "nothing reads this key; did you mean sweep.skip_finished=true?",
    "reproduce=1": "reproduce=1: a row is no option of a run; python -m vae_lightning.reproduce 1 runs it",
    "+reproduce=aevb_fig2": "a row is no option of a run; python -m vae_lightning.reproduce aevb_fig2 runs it",
    "remedy=2": "remedy=2: not an option; say group=option (none, capacity, cyclic, free_bits, iwae, linear)",
    "experiment=2": "experiment=2: not an option; say group=option (capacity, frey_face",
    "hydra.launcher.n_jobs=2": "one after the other have no such key; add hydra/launcher=joblib before it",
    "+hydra.launcher.n_jobs=2 -m": "hydra.launcher.n_jobs: jobs that run one after the other have no such key",
    "optimizer._target_=torch.optim.AdamW optimizer.final_lr=1e-4": "optimizer.final_lr: AdamW takes no such argument",
    "optimizer._target_=torch.optim.AdamW +optimizer.weightdecay=1": "did you mean weight_decay?",
    "+optimizer.momentum=0.9": "optimizer.momentum: Adam takes no such argument; it takes eps, final_lr, lr",
    "+loss.variance=1": "loss.variance: Bernoulli takes no such argument; it takes none",
    "+trainer.foo=1": "trainer.foo: Trainer takes no such argument",
    "+trainer.default_root_dir=x": "trainer.default_root_dir=x: the command sets this; the run folder is project_dir",
    "+trainer.logger=false": "trainer.logger=False: the command sets this; loggers are a group: logger=tensorboard",
    "+trainer.callbacks=[]": "trainer.callbacks=[]: the command sets this; callbacks are a group",
    "trainer.max_epochs=3": "trainer.max_epochs=3: the number of epochs is another key, epochs=3",
    "trainer.enable_progress_bar=false": "+trainer.enable_progress_bar=false adds one that its class takes",
    "trainer.strategy=nope": "trainer: You selected an invalid strategy name: `strategy='nope'`",
    "run_dir=x": "run_dir=x: the command fills it in; save_dir=DIR names the run folder",
    "data.dir=${run_dir}/data": "data.dir=${run_dir}/data: the run folder is not claimed yet",
    "save_dir=${run_dir}": "save_dir=${run_dir}: the run folder is not claimed yet",
    "name='${run_dir}'": "name=${run_dir}: the run folder is not claimed yet",
    "trainer.max_epochs=${run_dir}": "trainer.max_epochs=${run_dir}: the run folder is not claimed yet",
    "lr='???'": "lr: it must be given, such as lr=VALUE",
    "hydra/job_logging=default": "it may write a log file into the working folder; choose one of none, stdout",
    "+hydra/job_logging@hydra.job_logging=default": "it may write a log file into the working folder",
    "hydra/hydra_logging=hydra_debug": "it may write a log file into the working folder; choose one of none, default",
    "name=a:b": "name=a:b: must be the name of one folder on every system",
    "name='a?'": "must be the name of one folder on every system",
    "name='a.'": "must be the name of one folder on every system",
    "name='a '": "must be the name of one folder on every system",
    "group=' a'": "must be the name of one folder on every system",
    "name=NUL": "name=NUL: Windows keeps this name for a device",
    "group=con": "group=con: Windows keeps this name for a device",
    "name=com1.txt": "name=com1.txt: Windows keeps this name for a device",
    "project_dir=2026": "project_dir=2026: must be a folder; quote a name that is a number: \"'2026'\"",
}


@pytest.mark.sample(8)
@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_true_line_and_no_folder(checked, tmp_path, line):
    words = [line] if "'" in line else line.split()
    status, _, err = checked(*words, *([] if line == "~data" else NO_NETWORK))
    said = [text for text in err.splitlines() if text.startswith("error: ")]
    assert (status, len(said)) == (2, 1), err
    assert MISTAKES[line] in said[0]
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


DONE = [
    "~callbacks",
    "callbacks.progress=null",
    "~logger",
    "+callbacks@callbacks.compiled=compile_step",
    "+trainer.enable_progress_bar=false",
    "+trainer.enable_checkpointing=false",
    "hydra/job_logging=stdout",
    "hydra/job_logging=disabled",
    "+callbacks.twice._target_=vae_lightning.callbacks.CurveLog '+callbacks.twice.dirpath=${run_dir}/again'",
    "optimizer._target_=torch.optim.SGD +optimizer.momentum=0.9",
]


@pytest.mark.sample(4)
@pytest.mark.parametrize("line", DONE)
def test_what_can_be_done_is_prepared(checked, tmp_path, line):
    words = [word.strip("'") for word in line.split()]
    status, _, err = checked(*words, *NO_NETWORK)
    assert (status, err.count("error: ")) == (0, 0), err
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]  # no log file beside it


def test_an_option_in_a_folder_makes_the_name_of_one_folder(checked, tmp_path):
    (tmp_path / "conf" / "loss" / "mine").mkdir(parents=True)
    (tmp_path / "conf" / "loss" / "mine" / "own.yaml").write_text("_target_: vae_lightning.loss.SquaredError\n")
    assert checked("--config-dir", "conf", "loss=mine/own", *NO_NETWORK)[0] == 0
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["mnist-lat20-mine-own-beta1-none-mean"]


def test_the_run_folder_may_be_named(ask, tmp_path):
    """In the keys of callbacks, loggers and the trainer."""
    own = ["+callbacks.again._target_=vae_lightning.callbacks.CurveLog", "+callbacks.again.dirpath=${run_dir}/again"]
    assert ask(*FEW, *own)[0] == 0
    assert (tmp_path / "run" / "again" / "curves" / "train_log.csv").is_file()
    assert record()["config"]["callbacks"]["again"]["dirpath"] == "run/again"


@pytest.fixture
def log(monkeypatch):
    """What Lightning's own handler prints."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda entry: lines.append(entry.getMessage())  # type: ignore[method-assign]
    logging.getLogger("lightning.pytorch").addHandler(handler)
    yield lines
    logging.getLogger("lightning.pytorch").removeHandler(handler)


def test_a_profiler_a_summary_and_a_callback_print_what_they_print_with_lightning(ask, log):
    asked = ["+trainer.profiler=simple", "trainer.enable_model_summary=true"]
    asked += ["+callbacks.timer._target_=lightning.pytorch.callbacks.Timer", "+callbacks.timer.duration=00:00:00:00"]
    status, out, err = ask(*FEW, *asked)
    assert status == 0, err
    said = "\n".join([out, *log])
    for words in ("FIT Profiler Report", "TEST Profiler Report", "Trainable params", "Time limit reached"):
        assert words in said
    assert "GPU available" not in said  # nobody asked
    assert "Tip" not in said


def test_flags_of_the_trainer_turn_callbacks_off(ask, tmp_path):
    status, out, err = ask(*FEW, "+trainer.enable_progress_bar=false", "+trainer.enable_checkpointing=false")
    assert status == 0, err
    assert "epoch" not in out
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert record()["status"] == "completed"


def test_the_plugins_of_the_trainer_are_kept(checked, monkeypatch):
    seen = []
    monkeypatch.setattr(fit, "fit", lambda job: seen.append(job.trainer) or 0.0)
    plugin = "{_target_:lightning.pytorch.plugins.environments.LightningEnvironment}"
    words = [*FEW, f"+trainer.plugins=[{plugin}]", "allow_targets=[lightning.fabric.]"]
    assert checked(*words)[0] == 0
    assert type(seen[0]._accelerator_connector.cluster_environment).__name__ == "LightningEnvironment"
    assert type(seen[0].strategy.checkpoint_io).__name__ == "WholeCheckpointIO"


def test_a_class_of_torch_is_an_optimizer(ask, tmp_path):
    words = [*FEW, "optimizer._target_=torch.optim.AdamW", "+optimizer.weight_decay=0.5", "lr=0.01"]
    assert ask(*words)[0] == 0
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["optimizer_states"][0]
    (group,) = saved["param_groups"]
    assert (group["weight_decay"], group["lr"], group["decoupled_weight_decay"]) == (0.5, 0.01, True)
    assert record()["parts"]["optimizer"]["title"] == "AdamW"
    status, _, err = ask("resume=run", "epochs=2", "allow_drift=[epochs]")
    assert status == 0, err
    adamw = partial(torch.optim.AdamW, lr=0.01)
    module = VAE.load_from_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt", optimizer=adamw)
    assert isinstance(module.configure_optimizers(), torch.optim.AdamW)


@pytest.mark.parametrize("full", ["0", "1"])
@pytest.mark.parametrize("line", ["beta=-1", "loss=bcee", "-m beta=-1", "data.val_size=0.5"])
def test_a_full_error_shows_the_traceback_before_the_line(ask, monkeypatch, line, full):
    """Of an error in the task and of one before it; `answer` takes the variable away, so it is set in the call."""

    def main():
        monkeypatch.setenv("HYDRA_FULL_ERROR", full)
        train.main()

    status, _, err = ask.func(main, *line.split(), *NO_NETWORK)
    assert status == 2
    assert err.count("Traceback (most recent call last)") >= int(full)
    assert ("Traceback" in err) == (full == "1")
    assert err.count("\nerror: ") + err.startswith("error: ") == 1


def test_the_full_error_of_report_and_status(answer, monkeypatch, tmp_path):
    from vae_lightning import report, status

    for main in (report.main, status.main):

        def full(main=main):
            monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
            main()

        code, _, err = answer(full, tmp_path / "none")
        assert (code, "Traceback" in err, "error: " in err) == (2, True, True)


@pytest.mark.slow
def test_wandb_mode_counts_where_no_mode_is_said(ask, monkeypatch, tmp_path):
    for mode, made in (("offline", True), ("disabled", False), ("dryrun", True)):
        monkeypatch.setenv("WANDB_MODE", mode)
        status, _, err = ask(*[word for word in FEW if word != "save_dir=run"], f"save_dir={mode}", "logger=wandb")
        assert status == 0, err
        assert bool(list((tmp_path / mode).glob("wandb/offline-run-*"))) == made


@pytest.mark.parametrize(
    ("variable", "words", "says"),
    [
        ("nowhere", [], "WANDB_MODE=nowhere: must be one of online, offline, disabled"),
        ("online", [], "logger.mode=online: no W&B key"),
        ("", [], "logger.mode=online: no W&B key"),
        ("offline", ["logger.mode=online"], "logger.mode=online: no W&B key"),  # what is said counts
        ("offline", ["logger.mode=ofline"], "logger.mode=ofline: did you mean offline?"),
    ],
)
def test_wandb_modes_that_cannot_work(checked, monkeypatch, tmp_path, variable, words, says):
    monkeypatch.setenv("WANDB_MODE", variable)
    status, _, err = checked("logger=wandb", *words, *NO_NETWORK)
    assert (status, says in err) == (2, True), err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_run_logged_elsewhere_is_the_same_run(ask, monkeypatch):
    """A run of an older version says online or offline where null is the default now."""
    assert ask(*FEW, "logger=wandb", "logger.mode=offline")[0] == 0
    meta = record()
    meta["status"] = "interrupted"
    meta["overrides"].remove("logger.mode=offline")
    Path("run", "run_meta.json").write_text(json.dumps(meta))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    status, _, err = ask("resume=run")
    assert status == 0, err


PACKAGES = {
    "a missing package": (
        {"net.py": "import nothing_of_this_name\n\nclass Net: ...\n"},
        "net.Net",
        ("net cannot be imported (ModuleNotFoundError: No module named 'nothing_of_this_name'", "net.py, line 1"),
    ),
    "a missing name": (
        {"pkg/__init__.py": "", "pkg/net.py": "\nfrom . import helper\n\nclass Net: ...\n"},
        "pkg.net.Net",
        ("pkg.net cannot be imported (ImportError: cannot import name 'helper' from 'pkg'", "net.py, line 2"),
    ),
    "a missing submodule": (
        {"pkg/__init__.py": "from pkg.net import Net\n"},
        "pkg.Net",
        ("pkg cannot be imported (ModuleNotFoundError: No module named 'pkg.net'", "__init__.py, line 1"),
    ),
    "a missing package behind a submodule": (
        {
            "pkg/__init__.py": "",
            "pkg/net.py": "from pkg.deep import x\n\nclass Net: ...\n",
            "pkg/deep.py": "import nope_1\n",
        },
        "pkg.net.Net",
        ("pkg.net cannot be imported (ModuleNotFoundError: No module named 'nope_1'", "deep.py, line 1"),
    ),
    "a syntax error": (
        {"net.py": "class Net:\n    def\n"},
        "net.Net",
        ("net cannot be imported (SyntaxError: invalid syntax", "net.py, line 2"),
    ),
    "an error while importing": (
        {"net.py": "x = 1\ny = x / 0\n"},
        "net.Net",
        ("net cannot be imported (ZeroDivisionError: division by zero", "net.py, line 2"),
    ),
    "a script": (
        {"net.py": "import sys\nsys.exit(3)\n"},
        "net.Net",
        ("net cannot be imported (SystemExit: 3", "net.py, line 2"),
    ),
    "an error in the constructor": (
        {"net.py": "class Net:\n    def __init__(self, **sizes):\n        {}['width']\n"},
        "net.Net",
        ("network: KeyError: 'width'", "net.py, line 3"),
    ),
    "an import in the constructor": (
        {"net.py": "class Net:\n    def __init__(self, **sizes):\n        import nope_2\n"},
        "net.Net",
        ("network: ModuleNotFoundError: No module named 'nope_2'", "net.py, line 3"),
    ),
    "a constructor of other sizes": (
        {"net.py": "class Net:\n    def __init__(self, width): ...\n"},
        "net.Net",
        ("network._target_: Net must take image_shape, latent_dim, num_parameters",),
    ),
    "another name": ({"net.py": "class Net: ...\n"}, "net.Nett", ("there is no Nett in net; did you mean Net?",)),
    "a function": ({"net.py": "def make(): ...\n"}, "net.make", ("net.make: it is a function, not a class",)),
    "no package": ({}, "net_1.Net", ("there is no package net_1; run the command in the folder that holds it",)),
    "a class of another package": (
        {"net.py": "from decimal import Decimal\n"},
        "net.Decimal",
        ("its class is of the package decimal", "add decimal. to allow_targets"),
    ),
}


@pytest.mark.sample(5)
@pytest.mark.parametrize("case", PACKAGES)
def test_an_error_in_a_package_of_ones_own_is_told_with_its_line(ask, monkeypatch, tmp_path, case):
    files, target, says = PACKAGES[case]
    for name, text in files.items():
        path = tmp_path / "own" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "own")
    for name in ("net", "pkg", "pkg.net", "pkg.deep"):
        monkeypatch.delitem(__import__("sys").modules, name, raising=False)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    status, _, err = ask(
        *QUICK[:1], *NO_NETWORK, f"network._target_={target}", f"allow_targets=[{target.split('.')[0]}.]"
    )
    assert (status, err.count("error: "), err.count("Traceback")) == (2, 1, 0), err
    for words in says:
        assert words in err
    assert not (tmp_path / "outputs").exists()


def test_nodes_that_are_null_are_left_out():
    cfg = config("callbacks.progress=null", "logger=wandb_tensorboard", "logger.wandb=null", "run_dir=.")
    assert set(named_callbacks(cfg)) == set(config().callbacks) - {"progress"}
    assert [str(node._target_).rpartition(".")[2] for node in logger_nodes(cfg)] == ["TensorBoard"]
