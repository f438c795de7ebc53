"""Every estimator against a linear-Gaussian model, whose log p(x), posterior and information are closed forms."""

import inspect
import math
import types
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from vae_lightning import equations, linear_gaussian
from vae_lightning.bound import Elbo, Iwae
from vae_lightning.data import PPCADataModule
from vae_lightning.errors import ConfigError
from vae_lightning.evaluation import annealed as ais
from vae_lightning.evaluation import appendix_d, hmc, importance, latent_space, result
from vae_lightning.latent import DiagonalGaussian, active_units, vamp
from vae_lightning.linear_gaussian import LinearEncoder, LinearGaussian
from vae_lightning.loss import UnboundedGaussian
from vae_lightning.model import Model
from vae_lightning.network import MLP, Linear

J = 3


@pytest.fixture(scope="module")
def data() -> PPCADataModule:
    module = PPCADataModule(latent_dim=J, sizes=(4000, 10, 400))
    module.setup()
    return module


def model_of(truth: LinearGaussian, encoder: LinearEncoder) -> Model:
    """The linear network whose decoder is the truth and whose encoder is the given one."""
    network = Linear([1, 4, 4], J)
    with torch.no_grad():
        network.decoder.weight.copy_(truth.weight)
        network.decoder.bias.copy_(truth.mean)
        network.encoder.weight.zero_()[:J].copy_(encoder.weight)
        network.encoder.bias[:J].copy_(-encoder.weight @ truth.mean)
        network.encoder.bias[J:].copy_(encoder.log_var)
    return Model(network, DiagonalGaussian(J), UnboundedGaussian(truth.variance))


def poor_encoder(truth: LinearGaussian) -> LinearEncoder:
    """One that is off, so that its information and its KL( q(z) || p(z) ) are numbers of their own."""
    best = truth.best_encoder
    return LinearEncoder(0.7 * best.weight, best.log_var - 0.5)


# --- the closed forms themselves ------------------------------------------------------------------------------------


def test_the_closed_forms_agree_with_each_other(data):
    """Bayes' theorem at any z, the posterior's moments by regression, and the gap of the optimal ELBO."""
    truth, x = data.truth, data.images("test").flatten(1).double()
    z = torch.randn(len(x), J, dtype=torch.float64)
    noise = math.sqrt(truth.variance)
    log_joint = Normal(0, 1).log_prob(z).sum(1) + Normal(z @ truth.weight.T + truth.mean, noise).log_prob(x).sum(1)
    torch.testing.assert_close(truth.log_px(x), log_joint - truth.posterior(x).log_prob(z))
    best = truth.best_encoder
    gap = truth.log_px(x) - truth.optimal_elbo(x)
    diagonal = torch.distributions.MultivariateNormal(truth.posterior(x).mean, best.covariance)
    torch.testing.assert_close(gap, torch.distributions.kl_divergence(diagonal, truth.posterior(x)))
    assert (gap > 0.005).all()


def test_the_information_of_the_exact_posterior_is_the_models(data):
    """A decoder with orthogonal columns has a diagonal posterior: then q(z) = p(z), and I(x; z) is the model's."""
    orthogonal = torch.linalg.qr(data.truth.weight).Q * torch.tensor([2.0, 1.0, 0.5])
    truth = LinearGaussian(orthogonal, data.truth.mean, 0.5)
    assert truth.marginal_kl(truth.best_encoder) == pytest.approx(0, abs=1e-9)
    assert truth.encoded_information(truth.best_encoder) == pytest.approx(truth.mutual_information)


def test_data_are_drawn_from_the_truth(data):
    x = data.images("train").flatten(1).double()
    assert float((x.mean(0) - data.truth.mean).abs().max()) < 0.1
    torch.testing.assert_close(x.T.cov(), data.truth.marginal.covariance_matrix, atol=0.1, rtol=0)
    again = PPCADataModule(latent_dim=J, sizes=(4000, 10, 400))
    again.setup()
    assert torch.equal(again.images("train"), data.images("train"))


