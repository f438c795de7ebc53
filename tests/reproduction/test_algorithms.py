"""Wake-sleep, Monte-Carlo EM and full variational Bayes against exact linear-Gaussian models."""

import math

import pytest
import torch
from conftest import NO_NETWORK
from linear import learned, truth_and_images
from torch.distributions import Normal, kl_divergence

from vae_lightning import VAE, equations, evaluate, train
from vae_lightning.bound import Elbo
from vae_lightning.data.mnist import MNISTDataModule
from vae_lightning.errors import ConfigError
from vae_lightning.evaluation import hmc
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


@pytest.mark.parametrize("asked", [0.6, 0.9])
def test_the_step_size_goes_to_the_acceptance_that_is_asked_for(asked, monkeypatch):
    truth, x = truth_and_images(n=100)
    module = MonteCarloEM(acceptance=asked, **parts())
    set_to(module.network, truth)
    accepted, move = [], hmc.move
    monkeypatch.setattr(hmc, "move", lambda *of: accepted.append(move(*of)) or accepted[-1])
    numbers = torch.Generator().manual_seed(0)
    for _ in range(120):
        module.visit(x, numbers)
    rates = [moved.acceptance.mean().item() for moved in accepted]
    assert abs(rates[0] - asked) > 0.05
    assert sum(rates[-40:]) / 40 == pytest.approx(asked, abs=0.03)


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


NO_VALIDATION = "+trainer.limit_val_batches=0"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("paper=mcem", f"leave the validation out with {NO_VALIDATION}"),
        (f"paper=mcem {NO_VALIDATION} data.protocol=dynamic", "choose data.protocol=static"),
        (f"paper=mcem {NO_VALIDATION} +trainer.gradient_clip_val=1.0", "trainer.gradient_clip_val=1.0: the optimizer"),
        (f"paper=mcem {NO_VALIDATION} +trainer.accumulate_grad_batches=2", "trainer.accumulate_grad_batches=2"),
        (f"paper=mcem {NO_VALIDATION} latent=vamp", "paper=mcem: Vamp learns its prior"),
        ("paper=wake_sleep latent=two_layers", "paper=wake_sleep: TwoLayers learns its prior"),
    ],
)
def test_the_command_refuses_what_an_algorithm_cannot_do_before_a_folder_is_made(
    answer, monkeypatch, tmp_path, words, said
):
    monkeypatch.chdir(tmp_path)
    status, _, err = answer(train.main, *words.split(), *NO_NETWORK)
    assert (status, err.count("error: ")) == (2, 1)
    assert said in err
    assert not any(tmp_path.iterdir())


def test_a_run_of_monte_carlo_em_says_what_it_knows(answer, monkeypatch, tmp_path):
    """Its own columns, no word on an encoder that is never trained; the learning rate falls."""
    monkeypatch.chdir(tmp_path)
    words = ["paper=mcem", NO_VALIDATION, "experiment=ppca", "epochs=2", "lr_schedule=cosine", "report=false"]
    status, out, err = answer(train.main, *words, "save_dir=run")
    assert status == 0, err
    assert "log p(x,z)" in out
    assert "- = -(" not in out
    assert "latent units" not in out
    assert not (tmp_path / "run" / "curves" / "latent_usage.csv").exists()
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=False)
    assert (
        saved["lr_schedulers"][0]["last_epoch"]
        == saved["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["completed"]
    )
    assert saved["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.0, abs=1e-4)
    status, out, err = answer(evaluate.main, "run=run", "num_samples=10", "num_images=10", "curve=[1]")
    assert status == 0, err
    assert err == "warning: MonteCarloEM trains no encoder: codes, ELBO and NLL come from random weights\n"


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
    module._of_step, values = numbers, []
    for _ in range(200):
        values.append(5 * -module.objective(x, torch.randn(1, 5, 1, generator=numbers), 1.0)[0].item())
    bound = sum(values) / len(values)
    assert bound < jensen < evidence


def test_theta_has_the_mean_and_the_deviation_of_its_posterior():
    module = FullVB(sigma=0.3, **parts(2))
    module._of_step = torch.Generator().manual_seed(0)
    draws = [module.theta() for _ in range(2000)]
    for (name, mean), log_var in zip(module.means().items(), module.weight_log_var, strict=True):
        drawn = torch.stack([theta[name] for theta in draws])
        assert torch.allclose(log_var, torch.full_like(log_var, 2 * math.log(0.3)))
        assert torch.allclose(drawn.mean(0), mean, atol=0.04)
        assert torch.allclose(drawn.std(0), torch.full_like(mean, 0.3), atol=0.03)


def test_a_network_without_a_decoder_is_refused():
    network = torch.nn.Module()
    network.encode = network.decode = torch.nn.Identity()
    with pytest.raises(ConfigError, match="network Module has no module `decoder`"):
        FullVB(**parts() | {"network": network})


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


def test_the_dreams_are_a_function_of_seed_and_step(monkeypatch):
    """Whatever the global random numbers are: so a run that is resumed dreams what it would have dreamt."""
    _, x = truth_and_images(n=200)
    module, seeds, dreams = WakeSleep(seed=3, **parts()), [], []
    further = module.further
    monkeypatch.setattr(module, "further", lambda: seeds.append(further().initial_seed()) or further())
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        dreams.append(module.sleep(7))
    assert torch.equal(*dreams)
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        learned(module, x, epochs=2)
    first, second = seeds[2 : len(seeds) // 2 + 1], seeds[len(seeds) // 2 + 1 :]
    assert first == second
    assert len(set(first)) == len(first) > 1
