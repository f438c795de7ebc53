"""Every likelihood: normalised, its mean, its draws; tested by existing, and against torch.distributions."""

import inspect
import math

import pytest
import torch
from omegaconf import OmegaConf
from options import OF_GROUP
from torch import Tensor, nn
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import Laplace as TorchLaplace
from torch.distributions import Normal

from vae_lightning import loss as module
from vae_lightning.app.config import CONF
from vae_lightning.app.trust import located
from vae_lightning.errors import ConfigError, DataError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import (
    Bernoulli,
    BernoulliLogits,
    ContinuousBernoulli,
    DiscretizedLogistic,
    FixedGaussian,
    Gaussian,
    Laplace,
    Likelihood,
    OptimalGaussian,
    SharedGaussian,
    SquaredError,
    UnboundedGaussian,
    UnboundedOptimalGaussian,
    bits_per_dimension,
    gaussian,
)
from vae_lightning.loss.common import LINKS
from vae_lightning.model import Model
from vae_lightning.network import MLP

ON_THE_UNIT_INTERVAL = [Bernoulli, BernoulliLogits, ContinuousBernoulli, DiscretizedLogistic]
ON_THE_LINE = [SquaredError, Gaussian, FixedGaussian, UnboundedGaussian, SharedGaussian, OptimalGaussian, Laplace]
ON_THE_LINE += [UnboundedOptimalGaussian]
ALL = [*ON_THE_UNIT_INTERVAL, *ON_THE_LINE]
SHAPE = (1, 4, 4)


def make(kind):
    likelihood = kind()
    return likelihood.eval() if isinstance(likelihood, torch.nn.Module) else likelihood


def params_of(kind, batch: int = 5, seed: int = 0) -> Tensor:
    """[L=3, B, P, C, H, W]; scales are small, so that means are means of what is drawn."""
    params = torch.randn(3, batch, kind.num_parameters, *SHAPE, generator=torch.Generator().manual_seed(seed))
    if kind.num_parameters == 2:
        params[:, :, 1] -= 3
    return params


@pytest.fixture
def x() -> Tensor:
    return torch.bernoulli(torch.full((5, *SHAPE), 0.5), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def grey() -> Tensor:
    return torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1))


def test_the_list_above_is_complete():
    helpers = {"Likelihood", "bits_per_dimension"}
    assert set(module.__all__) - helpers == {kind.__name__ for kind in ALL}


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Bernoulli, BernoulliLogits])
def test_bernoulli_is_torchs(kind, x):
    params = params_of(kind)
    expected = TorchBernoulli(logits=params[:, :, 0]).log_prob(x.expand(3, 5, *SHAPE)).sum((-1, -2, -3))
    torch.testing.assert_close(kind().log_px_z(x, params), expected)


def test_squared_error_is_the_squared_error_plus_its_constant(grey):
    params = params_of(SquaredError)
    squared_error = (grey - params[:, :, 0].sigmoid()).square().sum((-1, -2, -3))
    torch.testing.assert_close(-SquaredError().log_px_z(grey, params), squared_error + 16 / 2 * math.log(math.pi))


@pytest.mark.parametrize(
    ("kind", "variance"),
    [(SquaredError, 0.5), (FixedGaussian, 0.1), (SharedGaussian, 1.0), (OptimalGaussian, 1.0)],
)
def test_gaussians_of_one_variance_are_torchs(kind, variance, grey):
    params = params_of(kind)
    expected = Normal(params[:, :, 0].sigmoid(), math.sqrt(variance)).log_prob(grey).sum((-1, -2, -3))
    torch.testing.assert_close(make(kind).log_px_z(grey, params), expected)


@pytest.mark.parametrize("kind", [Gaussian, Laplace])
def test_learned_scales_are_torchs(kind, grey):
    params = params_of(kind)
    mean, log_scale = params[:, :, 0].sigmoid(), 12 * torch.tanh(params[:, :, 1] / 12)
    expected = Normal(mean, (log_scale / 2).exp()) if kind is Gaussian else TorchLaplace(mean, log_scale.exp())
    torch.testing.assert_close(kind().log_px_z(grey, params), expected.log_prob(grey).sum((-1, -2, -3)))


