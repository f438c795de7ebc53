"""The LightningModule: its objective, its metrics, its use after training."""

import csv
import json
from dataclasses import dataclass
from functools import partial

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from vae_lightning import VAE
from vae_lightning.bound import Bound, Capacity, Elbo, FreeBits, Iwae, Terms
from vae_lightning.callbacks import CurveLog, ReconstructionGrid
from vae_lightning.errors import ConfigError, DataError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import Bernoulli, BernoulliLogits, FixedGaussian, Likelihood, SquaredError
from vae_lightning.model import Model
from vae_lightning.module import REDUCE
from vae_lightning.network import MLP
from vae_lightning.optimizer import Adam


def small(loss=None, **options) -> VAE:
    torch.manual_seed(0)
    return VAE(MLP([1, 4, 4], 2, hidden=8), DiagonalGaussian(2), loss or Bernoulli(), Elbo(), **options)


def parts(module: VAE) -> Model:
    return Model(module.network, module.latent, module.loss)


def loader(n: int = 10, batch_size: int = 4, scale: float = 1.0) -> DataLoader:
    images = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * scale
    return DataLoader(TensorDataset(images, torch.zeros(n)), batch_size=batch_size)


def trainer(tmp_path, **options) -> pl.Trainer:
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    defaults = {"max_epochs": 1, "accelerator": "cpu", "default_root_dir": tmp_path, "num_sanity_val_steps": 0}
    return pl.Trainer(**{**defaults, **quiet, **options})


def test_the_step_minimises_recon_plus_beta_kl(tmp_path):
    losses = {}
    for beta in (0.0, 1.0, 4.0):
        module = small(beta=beta, optimizer=Adam(0.0))
        fit = trainer(tmp_path)
        fit.fit(module, loader())
        metrics = fit.callback_metrics
        assert metrics["train/loss"].item() == pytest.approx(
            (metrics["train/recon"] + beta * metrics["train/kl"]).item()
        )
        assert metrics["train/elbo"].item() == pytest.approx(-(metrics["train/recon"] + metrics["train/kl"]).item())
        losses[beta] = metrics["train/loss"].item()
    assert losses[0.0] < losses[1.0] < losses[4.0]


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10])
def test_epoch_values_are_sums_over_observations_whatever_the_batches(tmp_path, batch_size, monkeypatch):
    module = small(optimizer=Adam(0.0))
    monkeypatch.setattr(DiagonalGaussian, "noise", lambda latent, samples, batch, _: torch.zeros(samples, batch, 2))
    fit = trainer(tmp_path)
    fit.validate(module, loader(batch_size=batch_size), verbose=False)
    whole = next(iter(loader(batch_size=10)))[0]
    terms = module.bound(parts(module).draw(whole, torch.zeros(1, 10, 2)), 1.0)
    assert fit.callback_metrics["val/recon"].item() == pytest.approx(terms.recon.mean().item(), rel=1e-5)
    assert fit.callback_metrics["val/elbo"].item() == pytest.approx(terms.bound.mean().item(), rel=1e-5)


def test_sum_adds_up_what_mean_averages_and_logs_the_same(tmp_path):
    batch = next(iter(loader()))
    logged = {}
    gradients = {}
    for reduction in ("mean", "sum"):
        module = small(reduction=reduction, optimizer=Adam(0.0))
        fit = trainer(tmp_path)
        fit.fit(module, loader())
        logged[reduction] = fit.callback_metrics["train/loss"].item()
        terms = module.bound(parts(module).draw(batch[0], torch.zeros(1, 4, 2)), 1.0)
        gradients[reduction] = REDUCE[reduction](terms.recon).item()
    assert logged["mean"] == pytest.approx(logged["sum"])
    assert gradients["sum"] == pytest.approx(4 * gradients["mean"])


def test_bce_and_bce_logits_take_the_same_step(tmp_path):
    weights = []
    for loss in (Bernoulli(), BernoulliLogits()):
        module = small(loss, optimizer=Adam(0.01))
        trainer(tmp_path, max_epochs=5).fit(module, loader())
        weights.append(torch.cat([p.detach().flatten() for p in module.parameters()]))
    torch.testing.assert_close(weights[0], weights[1], atol=1e-4, rtol=0)


