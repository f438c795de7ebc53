"""Latent, network, bound, and their way into a checkpoint and back."""

import pytest
import torch
from torch import nn

from vae_lightning.bound import Elbo, Model
from vae_lightning.errors import ConfigError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import Bernoulli, BernoulliLogits
from vae_lightning.network import MLP, PaperMLP
from vae_lightning.noise import generator
from vae_lightning.parts import describe, rebuild

PARTS = [
    DiagonalGaussian(7),
    BernoulliLogits("sum"),
    Elbo(3),
    MLP([1, 4, 4], 2, hidden_dim=5),
    PaperMLP([1, 4, 4], 2, hidden_dim=5),
]


@pytest.mark.parametrize("wrong", [0, -3])
def test_latent_dim_must_be_a_count(wrong):
    with pytest.raises(ValueError, match=f"latent.dim={wrong}: must be"):
        DiagonalGaussian(wrong)


def test_posterior_splits_mean_and_log_var():
    posterior = DiagonalGaussian(2).posterior(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
    assert posterior.mean.tolist() == [[1.0, 2.0]]
    assert posterior.log_var.tolist() == [[3.0, 4.0]]


def test_kl_in_bf16_is_computed_in_float32():
    params = torch.tensor([[0.5, 30.0]])
    low = DiagonalGaussian(1).posterior(params.bfloat16()).kl()
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, DiagonalGaussian(1).posterior(params).kl(), rtol=0.02, atol=0)


def test_noise_is_a_function_of_the_generator():
    first, second = (DiagonalGaussian(3).noise(2, 4, torch.Generator().manual_seed(1)) for _ in range(2))
    assert first.shape == (2, 4, 3)
    assert torch.equal(first, second)


@pytest.mark.parametrize("kind", [MLP, PaperMLP])
def test_network_shapes(kind):
    network = kind([3, 4, 5], latent_dim=2, num_parameters=2, hidden_dim=7)
    assert network.encode(torch.rand(6, 3, 4, 5)).shape == (6, 4)
    assert network.decode(torch.rand(8, 6, 2)).shape == (8, 6, 2, 3, 4, 5)
    assert network.decode(torch.rand(6, 2)).shape == (6, 2, 3, 4, 5)


def test_mlp_has_the_example_networks_size():
    """784-400-(20, 20) and 20-400-784, with biases: 652,824 numbers, as the PyTorch example has."""
    example = nn.ModuleList([nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20), nn.Linear(20, 400)])
    example.append(nn.Linear(400, 784))
    ours = MLP([1, 28, 28], 20)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in example.parameters()) == 652_824


def test_paper_network_has_500_tanh_units_with_small_weights():
    torch.manual_seed(0)
    network = PaperMLP([1, 28, 28], 20)
    assert network.hidden_dim == 500
    assert any(isinstance(layer, nn.Tanh) for layer in network.modules())
    weights = torch.cat([parameter.flatten() for parameter in network.parameters()])
    assert weights.std().item() == pytest.approx(0.01, rel=0.01)


@pytest.mark.parametrize("wrong", [0, -1])
def test_hidden_dim_must_be_a_count(wrong):
    with pytest.raises(ValueError, match=f"hidden_dim={wrong}: must be"):
        MLP([1, 4, 4], 2, hidden_dim=wrong)


def test_elbo_is_eq_7_by_hand():
    network, latent, loss = MLP([1, 4, 4], 2, hidden_dim=5), DiagonalGaussian(2), Bernoulli()
    x, eps = torch.rand(6, 1, 4, 4), torch.randn(3, 6, 2)
    terms = Elbo(3)(Model(network, latent, loss), x, eps, beta=4.0)
    mean, log_var = network.encoder(x.flatten(1)).chunk(2, 1)
    recon = torch.zeros(6)
    for e in eps:
        y = network.decoder(mean + (log_var / 2).exp() * e).sigmoid()
        recon += nn.functional.binary_cross_entropy(y, x.flatten(1), reduction="none").sum(1) / 3
    kl = -0.5 * (1 + log_var - mean**2 - log_var.exp()).sum(1)
    torch.testing.assert_close(terms.recon, recon)
    torch.testing.assert_close(terms.kl, kl)
    torch.testing.assert_close(terms.bound, -(recon + kl))
    torch.testing.assert_close(terms.objective, recon + 4 * kl)


def test_num_samples_must_be_a_count():
    with pytest.raises(ValueError, match="num_samples=0"):
        Elbo(0)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_a_description_holds_plain_values_and_rebuilds_the_part(part):
    description = describe(part)
    for value in description.values():
        assert value is None or isinstance(value, str | int | float | list)
    again = rebuild(description)
    assert type(again) is type(part)
    assert describe(again) == description


@pytest.mark.parametrize("target", ["os.system", "torch.load", "parts.rebuild", "network", None, "..bound.Elbo"])
def test_only_parts_of_this_package_are_rebuilt(target):
    with pytest.raises(ConfigError, match="is not a part"):
        rebuild({"class": target})


def test_what_is_no_description_is_a_part_already():
    network = MLP([1, 4, 4], 2)
    assert rebuild(network) is network


def test_a_key_gives_the_same_numbers_whatever_was_drawn_before():
    torch.manual_seed(1)
    first = torch.rand(3, generator=generator("cpu", "train", 7, 0))
    torch.manual_seed(2)
    assert torch.equal(first, torch.rand(3, generator=generator("cpu", "train", 7, 0)))
    others = [generator("cpu", *key) for key in (("train", 7, 1), ("train", 8, 0), ("val", 7, 0), ("train", 70, 0))]
    assert not any(torch.equal(first, torch.rand(3, generator=other)) for other in others)
