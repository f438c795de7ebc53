"""Wake-sleep, Monte-Carlo EM and full variational Bayes against exact linear-Gaussian models."""

import math

import lightning.pytorch as pl
import pytest
import torch
from conftest import NO_NETWORK
from linear import learned, truth_and_images
from torch.distributions import Normal, kl_divergence

from vae_lightning import VAE, equations, train
from vae_lightning.bound import Elbo
from vae_lightning.data.mnist import MNISTDataModule
from vae_lightning.errors import ConfigError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import UnboundedGaussian
from vae_lightning.network import Linear
from vae_lightning.optimizer import Adam
from vae_lightning.paper import BurdaStages, FullVB, MNISTInOneOrder, MonteCarloEM, WakeSleep
from vae_lightning.paper.mcem import name_of

SHAPE = [1, 4, 4]


def parts(latent_dim: int = 1, lr: float = 0.02) -> dict:
    torch.manual_seed(0)
    latent, loss = DiagonalGaussian(latent_dim), UnboundedGaussian(0.5)
    return {
        "network": Linear(SHAPE, latent_dim),
        "latent": latent,
        "loss": loss,
        "bound": Elbo(),
        "optimizer": Adam(lr),
    }


def set_to(network: Linear, truth) -> None:
    """Gives the decoder the weights of the true model."""
    network.decoder.weight.data.copy_(truth.weight)
    network.decoder.bias.data.copy_(truth.mean)


# --- wake-sleep -----------------------------------------------------------------------------------------------------


def test_wake_sleep_learns_the_model_of_its_data():
    """With one latent unit the posterior is in the family of q(z|x), so wake-sleep ends at the maximum likelihood."""
    truth, x = truth_and_images()
    assert (
        learned(WakeSleep(**parts(lr=0.05)), x, epochs=60, batch=500) > truth.log_px(x.flatten(1)).mean().item() - 0.1
    )


def test_the_wake_phase_trains_the_decoder_alone_and_the_sleep_phase_the_encoder():
    _, x = truth_and_images(n=100)
    module = WakeSleep(**parts())
    draw = module.wake(x, torch.randn(1, len(x), 1))
    draw.recon.sum().backward()
    assert module.network.encoder.weight.grad is None
    assert module.network.decoder.weight.grad.abs().sum() > 0
    module.zero_grad(set_to_none=True)
    module.sleep(50).sum().backward()
    assert module.network.decoder.weight.grad is None
    assert module.network.encoder.weight.grad.abs().sum() > 0


def test_dreams_of_the_true_model_teach_the_exact_posterior():
    """The minimum of the sleep phase over encoders: the mean and the marginal variance of p(z|x)."""
    truth, x = truth_and_images()
    module = WakeSleep(**parts(lr=0.02))
    set_to(module.network, truth)
    optimizer = torch.optim.Adam(module.network.encoder.parameters(), lr=0.02)
    module._of_step = torch.Generator().manual_seed(0)
    for step in range(250):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 250)
        optimizer.zero_grad()
        module.sleep(1000).mean().backward()
        optimizer.step()
    posterior, exact = module.encode(x[:50]), truth.posterior(x[:50].flatten(1))
    assert torch.allclose(posterior.mean.double(), exact.mean, atol=0.1)
    assert torch.allclose(posterior.log_var.double().exp(), exact.variance, rtol=0.2)


def test_evaluation_of_wake_sleep_is_that_of_the_elbo():
    _, x = truth_and_images(n=100)
    module, eps = WakeSleep(**parts()), torch.randn(1, 100, 1)
    plain = VAE(module.network, module.latent, module.loss, Elbo())
    with torch.no_grad():
        ours, other = module.objective(x, eps, 1.0), plain.objective(x, eps, 1.0)
    assert torch.equal(ours[0], other[0])
    assert torch.equal(ours[1], other[1])


# --- Monte-Carlo EM -------------------------------------------------------------------------------------------------