def test_continuous_bernoulli_is_torchs_and_its_own_mean(grey):
    params = params_of(ContinuousBernoulli) * 5
    expected = TorchContinuousBernoulli(logits=params[:, :, 0].double())
    value = ContinuousBernoulli().log_px_z(grey, params)
    torch.testing.assert_close(value.double(), expected.log_prob(grey.double()).sum((-1, -2, -3)), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(ContinuousBernoulli().mean(params).double(), expected.mean, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("a", [0.0, 1e-6, 1e-3, 0.0999, 0.1001, 1.0, 30.0, 300.0, -0.0999, -0.1001, -30.0, -300.0])
def test_continuous_bernoulli_is_stable_near_one_half_and_far_from_it(a):
    from vae_lightning.loss.bernoulli import log_normaliser

    logits = torch.tensor([a], requires_grad=True)
    exact = math.log(math.expm1(a) / a) if 0 < abs(a) < 200 else max(a, 0.0) - math.log(abs(a) or 1.0)
    assert log_normaliser(logits).item() == pytest.approx(exact, rel=1e-5, abs=1e-6)
    (gradient,) = torch.autograd.grad(log_normaliser(logits).sum(), logits)
    mean = ContinuousBernoulli().mean(logits.detach().view(1, 1, 1, 1)).item()
    assert gradient.item() == pytest.approx(mean, abs=1e-3)  # the mean is the normaliser's derivative


def test_discretized_logistic_is_a_difference_of_distribution_functions():
    params = params_of(DiscretizedLogistic).double()
    params[:, :, 1] += 2  # wide enough for the plain difference to be exact
    x = torch.randint(1, 255, (5, *SHAPE), generator=torch.Generator().manual_seed(2)).double() / 255
    mean, scale = params[:, :, 0].sigmoid(), (12 * torch.tanh(params[:, :, 1] / 12)).exp()
    mass = torch.sigmoid((x + 0.5 / 255 - mean) / scale) - torch.sigmoid((x - 0.5 / 255 - mean) / scale)
    expected = mass.log().sum((-1, -2, -3)).float()
    torch.testing.assert_close(
        DiscretizedLogistic().log_px_z(x.float(), params.float()), expected, rtol=1e-4, atol=1e-3
    )


def total(kind, params: Tensor) -> float:
    """The mass or the integral of p(x|z) over all x of one pixel."""
    if kind in (Bernoulli, BernoulliLogits):
        values, width = torch.tensor([0.0, 1.0]), 1.0
    elif kind is DiscretizedLogistic:
        values, width = torch.arange(256) / 255, 1.0
    else:
        low, high = (0.0, 1.0) if kind is ContinuousBernoulli else (-150.0, 150.0)
        edges = torch.linspace(low, high, 400_001)
        values, width = (edges[1:] + edges[:-1]) / 2, (high - low) / 400_000
    each = make(kind).log_px_z(values.view(-1, 1, 1, 1), params.expand(1, len(values), *params.shape[2:]))
    return (each.double().exp().sum() * width).item()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("value", [-3.0, -0.5, 0.0, 0.02, 2.0])
def test_every_likelihood_is_normalised(kind, value):
    params = torch.full((1, 1, kind.num_parameters, 1, 1, 1), value)
    assert total(kind, params) == pytest.approx(1.0, abs=2e-3)


# --- what holds for all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_shapes_for_any_leading_dims(kind, x):
    likelihood, params, generator = make(kind), params_of(kind), torch.Generator().manual_seed(0)
    assert likelihood.log_px_z(x, params).shape == (3, 5)
    assert likelihood.mean(params).shape == (3, 5, *SHAPE)
    assert likelihood.mean(params[0]).shape == (5, *SHAPE)
    assert likelihood.sample(params, generator).shape == (3, 5, *SHAPE)


@pytest.mark.parametrize("kind", ALL)
def test_draws_have_the_mean(kind):
    params = params_of(kind, batch=2)
    if kind is DiscretizedLogistic:
        params[:, :, 1] -= 3  # so narrow that nothing is cut off at 0 and 255
    many = params.repeat(3000, 1, 1, 1, 1, 1)
    drawn = make(kind).sample(many, torch.Generator().manual_seed(0)).unflatten(0, (3000, 3)).mean(0)
    torch.testing.assert_close(drawn, make(kind).mean(params), atol=0.09, rtol=0)


@pytest.mark.parametrize("kind", ALL)
def test_gradients_are_finite_at_the_extremes(kind, x):
    levels = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4]).view(5, 1, 1, 1, 1, 1)
    params = levels.expand(5, 5, kind.num_parameters, *SHAPE).clone().requires_grad_()
    value = make(kind).log_px_z(x, params)
    value.sum().backward()
    assert value.isfinite().all()
    assert params.grad is not None
    assert params.grad.isfinite().all()


