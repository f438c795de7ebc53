"""The module in a notebook: what a user hands over by mistake, and what Lightning's own tools do with it."""

import math
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.tuner import Tuner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vae_lightning import VAE
from vae_lightning.bound import Elbo
from vae_lightning.callbacks import BetaAnnealing
from vae_lightning.data import MNISTDataModule
from vae_lightning.errors import ConfigError, DataError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import Bernoulli, Gaussian, SquaredError
from vae_lightning.network import MLP
from vae_lightning.optimizer import Adam

QUIET: dict[str, Any] = {
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
}


def small(**parts) -> VAE:
    torch.manual_seed(0)
    return VAE(**{"network": MLP([1, 4, 4], 2, hidden=8), "latent": DiagonalGaussian(2), **parts})


def loader(images: torch.Tensor | None = None) -> DataLoader:
    images = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(0)) if images is None else images
    return DataLoader(TensorDataset(images, torch.zeros(len(images))), batch_size=4)


def fit(module: VAE, data: DataLoader | None = None, **options) -> pl.Trainer:
    trainer = pl.Trainer(**{"max_epochs": 1, "accelerator": "cpu", **QUIET, **options})
    trainer.fit(module, data or loader())
    return trainer


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ({"latent": nn.Identity()}, r"VAE\(latent=Identity\(\)\): must be a latent space, such as latent.Diagonal"),
        ({"latent": DiagonalGaussian}, r"VAE\(latent=the class DiagonalGaussian\): must be a latent space"),
        ({"loss": 1}, r"VAE\(loss=1\): must be a likelihood, such as loss.Bernoulli\(\)"),
        ({"loss": nn.BCELoss()}, r"VAE\(loss=BCELoss\(\)\): must be a likelihood"),
        ({"loss": Bernoulli}, r"VAE\(loss=the class Bernoulli\): must be a likelihood"),
        ({"bound": nn.Identity}, r"VAE\(bound=the class Identity\): must be a bound, such as bound.Elbo\(\)"),
        ({"bound": Elbo}, r"VAE\(bound=the class Elbo\): must be a bound"),
        ({"network": nn.Linear(3, 3)}, r"VAE\(network=Linear.*\): must be a torch.nn.Module with encode and decode"),
        ({"network": ["a"]}, r"VAE\(network=\['a'\]\): must be a torch.nn.Module"),
        (
            {"optimizer": object},
            r"VAE\(optimizer=the class object\): must be a function of the parameters, such as opt",
        ),
        ({"optimizer": Adam}, r"VAE\(optimizer=the class Adam\): must be a function of the parameters"),
        ({"beta": "1"}, r"vae.beta=1: must be a finite number >= 0"),
        ({"beta": -1.0}, r"vae.beta=-1.0: must be"),
        ({"beta": math.nan}, r"vae.beta=nan: must be"),
        ({"seed": 0.5}, r"vae.seed=0.5: must be a whole number"),
    ],
)
def test_what_is_no_part_is_refused_in_one_line(part, line):
    with pytest.raises(ConfigError, match=line) as refused:
        small(**part)
    assert "\n" not in str(refused.value)


def test_a_class_of_torch_is_an_optimizer():
    assert isinstance(small(optimizer=torch.optim.AdamW).configure_optimizers(), torch.optim.AdamW)


class Network(nn.Module):
    """A network whose decoder makes pictures of any shape, and whose encoder makes any number of numbers."""

    def __init__(self, codes: int, picture: tuple[int, ...], latent_dim: int = 2) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(16, codes), nn.Linear(latent_dim, math.prod(picture))
        self.picture = picture

    def encode(self, x):
        return self.encoder(x.flatten(1))

    def decode(self, z):
        return self.decoder(z).unflatten(-1, self.picture)


@pytest.mark.parametrize(
    ("network", "loss", "line"),
    [
        (Network(4, (1, 4, 4)), Bernoulli(), r"its decoder returns \[1, 4, 1, 4, 4\], must be \[1, 4, 1, 1, 4, 4\]"),
        (Network(4, (16,)), SquaredError(), r"its decoder returns \[1, 4, 16\], must be \[1, 4, 1, 1, 4, 4\]"),
        (Network(4, (1, 1, 4, 4)), Gaussian(), r"must be \[1, 4, 2, 1, 4, 4\], \[L, B, loss.num_parameters, C, H, W\]"),
        (
            Network(6, (1, 1, 4, 4), 3),
            Bernoulli(),
            r"its encoder returns \[4, 6\], must be \[4, 4\], \[B, latent.num_para",
        ),
        (Network(2, (1, 1, 4, 4)), Bernoulli(), r"network Network: its encoder returns \[4, 2\], must be \[4, 4\]"),
    ],
)
def test_a_network_of_another_shape_is_refused_and_not_broadcast(network, loss, line):
    with pytest.raises(ConfigError, match=line):
        fit(small(network=network, loss=loss))


