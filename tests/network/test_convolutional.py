"""Convolutional networks: sizes, what they compute, what they refuse; each loss and each bound with each of them."""

import itertools
import json
import re

import pytest
import torch
from conftest import NO_NETWORK, command, config, vae
from omegaconf import OmegaConf
from options import OF_GROUP
from torch import nn
from torch.nn import functional

from vae_lightning import VAE
from vae_lightning.app.config import CONF
from vae_lightning.app.trust import located
from vae_lightning.bound import Elbo
from vae_lightning.errors import ConfigError
from vae_lightning.evaluation import importance_weighted
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import BernoulliLogits
from vae_lightning.model import Model
from vae_lightning.network import ACTIVATIONS, Conv, ResNet
from vae_lightning.network.residual import Residual

SMALL = {"conv": {"widths": [4, 6], "hidden": [7]}, "resnet": {"widths": [4, 8], "depths": 1, "hidden": [7]}}
KINDS = {"conv": Conv, "resnet": ResNet}
SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 28, 20), (1, 30, 22), (2, 6, 4)]  # 30 -> 15 -> 7: odd inside


def built(option: str, shape=(1, 8, 8), latent_dim: int = 2, num_parameters: int = 1, **sizes) -> Conv | ResNet:
    """A small network, moved away from its first weights so that each of them counts."""
    torch.manual_seed(0)
    network = KINDS[option](list(shape), latent_dim, num_parameters, **{**SMALL[option], **sizes})
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("option", KINDS)
def test_any_even_size_goes_in_and_comes_out(option, shape):
    network = built(option, shape, latent_dim=3, num_parameters=2)
    assert network.encode(torch.rand(5, *shape)).shape == (5, 6)
    assert network.decode(torch.randn(4, 5, 3)).shape == (4, 5, 2, *shape)
    assert network.decode(torch.randn(5, 3)).shape == (5, 2, *shape)
    assert network.decode(torch.randn(3)).shape == (2, *shape)


def test_the_decoder_mirrors_the_encoder():
    network, sizes = Conv([1, 28, 28], 20), []
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            layer.register_forward_hook(lambda layer, inputs, output: sizes.append(list(output.shape[1:])))
    network.decode(network.encode(torch.rand(2, 1, 28, 28))[:, :20])
    assert sizes[:5] == [[32, 14, 14], [64, 7, 7], [128, 3, 3], [256], [40]]
    assert sizes[5:] == [[256], [128 * 3 * 3], [64, 7, 7], [32, 14, 14], [1, 28, 28]]