@pytest.mark.parametrize("kind", ALL)
def test_low_precision_parameters_give_float32_values(kind, x):
    params = params_of(kind)
    exact, rounded = make(kind).log_px_z(x, params), make(kind).log_px_z(x, params.bfloat16())
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("kind", ALL)
def test_float64_parameters_give_float64_values(kind, x):
    loss, params = make(kind).double() if isinstance(make(kind), nn.Module) else make(kind), params_of(kind).double()
    exact = loss.log_px_z(x.double(), params)
    assert exact.dtype is loss.mean(params).dtype is torch.float64
    torch.testing.assert_close(exact.float(), make(kind).log_px_z(x, params.float()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ALL)
def test_an_image_has_its_value_whatever_its_neighbours(kind, grey):
    likelihood, params = make(kind), params_of(kind)
    alone = torch.cat([likelihood.log_px_z(grey[i : i + 1], params[:, i : i + 1]) for i in range(5)], 1)
    torch.testing.assert_close(likelihood.log_px_z(grey, params), alone)


# --- the variances that are learned ----------------------------------------------------------------------------------


def test_optimal_variance_is_the_batchs_mean_squared_error_and_no_other_is_better(grey):
    likelihood, params = OptimalGaussian(momentum=1.0), params_of(OptimalGaussian)
    value = likelihood.log_px_z(grey, params)
    error = (grey - params[:, :, 0].sigmoid()).square().mean().item()
    assert likelihood.variance.item() == pytest.approx(error)
    for variance in (0.8 * error, 1.25 * error):
        assert FixedGaussian(variance).log_px_z(grey, params).mean() < value.mean()
    torch.testing.assert_close(likelihood.eval().log_px_z(grey, params), value.detach())


def test_shared_variance_is_learned(grey):
    likelihood, params = SharedGaussian(), params_of(SharedGaussian)
    descent = torch.optim.Adam(likelihood.parameters(), lr=0.05)
    for _ in range(400):
        descent.zero_grad()
        (-likelihood.log_px_z(grey, params).mean()).backward()
        descent.step()
    error = (grey - params[:, :, 0].sigmoid()).square().mean().item()
    assert likelihood.log_var.exp().item() == pytest.approx(error, rel=0.05)


# --- units, reductions, refusals -------------------------------------------------------------------------------------


def test_bits_per_dimension():
    assert bits_per_dimension(784 * math.log(256), 784) == pytest.approx(8.0)
    assert bits_per_dimension(0.0, 784, levels=256) == pytest.approx(8.0)  # uniform on [0, 1]


def check(likelihood, x: Tensor) -> None:
    Model(MLP(SHAPE, 2, likelihood.num_parameters, hidden=3), DiagonalGaussian(2), likelihood).check(x)


@pytest.mark.parametrize("kind", ON_THE_UNIT_INTERVAL)
@pytest.mark.parametrize(("value", "shown"), [(2.0, r"\[0, 2\]"), (-1.0, r"\[-1, 0\]"), (math.nan, "nan")])
def test_values_outside_the_unit_interval_are_refused_with_their_range(kind, value, shown):
    x = torch.zeros(1, *SHAPE)
    x[0, 0, 0, 0] = value
    with pytest.raises(DataError, match=rf"loss={kind.name}: .*{shown}.* loss=gaussian_unbounded"):
        check(kind(), x)


@pytest.mark.parametrize("kind", ON_THE_LINE)
def test_on_the_line_only_what_is_not_finite_is_refused(kind):
    check(kind(), torch.full((1, *SHAPE), 7.0))
    with pytest.raises(DataError, match=f"loss={kind.name}: .* not finite"):
        check(kind(), torch.full((1, *SHAPE), math.inf))


class Own(Likelihood):
    """A likelihood of one's own: no name, no link, its own mean."""

    support = "unit interval"

    def log_px_z(self, x, params):
        return (x - params.squeeze(-4)).square().flatten(-3).sum(-1)

    def mean(self, params):
        return params.squeeze(-4)

    def sample(self, params, generator):
        return self.mean(params)


def test_a_likelihood_of_ones_own_is_called_by_its_class():
    with pytest.raises(DataError, match=r"loss=Own: the batch ranges over \[7, 7\]"):
        check(Own(), torch.full((1, *SHAPE), 7.0))


# --- what a likelihood says of itself ------------------------------------------------------------------------------


@pytest.mark.parametrize("option", OF_GROUP["loss"])
def test_every_option_is_the_name_of_its_class_which_says_what_it_is(option):
    kind = located(OmegaConf.load(CONF / "loss" / f"{option}.yaml")["_target_"], "loss")
    assert kind.name == option
    assert kind.title
    assert kind.link in LINKS
    assert kind.support == ("unit interval" if kind in ON_THE_UNIT_INTERVAL else "real line")
    measures = {Bernoulli: "Bernoulli", BernoulliLogits: "Bernoulli", DiscretizedLogistic: "mass of bytes"}
    assert kind.measure == measures.get(kind, "density")
    assert kind.levels == (256 if kind is DiscretizedLogistic else None)


@pytest.mark.parametrize("kind", ALL)
def test_the_mean_is_the_link_of_the_first_parameter(kind):
    params = params_of(kind)
    assert type(kind()).mean is Likelihood.mean
    assert torch.equal(kind().mean(params), LINKS[kind.link](params[:, :, 0]))


def test_no_method_is_written_twice():
    """The source of every method in loss/ is another one."""
    found = [
        inspect.getsource(method)
        for kind in (*ALL, Likelihood, gaussian.Normal)
        for name, method in vars(kind).items()
        if inspect.isfunction(method) and not name.startswith("__")
    ]
    bodies = [source.partition("->")[2] for source in found]
    assert len(set(bodies)) == len(bodies) - 1  # the one line in which both Bernoullis draw black and white pixels


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_a_variance_must_be_positive(wrong):
    with pytest.raises(ConfigError, match=r"loss.variance="):
        FixedGaussian(wrong)
