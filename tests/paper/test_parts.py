"""Latent, network, bound, and their way into a checkpoint and back."""

import re

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from options import OF_GROUP
from torch import nn

from vae_lightning.app.config import CONF
from vae_lightning.app.trust import located
from vae_lightning.bound import Elbo, Miwae
from vae_lightning.errors import ConfigError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import Bernoulli, BernoulliLogits, FixedGaussian, OptimalGaussian
from vae_lightning.model import Model
from vae_lightning.network import ACTIVATIONS, INITIALS, MLP, Conv, Linear, ResNet
from vae_lightning.noise import generator
from vae_lightning.optimizer import Adam
from vae_lightning.parts import describe, facts, rebuild, translated
from vae_lightning.rules import wholes

OPTIONS = {
    "mlp": {"hidden": [400], "activation": "relu", "initial": "torch"},
    "mlp_paper": {"hidden": [500], "activation": "tanh", "initial": "normal"},
    "mlp_iwae": {"hidden": [200, 200], "activation": "tanh", "initial": "glorot"},
}
PARTS = [
    DiagonalGaussian(7),
    BernoulliLogits(),
    FixedGaussian(0.25),
    OptimalGaussian(0.5),
    Elbo(3),
    Miwae(2, 3, chunk=2),
    Adam(1e-2, 1e-3),
    MLP([1, 4, 4], 2, hidden=5),
    MLP((1, 4, 4), 2, hidden=(5, 6), activation="tanh", initial="glorot"),
    Linear([1, 4, 4], 2),
    Conv([3, 4, 6], 2, widths=5, hidden=[], activation="elu"),
    Conv([1, 8, 8], 2, 2, widths=(5, 6), hidden=(7, 8)),
    ResNet([1, 8, 8], 2, widths=[4, 6], depths=2, hidden=7),
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


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [7, [7], [7, 6], [9, 8, 7]])
def test_network_shapes(hidden, activation):
    network = MLP([3, 4, 5], latent_dim=2, num_parameters=2, hidden=hidden, activation=activation)
    assert network.encode(torch.rand(6, 3, 4, 5)).shape == (6, 4)
    assert network.decode(torch.rand(8, 6, 2)).shape == (8, 6, 2, 3, 4, 5)
    assert network.decode(torch.rand(6, 2)).shape == (6, 2, 3, 4, 5)


def test_the_decoder_mirrors_the_encoder():
    layers = [layer for layer in MLP([1, 4, 4], 2, hidden=[9, 8]).modules() if isinstance(layer, nn.Linear)]
    sizes = [(layer.in_features, layer.out_features) for layer in layers]
    assert sizes == [(16, 9), (9, 8), (8, 4), (2, 8), (8, 9), (9, 16)]


def test_mlp_has_the_example_networks_size():
    """784-400-(20, 20) and 20-400-784, with biases: 652,824 numbers, as the PyTorch example has."""
    example = nn.ModuleList([nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20), nn.Linear(20, 400)])
    example.append(nn.Linear(400, 784))
    ours = MLP([1, 28, 28], 20)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in example.parameters()) == 652_824


def test_paper_network_has_500_tanh_units_with_small_weights():
    torch.manual_seed(0)
    network = MLP([1, 28, 28], 20, **OPTIONS["mlp_paper"])
    assert any(isinstance(layer, nn.Tanh) for layer in network.modules())
    weights = torch.cat([parameter.flatten() for parameter in network.parameters()])
    assert len(weights) == 2 * 784 * 500 + 500 + 784 + 500 * 40 + 40 + 20 * 500 + 500
    assert weights.std().item() == pytest.approx(0.01, rel=0.01)


def test_iwae_network_has_glorots_weights_and_zero_biases():
    torch.manual_seed(0)
    network = MLP([1, 28, 28], 50, **OPTIONS["mlp_iwae"])
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            limit = (6 / (layer.in_features + layer.out_features)) ** 0.5
            assert 0.99 * limit < layer.weight.abs().max() <= limit
            assert not layer.bias.any()


@pytest.mark.parametrize("option", OPTIONS)
def test_the_dense_options_are_one_class(option):
    node = OmegaConf.to_container(OmegaConf.load(CONF / "network" / f"{option}.yaml"))
    assert node == {"_target_": "vae_lightning.network.MLP", **OPTIONS[option]}
    assert node["activation"] in ACTIVATIONS
    assert node["initial"] in INITIALS


@pytest.mark.parametrize("wrong", [0, -1, [0], [5, -1], True])
def test_hidden_must_be_counts(wrong):
    with pytest.raises(ConfigError, match=re.escape(f"network.hidden={wrong}: must be")):
        MLP([1, 4, 4], 2, hidden=wrong)


@pytest.mark.parametrize("wrong", [2.5, [2.5], [[5]], None, "5", {}, [True]])
def test_a_rule_of_counts_holds_for_counts_alone(wrong):
    assert wholes(1).holds([5, 6])
    assert not wholes(1).holds(wrong)


@pytest.mark.parametrize("wrong", [{"activation": "rely"}, {"initial": "glorott"}])
def test_names_of_a_network_are_checked(wrong):
    with pytest.raises(ConfigError, match="did you mean"):
        MLP([1, 4, 4], 2, **wrong)


def test_elbo_is_eq_7_by_hand():
    network, latent, loss = MLP([1, 4, 4], 2, hidden=5), DiagonalGaussian(2), Bernoulli()
    x, eps = torch.rand(6, 1, 4, 4), torch.randn(3, 6, 2)
    terms = Elbo(3)(Model(network, latent, loss).draw(x, eps), beta=4.0)
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
        assert type(value) in (type(None), str, int, float, bool, list)
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


