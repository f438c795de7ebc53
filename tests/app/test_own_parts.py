"""Parts of a user's own package, outside the checkout: as good as ours in every command, from the run folder alone."""

import importlib
import json
import math
import re
import sys
import textwrap
from functools import partial
from pathlib import Path

import pytest
from conftest import config

from vae_lightning import compare, evaluate, report, status, train
from vae_lightning.app import build

PACKAGE = '''
from dataclasses import dataclass

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger
from torch import nn

from vae_lightning.bound import Bound, Terms
from vae_lightning.data import ImageDataModule
from vae_lightning.data.splits import Splits
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import Likelihood


class Net(nn.Module):
    """Keeps none of its arguments."""

    def __init__(self, image_shape, latent_dim, num_parameters, width=8):
        super().__init__()
        size = image_shape[0] * image_shape[1] * image_shape[2]
        self.down = nn.Sequential(nn.Linear(size, width), nn.Tanh(), nn.Linear(width, 2 * latent_dim))
        self.up = nn.Linear(latent_dim, num_parameters * size)
        self.picture = (num_parameters, *image_shape)

    def encode(self, x):
        return self.down(x.flatten(1))

    def decode(self, z):
        return self.up(z).unflatten(-1, self.picture)


class Flat(Net):
    """Its pictures lack the axis of the parameters."""

    def decode(self, z):
        return super().decode(z).squeeze(-4)


class Narrow(Net):
    """Its decoder takes other codes."""

    def decode(self, z):
        return super().decode(z[..., :1])


class Latent(DiagonalGaussian):
    pass


class Cauchy(Likelihood):
    """Follows Poisson (1824): a density with heavy tails. Its scale is given."""

    name, title, link = "cauchy", "Cauchy, of one given scale", "identity"

    def log_px_z(self, x, params):
        return torch.distributions.Cauchy(self.mean(params), 0.1).log_prob(x).flatten(-3).sum(-1)

    def sample(self, params, generator):
        return self.mean(params)


@dataclass
class Half(Bound):
    def __call__(self, draw, beta):
        recon, kl = -draw.log_px_z.mean(0), draw.posterior.kl().sum(-1)
        return Terms(recon, kl, -(recon + kl), recon + 0.5 * beta * kl)


@dataclass(frozen=True)
class Power:
    power: float = 2.0

    def __call__(self, t):
        return t**self.power


class Descent:
    def __init__(self, rate=0.001):
        self.step = rate

    def __call__(self, parameters):
        return torch.optim.SGD(parameters, lr=self.step)


class Noise(ImageDataModule):
    name, title = "noise", "Noise"

    def read(self):
        make = torch.Generator().manual_seed(0)
        sizes = {"train": 400, "val": 100, "test": 100}
        shapes = {split: (n, 1, 6, 6) for split, n in sizes.items()}
        images = {k: torch.randint(256, shape, generator=make, dtype=torch.uint8) for k, shape in shapes.items()}
        return Splits(images, source="drawn")


class Witness(pl.Callback):
    pass


class Log(Logger):
    calls = []
    name, version = "log", 0

    @classmethod
    def check_ready(cls):
        cls.calls.append("asked")

    def __init__(self):
        super().__init__()
        self.calls.append("made")

    def log_metrics(self, metrics, step=None):
        pass

    def log_hyperparams(self, *params):
        pass
'''
SLOTS = {
    "network": ["network._target_=my_pkg.Net", "+network.width=5"],
    "latent": ["latent._target_=my_pkg.Latent"],
    "loss": ["loss._target_=my_pkg.Cauchy"],
    "bound": ["bound._target_=my_pkg.Half"],
    "schedule": ["schedule._target_=my_pkg.Power"],
    "optimizer": ["optimizer._target_=my_pkg.Descent", "+optimizer.rate=1e-4"],
    "data": ["data=mine"],
    "callbacks": ["+callbacks.witness._target_=my_pkg.Witness"],
}
OPTIONS = {
    "network/mine": "_target_: my_pkg.Net\nwidth: 6\n",
    "loss/cauchy": "_target_: my_pkg.Cauchy\n",
    "optimizer/mine": "_target_: my_pkg.Descent\nrate: 0.0001\n",
    "callbacks/mine": "_target_: my_pkg.Witness\n",
    "data/mine": "_target_: my_pkg.Noise\nbatch_size: ${batch_size}\nseed: ${seed}\n",
}
SMALL = ["epochs=1", "batch_size=50", "latent.dim=2", "callbacks.latent_traversal.size=3", "data.mirrors=[]"]
SMALL += ["+trainer.limit_train_batches=3", "+trainer.limit_val_batches=1"]
FEW = ["num_images=20", "num_samples=10", "curve=[1]"]
ALLOWED = "allow_targets=[my_pkg.]"


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """A command in this process, with my_pkg beside the working folder: (main, words) -> (status, out, err)."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "my_pkg.py").write_text(textwrap.dedent(PACKAGE))
    for name, text in OPTIONS.items():
        path = tmp_path / "my_conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(f"# An option of one's own.\n{text}")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    return answer


def said(words: list[str]) -> list[str]:
    """The words with those of SMALL that fit them."""
    small = [word for word in SMALL if not (word.startswith("data.") and "data=mine" in words)]
    return ["--config-dir", "my_conf", *small, *words, ALLOWED, "save_dir=run"]


@pytest.mark.sample(1)
@pytest.mark.parametrize("slot", SLOTS)
def test_a_part_of_ones_own_is_as_good_as_ours(ask, tmp_path, slot):
    run = tmp_path / "run"
    ended, _, err = ask(train.main, *said(SLOTS[slot]), "report=false")
    assert (ended, err.replace("!", "").count("error")) == (0, 0), err
    record = json.loads((run / "run_meta.json").read_text())
    assert record["status"] == "completed"
    evaluated = ask(evaluate.main, "run=run", *FEW, ALLOWED)
    assert evaluated[0] == 0, evaluated[2]
    elbo = next(row["value"] for row in json.loads((run / "evaluation.json").read_text())["results"])
    assert math.isfinite(elbo)
    assert ask(compare.main, "runs=[run]")[0] == 0
    assert ask(report.main, "run", ALLOWED)[0] == 0
    assert "no latent explorer" not in (run / "report.html").read_text().lower().partition("<script")[0]


@pytest.mark.parametrize(
    ("network", "line"),
    [
        ("Flat", r"network Flat: its decoder returns \[1, 2, 1, 28, 28\], must be \[1, 2, 1, 1, 28, 28\]"),
        ("Narrow", r"Narrow, DiagonalGaussian, Bernoulli, Elbo: these parts do not fit each other \(mat1 and mat2"),
    ],
)
def test_parts_that_do_not_fit_are_refused_before_a_folder_is_made(ask, tmp_path, network, line):
    ended, _, err = ask(train.main, *said([f"network._target_=my_pkg.{network}"]))
    assert ended == 2
    assert re.search(line, err), err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_all_parts_at_once_are_resumed(ask, tmp_path):
    words = [word for name, slot in SLOTS.items() if name != "network" for word in slot]
    words += ["network=mine", "+callbacks@callbacks.other=mine"]
    whole = said([*words, "epochs=2"])
    assert ask(train.main, *whole)[0] == 0
    (tmp_path / "run").rename(tmp_path / "whole")
    assert ask(train.main, *said(words))[0] == 0
    ended, _, err = ask(train.main, "resume=run", "epochs=2", "allow_drift=[epochs]", ALLOWED)
    assert ended == 0, err
    last = [(tmp_path / name / "curves" / "train_log.csv").read_text() for name in ("run", "whole")]
    assert last[0].count("\n") == last[1].count("\n") == 3
    assert "completed" in ask(status.main, "run")[1]


def test_one_likelihood_is_one_class_and_one_yaml(ask, tmp_path):
    """Help, run, group name, page, sweep page and evaluation all know it: nothing else lists likelihoods by hand."""
    ended, out, _ = ask(train.main, "--config-dir", "my_conf", "--help")
    assert (ended, re.search(r"^  cauchy  ", out, re.MULTILINE) is not None) == (0, True)
    words = said(["loss=cauchy"])
    assert ask(train.main, *words[:-1])[0] == 0
    (run,) = (tmp_path / "outputs" / "mnist-lat2-cauchy-beta1-none-mean").glob("2*")
    page = (run / "report.html").read_text()
    for word in ("Cauchy, of one given scale", "Poisson (1824)", "my_pkg.Cauchy", '"mean":"identity"'):
        assert word in page, word
    assert ask(evaluate.main, f"run={run}", *FEW, ALLOWED)[0] == 0
    assert {row["likelihood"] for row in json.loads((run / "evaluation.json").read_text())["results"]} == {"Cauchy"}
    assert ask(report.main, run.parent)[0] == 0
    assert "density" in (run.parent / "sweep.md").read_text()
    ended, _, err = ask(train.main, *words, "loss=cauchi")
    assert (ended, "did you mean cauchy?" in err) == (2, True), err


@pytest.mark.sample(1)
@pytest.mark.parametrize("command", ["evaluate", "report", "resume"])
def test_where_the_package_is_not_allowed_one_line_says_which_words_to_add(ask, tmp_path, command):
    assert ask(train.main, *said(SLOTS["network"]))[0] == 0
    calls = {
        "evaluate": partial(ask, evaluate.main, "run=run", *FEW),
        "report": partial(ask, report.main, "run"),
        "resume": partial(ask, train.main, "resume=run", "epochs=2", "allow_drift=[epochs]"),
    }
    page = (tmp_path / "run" / "report.html").read_bytes()
    ended, _, err = calls[command]()
    assert (ended, err.count("\n")) == (2, 1), err
    assert "allow_targets=[my_pkg.]" in err
    assert (tmp_path / "run" / "report.html").read_bytes() == page


@pytest.mark.sample(1)
@pytest.mark.parametrize("command", ["evaluate", "report", "resume"])
def test_where_the_package_is_gone_one_line_says_so(ask, monkeypatch, tmp_path, command):
    """Moved, or renamed: what the run was made of cannot be built, and its results can still be compared."""
    assert ask(train.main, *said(SLOTS["network"]))[0] == 0
    assert ask(evaluate.main, "run=run", *FEW, ALLOWED)[0] == 0
    (tmp_path / "elsewhere" / "my_pkg.py").rename(tmp_path / "elsewhere" / "another_name.py")
    monkeypatch.delitem(sys.modules, "my_pkg")
    importlib.invalidate_caches()
    calls = {
        "evaluate": partial(ask, evaluate.main, "run=run", *FEW),
        "report": partial(ask, report.main, "run"),
        "resume": partial(ask, train.main, "resume=run", "epochs=2", "allow_drift=[epochs]"),
    }
    ended, _, err = calls[command](ALLOWED)
    assert (ended, err.count("\n")) == (2, 1), err
    assert "network._target_=my_pkg.Net: there is no package my_pkg; " in err
    assert ask(compare.main, "runs=[run]")[0] == 0


def test_a_part_in_a_script_beside_the_working_folder(ask, monkeypatch, tmp_path):
    """`python -m` puts the working folder first on the path, and so a file there is a package."""
    (tmp_path / "elsewhere" / "my_pkg.py").rename(tmp_path / "my_net.py")
    monkeypatch.syspath_prepend(tmp_path)
    words = [*SMALL, "network._target_=my_net.Net", "loss._target_=my_net.Cauchy", "save_dir=run", "report=false"]
    assert ask(train.main, *words, "allow_targets=[my_net.]")[0] == 0
    for main, more in ((evaluate.main, ["run=run", *FEW]), (report.main, ["run"])):
        ended, _, err = ask(main, *more)
        assert (ended, "allow_targets=[my_net.]" in err) == (2, True), err
        assert ask(main, *more, "allow_targets=[my_net.]")[0] == 0


def test_data_of_ones_own_that_take_no_folder(ask, tmp_path):
    assert ask(train.main, *said(SLOTS["data"]))[0] == 0
    ended, _, err = ask(evaluate.main, "run=run", *FEW, ALLOWED, "data_dir=elsewhere")
    assert (ended, err.count("\n")) == (2, 1), err
    assert "dir: Noise takes no such argument" in err


def test_a_logger_is_asked_once_and_made_once(ask, tmp_path):
    assert ask(train.main, *said(["+logger._target_=my_pkg.Log"]))[0] == 0
    assert importlib.import_module("my_pkg").Log.calls == ["asked", "made"]
    ended, _, _ = ask(train.main, *said(["+logger._target_=my_pkg.Log", "schedule=linear", "schedule.length=2"])[:-1])
    assert (ended, (tmp_path / "outputs").exists()) == (2, False)
    assert importlib.import_module("my_pkg").Log.calls == ["asked", "made"]  # the rehearsal touches no logger


@pytest.mark.slow
def test_an_experiment_of_ones_own_asks_for_its_folder_again(ask, tmp_path):
    (tmp_path / "my_conf" / "experiment").mkdir()
    (tmp_path / "my_conf" / "experiment" / "mine.yaml").write_text("# @package _global_\nlr: 0.002\n")
    assert ask(train.main, *said(["experiment=mine"]))[0] == 0
    more = ["epochs=2", "allow_drift=[epochs]", "resume=run"]
    ended, _, err = ask(train.main, *more)
    assert (ended, err) == (2, "error: experiment=mine: no such option; name its folder again with --config-dir\n")
    assert ask(train.main, "--config-dir", "my_conf", *more)[0] == 0


def test_a_class_named_without_an_option_keeps_what_its_bases_take():
    named = ["data._target_=vae_lightning.data.FashionMNISTDataModule"]
    named += ["trainer._target_=vae_lightning.trainer.FastTrainer"]
    cfg = config(*named, "epochs=3", "seed=7")
    assert build.settle_targets(cfg, named) == {"data": "FashionMNISTDataModule", "trainer": "FastTrainer"}
    assert (cfg.data.seed, cfg.data.batch_size, cfg.trainer.max_epochs) == (7, 128, 3)


def test_a_package_that_fails_to_import_is_told_so(ask, tmp_path):
    Path("elsewhere/broken.py").write_text("import nothing_of_this_name\n\nclass Net: ...\n")
    ended, _, err = ask(train.main, *SMALL, "network._target_=broken.Net", "allow_targets=[broken.]")
    assert (ended, err.count("\n")) == (2, 1)
    assert "broken cannot be imported (ModuleNotFoundError: No module named 'nothing_of_this_name'" in err