def test_the_chains_of_monte_carlo_em_are_draws_of_the_exact_posterior():
    truth, x = truth_and_images(latent_dim=2, n=2000)
    module = MonteCarloEM(**parts(2))
    set_to(module.network, truth)
    numbers, kept = torch.Generator().manual_seed(0), []
    for visit in range(60):
        z = module.visit(x, numbers)
        kept += [z[0]] if visit >= 40 else []
    kept, exact = torch.stack(kept).double(), truth.posterior(x.flatten(1))
    assert torch.allclose(kept.mean((0, 1)), exact.mean.mean(0), atol=0.03)
    centred = (kept - exact.mean).flatten(0, 1)
    assert torch.allclose(centred.T @ centred / len(centred), exact.covariance_matrix[0], atol=0.05)


def test_monte_carlo_em_learns_the_model_of_its_data():
    truth, x = truth_and_images(n=1000)
    module = MonteCarloEM(**parts(lr=0.05))
    assert learned(module, x, epochs=30, batch=1000) > truth.log_px(x.flatten(1)).mean().item() - 0.1
    assert len(module.chains) == 1000


def test_the_step_size_goes_to_the_acceptance_that_is_asked_for():
    truth, x = truth_and_images(n=100)
    module = MonteCarloEM(acceptance=0.9, **parts())
    set_to(module.network, truth)
    numbers = torch.Generator().manual_seed(0)
    for _ in range(60):
        module.visit(x, numbers)
    steps = [float(module.step_size)]
    for _ in range(10):
        module.visit(x, numbers)
        steps.append(float(module.step_size))
    assert max(steps) / min(steps) < 1.2


def test_the_chains_are_in_the_checkpoint():
    _, x = truth_and_images(n=20)
    module = MonteCarloEM(**parts())
    module.visit(x, torch.Generator().manual_seed(0))
    checkpoint: dict = {}
    module.on_save_checkpoint(checkpoint)
    other = MonteCarloEM(**parts())
    other.on_load_checkpoint(checkpoint)
    assert other.chains.keys() == module.chains.keys()
    assert all(torch.equal(other.chains[name], z) for name, z in module.chains.items())


def test_an_image_is_known_by_its_content():
    x = torch.rand(2, 1, 4, 4)
    assert name_of(x[0]) == name_of(x[0].clone()) != name_of(x[1])
    assert 0 <= name_of(x[0]) < 2**63


def test_monte_carlo_em_refuses_validation():
    with pytest.raises(ConfigError, match="no encoder"):
        MonteCarloEM(**parts()).on_validation_start()


def test_the_command_refuses_validation_before_a_folder_is_made(answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, _, err = answer(train.main, "paper=mcem", *NO_NETWORK)
    assert (status, err.count("error: ")) == (2, 1)
    assert "leave the validation out with +trainer.limit_val_batches=0" in err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: MonteCarloEM(updates=0), "paper.updates=0"),
        (lambda: MonteCarloEM(acceptance=1.5), "paper.acceptance=1.5"),
        (lambda: FullVB(num_data=0), "paper.num_data=0"),
        (lambda: FullVB(sigma=0.0), "paper.sigma=0.0"),
    ],
)
def test_a_number_that_breaks_its_rule_is_named(make, said):
    with pytest.raises(ConfigError, match=said):
        make()


# --- full variational Bayes -----------------------------------------------------------------------------------------


def test_the_kl_of_the_weights_is_that_of_torch():
    module = FullVB(sigma=0.3, **parts(2))
    expected = sum(
        kl_divergence(Normal(mean, torch.tensor(0.3)), Normal(0.0, 1.0)).sum() for mean in module.means().values()
    )
    assert module.weight_kl().item() == pytest.approx(float(expected), rel=1e-5)


