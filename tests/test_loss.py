"""Every likelihood: a density, its mean, its draws; tested by existing, and each against torch.distributions."""

import dataclasses
import math

import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal

from vae_lightning import loss as module
from vae_lightning.errors import ConfigError, DataError
from vae_lightning.loss import Bernoulli, BernoulliLogits, SquaredError, reduce

ALL = [Bernoulli, BernoulliLogits, SquaredError]
SHAPE = (1, 4, 4)


@pytest.fixture
def params():
    return torch.randn(3, 5, 1, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def x():
    return torch.bernoulli(torch.full((5, *SHAPE), 0.5), generator=torch.Generator().manual_seed(1))


def test_the_list_above_is_complete():
    classes = {value for value in vars(module).values() if dataclasses.is_dataclass(value)}
    assert classes == set(ALL)


@pytest.mark.parametrize("kind", [Bernoulli, BernoulliLogits])
def test_bernoulli_is_torchs(kind, x, params):
    expected = TorchBernoulli(logits=params[:, :, 0]).log_prob(x.expand(3, 5, *SHAPE)).sum((-1, -2, -3))
    torch.testing.assert_close(kind().log_px_z(x, params), expected)


def test_squared_error_is_a_gaussian_of_variance_one_half(x, params):
    mean = params[:, :, 0].sigmoid()
    expected = Normal(mean, math.sqrt(0.5)).log_prob(x.expand(3, 5, *SHAPE)).sum((-1, -2, -3))
    torch.testing.assert_close(SquaredError().log_px_z(x, params), expected)


def test_squared_error_is_the_squared_error_plus_its_constant(x, params):
    squared_error = (x - params[:, :, 0].sigmoid()).square().sum((-1, -2, -3))
    torch.testing.assert_close(-SquaredError().log_px_z(x, params), squared_error + 16 / 2 * math.log(math.pi))


@pytest.mark.parametrize("kind", ALL)
def test_shapes_for_any_leading_dims(kind, x, params):
    likelihood, generator = kind(), torch.Generator().manual_seed(0)
    assert likelihood.log_px_z(x, params).shape == (3, 5)
    assert likelihood.mean(params).shape == (3, 5, *SHAPE)
    assert likelihood.mean(params[0]).shape == (5, *SHAPE)
    assert likelihood.sample(params, generator).shape == (3, 5, *SHAPE)


@pytest.mark.parametrize("kind", ALL)
def test_draws_have_the_mean(kind, params):
    many = params.expand(3, 5, 1, *SHAPE).repeat(2000, 1, 1, 1, 1, 1)
    drawn = kind().sample(many, torch.Generator().manual_seed(0)).unflatten(0, (2000, 3)).mean(0)
    torch.testing.assert_close(drawn, kind().mean(params), atol=0.08, rtol=0)


@pytest.mark.parametrize("kind", ALL)
def test_gradients_are_finite_at_the_extremes(kind, x):
    params = torch.tensor([-1e4, -100.0, 100.0, 1e4]).view(4, 1, 1, 1, 1, 1).expand(4, 5, 1, *SHAPE).clone()
    params.requires_grad_()
    kind().log_px_z(x, params).sum().backward()
    assert params.grad is not None
    assert params.grad.isfinite().all()


@pytest.mark.parametrize("kind", ALL)
def test_low_precision_parameters_give_float32_values(kind, x, params):
    exact, rounded = kind().log_px_z(x, params), kind().log_px_z(x, params.bfloat16())
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("kind", [Bernoulli, BernoulliLogits])
@pytest.mark.parametrize(("value", "shown"), [(2.0, r"\[0, 2\]"), (-1.0, r"\[-1, 0\]"), (math.nan, "nan")])
def test_values_outside_the_unit_interval_are_refused_with_their_range(kind, value, shown):
    x = torch.zeros(1, *SHAPE)
    x[0, 0, 0, 0] = value
    with pytest.raises(DataError, match=shown):
        kind().check(x)


def test_squared_error_refuses_only_what_is_not_finite():
    SquaredError().check(torch.full((1, *SHAPE), 7.0))
    with pytest.raises(DataError, match="not finite"):
        SquaredError().check(torch.full((1, *SHAPE), math.inf))


def test_reductions():
    values = torch.tensor([1.0, 3.0])
    assert reduce(values, "mean").item() == 2.0
    assert reduce(values, "sum").item() == 4.0


@pytest.mark.parametrize("kind", ALL)
def test_averaging_over_pixels_is_refused_with_what_it_would_do(kind):
    with pytest.raises(ConfigError, match=r"reduction=pixel.*784 times"):
        kind(reduction="pixel")