# --- parts of one's own, and descriptions --------------------------------------------------------------------------


class Own(nn.Linear):
    """Keeps nothing of what it was made with."""

    def __init__(self, size: int) -> None:
        super().__init__(size, size)


def test_numpy_numbers_become_plain_ones():
    description = describe(FixedGaussian(np.float64(0.25)))
    assert description == {"class": "loss.FixedGaussian", "variance": 0.25}
    assert type(description["variance"]) is float


@pytest.mark.parametrize("name", ["network", "latent", "loss", "bound", "optimizer"])
def test_a_part_of_ones_own_is_noted_and_asked_for(name):
    description = describe(Own(3))
    assert description == {"class": f"{__name__}.Own", "rebuilt": False}
    with pytest.raises(ConfigError, match=re.escape(f"hand it over: VAE.load_from_checkpoint(path, {name}=Own(...))")):
        rebuild(description, name)


def test_a_part_of_ours_that_cannot_be_read_back_is_only_noted():
    network = MLP([1, 4, 4], 2)
    del network.hidden
    assert describe(network) == {"class": "network.MLP", "rebuilt": False}
    with pytest.raises(ConfigError, match=r"network=MLP\(\.\.\.\)"):
        rebuild(describe(network), "network")


OLD = {"image_shape": [1, 4, 4], "latent_dim": 2, "num_parameters": 1}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MLP", {"hidden": [6], "activation": "relu", "initial": "torch"}),
        ("PaperMLP", {"hidden": [6], "activation": "tanh", "initial": "normal"}),
        ("IwaeMLP", {"hidden": [6, 6], "activation": "tanh", "initial": "glorot"}),
    ],
)
def test_descriptions_of_old_checkpoints_are_translated(old, new):
    loss = {"class": "loss.FixedGaussian", "variance": 0.5, "reduction": "sum"}
    given = {"network": {"class": f"network.{old}", **OLD, "hidden_dim": 6}, "loss": loss, "reduction": "mean"}
    made = translated(given)
    assert describe(rebuild(made["network"])) == {"class": "network.MLP", **OLD, **new}
    assert rebuild(made["loss"]) == FixedGaussian(0.5)
    assert made["reduction"] == "sum"
    assert loss["reduction"] == "sum"  # what was given is left as it is


# --- what a part says of itself ------------------------------------------------------------------------------------

CITED = {
    "Bernoulli": "Eq. (11)",
    "BernoulliLogits": "Eq. (11)",
    "ContinuousBernoulli": "Loaiza-Ganem & Cunningham (2019)",
    "DiscretizedLogistic": "Salimans et al. (2017)",
    "FixedGaussian": "Eq. (12)",
    "Gaussian": "Eq. (12)",
    "Laplace": "",
    "OptimalGaussian": "Rybkin et al. (2021)",
    "SharedGaussian": "Eq. (12)",
    "SquaredError": "Eq. (12)",
    "UnboundedOptimalGaussian": "Rybkin et al. (2021)",
    "UnboundedGaussian": "Eq. (12)",
    "Capacity": "Burgess et al. (2018)",
    "Elbo": "Eq. (7)",
    "ElboA": "Eq. (6)",
    "FreeBits": "Kingma et al. (2016)",
    "Iwae": "Burda et al. (2016)",
    "IwaeDreg": "Tucker et al. (2019)",
    "IwaeStl": "Roeder et al. (2017)",
    "Miwae": "Rainforth et al. (2018)",
    "Constant": "",
    "Cosine": "",
    "Cyclic": "Fu et al. (2019)",
    "Sigmoid": "Bowman et al. (2016)",
    "Triangle": "",
    "MLP": "Appendix C",
    "Conv": "Radford et al. (2016)",
    "ResNet": "He et al. (2016)",
    "DiagonalGaussian": "Eq. (9)",
    "Vamp": "Tomczak & Welling (2018)",
    "Iaf": "Kingma et al. (2016)",
    "TwoLayers": "Burda et al. (2016)",
    "Adam": "Kingma & Ba (2015)",
    "AdamW": "Loshchilov & Hutter (2019)",
    "Muon": "Jordan et al. (2024)",
    "Adagrad": "Duchi et al. (2011)",
    "OneCycle": "Smith & Topin (2018)",
    "Step": "",
}  # by class
TWICE = {  # names of two classes
    ("network", "Linear"): "Tipping & Bishop (1999)",
    ("schedule", "Linear"): "Bowman et al. (2016)",
    ("lr_schedule", "Cosine"): "Loshchilov & Hutter (2017)",
}


@pytest.mark.parametrize(("group", "option"), [(group, option) for group in OF_GROUP for option in OF_GROUP[group]])
def test_every_option_says_what_it_is(group, option):
    node = dict(OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml")))
    target = node.pop("_target_")
    said = facts(located(target, "x"))
    name = target.rpartition(".")[2]
    assert said["class"] == target
    assert said["cited"] == TWICE.get((group, name), CITED.get(name))
    assert said["says"]
    assert "\n" not in said["says"]
    assert set(re.findall(r"{(\w+)}", said["title"])) <= set(node)
    assert said["title"] or name == "Constant"


def test_the_facts_of_a_part_of_ones_own():
    assert facts(Own(3)) == {
        "class": f"{__name__}.Own",
        "title": "Own",
        "cited": "",
        "says": "Keeps nothing of what it was made with.",
    }