def test_only_the_linear_gaussian_pair_has_a_truth():
    assert linear_gaussian.of(Linear([1, 4, 4], J), UnboundedGaussian()) is not None
    assert linear_gaussian.of(MLP([1, 4, 4], J), UnboundedGaussian()) is None


# --- every estimator, and what happens to it when a constant is lost ----------------------------------------------


def elbo(data: PPCADataModule) -> tuple[Tensor, Tensor]:
    truth, x = data.truth, data.images("test")
    eps = torch.randn(500, len(x), J, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        terms = Elbo(500)(model_of(truth, truth.best_encoder).draw(x, eps), 1.0)
    return terms.bound, truth.optimal_elbo(x.flatten(1))


def iwae(data: PPCADataModule) -> tuple[Tensor, Tensor]:
    truth, x = data.truth, data.images("test")
    weighted = importance.importance_weighted(model_of(truth, truth.best_encoder), x, num_samples=1000)
    return weighted.bounds[1000], truth.log_px(x.flatten(1))


def annealing(data: PPCADataModule) -> tuple[Tensor, Tensor]:
    truth, x = data.truth, data.images("test")[:40]
    values = ais.ais_log_px(model_of(truth, truth.best_encoder), x, num_temperatures=100)
    return values, truth.log_px(x.flatten(1))


def paper(data: PPCADataModule) -> tuple[Tensor, Tensor]:
    truth, x = data.truth, data.images("test")[:40]
    values = appendix_d.appendix_d_log_px(model_of(truth, truth.best_encoder), x)
    return values, truth.log_px(x.flatten(1))


def information(data: PPCADataModule) -> tuple[Tensor, Tensor]:
    parts, truth = taken_apart(data), data.truth
    return parts.information, torch.tensor(truth.encoded_information(poor_encoder(truth)))


def mismatch(data: PPCADataModule) -> tuple[Tensor, Tensor]:
    parts, truth = taken_apart(data), data.truth
    return parts.marginal_kl, torch.tensor(truth.marginal_kl(poor_encoder(truth)))


def taken_apart(data: PPCADataModule) -> latent_space.Surgery:
    model = model_of(data.truth, poor_encoder(data.truth))
    return latent_space.surgery(latent_space.posterior_of(model, data.images("train")))


ESTIMATORS = {each.__name__: each for each in (elbo, iwae, annealing, paper, information, mismatch)}


def standard_errors_apart(estimator, data: PPCADataModule) -> float:
    """How far the mean of an estimate is from the exact mean, over the same images."""
    values, exact = estimator(data)
    apart = values.double() - exact
    return abs(float(apart.mean() / (apart.std() / math.sqrt(len(apart)))))


@pytest.mark.sample(3)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_is_within_three_standard_errors_of_the_exact_value(data, name):
    assert standard_errors_apart(ESTIMATORS[name], data) < 3


DENSITY = "-0.5 * (LOG_2PI + log_var + (value - mean)"
LOST = {
    "log 2 pi of every density": (equations, DENSITY, "-0.5 * (log_var + (value - mean)"),
    "1/2 of every density": (equations, DENSITY, "-(LOG_2PI + log_var + (value - mean)"),
    "1/2 of the KL": (equations, "return -0.5 * (1 + log_var - mean", "return -(1 + log_var - mean"),
    "log K": (importance, " - math.log(self.num_samples)", ""),
    "log of the number of chains": (ais, " - math.log(num_chains)", ""),
    "log L": (appendix_d, "math.log(len(ours)) - ", "-"),
    "log N": (vamp, " - math.log(len(mean))", ""),
    "log 2 pi of the mixture": (vamp, "equations.LOG_2PI + log_var", "log_var"),
    "1/2 of the mixture": (vamp, "log_each = -0.5 * ", "log_each = -"),
}
CAUGHT_BY = {
    "elbo": ["log 2 pi of every density", "1/2 of every density", "1/2 of the KL"],
    "iwae": ["log 2 pi of every density", "1/2 of every density", "log K"],
    "annealing": ["log 2 pi of every density", "1/2 of every density", "log of the number of chains"],
    "paper": ["log 2 pi of every density", "1/2 of every density", "log L"],
    "information": ["log 2 pi of every density", "1/2 of the KL", "log N", "log 2 pi of the mixture"],
    "mismatch": ["1/2 of every density", "log N", "log 2 pi of the mixture", "1/2 of the mixture"],
}


@pytest.mark.sample(5)
@pytest.mark.parametrize(("name", "lost"), [(name, lost) for name, all_lost in CAUGHT_BY.items() for lost in all_lost])
def test_a_lost_constant_is_caught(monkeypatch, data, name, lost):
    """The source of a module without one constant, put in the place of the module's functions."""
    module, old, new = LOST[lost]
    source = inspect.getsource(module)
    assert source.count(old) == 1
    broken = types.ModuleType(module.__name__)
    exec(compile(source.replace(old, new), f"broken {module.__name__}", "exec"), broken.__dict__)
    for attribute, value in vars(broken).items():
        if getattr(value, "__module__", None) == module.__name__:
            monkeypatch.setattr(module, attribute, value)
    assert standard_errors_apart(ESTIMATORS[name], data) > 6


# --- properties -----------------------------------------------------------------------------------------------------


def test_the_curve_rises_with_k_and_stays_below_log_px(data):
    truth, x = data.truth, data.images("test")
    model = model_of(truth, poor_encoder(truth))
    bounds = importance.importance_weighted(model, x, 1000, (1, 10, 100)).bounds
    assert list(bounds) == [1, 10, 100, 1000]
    means = [float(values.mean()) for values in bounds.values()]
    assert means == sorted(means)
    assert means[0] < means[-1] - 0.1
    assert means[-1] < float(truth.log_px(x.flatten(1)).mean()) + 0.01


def test_the_bound_of_one_sample_is_the_elbo(data):
    truth, x = data.truth, data.images("test")
    model = model_of(truth, poor_encoder(truth))
    weighted = importance.importance_weighted(model, x, 200, (1,))
    kl = latent_space.posterior_of(model, x).kl().sum(1)
    apart = weighted.bounds[1] + weighted.recon + kl
    assert abs(float(apart.mean() / apart.std() * math.sqrt(len(apart)))) < 3


@pytest.mark.parametrize("rows", [1, 7, 64, 5000])
def test_an_images_value_depends_on_nothing_but_the_image(data, rows):
    model, x = model_of(data.truth, poor_encoder(data.truth)), data.images("test")[:20]
    together = importance.importance_weighted(model, x, 40, (5,))
    other = importance.importance_weighted(model, torch.cat([x[:3], x[:17] + 1]), 40, (5,), rows=rows)
    for k in (5, 40):
        torch.testing.assert_close(other.bounds[k][:3], together.bounds[k][:3], rtol=1e-5, atol=1e-4)
    assert not torch.equal(other.bounds[40][3:], together.bounds[40][3:])


@pytest.mark.parametrize("sizes", [[40], [1] * 40, [7, 13, 3, 17], [39, 1]])
@pytest.mark.parametrize("k", [1, 4, 5, 40])
def test_groups_are_the_same_however_the_weights_stream_in(sizes, k):
    log_w = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)) * 30
    mean = importance.MeanOfBounds(k, 2, torch.device("cpu"))
    for part in log_w.split(sizes):
        mean.add(part)
    torch.testing.assert_close(mean.value(), (log_w.view(-1, k, 2).logsumexp(1) - math.log(k)).mean(0))


