"""Two stochastic layers: with one affine map between them p(z) is a Gaussian, so every estimate has an exact value."""

import copy
import pickle

import pytest
import torch
from torch.distributions import MultivariateNormal

from vae_lightning.bound import Elbo, FreeBits, Iwae
from vae_lightning.errors import ConfigError
from vae_lightning.evaluation import importance_weighted
from vae_lightning.latent import TwoLayers
from vae_lightning.loss import BernoulliLogits, UnboundedGaussian
from vae_lightning.model import Model
from vae_lightning.network import MLP, Linear

J, T = 3, 2


def affine(seed: int = 0) -> TwoLayers:
    """A latent space whose p(z|t) and q(t|z) are affine, with a p(z) that is far from N(0, I)."""
    torch.manual_seed(seed)
    latent = TwoLayers(J, T, hidden=[])
    with torch.no_grad():
        for layer in (latent.upwards[0], latent.downwards[0]):
            layer.weight[layer.weight.shape[0] // 2 :] = 0  # the variances are constants
            layer.bias.normal_(0, 0.5)
        latent.upwards[0].weight.mul_(0.3)
        latent.upwards[0].bias[T:] = 0.3  # wider than p(t|z), so that no weight is far from the others
        latent.downwards[0].bias[J:] = -0.5
    return latent


def marginal(latent: TwoLayers) -> MultivariateNormal:
    """p(z) = N(mean, W W^T + diag), exactly."""
    layer = latent.downwards[0]
    weight, mean = layer.weight[:J].detach(), layer.bias[:J].detach()
    return MultivariateNormal(mean, weight @ weight.T + layer.bias[J:].detach().exp().diag())


def test_the_estimate_of_the_prior_is_unbiased():
    latent, z = affine(), torch.randn(1, 4, J, generator=torch.Generator().manual_seed(0))
    many = z.expand(60_000, -1, -1).contiguous()
    latent.drawn(many, torch.randn(60_000, 4, T, generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        estimate = latent.log_pz(many).double().logsumexp(0) - torch.tensor(60_000.0).log()
    assert torch.allclose(estimate, marginal(latent).log_prob(z[0]).double(), atol=0.05)


def test_draws_of_the_prior_have_its_moments():
    latent = affine()
    with torch.no_grad():
        z = latent.prior(lambda x: x).draw(200, 500, torch.Generator().manual_seed(0)).flatten(0, 1)
    exact = marginal(latent)
    assert torch.allclose(z.mean(0), exact.mean, atol=0.02)
    assert torch.allclose(z.T.cov(), exact.covariance_matrix, atol=0.04)


def test_the_bound_of_many_weights_is_the_exact_log_likelihood():
    """A linear decoder below the layers: p(x) is a Gaussian."""
    latent = affine()
    network = Linear([1, 2, 2], J)
    prior = marginal(latent)
    with torch.no_grad():
        network.encoder.weight.zero_()
        network.encoder.bias[:J], network.encoder.bias[J:] = prior.mean, 1.0  # wider than p(z|x)
    model = Model(network, latent, UnboundedGaussian(0.5))
    weight, bias = network.decoder.weight.detach(), network.decoder.bias.detach()
    covariance = weight @ prior.covariance_matrix @ weight.T + 0.5 * torch.eye(4)
    exact = MultivariateNormal(weight @ prior.mean + bias, covariance)
    x = exact.sample((6,)).view(6, 1, 2, 2)
    estimate = importance_weighted(model, x, num_samples=20_000, rows=2000).bounds[20_000]
    assert torch.allclose(estimate, exact.log_prob(x.flatten(1)), atol=0.1)


@pytest.mark.parametrize("bound", [Elbo(), Elbo(num_samples=3), Iwae(num_samples=3)])
def test_every_bound_trains_every_weight(bound):
    torch.manual_seed(0)
    latent = TwoLayers(J, T, hidden=[5, 4])
    model = Model(MLP([1, 4, 4], J, hidden=8), latent, BernoulliLogits())
    x = torch.rand(6, 1, 4, 4).round()
    eps = latent.noise(bound.num_samples, 6, torch.Generator().manual_seed(0))
    bound(model.draw(x, eps), 1.0).objective.mean().backward()
    for weight in [*model.network.parameters(), *latent.parameters()]:
        assert weight.grad is not None
        assert weight.grad.abs().sum() > 0


def test_the_widths_are_those_of_burda():
    latent = TwoLayers()
    shapes = [tuple(layer.weight.shape) for way in (latent.upwards, latent.downwards) for layer in way[::2]]
    assert shapes == [(100, 100), (100, 100), (100, 100), (100, 50), (100, 100), (200, 100)]


def test_another_z_has_the_same_noise_in_each_call():
    latent, z = affine(), torch.randn(2, 4, J)
    assert torch.equal(latent.log_pz(z), latent.log_pz(z.clone()))
    drawn = latent.posterior(torch.zeros(4, 2 * J)).rsample(latent.noise(2, 4, torch.Generator().manual_seed(0)))
    assert not torch.equal(latent.log_pz(drawn), latent.log_pz(drawn.clone()))


def test_a_latent_space_that_has_drawn_can_be_copied():
    latent = affine()
    z = latent.posterior(torch.zeros(4, 2 * J, requires_grad=True)).rsample(latent.noise(1, 4, torch.Generator()))
    for copied in (copy.deepcopy(latent), pickle.loads(pickle.dumps(latent))):
        assert [*copied.state_dict()] == [*latent.state_dict()]
        assert torch.equal(copied.log_pz(z), latent.log_pz(z.clone()))  # the noise of this z stays with the original


def test_free_bits_are_refused():
    latent = affine()
    model = Model(MLP([1, 4, 4], J, hidden=8), latent, BernoulliLogits())
    x, eps = torch.rand(2, 1, 4, 4), latent.noise(1, 2, torch.Generator())
    with pytest.raises(ConfigError, match=r"latent=two_layers: .*no share of each latent unit.*bound=elbo"):
        FreeBits()(model.draw(x, eps), 1.0)


@pytest.mark.parametrize("field", [{"dim": 0}, {"top": 0}, {"hidden": [0]}])
def test_a_size_that_cannot_be_is_refused(field):
    with pytest.raises(ConfigError, match=rf"latent\.{next(iter(field))}"):
        TwoLayers(**field)