def test_images_of_another_size_are_refused_by_both_sizes():
    with pytest.raises(DataError, match=r"x is \[4, 1, 6, 6\], but the network takes \[B, 1, 4, 4\]"):
        fit(small(), loader(torch.rand(8, 1, 6, 6)))


def test_predict_takes_batches_with_labels():
    module, images = small(), torch.rand(8, 1, 4, 4)
    pages = pl.Trainer(accelerator="cpu", **QUIET).predict(module, loader(images))
    assert pages is not None
    torch.testing.assert_close(torch.cat(pages), module(images))


def test_bytes_of_a_loader_are_images(tmp_path):
    """A loader of one's own may hand out bytes."""
    data = MNISTDataModule(tmp_path, mirrors=[])
    data.setup()
    images = (255 * next(iter(data.test_dataloader()))[0]).round().to(torch.uint8)
    module = VAE().eval()
    torch.testing.assert_close(module(images), module(images / 255))
    torch.testing.assert_close(module.encode(images).mean, module.encode(images / 255).mean)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_what_fit_takes_is_encoded(dtype):
    """At e0baa0f: 'numpy.ndarray' object has no attribute 'to'; [N, H, W]: mat1 and mat2 cannot be multiplied."""
    module, images = small(), torch.randint(0, 2, (8, 1, 4, 4), dtype=dtype)
    for same in (images.numpy(), images.squeeze(1), images.squeeze(1).numpy()):
        torch.testing.assert_close(module.encode(same).mean, module.encode(images).mean)
        torch.testing.assert_close(module.reconstruct(same), module.reconstruct(images))


def test_a_loader_of_grey_images_without_a_channel_trains_as_with_it():
    images, modules = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(1)), (small(), small())
    fit(modules[0], loader(images))
    fit(modules[1], loader(images.squeeze(1)))
    for mine, other in zip(*(module.parameters() for module in modules), strict=True):
        assert torch.equal(mine, other)


def test_bytes_train_as_their_numbers_do():
    images = torch.randint(0, 256, (8, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    modules = small(), small()
    fit(modules[0], loader(images))
    fit(modules[1], loader(images / 255))
    for mine, other in zip(*(module.parameters() for module in modules), strict=True):
        assert torch.equal(mine, other)


def test_lightning_finds_a_learning_rate(tmp_path):
    module = small(optimizer=Adam(1e-3, eps=1e-7))
    trainer = pl.Trainer(max_epochs=20, accelerator="cpu", default_root_dir=tmp_path, **QUIET)
    found = Tuner(trainer).lr_find(
        module, loader(), num_training=20, min_lr=1e-4, max_lr=1e-1, early_stop_threshold=None
    )
    assert found is not None
    suggestion = found.suggestion()
    assert suggestion is not None
    assert module.lr == pytest.approx(suggestion)
    assert module.optimizer == Adam(module.lr, eps=1e-7)
    assert module.hparams["optimizer"]["lr"] == module.lr
    trainer.fit(module, loader())
    assert trainer.optimizers[0].param_groups[0]["lr"] == module.lr


def test_an_optimizer_without_a_learning_rate_has_none_to_find():
    assert not hasattr(small(optimizer=torch.optim.AdamW), "lr")


@dataclass(frozen=True)
class Power:
    """A schedule of one's own, with a field that no schedule of this package has."""

    power: float = 2.0
    beta: float = 1.0

    def check(self) -> None:
        if self.power <= 0:
            raise ValueError(f"power={self.power}: must be > 0")

    def __post_init__(self) -> None:
        self.check()

    def __call__(self, t: float) -> float:
        return self.beta * t**self.power


def test_a_schedule_of_ones_own_checks_fields_of_its_own():
    module = small()
    fit(module, callbacks=[BetaAnnealing(Power(3.0))])
    assert module.beta == pytest.approx(0.5**3)