def test_effective_samples_by_hand(data):
    """Equal weights: all of them count. One that outweighs the rest: one."""
    truth, x = data.truth, data.images("test")[:5]
    exact = importance.importance_weighted(model_of(truth, truth.best_encoder), x, 200).effective_samples
    assert float(exact.min()) > 0.9 * 200
    far = LinearEncoder(truth.best_encoder.weight, torch.full((J,), -12.0))
    off = replace(truth.best_encoder, weight=-3 * truth.best_encoder.weight, log_var=far.log_var + 11)
    assert float(importance.importance_weighted(model_of(truth, off), x, 200).effective_samples.median()) < 20


def test_importance_weights_are_those_of_the_bound(data):
    """Against bound.Iwae, on the same noise."""
    model, x = model_of(data.truth, poor_encoder(data.truth)), data.images("test")[:4]
    eps = next(importance.noise(model, [0, 1, 2, 3], 50, seed=3, device=torch.device("cpu")))
    expected = Iwae(50)(model.draw(x, eps), 1.0).bound
    torch.testing.assert_close(importance.importance_weighted(model, x, 50, seed=3).bounds[50], expected.detach())


def test_hmc_leaves_a_correlated_gaussian_invariant():
    """Started in the distribution, with a coarse step: after many moves the moments are still those."""
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]])
    target = torch.distributions.MultivariateNormal(torch.tensor([1.0, -2.0]), covariance)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    z = target.sample((20_000, 1))
    for _ in range(10):
        moved = hmc.move(target.log_prob, z, torch.tensor([0.6]), 4, generator)
        z = moved.z
    assert 0.3 < float(moved.acceptance.mean()) < 0.98
    assert torch.allclose(z.mean((0, 1)), target.mean, atol=0.03)
    assert torch.allclose(z.squeeze(1).T.cov(), covariance, atol=0.04)