def test_training_improves_the_bound(tmp_path):
    module = small(optimizer=Adam(0.01))
    fit = trainer(tmp_path, max_epochs=60)
    fit.validate(module, loader(), verbose=False)
    before = fit.callback_metrics["val/elbo"].item()
    fit.fit(module, loader())
    fit.validate(module, loader(), verbose=False)
    assert fit.callback_metrics["val/elbo"].item() > before + 0.1


def test_noise_depends_on_seed_and_step_not_on_what_ran_before(tmp_path):
    def weights(disturb: bool, seed: int = 1) -> torch.Tensor:
        module = small(optimizer=Adam(0.01), seed=seed)
        fit = trainer(tmp_path, max_epochs=3)
        fit.fit(module, loader(), loader() if disturb else None)
        return torch.cat([p.detach().flatten() for p in module.parameters()])

    assert torch.equal(weights(disturb=False), weights(disturb=True))
    assert not torch.equal(weights(disturb=False), weights(disturb=False, seed=2))


def test_accumulated_batches_have_noise_of_their_own(tmp_path, monkeypatch):
    drawn = []
    draw = DiagonalGaussian.noise
    monkeypatch.setattr(DiagonalGaussian, "noise", lambda *arguments: drawn.append(draw(*arguments)) or drawn[-1])
    trainer(tmp_path, accumulate_grad_batches=2, max_epochs=2).fit(small(), loader(n=8))
    assert len({tuple(eps.flatten().tolist()) for eps in drawn}) == 4


def test_an_epoch_cut_short_by_max_steps_is_still_measured(tmp_path):
    fit = trainer(tmp_path, max_steps=2, max_epochs=None)
    fit.fit(small(), loader())
    assert "train/elbo" in fit.callback_metrics


