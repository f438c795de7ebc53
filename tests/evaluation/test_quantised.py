"""Gaussian densities as mass functions on the levels of a byte, against SciPy and sums over all levels."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from vae_lightning import evaluate
from vae_lightning.errors import ConfigError, DataError
from vae_lightning.evaluation.quantised import Quantised, factorised_bits, log_mass, quantised_bits
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import Bernoulli, FixedGaussian, Gaussian, OptimalGaussian, SharedGaussian, SquaredError
from vae_lightning.model import Model
from vae_lightning.network import MLP

LEVELS = torch.arange(256, dtype=torch.float64) / 255


@pytest.mark.parametrize("mean", [-0.5, 0.0, 0.3, 0.5019, 1.0, 2.0])
@pytest.mark.parametrize("deviation", [1e-4, 0.01, 0.2, 3.0])
def test_the_levels_have_the_masses_of_the_normal_distribution(mean, deviation):
    masses = log_mass(
        LEVELS, torch.tensor(mean, dtype=torch.float64), torch.tensor(2 * math.log(deviation), dtype=torch.float64)
    )
    ends = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
    upper, lower = norm.logcdf(ends[1:], mean, deviation), norm.logcdf(ends[:-1], mean, deviation)
    tail = ends[:-1] > mean  # there the difference of survival functions is exact
    upper_tail, lower_tail = norm.logsf(ends[:-1], mean, deviation), norm.logsf(ends[1:], mean, deviation)
    a, b = np.where(tail, upper_tail, upper), np.where(tail, lower_tail, lower)
    expected = a + np.log(-np.expm1(np.where(np.isinf(b), -np.inf, b - a)))
    seen = np.isfinite(expected)
    assert seen.any()
    np.testing.assert_allclose(masses.numpy()[seen], expected[seen], rtol=1e-4, atol=1e-9)
    assert float(masses.exp().sum()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("loss", [SquaredError(), Gaussian(), FixedGaussian(0.01), SharedGaussian(), OptimalGaussian()])
def test_every_gaussian_becomes_a_mass_function(loss):
    torch.manual_seed(0)
    quantised = Quantised(loss)
    params = torch.randn(1, 1, loss.num_parameters, 1, 1, 1).expand(1, 256, -1, 1, 1, 1)
    total = quantised.log_px_z(LEVELS.float().view(256, 1, 1, 1), params).exp().sum().detach()
    assert float(total) == pytest.approx(1, abs=1e-4)
    drawn = quantised.sample(params, torch.Generator().manual_seed(0)) * 255
    torch.testing.assert_close(drawn, drawn.round())
    assert (drawn >= 0).all()
    assert (drawn <= 255).all()


def test_fine_levels_approach_the_density():
    """Where sigma is many levels, the mass is the density times the width of a level."""
    x, mean = torch.tensor([0.4, 0.6]).mul(255).round() / 255, torch.tensor([0.45, 0.55])
    density = torch.distributions.Normal(mean, 0.2).log_prob(x) - math.log(255)
    torch.testing.assert_close(
        log_mass(x, mean, torch.tensor(2 * math.log(0.2))).float(), density, rtol=1e-4, atol=1e-4
    )


def test_the_bits_of_one_gaussian_per_pixel():
    """Noise of N(mean, sigma) that is rounded to levels has the entropy of the Gaussian, in bits of a level."""
    torch.manual_seed(0)
    x = (0.5 + 0.05 * torch.randn(4000, 1, 2, 2)).mul(255).round().clamp(0, 255) / 255
    entropy = 0.5 * math.log2(2 * math.pi * math.e * 0.05**2) + math.log2(255)
    assert float(factorised_bits(x[:2000], x[2000:]).mean()) == pytest.approx(entropy, abs=0.02)
    constant = torch.zeros(10, 1, 2, 2)
    assert float(factorised_bits(constant, constant).abs().max()) < 1e-6


def test_what_is_no_gaussian_or_no_byte_is_refused():
    network = MLP(hidden=[4], latent_dim=2, image_shape=[1, 2, 2])
    x = torch.zeros(3, 1, 2, 2)
    with pytest.raises(ConfigError, match=r"quantised\.num_images=3: loss=bce is no Gaussian; leave it at 0"):
        quantised_bits(Model(network, DiagonalGaussian(2), Bernoulli()), x)
    with pytest.raises(DataError, match="not bytes over 255"):
        quantised_bits(Model(network, DiagonalGaussian(2), SquaredError()), x + 0.3001)


def test_evaluate_prints_and_records_the_bits(train, answer):
    run = train("loss=sigma", "+trainer.limit_train_batches=2", "latent=z2")
    few = ["num_images=8", "num_samples=3", "curve=[]"]
    status, out, err = answer(evaluate.main, f"run={run}", *few, "quantised.num_images=6", "quantised.num_samples=4")
    assert status == 0, err
    assert max(map(len, out.splitlines()[1:])) <= 80
    rows = {row["name"]: row for row in json.loads((run / "evaluation.json").read_text())["results"]}
    for name, label in (("quantised", "quantised to 256 levels"), ("factorised", "one Gaussian per pixel")):
        assert rows[name]["unit"] == "bits per dimension"
        assert rows[name]["num_images"] == 6
        (line,) = (line for line in out.splitlines() if label in line)
        assert f" {rows[name]['value']:.4f} ± {rows[name]['standard_error']:.4f}" in line
    assert rows["quantised"]["settings"] == {"num_samples": 4}