@pytest.mark.parametrize("sides", itertools.product([14, 15], [8, 9]))
def test_doubling_is_the_transpose_of_halving(sides):
    """<conv(x), y> = <x, transpose(y)> with the same weights: what a transpose is."""
    from vae_lightning.network.convolutional import doubling

    up = doubling(3, 2, sides)
    x = torch.randn(1, 2, *sides)
    down = functional.conv2d(x, up.weight, stride=2, padding=1)
    y = torch.randn_like(down)
    with torch.no_grad():
        up.bias.zero_()
    torch.testing.assert_close((down * y).sum(), (x * up(y)).sum(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("depths", "blocks"), [(0, 0), (2, 8), ([1, 3], 8), ([0, 1], 2)])
def test_depths_count_the_blocks_of_each_level(depths, blocks):
    network = ResNet([1, 8, 8], 2, widths=[4, 8], depths=depths)
    assert sum(isinstance(layer, Residual) for layer in network.modules()) == blocks
    assert network.depths == ([depths] * 2 if isinstance(depths, int) else depths)


def test_a_block_begins_as_the_identity_and_adds_what_it_computes():
    block = next(layer for layer in ResNet([1, 8, 8], 2, widths=[4], depths=1).modules() if isinstance(layer, Residual))
    x = torch.randn(3, 4, 5, 5)
    assert torch.equal(block(x), x)
    for parameter in block.parameters():
        nn.init.normal_(parameter)
    inside = x
    for layer in block:
        inside = layer(inside)
    assert torch.equal(block(x), x + inside)


@pytest.mark.parametrize(("width", "groups"), [(4, 1), (6, 1), (8, 2), (24, 2), (32, 8), (64, 8), (48, 4)])
def test_a_group_has_four_channels_or_more(width, groups):
    norms = [
        layer for layer in ResNet([1, 4, 4], 2, widths=[width], depths=1).modules() if isinstance(layer, nn.GroupNorm)
    ]
    assert {norm.num_groups for norm in norms} == {groups}


@pytest.mark.parametrize(
    ("option", "shape", "sizes", "says"),
    [
        ("conv", (1, 27, 28), {}, "even and >= 4, and they are 27 x 28; the nearest that work are 26 x 28 or 28 x 28"),
        ("resnet", (3, 45, 31), {}, "the nearest that work are 44 x 30 or 46 x 32"),
        ("conv", (1, 2, 8), {}, "they are 2 x 8; the nearest that work are 4 x 8; or give fewer widths"),
        ("conv", (1, 28, 28), {"widths": [4] * 5}, "network=conv network.widths=[4, 4, 4, 4, 4]: the sides of the"),
        ("conv", (50,), {}, "network=conv: takes images [C, H, W], and the data are [50]; use network=mlp"),
        ("resnet", (1, 1, 50), {}, "network=resnet: takes images [C, H, W], and the data are [1, 1, 50]; use"),
        ("conv", (1, 8, 8), {"widths": []}, "network.widths=[]: must name the channels"),
        ("conv", (1, 8, 8), {"widths": [4, 0]}, "network.widths=[4, 0]: must be"),
        ("conv", (1, 8, 8), {"hidden": [0]}, "network.hidden=[0]: must be"),
        ("conv", (1, 8, 8), {"activation": "rely"}, "network.activation=rely: did you mean relu?"),
        ("resnet", (1, 8, 8), {"widths": [3, 4]}, "network.widths=[3, 4]: must be a whole number >= 4, or a list"),
        ("resnet", (1, 8, 8), {"depths": [1, 1, 1]}, "network.depths=[1, 1, 1]: must be one number, or as many as"),
        ("resnet", (1, 8, 8), {"depths": -1}, "network.depths=-1: must be"),
    ],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused_with_those_that_can(option, shape, sizes, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        KINDS[option](list(shape), 2, **{**SMALL[option], **sizes})


@pytest.mark.parametrize("side", range(4, 70, 7))
def test_the_nearest_sizes_do_work(side):
    try:
        Conv([1, side, 64], 2, widths=[4, 4])
    except ConfigError as error:
        for height, width in re.findall(r"(\d+) x (\d+)", str(error).partition("nearest")[2]):
            assert abs(int(height) - side) == 1
            assert built("conv", (1, int(height), int(width))).decode(torch.zeros(1, 2)).shape[-2:] == (int(height), 64)
    else:
        assert side % 2 == 0


# --- one image at a time ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("option", KINDS)
def test_an_image_does_not_depend_on_its_batch(option, training):
    model = Model(built(option).train(training), DiagonalGaussian(2), BernoulliLogits())
    x, eps = torch.rand(6, 1, 8, 8), torch.randn(4, 6, 2)
    whole = model.draw(x, eps)
    alone = [model.draw(x[i : i + 1], eps[:, i : i + 1]) for i in range(6)]
    for name in ("log_px_z", "log_qz_x"):
        torch.testing.assert_close(getattr(whole, name), torch.cat([getattr(draw, name) for draw in alone], 1))
    torch.testing.assert_close(whole.kl, torch.cat([draw.kl for draw in alone]))
    torch.testing.assert_close(model.draw(x, eps, chunk=3).log_px_z, whole.log_px_z)


@pytest.mark.parametrize("option", KINDS)
def test_the_importance_weighted_estimate_does_not_depend_on_how_it_is_cut(option):
    model, x = Model(built(option), DiagonalGaussian(2), BernoulliLogits()), torch.rand(3, 1, 8, 8).round()
    few, many = (importance_weighted(model, x, num_samples=40, rows=rows).bounds[40] for rows in (7, 512))
    torch.testing.assert_close(few, many)


# --- with every loss, bound and precision -----------------------------------------------------------------------------


def part(group: str, option: str):
    values = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"))
    return located(values.pop("_target_"), "x")(**values)


@pytest.mark.parametrize(("option", "loss"), itertools.product(KINDS, OF_GROUP["loss"]))
def test_every_loss_reaches_every_weight(option, loss):
    likelihood = part("loss", loss)
    network = built(option, (3, 8, 6), num_parameters=likelihood.num_parameters)
    model = Model(network, DiagonalGaussian(2), likelihood)
    x = torch.rand(5, 3, 8, 6)
    Elbo()(model.draw(x, torch.randn(1, 5, 2)), 1.0).objective.mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name
    assert likelihood.mean(network.decode(torch.randn(2, 5, 2))).shape == (2, 5, 3, 8, 6)


@pytest.mark.sample(8)
@pytest.mark.parametrize(("option", "bound"), itertools.product(KINDS, OF_GROUP["bound"]))
def test_every_bound_falls_by_training(option, bound):
    cfg = config(f"network={option}", f"bound={bound}", "network.widths=[4,4]", "network.hidden=[8]", "latent=z2")
    module = vae(cfg)
    optimizer = torch.optim.Adam(module.parameters(), lr=3e-2)
    x, objectives = (torch.rand(8, 1, 28, 28) < 0.1).float(), []
    for _ in range(6):
        eps = module.latent.noise(module.bound.num_samples, 8, torch.Generator().manual_seed(0))
        objective, sums = module.objective(x, eps, 1.0)
        optimizer.zero_grad()
        objective.backward()
        optimizer.step()
        assert sums.isfinite().all()
        objectives.append(objective.item())
    assert objectives[-1] < objectives[0] - 10


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_stands_in_a_convolution(activation):
    network = Conv([1, 8, 8], 2, widths=4, hidden=5, activation=activation)
    assert sum(isinstance(layer, ACTIVATIONS[activation]) for layer in [*network.encoder, *network.decoder]) == 4


@pytest.mark.parametrize("option", KINDS)
def test_bfloat16_is_near_float32(option):
    model = Model(built(option), DiagonalGaussian(2), BernoulliLogits())
    x, eps = torch.rand(5, 1, 8, 8), torch.randn(1, 5, 2)
    exact = Elbo()(model.draw(x, eps), 1.0)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = Elbo()(model.draw(x, eps), 1.0)
    assert rounded.bound.dtype == torch.float32
    torch.testing.assert_close(rounded.bound, exact.bound, rtol=0.02, atol=0.1)


# --- in runs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("option", "last"), [("conv", 7), ("resnet", 11)])
def test_a_run_with_every_callback_loads_and_is_explored(train, option, last):
    words = [f"network={option}", "trainer=fast", "trainer.compile_mode=null", "trainer.precision=bf16-mixed",
             "data.protocol=dynamic", "loss=bce_logits", "latent=z2", "save_weights=true", "report=true",
             "+callbacks@callbacks.output_bias=output_bias", f"callbacks.output_bias.bias=network.decoder.{last}.bias",
             "+trainer.limit_train_batches=4", "callbacks.latent_traversal.size=3"]  # fmt: skip
    run = train(*words)
    bias = torch.load(run / "vae_epoch_0001.pt", weights_only=True)[f"network.decoder.{last}.bias"]
    assert 0.1 < float(bias.sigmoid()) < 0.16  # the mean of MNIST's pixels is 0.13, and the run has four steps
    again = VAE.load_from_checkpoint(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert again.network.widths == [4, 4]
    assert again.sample(2, seed=0).isfinite().all()
    assert (run / "curves" / "latent_usage.csv").is_file()
    page = (run / "report.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="explorer-data">(.*?)</script>', page, re.DOTALL)
    assert found
    explored = json.loads(found[1])
    assert explored["why"] is explored["why_encoder"] is None
    kinds = {layer["kind"] for layer in explored["decoder"]["layers"]}
    assert {"linear", "unflatten", "transposed_convolution", "silu"} <= kinds
    assert ("residual" in kinds) == (option == "resnet")


@pytest.mark.slow
@pytest.mark.parametrize("option", KINDS)
def test_a_compiled_run_ends_where_another_does(tmp_path, option):
    elbos = {}
    for name in ("fast", "default"):
        words = [f"network={option}", "network.widths=[8,8]", "network.hidden=[16]", "latent=z2", "epochs=2"]
        words += [f"trainer={name}", "trainer.precision=32-true", f"save_dir={name}", "report=false", *NO_NETWORK]
        done = command("vae_lightning.train", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "not compiled" not in done.stderr
        elbos[name] = json.loads((tmp_path / name / "run_meta.json").read_text())["metrics"]["val/elbo"]
    assert elbos["fast"] == pytest.approx(elbos["default"], abs=0.3)
