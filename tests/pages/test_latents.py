"""The explorer of a model whose prior is a mixture, or whose posterior is a flow."""

import base64

import numpy as np
import pytest
import torch

from vae_lightning.latent import DiagonalGaussian, Iaf, TwoLayers, Vamp
from vae_lightning.loss import BernoulliLogits
from vae_lightning.model import Model
from vae_lightning.network import MLP
from vae_lightning.pages.explorer.explorer import Images, all_finite, explorer


def about(latent) -> tuple[Model, dict]:
    torch.manual_seed(0)
    model = Model(MLP([1, 16, 16], 3, hidden=[8]), latent, BernoulliLogits())
    images = Images(torch.rand(40, 1, 16, 16), None, [], {"binary": False, "box": 16, "centred": False})
    return model, explorer(model, images, None, [1, 16, 16])


def numbers(packed: str, columns: int) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(packed), "<f2").astype("f4")).view(-1, columns)


def test_the_page_has_the_components_of_a_mixture():
    model, found = about(Vamp([1, 16, 16], 3, components=5))
    assert found["prior"]["components"] == 5
    torch.testing.assert_close(numbers(found["prior"]["mean"], 3), model.prior.mean, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(numbers(found["prior"]["log_var"], 3), model.prior.log_var, atol=1e-3, rtol=1e-3)
    assert found["encoder"]
    assert found["closed_kl"] is False


def test_sliders_reach_as_far_as_the_prior():
    latent = Vamp([1, 16, 16], 3, components=5)
    latent.pseudo_inputs.data *= 200
    model, found = about(latent)
    assert found["limit"] > float(model.prior.mean.abs().max())
    assert about(DiagonalGaussian(3))[1]["limit"] == 4.0


def test_a_prior_without_a_density_is_drawn_from_and_no_density_is_shown():
    """Moments of the mixture on the page and of draws of p(z)."""
    latent = TwoLayers(3, 2, hidden=[4])
    torch.nn.init.normal_(latent.downwards[-1].bias, std=2.0)
    model, found = about(latent)
    shown, z = found["prior"], model.prior.draw(1, 20_000, torch.Generator().manual_seed(0)).squeeze(0)
    assert (shown["components"], shown["exact"]) == (500, False)
    mean, log_var = (numbers(shown[name], 3) for name in ("mean", "log_var"))
    torch.testing.assert_close(mean.mean(0), z.mean(0), atol=0.25, rtol=0.05)
    spread = (log_var.exp().mean(0) + mean.var(0)).sqrt()
    torch.testing.assert_close(spread, z.std(0), atol=0.05, rtol=0.1)
    assert about(Vamp([1, 16, 16], 3, components=5))[1]["prior"]["exact"] is True


def test_nothing_is_drawn_where_the_posterior_is_a_flow():
    _, found = about(Iaf(3, 2, 8))
    assert found["why_encoder"] == {"key": "why_flow", "values": {}}
    assert found["encoder"] is None
    assert found["decoder"]
    assert found["prior"] is None
    assert about(DiagonalGaussian(3))[1]["closed_kl"] is True


@pytest.mark.parametrize("latent", [Vamp([1, 16, 16], 3, components=5), Iaf(3, 2, 8)], ids=["vamp", "iaf"])
def test_weights_of_the_latent_that_are_not_finite_are_seen(latent):
    model, _ = about(latent)
    assert all_finite(model)
    next(latent.parameters()).data.view(-1)[0] = torch.nan
    assert not all_finite(model)