def test_a_cut_epoch_is_in_the_log_with_its_own_numbers(tmp_path):
    trainer(tmp_path, max_steps=5, max_epochs=None, callbacks=[CurveLog()]).fit(
        small(optimizer=Adam(0.01)), loader(), loader()
    )
    with (tmp_path / "curves" / "train_log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["elbo"] for row in rows}) == 2
    assert [bool(row["val_elbo"]) for row in rows] == [True, False]


@pytest.mark.parametrize("loss", [Bernoulli(), BernoulliLogits()])
def test_data_outside_the_unit_interval_is_refused_on_the_first_batch(tmp_path, loss):
    with pytest.raises(DataError, match=r"ranges over \[.*, 2\.\d+\].*divide by 255"):
        trainer(tmp_path).fit(small(loss), loader(scale=3.0))


def test_squared_error_takes_any_range(tmp_path):
    trainer(tmp_path).fit(small(SquaredError()), loader(scale=3.0))


def test_what_a_trained_module_can_do():
    module = small().eval()
    x = torch.rand(5, 1, 4, 4)
    assert module(x).shape == module.reconstruct(x).shape == (5, 1, 4, 4)
    assert module.encode(x).mean.shape == (5, 2)
    assert module.decode(torch.zeros(7, 2)).shape == (7, 1, 4, 4)
    assert module.sample(3).shape == (3, 1, 4, 4)
    assert torch.equal(module.sample(3, seed=1), module.sample(3, seed=1))
    assert not torch.equal(module.sample(3, seed=1), module.sample(3, seed=2))
    torch.testing.assert_close(module(x), module.decode(module.encode(x).mean))


@pytest.mark.parametrize("loss", [Bernoulli(), BernoulliLogits(), SquaredError()])
def test_a_checkpoint_holds_plain_values_and_loads_with_weights_only(tmp_path, loss):
    module = small(loss, optimizer=Adam(0.01), beta=2.0)
    fit = trainer(tmp_path)
    fit.fit(module, loader())
    fit.save_checkpoint(tmp_path / "a.ckpt")
    again = VAE.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    x = torch.rand(5, 1, 4, 4)
    assert torch.equal(again.reconstruct(x), module.reconstruct(x))
    assert again.loss == module.loss
    assert (again.optimizer.lr, again.beta) == (0.01, 2.0)
    assert json.loads(json.dumps(dict(module.hparams))) == dict(module.hparams)


class OwnNetwork(torch.nn.Module):
    """Keeps no constructor argument, and has a length of 0: Python takes it for false."""

    def __init__(self, size: int, *sizes: int, **more: object) -> None:
        super().__init__()
        self.layers = torch.nn.Linear(size, 4), torch.nn.Linear(2, size)
        self.both = torch.nn.ModuleList(self.layers)

    def __len__(self) -> int:
        return 0

    def encode(self, x):
        return self.layers[0](x.flatten(1))

    def decode(self, z):
        return self.layers[1](z).unflatten(-1, (1, 1, 4, 4))


class OwnLatent(DiagonalGaussian):
    pass


class OwnLoss(Likelihood):
    """The mean is the decoder's output."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def log_px_z(self, x, params):
        return -self._scale * (x - self.mean(params)).square().flatten(-3).sum(-1)

    def mean(self, params):
        return params.squeeze(-4)

    def sample(self, params, generator):
        return self.mean(params)


@dataclass
class OwnBound(Bound):
    weights: tuple[float, ...] = (1.0, 2.0)

    def __call__(self, draw, beta):
        return Terms(draw.recon, draw.kl, -(draw.recon + draw.kl), self.weights[0] * draw.recon + beta * draw.kl)


OWN = {
    "network": OwnNetwork(16),
    "latent": OwnLatent(2),
    "loss": OwnLoss(2.0),
    "bound": OwnBound(2),
    "optimizer": partial(torch.optim.SGD, lr=1e-3),
}


@pytest.mark.parametrize("name", OWN)
def test_a_part_of_ones_own_is_handed_over_when_loading(tmp_path, name):
    module = VAE(**{"network": MLP([1, 4, 4], 2, hidden=8), "latent": DiagonalGaussian(2), name: OWN[name]})
    fit = trainer(tmp_path)
    fit.fit(module, loader(), loader())
    assert fit.callback_metrics["val/elbo"].isfinite()
    fit.save_checkpoint(tmp_path / "a.ckpt")
    kind = "SGD" if name == "optimizer" else type(OWN[name]).__name__
    with pytest.raises(ConfigError, match=rf"is not a part of vae_lightning.*{name}={kind}\(\.\.\.\)"):
        VAE.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    again = VAE.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True, **{name: OWN[name]})
    x = torch.rand(3, 1, 4, 4)
    assert torch.equal(again(x), module(x))


def test_numbers_of_numpy_are_no_part_of_a_checkpoint(tmp_path):
    module = VAE(MLP([1, 4, 4], 2, hidden=8), DiagonalGaussian(2), FixedGaussian(np.float64(0.3)), beta=np.float64(2))
    fit = trainer(tmp_path)
    fit.fit(module, loader())
    fit.save_checkpoint(tmp_path / "a.ckpt")
    assert VAE.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True).loss == FixedGaussian(0.3)


def test_a_checkpoint_of_version_0_1_still_loads(tmp_path):
    """Its words are those of commit 756e4e9; its weights have the names of today."""
    module = small(BernoulliLogits(), reduction="sum")
    fit = trainer(tmp_path)
    fit.fit(module, loader())
    fit.save_checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    network = {"class": "network.MLP", "image_shape": [1, 4, 4], "latent_dim": 2, "num_parameters": 1, "hidden_dim": 8}
    content["hyper_parameters"]["network"] = network
    content["hyper_parameters"]["loss"] = {"class": "loss.BernoulliLogits", "reduction": "sum"}
    del content["hyper_parameters"]["reduction"]
    torch.save(content, tmp_path / "old.ckpt")
    again = VAE.load_from_checkpoint(tmp_path / "old.ckpt", weights_only=True)
    assert (again.loss, again.reduction) == (BernoulliLogits(), "sum")
    x = torch.rand(3, 1, 4, 4)
    assert torch.equal(again(x), module(x))


@pytest.mark.parametrize("wrong", ["pixel", "none", None, 1])
def test_averaging_over_pixels_is_refused_with_what_it_would_do(wrong):
    with pytest.raises(ConfigError, match=rf"reduction={wrong}.*784 times"):
        small(reduction=wrong)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_precisions(tmp_path, precision):
    fit = trainer(tmp_path, precision=precision)
    fit.fit(small(BernoulliLogits()), loader())
    assert fit.callback_metrics["train/elbo"].isfinite()


# --- batches and precisions of other projects ------------------------------------------------------------------------


def of_dicts() -> DataLoader:
    x = next(iter(loader(batch_size=10)))[0]
    dataset = [{"path": f"{i}.png", "mask": torch.ones(4, 4).bool(), "image": image} for i, image in enumerate(x)]
    return DataLoader(dataset, batch_size=4)  # type: ignore[arg-type]


def test_the_images_of_a_batch_are_found_whatever_its_structure(tmp_path):
    elbos = []
    for data in (loader(), of_dicts(), [batch[0] for batch in loader()]):
        module, fit = small(), trainer(tmp_path)
        if isinstance(data, list):
            data = DataLoader(torch.cat(data), batch_size=4)  # type: ignore[arg-type]
        fit.fit(module, data, data)
        elbos.append(fit.callback_metrics["val/elbo"].item())
        assert torch.cat(fit.predict(module, data)).shape == (10, 1, 4, 4)  # type: ignore[arg-type]
    assert elbos[0] == elbos[1] == elbos[2]


def test_a_batch_without_images_is_answered_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"the batch is a list that holds 0 int64 \[4\]: no float or byte tensor"):
        trainer(tmp_path).fit(small(), DataLoader(TensorDataset(torch.arange(8)), batch_size=4))


@pytest.mark.parametrize("bound", [Elbo(2), Iwae(3), FreeBits(), Capacity()], ids=lambda bound: type(bound).__name__)
def test_a_run_in_float64_has_the_numbers_of_one_in_float32(tmp_path, bound, monkeypatch):
    noise = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(DiagonalGaussian, "noise", lambda latent, samples, batch, _: noise[:samples, :batch])
    elbos = {}
    for precision in ("32-true", "64-true"):
        module, fit = small(), trainer(tmp_path, precision=precision)
        module.bound = bound
        fit.fit(module, loader(), loader())
        elbos[precision] = fit.callback_metrics["val/elbo"].item()
    assert elbos["64-true"] == pytest.approx(elbos["32-true"], rel=1e-4)
    assert module.dtype is torch.float64
    x = next(iter(loader()))[0]
    assert module(x).dtype is module.encode(x).mean.dtype is module.decode(torch.zeros(3, 2)).dtype is torch.float64
    assert torch.cat(fit.predict(module, loader())).shape == (10, 1, 4, 4)  # type: ignore[arg-type]


@pytest.mark.parametrize("precision", ["bf16-true", "16-true"])
def test_numbers_of_16_bits_are_refused_in_one_line(tmp_path, precision):
    fit = trainer(tmp_path, precision=precision, callbacks=[ReconstructionGrid(num_images=2)])
    for run in (fit.fit, fit.validate, fit.test):
        with pytest.raises(ConfigError, match=r"^precision=torch.b?float16: log densities need more digits"):
            run(small(), loader())
    with pytest.raises(ConfigError, match="log densities need more digits"):
        trainer(tmp_path).fit(small().bfloat16(), loader())


def test_mixed_precision_is_close_to_float32(tmp_path):
    elbos = []
    for precision in ("32-true", "bf16-mixed"):
        module, fit = small(), trainer(tmp_path, precision=precision)
        fit.fit(module, loader(), loader())
        elbos.append(fit.callback_metrics["val/elbo"].item())
    assert elbos[1] == pytest.approx(elbos[0], rel=0.02)
