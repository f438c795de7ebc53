"""Bounds: against each other, against a model whose log p(x) is known, and their gradients in expectation."""

import dataclasses
import inspect
import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from vae_lightning import bound as module
from vae_lightning import loss
from vae_lightning.bound import (
    Capacity,
    Elbo,
    ElboA,
    FreeBits,
    Iwae,
    IwaeDreg,
    IwaeStl,
    Miwae,
    importance_weighted_bound,
)
from vae_lightning.errors import ConfigError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import BernoulliLogits, Likelihood
from vae_lightning.model import Model
from vae_lightning.network import MLP

ALL = [Elbo, ElboA, Iwae, IwaeStl, IwaeDreg, Miwae, FreeBits, Capacity]
LIKELIHOODS = [
    getattr(loss, name) for name in loss.__all__ if inspect.isclass(getattr(loss, name)) and name != "Likelihood"
]
IMPORTANCE_WEIGHTED = [Iwae, IwaeStl, IwaeDreg]
J, B = 2, 6


class LinearGaussian:
    """z ~ N(0, 1), x|z ~ N(z, 1): x ~ N(0, 2) exactly, and the posterior is N(x/2, 1/2). q has parameters to learn."""

    def __init__(self, mean: float = 0.3, log_var: float = -0.2) -> None:
        self.scale = torch.tensor(mean, dtype=torch.float64, requires_grad=True)
        self.log_var = torch.tensor(log_var, dtype=torch.float64, requires_grad=True)
        self.shift = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)

    def encode(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        return torch.cat([self.scale * flat, self.log_var.expand_as(flat)], 1)

    def decode(self, z: Tensor) -> Tensor:
        return (z + self.shift).unflatten(-1, (1, 1, 1, 1))


class UnitGaussian(Likelihood):
    def mean(self, params: Tensor) -> Tensor: ...
    def sample(self, params: Tensor, generator: torch.Generator) -> Tensor: ...

    def log_px_z(self, x: Tensor, params: Tensor) -> Tensor:
        return Normal(params.squeeze(-4), 1.0).log_prob(x).sum((-1, -2, -3))


class DoublePrecision(DiagonalGaussian):
    """Float64, so that expectations can be compared closely."""

    def posterior(self, params: Tensor):
        from vae_lightning.latent import Posterior

        return Posterior(*params.chunk(2, -1))


def exact_model(**parameters: float) -> Model:
    return Model(LinearGaussian(**parameters), DoublePrecision(1), UnitGaussian())


def points(n: int = 4) -> Tensor:
    return torch.linspace(-2, 2, n, dtype=torch.float64).view(n, 1, 1, 1)


def noise(draws: int, n: int = 4, seed: int = 0) -> Tensor:
    return torch.randn(draws, n, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def log_px(x: Tensor, shift: float = 0.2) -> Tensor:
    return Normal(torch.tensor(shift, dtype=torch.float64), math.sqrt(2)).log_prob(x.flatten())


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return Model(MLP([1, 4, 4], J, hidden=8), DiagonalGaussian(J), BernoulliLogits())


@pytest.fixture
def x() -> Tensor:
    return torch.rand(B, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def test_the_list_above_is_complete():
    bounds = {value for value in vars(module).values() if inspect.isclass(value) and issubclass(value, module.Bound)}
    assert bounds - {module.Bound} == set(ALL)


@pytest.mark.parametrize("kind", ALL)
def test_shapes_names_and_that_the_elbo_is_never_weighted(kind, model, x):
    bound = kind()
    eps = torch.randn(bound.num_samples, B, J)
    plain, weighted = bound(model.draw(x, eps), beta=1.0), bound(model.draw(x, eps), beta=4.0)
    for field in dataclasses.fields(plain):
        assert getattr(plain, field.name).shape == (B,)
    for name in ("recon", "kl", "bound"):
        assert torch.equal(getattr(plain, name), getattr(weighted, name))
    assert torch.equal(weighted.objective, plain.objective) == (kind is Capacity)
    if kind in (Elbo, ElboA, FreeBits):
        assert weighted.objective.mean() > plain.objective.mean()
    assert bound.name in ("elbo", f"iwae_{bound.num_samples}", "miwae_8_8")


@pytest.mark.parametrize("kind", ALL)
def test_chunks_change_memory_not_values_or_gradients(kind, model, x):
    options = {"samples_per_group" if kind is Miwae else "num_samples": 4}
    whole, chunked = kind(**options), kind(**options, chunk=3)
    eps, gradients, values = torch.randn(whole.num_samples, B, J), [], []
    for bound in (whole, chunked):
        terms = bound(model.draw(x, eps, bound.chunk), beta=1.0)
        network = model.network
        assert isinstance(network, nn.Module)
        gradients.append(torch.autograd.grad(terms.objective.mean(), list(network.parameters())))
        values.append(terms.bound)
    torch.testing.assert_close(values[0], values[1])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", IMPORTANCE_WEIGHTED)
def test_one_importance_sample_is_estimator_a(kind, model, x):
    eps = torch.randn(1, B, J)
    torch.testing.assert_close(
        kind(1)(model.draw(x, eps), beta=1.0).bound, ElboA(1)(model.draw(x, eps), beta=1.0).bound, rtol=1e-5, atol=1e-4
    )


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_bound_works_with_every_likelihood(kind, likelihood, x):
    torch.manual_seed(0)
    model = Model(MLP([1, 4, 4], J, likelihood.num_parameters, hidden=8), DiagonalGaussian(J), likelihood())
    bound = kind()
    terms = bound(model.draw(x, torch.randn(bound.num_samples, B, J), bound.chunk), beta=0.5)
    terms.objective.mean().backward()
    assert terms.bound.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.network.parameters())


@pytest.mark.parametrize("kind", ALL)
def test_many_samples_are_averaged_in_every_term(kind, model, x):
    """recon + kl is minus the bound of the ELBOs, and minus the closed-form ELBO beside the other bounds."""
    eps = torch.randn(8, B, J)
    bound = kind(groups=2, samples_per_group=4) if kind is Miwae else kind(num_samples=8)
    draw = model.draw(x, eps)
    terms = bound(draw, beta=1.0)
    logits = model.network.decode(draw.z).squeeze(2)
    recon = -torch.distributions.Bernoulli(logits=logits, validate_args=False).log_prob(x).sum((-3, -2, -1)).mean(0)
    torch.testing.assert_close(terms.recon, recon)
    q = Normal(draw.posterior.mean, (0.5 * draw.posterior.log_var).exp())
    exact = torch.distributions.kl_divergence(q, Normal(0.0, 1.0)).sum(-1)
    sampled = (q.log_prob(draw.z) - Normal(0.0, 1.0).log_prob(draw.z)).sum(-1).mean(0)
    torch.testing.assert_close(terms.kl, sampled if kind is ElboA else exact, rtol=1e-4, atol=1e-4)
    if bound.key == "elbo":
        torch.testing.assert_close(terms.recon + terms.kl, -terms.bound)
    else:  # a tighter bound than the mean of its own samples
        assert (terms.bound >= -(recon + sampled) - 1e-4).all()
    if kind not in (FreeBits, Capacity):
        torch.testing.assert_close(terms.objective, -terms.bound)


def test_importance_weighted_bound_by_hand():
    log_w = torch.tensor([[0.0, -1000.0], [math.log(3), -1000.0]])
    assert importance_weighted_bound(log_w).tolist() == pytest.approx([math.log(2), -1000.0])


@pytest.mark.parametrize("kind", [Elbo, ElboA])
def test_at_the_true_posterior_the_bound_is_log_px(kind):
    model = exact_model(mean=0.5, log_var=math.log(0.5))
    model.network.shift.data.zero_()
    terms = kind(50_000)(model.draw(points(), noise(50_000)), beta=1.0)
    torch.testing.assert_close(terms.bound, log_px(points(), shift=0.0), atol=0.02 if kind is Elbo else 1e-9, rtol=0)


@pytest.mark.parametrize("kind", [Iwae, IwaeStl, IwaeDreg])
def test_many_importance_samples_give_log_px(kind):
    terms = kind(100_000)(exact_model().draw(points(), noise(100_000)), beta=1.0)
    torch.testing.assert_close(terms.bound, log_px(points()), atol=0.02, rtol=0)


def test_the_bound_rises_with_k_and_stays_below_log_px():
    exact = log_px(points())
    means = []
    for k in (1, 2, 5, 20, 100):
        eps = noise(20_000 // k * k)
        model = exact_model()
        bounds = Miwae(groups=20_000 // k, samples_per_group=k)(model.draw(points(), eps), beta=1.0).bound
        means.append(bounds)
    for lower, higher in itertools.pairwise(means):
        assert (higher > lower).all()
    assert (means[-1] < exact + 0.02).all()


def test_miwae_is_the_mean_of_importance_weighted_bounds(model, x):
    eps = torch.randn(6, B, J)
    expected = sum(Iwae(3)(model.draw(x, part), beta=1.0).bound for part in eps.split(3)) / 2
    torch.testing.assert_close(Miwae(2, 3)(model.draw(x, eps), beta=1.0).bound, expected, rtol=1e-5, atol=1e-4)


def gradients(bound, repeats: int, **parameters: float) -> tuple[Tensor, Tensor]:
    """Mean and standard error of d objective / d (encoder scale, encoder log_var, decoder shift)."""
    model, k = exact_model(**parameters), bound.num_samples
    n = repeats
    x = torch.full((n, 1, 1, 1), 1.3, dtype=torch.float64)
    network = model.network
    scale, log_var = (value.detach().repeat(n).requires_grad_() for value in (network.scale, network.log_var))
    shift = network.shift.detach().repeat(n).requires_grad_()
    network.encode = lambda x: torch.stack([scale * x.flatten(), log_var], 1)
    network.decode = lambda z: (z + shift[:, None]).unflatten(-1, (1, 1, 1, 1))
    terms = bound(model.draw(x, noise(k, n)), beta=1.0)
    each = torch.stack(torch.autograd.grad(terms.objective.sum(), [scale, log_var, shift]))
    return each.mean(1), each.std(1) / math.sqrt(n)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("kind", [IwaeDreg, IwaeStl])
def test_gradient_estimators_agree_in_expectation_where_theory_says_so(kind, k):
    (plain, plain_error), (other, other_error) = gradients(Iwae(k), 400_000), gradients(kind(k), 400_000)
    apart = (plain - other).abs() / (plain_error**2 + other_error**2).sqrt()
    assert apart[2] < 4  # the decoder's gradient is the same estimator
    if kind is IwaeDreg or k == 1:
        assert (apart < 4).all()
    else:
        assert apart[0] > 6  # biased for the encoder, as Tucker et al. show


@pytest.mark.parametrize("kind", [IwaeStl, IwaeDreg])
def test_the_encoders_gradient_has_no_variance_at_the_true_posterior(kind):
    model = {"mean": 0.5, "log_var": math.log(0.5)}
    # shift moves the true posterior away from q; with k = 1 and the exact posterior the path gradient is zero
    bound = kind(1)
    exact = exact_model(**model)
    exact.network.shift.data.zero_()
    terms = bound(exact.draw(points(), noise(1)), beta=1.0)
    for gradient in torch.autograd.grad(terms.objective.sum(), [exact.network.scale, exact.network.log_var]):
        assert gradient.item() == pytest.approx(0, abs=1e-9)
    plain = ElboA(1)(exact.draw(points(), noise(1)), beta=1.0).objective.sum()
    assert abs(torch.autograd.grad(plain, exact.network.log_var)[0].item()) > 0.01


def test_free_bits_floor_the_batch_mean_of_each_unit(model, x):
    eps = torch.randn(1, B, J)
    terms, elbo = FreeBits(nats=0.3)(model.draw(x, eps), beta=2.0), Elbo()(model.draw(x, eps), beta=2.0)
    kl = model.latent.posterior(model.network.encode(x)).kl().mean(0)
    expected = elbo.recon + 2.0 * torch.maximum(kl, torch.tensor(0.3)).sum()
    torch.testing.assert_close(terms.objective, expected)
    torch.testing.assert_close(terms.bound, elbo.bound)
    torch.testing.assert_close(FreeBits(nats=0.0)(model.draw(x, eps), beta=1.0).objective.mean(), elbo_objective(elbo))


def elbo_objective(terms) -> Tensor:
    return (terms.recon + terms.kl).mean()


def test_free_bits_drive_every_unit_to_their_nats():
    """A decoder that ignores z: without free bits every unit dies, with them every unit keeps exactly that much."""
    torch.manual_seed(0)
    network = MLP([1, 4, 4], 3, hidden=8)
    model = Model(network, DiagonalGaussian(3), BernoulliLogits())
    for parameter in network.decoder[0].parameters():
        parameter.data.zero_()
    network.encoder[2].bias.data += 1.5
    images, descent = torch.rand(32, 1, 4, 4), torch.optim.SGD(network.encoder[2].parameters(), lr=0.01)
    for _ in range(1000):
        descent.zero_grad()
        FreeBits(nats=0.5)(model.draw(images, torch.randn(1, 32, 3)), beta=1.0).objective.mean().backward()
        descent.step()
    kl = model.latent.posterior(network.encode(images)).kl().mean(0)
    torch.testing.assert_close(kl, torch.full((3,), 0.5), atol=0.05, rtol=0)


def test_capacity_measures_the_distance_of_the_mean_kl(model, x):
    eps = torch.randn(1, B, J)
    elbo = Elbo()(model.draw(x, eps), beta=1.0)
    objective = Capacity(gamma=10.0, capacity=3.0)(model.draw(x, eps), beta=99.0).objective
    torch.testing.assert_close(objective, elbo.recon + 10 * (elbo.kl.mean() - 3).abs())


def test_capacity_can_be_annealed(train):
    run = train("experiment=capacity", "epochs=2", "bound.capacity=6.0", "bound.gamma=50.0")
    assert "kl" in (run / "curves" / "train_log.csv").read_text()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("wrong", [{"num_samples": 0}, {"chunk": 0}])
def test_counts_must_be_counts(kind, wrong):
    (name, value), *_ = wrong.items()
    name = "samples_per_group" if kind is Miwae and name == "num_samples" else name
    with pytest.raises(ConfigError, match=f"bound.{name}={value}: must be"):
        kind(**{name: value})


@pytest.mark.parametrize("wrong", [{"nats": -1.0}, {"nats": math.nan}])
def test_free_bits_must_be_positive(wrong):
    with pytest.raises(ConfigError, match=r"bound.nats="):
        FreeBits(**wrong)
