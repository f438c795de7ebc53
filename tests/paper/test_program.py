"""Every equation is the program: the runs that the paper table of the README names call the functions beside them."""

import functools
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from conftest import ROOT, config, vae
from documents import code, rows
from torch.utils.data import DataLoader, TensorDataset

from vae_lightning import equations

TABLE = [row[1:] for row in rows(ROOT / "README.md", "Paper and code") if row[1].startswith("`equations.")]
TABLE = [(code(function).removeprefix("equations."), code(run)) for function, _, run in TABLE]
BESIDE = [("log_pz", "bound=elbo_a"), ("normal_log_density", "loss=gaussian")]  # Sec. 3; a factor of Eqs. (9), (12)
IN_RUNS = [(name, run) for name, run in TABLE if run != "none"] + BESIDE
IN_NO_RUN = [name for name, run in TABLE if run == "none"]


def weights_after_two_steps(*overrides: str) -> torch.Tensor:
    """The weights of a run of the main job's configuration on a few binary images."""
    module = vae(config("network.hidden=[8]", "latent=z2", "lr=0.01", *overrides))
    images = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0)).round()
    data = DataLoader(TensorDataset(images, torch.zeros(8)), batch_size=4)
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    pl.Trainer(max_epochs=1, accelerator="cpu", enable_model_summary=False, **quiet).fit(module, data)
    return torch.cat([weight.detach().flatten() for weight in module.parameters()])


@functools.cache
def weights_of_the_run(run: str) -> torch.Tensor:
    torch.manual_seed(0)
    return weights_after_two_steps(run)


@pytest.mark.parametrize(("name", "run"), IN_RUNS)
def test_a_scaled_equation_is_another_run(monkeypatch, name, run):
    whole, function = weights_of_the_run(run), getattr(equations, name)
    monkeypatch.setattr(equations, name, lambda *arguments: 0.5 * function(*arguments))
    torch.manual_seed(0)
    assert not torch.equal(weights_after_two_steps(run), whole)


@pytest.mark.parametrize("run", sorted({run for _, run in IN_RUNS}))
def test_the_same_run_has_the_same_weights(run):
    torch.manual_seed(0)
    assert torch.equal(weights_after_two_steps(run), weights_of_the_run(run))


@pytest.mark.parametrize("run", sorted({run for _, run in IN_RUNS}))
@pytest.mark.parametrize("name", IN_NO_RUN)
def test_no_run_calls_a_function_that_is_marked_so(monkeypatch, name, run):
    def never(*arguments):
        raise AssertionError(f"{run} calls {name}")

    monkeypatch.setattr(equations, name, never)
    weights_after_two_steps(run)


def test_every_equation_is_in_the_table():
    own = {name for name, value in vars(equations).items() if getattr(value, "__module__", "") == equations.__name__}
    assert own == {name for name, _ in [*TABLE, *BESIDE]}
