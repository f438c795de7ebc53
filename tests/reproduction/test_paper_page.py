"""docs/paper.md maps every equation, algorithm, appendix and figure of the paper, and its map is true."""

import importlib
import re

import pytest
import torch
from conftest import ROOT
from documents import code, page, read, rows

from vae_lightning import linear_gaussian
from vae_lightning.app import rows as known_rows
from vae_lightning.app.config import CONF
from vae_lightning.data import PPCADataModule
from vae_lightning.evaluation import appendix_d_log_px
from vae_lightning.latent import DiagonalGaussian, Posterior
from vae_lightning.loss import UnboundedGaussian
from vae_lightning.model import Model
from vae_lightning.network import Linear
from vae_lightning.paper import pictures

PAPER = page("paper")
EQUATIONS, APPENDICES = rows(PAPER, "Equations and algorithms"), rows(PAPER, "Appendices")
IN_WORDS = ("Eq. (1)", "Eq. (2)", "Eq. (5)")  # their code is about more than them
FIGURES = rows(PAPER, "Figures and published numbers")


def test_the_whole_paper_is_mapped():
    said = [cells[0] for cells in (*EQUATIONS, *APPENDICES, *FIGURES)]
    wanted = [f"Eq. ({k})" for k in range(1, 13)] + ["Algorithm 1", "Algorithm 2"]
    wanted += [f"Appendix {letter}" for letter in "ABCDEF"] + [f"Fig. {k}" for k in range(1, 6)]
    assert set(wanted) <= set(said)


@pytest.mark.parametrize("cells", [*EQUATIONS, *APPENDICES], ids=lambda cells: cells[0])
def test_its_code_and_tests_exist(cells):
    module, *path = code(cells[2]).split(".")
    found = importlib.import_module(f"vae_lightning.{module}")
    for name in path:
        found = getattr(found, name)
    tests = "".join(read(path) for path in (ROOT / "tests").rglob("test_*.py"))
    assert f"def {code(cells[3])}(" in tests


@pytest.mark.parametrize(
    "cells", [cells for cells in EQUATIONS if cells[0] not in IN_WORDS], ids=lambda cells: cells[0]
)
def test_its_code_cites_it(cells):
    module, *path = code(cells[2]).split(".")
    found = importlib.import_module(f"vae_lightning.{module}")
    for name in path:
        found = getattr(found, name)
    assert cells[0] in found.__doc__


def test_every_row_of_conf_is_on_the_page():
    assert sorted(code(cells[1]) for cells in FIGURES if cells[1] != "none") == known_rows.names()
    assert known_rows.names() == sorted(path.stem for path in (CONF / "reproduce").glob("*.yaml"))


def test_every_figure_names_a_row_or_why_there_is_none():
    for figure, row, what in FIGURES:
        assert row != "none" or "nothing to run" in what, figure
    drawn = {cells[4] for cells in EQUATIONS if cells[4] != "none"}
    assert drawn <= {cells[0] for cells in FIGURES}


def linear_model() -> tuple[Model, PPCADataModule]:
    """The true model of PPCA data, with the best encoder of one latent unit, which is exact."""
    data = PPCADataModule(latent_dim=1, sizes=[200, 100, 100], batch_size=100, seed=0)
    data.setup("fit")
    network = Linear([1, 4, 4], 1)
    network.decoder.weight.data.copy_(data.truth.weight)
    network.decoder.bias.data.copy_(data.truth.mean)
    return Model(network, DiagonalGaussian(1), UnboundedGaussian(0.5)), data


def test_eq_1_splits_the_exact_log_likelihood():
    """log p(x) = KL( q || p(z|x) ) + L(x), each of the three in closed form, for a q that is not the posterior."""
    model, data = linear_model()
    truth, x = linear_gaussian.of(model.network, model.loss), data.images("train")[:20].flatten(1)
    exact = truth.posterior(x)
    mean, variance = exact.mean + 0.3, 1.7 * exact.variance
    q = torch.distributions.Independent(torch.distributions.Normal(mean, variance.sqrt()), 1)
    inverse = exact.precision_matrix.squeeze()
    gap = 0.5 * (inverse * (variance + 0.3**2) - 1 - (inverse * variance).log()).squeeze(-1)
    z = q.rsample((20_000,))
    log_joint = model.log_px_z(x.view(-1, 1, 4, 4), z.float()).double() + model.prior.log_pz(z.float()).double()
    bound = (log_joint - q.log_prob(z)).mean(0)
    assert torch.allclose(gap + bound, truth.log_px(x), atol=0.05)


def test_eq_5_averages_over_the_samples():
    model, data = linear_model()
    x = data.images("train")[:7]
    eps = torch.randn(6, 7, 1, generator=torch.Generator().manual_seed(0))
    draw = model.draw(x, eps)
    one = [model.log_px_z(x, draw.posterior.rsample(each.unsqueeze(0))).squeeze(0) for each in eps]
    assert torch.allclose(-draw.recon, sum(one) / 6, rtol=1e-5)


def test_the_plane_of_fig_4_is_that_of_the_traversal():
    """Cells of equal probability: the inverse of the normal distribution function at their middles."""
    z = pictures.plane(20).view(20, 20, 2)
    normal = torch.distributions.Normal(0.0, 1.0)
    middles = (torch.arange(20) + 0.5) / 20
    assert torch.allclose(normal.cdf(z[0, :, 0]), middles, atol=1e-6)
    assert torch.allclose(normal.cdf(z[:, 0, 1]).flip(0), middles, atol=1e-6)


def test_appendix_d_is_near_the_exact_value_of_a_linear_model():
    model, data = linear_model()
    x = data.images("test")[:20]
    posterior = model.posterior(x)
    assert isinstance(posterior, Posterior)
    estimate = appendix_d_log_px(model, x, num_samples=200, num_chains=20)
    exact = linear_gaussian.of(model.network, model.loss).log_px(x.flatten(1)).float()
    assert (estimate - exact).mean().item() == pytest.approx(0, abs=0.05)


def test_no_row_has_a_long_dash_for_a_number():
    assert not re.search(r"\| +\|", read(PAPER))
