"""Latent spaces beside the paper's: against closed forms, torch.distributions, and the Jacobian of autograd."""

import math

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from test_bound import ALL
from test_module import loader, trainer
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal, kl_divergence
from torch.utils.data import DataLoader, IterableDataset

from vae_lightning import VAE
from vae_lightning.bound import ElboA, FreeBits, Iwae, IwaeDreg, IwaeStl
from vae_lightning.callbacks import EpochWeights
from vae_lightning.errors import ConfigError
from vae_lightning.evaluation import annealed, importance, latent_space
from vae_lightning.latent import DiagonalGaussian, Iaf, Vamp
from vae_lightning.latent.vamp import Mixture
from vae_lightning.loss import BernoulliLogits, UnboundedGaussian
from vae_lightning.model import Model
from vae_lightning.network import MLP, Linear
from vae_lightning.optimizer import Adam
from vae_lightning.parts import describe, rebuild

B, J = 6, 3


def stirred(latent: Iaf, scale: float = 0.4) -> Iaf:
    """A flow far from the identity."""
    torch.manual_seed(3)
    for weight in latent.parameters():
        weight.data.normal_(0, scale)
    return latent


def mixture(components: int = 4, dims: int = J) -> Mixture:
    torch.manual_seed(1)
    return Mixture(2 * torch.randn(components, dims), torch.randn(components, dims))


def by_torch(prior: Mixture) -> MixtureSameFamily:
    each = Independent(Normal(prior.mean, (0.5 * prior.log_var).exp()), 1)
    return MixtureSameFamily(Categorical(torch.ones(len(prior.mean))), each)