def test_the_bound_of_full_vb_is_below_the_exact_evidence_of_a_linear_model():
    """The evidence of N points under p(theta) = N(0, I), estimated by brute force over theta, is above the bound."""
    truth, x = truth_and_images(n=5)
    module = FullVB(num_data=5, sigma=0.2, **parts(lr=0.02))
    set_to(module.network, truth)
    with torch.no_grad():
        w = truth.weight.float() + 0.2 * torch.randn(4000, 16, 1, generator=torch.Generator().manual_seed(0))
        b = truth.mean.float() + 0.2 * torch.randn(4000, 16, generator=torch.Generator().manual_seed(1))
        covariance = w @ w.transpose(1, 2) + 0.5 * torch.eye(16)
        normal = torch.distributions.MultivariateNormal(b, covariance)
        log_px = torch.stack([normal.log_prob(point) for point in x.flatten(1)]).sum(0)
        theta, centre = torch.cat([w.flatten(1), b], 1), torch.cat([truth.weight.flatten(), truth.mean]).float()
        log_w = log_px + Normal(0.0, 1.0).log_prob(theta).sum(1) - Normal(centre, 0.2).log_prob(theta).sum(1)
        evidence = float(log_w.logsumexp(0)) - math.log(len(log_w))
        jensen = float(log_w.mean())  # the bound with the exact posterior of z
    numbers = torch.Generator().manual_seed(2)
    values = []
    for _ in range(200):
        module._draws = numbers
        values.append(5 * -module.objective(x, torch.randn(1, 5, 1, generator=numbers), 1.0)[0].item())
    bound = sum(values) / len(values)
    assert bound < jensen < evidence


def test_narrow_weights_give_the_bound_of_the_vae():
    _, x = truth_and_images(n=50)
    module, eps = FullVB(num_data=50, sigma=1e-6, **parts(2)), torch.randn(1, 50, 2)
    plain = VAE(module.network, module.latent, module.loss, Elbo())
    expected = plain.objective(x, eps, 1.0)[0] + module.weight_kl() / 50
    assert module.objective(x, eps, 1.0)[0].item() == pytest.approx(expected.item(), rel=1e-5)


def test_full_vb_learns_the_model_of_its_data_when_data_are_many():
    truth, x = truth_and_images()
    module = FullVB(num_data=len(x), **parts(lr=0.05))
    assert learned(module, x, epochs=80, batch=500) > truth.log_px(x.flatten(1)).mean().item() - 0.1


def test_weights_that_data_say_nothing_of_keep_their_prior():
    """A decoder weight behind a unit that is always switched off: its posterior is N(0, 1)."""
    module = FullVB(num_data=1, sigma=0.5, **parts())
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        module.weight_kl().backward()
        optimizer.step()
    assert all(mean.abs().max() < 0.05 for mean in module.means().values())
    assert all(log_var.abs().max() < 0.05 for log_var in module.weight_log_var)


# --- the learning rate of Burda et al. ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passes", "stage"), [(0, 0), (0.9, 0), (1, 1), (3.9, 1), (4, 2), (1092, 6), (1093, 7), (3280, 7)]
)
def test_the_stages_of_burda(passes, stage):
    assert BurdaStages()(passes / 3280) == pytest.approx(10 ** (-stage / 7))


def test_the_minibatches_of_one_order_are_the_same_in_every_epoch(tmp_path):
    """Also in the epoch that a resumed run goes on with; those of MNIST itself are not."""
    data = MNISTInOneOrder(dir=tmp_path, mirrors=[], val_size=400, seed=3)
    data.setup("fit")
    first, later, rest = (list(data.order(*of)) for of in [(0,), (7,), (7, 40)])
    assert sorted(first) == list(range(4600))
    assert first == later
    assert rest == first[40:]
    assert list(MNISTDataModule.order(data, 7)) != first


def test_kl_of_appendix_b_is_used_for_weights(monkeypatch):
    module = FullVB(**parts())
    whole, function = module.weight_kl().item(), equations.kl_standard_normal
    monkeypatch.setattr(equations, "kl_standard_normal", lambda *arguments: 2 * function(*arguments))
    assert module.weight_kl().item() == pytest.approx(2 * whole)


def test_a_killed_wake_sleep_step_draws_the_same_dreams():
    """The dreams are a function of (seed, step), so two modules of one seed take the same steps."""
    _, x = truth_and_images(n=200)
    weights = []
    for _ in range(2):
        pl.seed_everything(0, verbose=False)
        module = WakeSleep(seed=3, **parts())
        learned(module, x, epochs=2)
        weights.append(torch.cat([weight.detach().flatten() for weight in module.parameters()]))
    assert torch.equal(*weights)
