"""Each pair of options of seven groups, once at least: two steps, the test, an evaluation, a report, an export."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import NARROW, NO_NETWORK
from covering import Row, covered, covering, pairs
from datasets import MAKERS

from vae_lightning import evaluate, export, report, train
from vae_lightning.data import ImageFolderDataModule
from vae_lightning.data.write_shards import write_shards
from vae_lightning.formats import FORMATS
from vae_lightning.options import options

GROUPS = ("data", "network", "loss", "latent", "bound", "schedule", "trainer")
OPTIONS = {group: sorted(options(group)) for group in GROUPS}
WORDS = ["epochs=1", "batch_size=8", "name=pair", "group=g", "date_prefix=false", "+trainer.limit_train_batches=2"]
WORDS += ["+trainer.limit_val_batches=1", "callbacks.latent_traversal.size=2", "callbacks.sample_grid.num_images=4"]
SMALL = {  # what makes an option quick; sizes that every network takes
    "arrays": ["data.file=own.npz"],
    "image_folder": ["data.size=[12,8]"],
    "sprites": ["data.size=16", "data.scales=2", "data.rotations=2", "data.positions=3", "data.test_size=20"],
    "ppca": ["data.sizes=[52,8,20]"],
    "frey_face": ["data.test_size=20"],
    "conv": [NARROW, "network.hidden=[8]"],
    "resnet": [NARROW],
    "mlp": ["network.hidden=[8]"],
    "mlp_iwae": ["network.hidden=[8,8]"],
    "mlp_paper": ["network.hidden=[8]"],
    "vamp": ["latent.components=4"],
    "cyclic": ["schedule.cycles=1"],
    "iaf": ["latent.steps=2", "latent.hidden=8"],
    "two_layers": ["latent.dim=5", "latent.top=3", "latent.hidden=[8]"],
}
USUAL = {"data": "mnist", "network": "mlp", "loss": "gaussian", "latent": "z2", "bound": "elbo", "schedule": "none"}
USUAL |= {"trainer": "default"}
REAL = ("gaussian_unbounded", "sigma_unbounded")  # the likelihoods of any numbers
NOT_TOGETHER = {("data=ppca", f"loss={loss}") for loss in OPTIONS["loss"] if loss not in REAL}
NOT_TOGETHER |= {("bound=free_bits", f"latent={latent}") for latent in ("vamp", "two_layers")}


def fits(row: Row) -> bool:
    return not any({*pair} <= {f"{group}={option}" for group, option in row.items()} for pair in NOT_TOGETHER)


ROWS = covering(OPTIONS, fits)


@pytest.fixture
def small_data(tmp_path, monkeypatch):
    """The name of a data set -> its words; its class reads small files of the same format from the working folder."""
    monkeypatch.chdir(tmp_path)

    def made(name: str) -> list[str]:
        folder = tmp_path / "files"
        make = MAKERS[name](folder).make
        kind = getattr(make, "func", object)
        if not kind.__module__.startswith("vae_lightning"):  # a class of small files, below the public one
            for attribute in {"files", "archive"} & {*vars(kind)}:
                monkeypatch.setattr(kind.__base__, attribute, vars(kind)[attribute])
        if name == "arrays":
            images = np.random.default_rng(0).integers(0, 256, (80, 1, 8, 12), dtype=np.uint8)
            np.savez(folder / "own.npz", images=images)
        if name == "shards":
            write_shards(
                ImageFolderDataModule(str(folder / "images"), size=(12, 8), batch_size=8), folder / "sized", 0.005
            )
            make = partial(make, dir=str(folder / "sized"))
        said = ["data.val_size=8", f"data.dir={getattr(make, 'keywords', {}).get('dir', folder)}", *NO_NETWORK]
        return [word for word in said if word.split("=")[0].removeprefix("data.") in options("data")[name].keys]

    return made


def words(row: Row, of_data: list[str]) -> list[str]:
    of_options = [word for option in row.values() for word in SMALL.get(option, [])]
    return [*(f"{group}={option}" for group, option in row.items()), *WORDS, *of_options, *of_data]


@pytest.mark.sample(2)
@pytest.mark.parametrize("number", range(len(ROWS)))
def test_options_go_together(answer, small_data, tmp_path, number):
    row = ROWS[number]
    status, out, err = answer(train.main, *words(row, small_data(row["data"])))
    assert status == 0, err
    run = Path("outputs/g/pair")
    few = ["num_images=4", "num_samples=3", "curve=[]", "batch_size=4"]
    status, out, err = answer(evaluate.main, f"run={run}", *few)
    assert status == 0, err
    assert "ELBO" in out
    (run / "report.html").unlink()
    assert answer(report.main, str(run))[0] == 0
    assert (run / "report.html").stat().st_size > 10_000
    kind = sorted(FORMATS)[number % len(FORMATS)]
    status, out, err = answer(export.main, f"run={run}", f"format={kind}", "output=out")
    assert status == 0, err
    assert "Largest difference" in out


@pytest.mark.sample(3)
@pytest.mark.parametrize("pair", sorted(NOT_TOGETHER), ids=" ".join)
def test_options_that_do_not_go_together_are_refused(answer, small_data, tmp_path, pair):
    """One line, and no folder."""
    row = {**USUAL, **dict(word.split("=") for word in pair)}
    status, _, err = answer(train.main, *words(row, small_data(row["data"])))
    assert status in (2, 3)
    assert err.count("error:") == 1
    assert not Path("outputs").exists()


def test_every_pair_is_in_a_row():
    together = {pair for pair in pairs(OPTIONS) if fits(dict(pair))}
    assert together <= set().union(*map(covered, ROWS))
    assert len(ROWS) < 1.2 * len(OPTIONS["data"]) * len(OPTIONS["loss"])