@pytest.fixture
def x() -> Tensor:
    return torch.rand(B, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def with_standard_prior() -> Model:
    """One pseudo-input whose posterior is N(0, I): the image 0 of an encoder without a constant."""
    torch.manual_seed(0)
    network, latent = Linear([1, 4, 4], J), Vamp([1, 4, 4], J, components=1)
    network.encoder.bias.data.zero_()
    latent.pseudo_inputs.data.zero_()
    return Model(network, latent, BernoulliLogits())


def with_identity_flow() -> Model:
    torch.manual_seed(0)
    return Model(Linear([1, 4, 4], J), Iaf(J, steps=3, hidden=8), BernoulliLogits())


SAME = {"vamp": with_standard_prior, "iaf": with_identity_flow}


# --- today's numbers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("latent", SAME)
def test_a_standard_prior_and_a_flow_that_is_the_identity_give_todays_numbers(latent, kind, x):
    model, bound = SAME[latent](), kind()
    plain = Model(model.network, DiagonalGaussian(J), model.loss)
    eps = torch.randn(bound.num_samples, B, J, generator=torch.Generator().manual_seed(2))
    if latent == "vamp" and kind is FreeBits:
        with pytest.raises(ConfigError, match=r"latent=vamp: .*no share of each latent unit.*bound=elbo"):
            bound(model.draw(x, eps), 1.0)
        return
    terms, draw = bound(model.draw(x, eps, bound.chunk), 1.0), plain.draw(x, eps)
    sampled = ElboA(bound.num_samples)(draw, 1.0)  # the KL from the same samples
    closed = "iwae" not in bound.name
    torch.testing.assert_close(terms.recon, sampled.recon)
    torch.testing.assert_close(terms.kl, sampled.kl, rtol=1e-4, atol=1e-4)
    expected = sampled.bound if closed else bound(draw, 1.0).bound
    torch.testing.assert_close(terms.bound, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("latent", SAME)
def test_the_sampled_kl_converges_to_the_closed_form(latent, x):
    model = SAME[latent]()
    draw = model.draw(x, torch.randn(40_000, B, J, generator=torch.Generator().manual_seed(2)), chunk=5000)
    exact = Model(model.network, DiagonalGaussian(J), model.loss).posterior(x).kl().sum(1)
    error = (draw.log_qz_x - draw.log_pz).std(0) / math.sqrt(40_000)
    assert ((draw.kl - exact).abs() < 4 * error).all()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("latent", [Vamp([1, 4, 4], J, 5), stirred(Iaf(J, 2, 8))], ids=["vamp", "iaf"])
def test_every_bound_trains_every_weight(kind, latent, x):
    if isinstance(latent, Vamp) and kind is FreeBits:
        return
    torch.manual_seed(0)
    model, bound = Model(MLP([1, 4, 4], J, hidden=8), latent, BernoulliLogits()), kind()
    eps = torch.randn(bound.num_samples, B, J)
    weights = [*model.network.parameters(), *latent.parameters()]
    terms = bound(model.draw(x, eps, 2), 0.5)
    gradients = torch.autograd.grad(terms.objective.mean(), weights)
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients)
    again = bound(model.draw(x, eps), 4.0)
    assert torch.equal(again.kl, terms.kl)
    torch.testing.assert_close(again.bound, terms.bound)
    if bound.key == "elbo":
        torch.testing.assert_close(terms.bound, -(terms.recon + terms.kl))
    else:
        assert (terms.bound >= -(terms.recon + terms.kl) - 1e-4).all()


# --- vamp ------------------------------------------------------------------------------------------------------------


def test_the_density_of_the_prior_is_that_of_torchs_mixture():
    prior = mixture()
    z = 3 * torch.randn(5, B, J)
    torch.testing.assert_close(prior.log_pz(z), by_torch(prior).log_prob(z), rtol=1e-5, atol=1e-5)


def test_narrow_components_far_from_zero_lose_no_digits():
    """In float32 the square that is multiplied out is wrong by tenths of nats here."""
    prior = Mixture(30 + torch.randn(4, 20), torch.full((4, 20), -8.0))
    z = prior.draw(50, 1, torch.Generator().manual_seed(0))
    torch.testing.assert_close(prior.log_pz(z), by_torch(prior).log_prob(z), rtol=1e-5, atol=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(prior.log_pz(z), by_torch(prior).log_prob(z), rtol=1e-5, atol=1e-3)


def test_draws_of_the_prior_are_draws_of_the_mixture():
    prior = mixture()
    z = prior.draw(50_000, 1, torch.Generator().manual_seed(0)).squeeze(1)
    expected = by_torch(prior)
    torch.testing.assert_close(z.mean(0), expected.mean, atol=0.06, rtol=0)
    torch.testing.assert_close(z.var(0), expected.variance, atol=0.2, rtol=0)
    centre, variance = prior.moments
    torch.testing.assert_close(centre, expected.mean)
    torch.testing.assert_close(variance, expected.variance)
    entropy = (
        -expected.log_prob(z).mean(),
        -expected.log_prob(expected.sample((50_000,))).mean(),
    )  # not only its moments
    assert entropy[0].item() == pytest.approx(entropy[1].item(), abs=0.05)


def test_the_prior_follows_the_encoder_and_the_pseudo_inputs():
    model = Model(MLP([1, 4, 4], J, hidden=8), Vamp([1, 4, 4], J, 5), BernoulliLogits())
    mean, log_var = model.network.encode(model.latent.pseudo_inputs).chunk(2, 1)
    assert torch.equal(model.prior.mean, mean)
    assert torch.equal(model.prior.log_var, log_var)
    model.latent.pseudo_inputs.data += 1
    assert not torch.equal(model.prior.mean, mean)


def test_the_kl_of_a_unit_is_that_to_a_gaussian_like_the_priors(x):
    model = with_standard_prior()
    plain = Model(model.network, DiagonalGaussian(J), model.loss)
    torch.testing.assert_close(model.posterior(x).kl(), plain.posterior(x).kl())
    q, prior = Normal(torch.randn(B, J), torch.rand(B, J) + 0.1), mixture()
    like = Normal(by_torch(prior).mean, by_torch(prior).stddev)
    torch.testing.assert_close(prior.unit_kl(q.mean, 2 * q.stddev.log()), kl_divergence(q, like))


def linear_gaussian() -> tuple[Model, Tensor, MultivariateNormal]:
    """z ~ a mixture, x|z ~ N(W z + b, 0.3 I): p(x) is a mixture of Gaussians, exactly."""
    torch.manual_seed(0)
    network, loss = Linear([1, 2, 2], 2), UnboundedGaussian(0.3)
    model = Model(network, Vamp([1, 2, 2], 2, components=3), loss)
    model.latent.pseudo_inputs.data.normal_(0, 0.5)
    weight, inverse = network.decoder.weight, torch.linalg.pinv(network.decoder.weight)
    network.encoder.weight.data = torch.cat([inverse, torch.zeros(2, 4)])
    network.encoder.bias.data = torch.cat([-inverse @ network.decoder.bias, torch.ones(2)])
    prior = model.prior
    covariance = weight @ torch.diag_embed(prior.log_var.exp()) @ weight.T + 0.3 * torch.eye(4)
    each = MultivariateNormal(prior.mean @ weight.T + network.decoder.bias, covariance)
    exact = MixtureSameFamily(Categorical(torch.ones(3)), each)
    return model, exact.sample((8,)).view(8, 1, 2, 2).detach(), exact


def test_estimates_of_log_px_are_right_under_a_learned_prior():
    model, x, exact = linear_gaussian()
    log_px = exact.log_prob(x.flatten(1)).detach()
    weighted = importance.importance_weighted(model, x, 20_000)
    torch.testing.assert_close(weighted.bounds[20_000], log_px, atol=0.1, rtol=0)
    torch.testing.assert_close(annealed.ais_log_px(model, x, 64, 100, 5), log_px, atol=0.25, rtol=0)


def test_the_kl_taken_apart_adds_up_under_a_learned_prior():
    model, x, _ = linear_gaussian()
    posterior, prior = latent_space.posterior_of(model, x), model.prior
    parts = latent_space.surgery(posterior, prior=prior)
    z_kl = importance.importance_weighted(model, x, 20_000).kl
    assert float((parts.information + parts.marginal_kl).mean()) == pytest.approx(float(z_kl.mean()), abs=2.0)
    many = [latent_space.surgery(posterior, seed, prior=prior) for seed in range(200)]
    mean = torch.stack([part.information + part.marginal_kl for part in many]).mean()
    assert float(mean) == pytest.approx(float(z_kl.mean()), abs=0.15)


# --- the first pseudo-inputs -----------------------------------------------------------------------------------------


def images(n: int = 10) -> Tensor:
    return torch.cat([batch[0] for batch in loader(n)])


@pytest.mark.parametrize("components", [3, 7, 25])
def test_pseudo_inputs_begin_as_the_first_training_images(tmp_path, components):
    module = VAE(MLP([1, 4, 4], 2, hidden=8), Vamp([1, 4, 4], 2, components), optimizer=Adam(0.0))
    trainer(tmp_path, callbacks=[EpochWeights(dirpath=tmp_path)]).fit(module, loader(), loader())
    expected = images()[torch.arange(components) % 10]
    apart = module.latent.pseudo_inputs.detach() - expected
    assert 0.008 < float(apart.std()) < 0.012
    assert float(apart.abs().max()) < 0.05
    first = torch.load(tmp_path / "vae_epoch_0000.pt", weights_only=True)  # written before the first step
    assert torch.equal(first["latent.pseudo_inputs"], module.latent.pseudo_inputs)


def test_reading_the_first_images_changes_nothing_else(tmp_path):
    weights = []
    for reads in (False, True):
        torch.manual_seed(0)
        module = VAE(MLP([1, 4, 4], 2, hidden=8), Vamp([1, 4, 4], 2, 5), optimizer=Adam(0.01))
        module.latent.begin = (lambda images: images(5)) if reads else (lambda images: None)  # what is read is not used
        generator = torch.Generator().manual_seed(4)
        shuffled = DataLoader(loader().dataset, batch_size=4, shuffle=True, generator=generator)
        trainer(tmp_path, max_epochs=2).fit(module, shuffled)
        weights.append(torch.cat([weight.detach().flatten() for weight in module.parameters()]))
    assert torch.equal(*weights)


def test_loaded_weights_keep_their_pseudo_inputs(tmp_path):
    module = VAE(MLP([1, 4, 4], 2, hidden=8), Vamp([1, 4, 4], 2, 5), optimizer=Adam(0.0))
    fit = trainer(tmp_path)
    fit.fit(module, loader())
    module.latent.pseudo_inputs.data += 5
    fit.save_checkpoint(tmp_path / "a.ckpt")
    again = VAE.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    assert bool(again.latent.begun)
    trainer(tmp_path).fit(again, loader())
    assert torch.equal(again.latent.pseudo_inputs, module.latent.pseudo_inputs)


def test_a_stream_leaves_them_as_they_are(tmp_path, capsys):
    class Once(IterableDataset):
        def __init__(self):
            self.left = iter(images())

        def __iter__(self):
            return self.left

    module = VAE(MLP([1, 4, 4], 2, hidden=8), Vamp([1, 4, 4], 2, 5), optimizer=Adam(0.0))
    before = module.latent.pseudo_inputs.detach().clone()
    trainer(tmp_path, max_steps=2).fit(module, DataLoader(Once(), batch_size=4))
    assert torch.equal(module.latent.pseudo_inputs, before)
    assert "no training images to begin with: the data can be read only once" in capsys.readouterr().err


# --- iaf -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dims", "steps"), [(1, 2), (2, 1), (3, 4), (5, 3)])
def test_the_density_of_a_flow_is_that_of_autograds_jacobian(dims, steps):
    posterior = stirred(Iaf(dims, steps, hidden=9)).posterior(torch.randn(2, 2 * dims))
    eps = torch.randn(1, 2, dims)
    log_q = posterior.log_qz_x(posterior.rsample(eps))
    jacobian = torch.autograd.functional.jacobian(lambda one: posterior.rsample(one), eps)
    for i in range(2):
        log_det = torch.linalg.slogdet(jacobian[0, i, :, 0, i])[1]
        expected = Normal(0.0, 1.0).log_prob(eps[0, i]).sum() - log_det
        torch.testing.assert_close(log_q[0, i], expected, rtol=1e-4, atol=1e-4)
    assert not jacobian[0, 0, :, 0, 1].any()  # datapoints do not touch


def test_each_step_is_autoregressive_in_its_order():
    latent = stirred(Iaf(4, steps=2, hidden=16))
    for step, reverse in zip(latent.flow, (False, True), strict=True):
        z = torch.randn(1, 1, 4)
        jacobian = torch.autograd.functional.jacobian(lambda z, step=step: step(z, torch.ones(1, 8))[0], z)[
            0, 0, :, 0, 0
        ]
        before = torch.ones(4, 4).tril(-1)
        assert not (jacobian * (1 - (before.T if reverse else before))).any()
        assert (jacobian[(before.T if reverse else before) > 0] != 0).all()


def test_the_inverse_of_a_flow_finds_the_density_of_any_z():
    posterior = stirred(Iaf(J, 3, 8)).posterior(torch.randn(B, 2 * J))
    z = posterior.rsample(torch.randn(5, B, J))
    torch.testing.assert_close(posterior.log_qz_x(z.clone()), posterior.log_qz_x(z), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(posterior.detach().log_qz_x(z), posterior.log_qz_x(z), rtol=1e-4, atol=1e-4)


def test_a_flow_integrates_to_one():
    posterior = stirred(Iaf(2, 2, 8), 0.25).posterior(torch.tensor([[0.3, -0.5, -0.2, 0.1]]))
    side = torch.linspace(-14, 14, 700)
    z = torch.cartesian_prod(side, side).view(-1, 1, 2)
    total = posterior.log_qz_x(z).exp().sum() * (side[1] - side[0]) ** 2
    assert float(total) == pytest.approx(1, abs=0.01)


def test_moments_and_kl_of_the_identity_are_exact(x):
    model = with_identity_flow()
    posterior, plain = model.posterior(x), Model(model.network, DiagonalGaussian(J), model.loss).posterior(x)
    torch.testing.assert_close(posterior.mean, plain.mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(posterior.log_var, plain.log_var, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(posterior.kl(), plain.kl(), rtol=1e-4, atol=1e-5)


def test_moments_of_a_flow_are_those_of_its_draws():
    posterior = stirred(Iaf(J, 2, 8), 0.2).posterior(torch.randn(B, 2 * J))
    z = posterior.rsample(torch.randn(20_000, B, J))
    spread = z.std(0)
    assert ((posterior.mean - z.mean(0)).abs() < 0.35 * spread).all()
    assert ((posterior.log_var - z.var(0).log()).abs() < 0.7).all()
    assert torch.equal(posterior.mean, posterior.mean)


@pytest.mark.parametrize("kind", [IwaeStl, IwaeDreg])
def test_gradients_of_a_flow_agree_in_expectation(kind):
    """The decoder's p(x|z) is N(x; z, 1). Both estimators are unbiased for one sample."""
    n = 20_000

    def gradients(bound) -> tuple[Tensor, Tensor]:
        latent = stirred(Iaf(2, 2, 4), 0.3)
        params = torch.tensor([[0.3, -0.2, 0.1, -0.4]]).repeat(n, 1).requires_grad_()
        weight = latent.flow[0].outer_context.weight
        network = type(
            "Stub", (), {"encode": lambda _, x: params, "decode": lambda _, z: z.view(*z.shape[:-1], 1, 1, 1, 2)}
        )()
        model = Model(network, latent, UnboundedGaussian(1.0))
        eps = torch.randn(1, n, 2, generator=torch.Generator().manual_seed(5))
        terms = bound(1)(model.draw(torch.full((n, 1, 1, 2), 0.7), eps), 1.0)
        by_params, by_weight = torch.autograd.grad(terms.objective.sum(), [params, weight])
        return torch.cat([by_params.mean(0), by_weight.flatten() / n]), by_params.std(0) / math.sqrt(n)

    (plain, error), (other, _) = gradients(Iwae), gradients(kind)
    assert ((plain - other)[:4].abs() < 5 * error).all()
    torch.testing.assert_close(plain[4:], other[4:], atol=0.02, rtol=0)


def test_free_bits_of_a_flow_without_bits_are_the_elbo(x):
    model = Model(MLP([1, 4, 4], J, hidden=8), stirred(Iaf(J, 2, 8), 0.1), BernoulliLogits())
    draw = model.draw(x, torch.randn(200, B, J))
    torch.testing.assert_close(draw.unit_kl.sum(1), draw.kl)
    assert float(FreeBits(200, nats=50.0)(draw, 1.0).objective.mean()) == pytest.approx(
        float(draw.recon.mean()) + 50 * J, rel=1e-5
    )


def test_what_a_flow_has_no_number_for_is_left_out(x):
    codes = latent_space.posterior_of(Model(MLP([1, 4, 4], J, hidden=8), Iaf(J, 2, 8), BernoulliLogits()), x)
    assert not codes.is_gaussian
    assert codes.kl().shape == codes.mean.shape == (B, J)


# --- in a module -----------------------------------------------------------------------------------------------------

LATENTS = [Vamp([1, 4, 4], 2, 5), Iaf(2, 2, 8)]


@pytest.mark.parametrize("latent", LATENTS, ids=["vamp", "iaf"])
def test_a_description_rebuilds_the_latent(latent):
    again = rebuild(describe(latent), "latent")
    assert type(again) is type(latent)
    assert describe(again) == describe(latent)
    assert again.num_parameters == 4


@pytest.mark.parametrize("more", [{}, {"precision": "bf16-mixed"}, {"precision": "64-true"}], ids=["32", "bf16", "64"])
@pytest.mark.parametrize("latent", [0, 1], ids=["vamp", "iaf"])
def test_a_checkpoint_holds_the_latents_weights(tmp_path, latent, more):
    torch.manual_seed(0)
    latent = rebuild(describe(LATENTS[latent]), "latent")
    module = VAE(MLP([1, 4, 4], 2, hidden=8), latent, BernoulliLogits(), optimizer=Adam(0.01))
    fit = trainer(tmp_path, **more)
    fit.fit(module, loader(), loader())
    assert fit.callback_metrics["val/elbo"].isfinite()
    fit.save_checkpoint(tmp_path / "a.ckpt")
    again = VAE.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    again = again.to(module.dtype)
    if more.get("precision") != "64-true":  # else the file has more digits than the module that it was loaded into
        x = torch.rand(5, 1, 4, 4)
        assert torch.equal(again.reconstruct(x), module.reconstruct(x))
        assert torch.equal(again.sample(3, seed=1), module.sample(3, seed=1))
        assert all(
            torch.equal(a, b) for a, b in zip(again.state_dict().values(), module.state_dict().values(), strict=True)
        )


@pytest.mark.parametrize("latent", [0, 1], ids=["vamp", "iaf"])
def test_a_resumed_run_is_the_same_run_also_with_averaged_weights(tmp_path, latent):
    def fit(epochs: int, start: str | None = None) -> dict[str, Tensor]:
        torch.manual_seed(0)
        module = VAE(MLP([1, 4, 4], 2, hidden=8), rebuild(describe(LATENTS[latent]), "latent"), optimizer=Adam(0.01))
        kept = ModelCheckpoint(tmp_path, "kept", save_on_train_epoch_end=True, enable_version_counter=False)
        averaged = EMAWeightAveraging(decay=0.9)
        made = trainer(tmp_path, max_epochs=epochs, callbacks=[averaged, kept], enable_checkpointing=True)
        made.fit(module, loader(), loader(), ckpt_path=start, weights_only=True)
        return module.state_dict()

    whole = fit(2)
    fit(1)
    again = fit(2, str(tmp_path / "kept.ckpt"))
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Vamp, "dim"), (Vamp, "components"), (Iaf, "dim"), (Iaf, "steps"), (Iaf, "hidden")],
)
def test_numbers_of_a_latent_must_be_counts(kind, name):
    more = {"image_shape": [1, 4, 4]} if kind is Vamp else {}
    with pytest.raises(ConfigError, match=f"latent.{name}=0: must be"):
        kind(**more, **{name: 0})


def test_what_vamp_cannot_answer_alone_is_said():
    latent = Vamp([1, 4, 4], 2, 5)
    with pytest.raises(ConfigError, match="log p\\(z\\) needs the encoder"):
        latent.log_pz(torch.zeros(1, 1, 2))
    with pytest.raises(ConfigError, match="the KL needs the prior"):
        latent.posterior(torch.zeros(1, 4)).kl()


@pytest.mark.parametrize("latent", LATENTS, ids=["vamp", "iaf"])
def test_torch_can_follow_the_encoder(latent):
    """`export` asks for the graph of an encoder."""
    from vae_lightning.formats.common import Encoder, program

    encoder = Encoder(VAE(MLP([1, 4, 4], 2, hidden=8), latent)).eval()
    graph = program("encoder", encoder, "x", torch.rand(3, 1, 4, 4)).module()
    x = torch.rand(5, 1, 4, 4)
    for ours, theirs in zip(encoder(x), graph(x), strict=True):
        torch.testing.assert_close(ours, theirs)
