"""A checkpoint holds what `weights_only=True` reads again; another value is refused by its key when it is saved."""

import collections
import enum
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from conftest import ForeignVAE
from omegaconf import OmegaConf

from vae_lightning import checkpoint
from vae_lightning.checkpoint import WholeCheckpointIO
from vae_lightning.errors import CheckpointError


class Colour(enum.Enum):
    RED = 1


class Kept(ForeignVAE):
    def __init__(self, root=None, **options) -> None:
        super().__init__()
        self.save_hyperparameters()


Point = collections.namedtuple("Point", "x y")
REFUSED = {
    "Path": Path("data"),
    "DictConfig": OmegaConf.create({"a": 1}),
    "ListConfig": OmegaConf.create([1]),
    "Enum": Colour.RED,
    "namedtuple": Point(1, 2),
    "Module": torch.nn.Linear(1, 1),
    "array": np.zeros(2),
    "class": Path,
    "nested": {"a": [1, {"b": Path("data")}]},
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_value_that_could_not_be_read_is_refused_by_its_key(foreign_fit, tmp_path, kind):
    """At 756e4e9 the file was written, and no resume or test could ever read it."""
    _, trainer = foreign_fit(module=Kept(REFUSED[kind]), epochs=1, plugins=[WholeCheckpointIO()])
    with pytest.raises(
        CheckpointError, match=r"hyper_parameters\.root.*weights_only=True.*ignore=\['root'\]"
    ) as refused:
        trainer.save_checkpoint(tmp_path / "x.ckpt")
    assert "\n" not in str(refused.value)
    assert (".root.a.1.b=" in str(refused.value)) == (kind == "nested")
    assert not list(tmp_path.glob("*.ckpt"))


def test_hyperparameters_that_are_an_omegaconf_object_are_refused(foreign_fit, tmp_path):
    class Whole(ForeignVAE):
        def __init__(self, cfg) -> None:
            super().__init__()
            self.save_hyperparameters(cfg)

    _, trainer = foreign_fit(module=Whole(OmegaConf.create({"lr": 0.1})), epochs=1, plugins=[WholeCheckpointIO()])
    with pytest.raises(CheckpointError, match=r"hyper_parameters=.*DictConfig"):
        trainer.save_checkpoint(tmp_path / "x.ckpt")


NUMBERS = [
    np.float64(0.1),
    np.float32(0.1),
    np.int64(3),
    np.bool_(True),
    np.str_("a"),
    {np.int64(3): [np.float64(0.5)]},
]


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
def test_a_number_of_numpy_becomes_the_equal_number(foreign_fit, tmp_path, value):
    module = Kept(value)
    _, trainer = foreign_fit(module=module, epochs=1, plugins=[WholeCheckpointIO()])
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    again = checkpoint.load(tmp_path / "x.ckpt")["hyper_parameters"]["root"]
    assert again == value
    assert type(again).__module__ == "builtins"
    assert module.hparams["root"] is value


def test_what_can_be_read_is_saved_as_it_is():
    content = {"state_dict": collections.OrderedDict(a=torch.ones(2)), "n": [1, (2.0, None)], "size": torch.Size([2])}
    assert checkpoint.savable(content) is content


def test_weights_only_false_is_heeded_in_python_alone(foreign_fit, tmp_path):
    """For files of one's own, written by Lightning's plugin."""
    _, trainer = foreign_fit(module=Kept(Path("data")), epochs=1)
    trainer.save_checkpoint(tmp_path / "own.ckpt")
    for asked in ({}, {"weights_only": None}, {"weights_only": True}):
        with pytest.raises(CheckpointError):
            WholeCheckpointIO().load_checkpoint(tmp_path / "own.ckpt", **asked)
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path / "own.ckpt")
    read = WholeCheckpointIO().load_checkpoint(tmp_path / "own.ckpt", weights_only=False)
    assert read["hyper_parameters"]["root"] == Path("data")
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.rand(4, 1, 4, 4)))
    again = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, plugins=[WholeCheckpointIO()], default_root_dir=tmp_path,
    )  # fmt: skip
    again.fit(Kept(Path("data")), loader, ckpt_path=tmp_path / "own.ckpt", weights_only=False)
    assert again.current_epoch == 2