def test_hmc_refuses_what_is_not_finite():
    def log_density(z: Tensor) -> Tensor:
        return torch.where(z.abs() > 1, torch.nan, -z.square()).sum(-1)

    z = torch.zeros(50, 1, 1)
    for _ in range(5):
        z = hmc.move(log_density, z, torch.tensor([0.8]), 3, torch.Generator().manual_seed(0)).z
    assert z.isfinite().all()


def test_steps_are_tuned_towards_the_target():
    step = torch.tensor([0.1, 0.1])
    longer = hmc.tuned(step, torch.tensor([[1.0, 0.2]]), 0.65)
    assert longer[0] > 0.1 > longer[1]


def test_the_temperatures_go_from_prior_to_posterior():
    t = ais.schedule(50)
    assert (len(t), float(t[0]), float(t[-1])) == (51, 0.0, 1.0)
    assert (t.diff() > 0).all()
    torch.testing.assert_close(t + t.flip(0), torch.ones_like(t))


def test_appendix_d_is_for_small_latent_spaces():
    model = Model(Linear([1, 4, 4], 5), DiagonalGaussian(5), UnboundedGaussian())
    with pytest.raises(ConfigError, match=r"latent\.dim=5: Appendix D needs 4 or fewer"):
        appendix_d.appendix_d_log_px(model, torch.zeros(1, 1, 4, 4))


def test_active_units_are_those_whose_mean_varies():
    mean = torch.randn(5000, 3) * torch.tensor([1.0, 0.09, 0.11])
    assert active_units(mean + 5).tolist() == [True, False, True]


def test_information_and_mismatch_add_up_to_the_kl(data):
    model = model_of(data.truth, poor_encoder(data.truth))
    posterior = latent_space.posterior_of(model, data.images("test"))
    parts = latent_space.surgery(posterior)
    torch.testing.assert_close(parts.information + parts.marginal_kl, posterior.kl().sum(1).double())
    assert parts.most == pytest.approx(math.log(400))


def test_information_cannot_exceed_log_n():
    """Posteriors that never overlap: each z tells its image, which is log N and no more."""
    mean = torch.linspace(-50, 50, 64).unsqueeze(1)
    parts = latent_space.surgery(latent_space.Posterior(mean, torch.full((64, 1), -6.0)))
    assert float(parts.information.mean()) == pytest.approx(math.log(64), abs=0.1)


def test_the_bootstrap_is_the_standard_error_of_the_mean():
    values = torch.randn(2000, generator=torch.Generator().manual_seed(0)) * 3
    assert result.bootstrap(values) == pytest.approx(3 / math.sqrt(2000), rel=0.1)
    assert result.bootstrap(values) == result.bootstrap(values)
