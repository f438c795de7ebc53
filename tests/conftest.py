"""What the tests share: data that needs no network, a foreign LightningModule, and the main job in this process."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_class
from omegaconf import OmegaConf
from torch import Tensor, nn

from vae_lightning.app.config import CONF

ONE_THREAD = 1  # the models are tiny, and other processes want the cores too
torch.set_num_threads(ONE_THREAD)
ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID", "VAE_LIGHTNING_RESUMED")
NO_NETWORK = ["data.mirrors=[]"]
QUICK = ["epochs=1", "network.hidden=[16]", "report=false", *NO_NETWORK]
CONVOLUTIONAL = {"network=conv", "network=resnet"}
NARROW = "network.widths=[4,4]"


@pytest.hookimpl(tryfirst=True)  # before -m takes the slow ones out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`sample(n)`: n variants of a test, evenly spread, are in the default suite; the others are slow. `gpu` skips."""
    if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no accelerator here: neither CUDA nor MPS"))
    variants: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("sample") and not item.get_closest_marker("slow"):
            variants.setdefault(item.nodeid.split("[")[0], []).append(item)
    for alike in variants.values():
        kept = alike[0].get_closest_marker("sample").args[0]
        chosen = {round(place * (len(alike) - 1) / max(kept - 1, 1)) for place in range(kept)}
        for place, item in enumerate(alike):
            if place not in chosen:
                item.add_marker("slow")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch, tmp_path_factory):
    """No test sees this machine's data, W&B account or claimed run folder."""
    for name in ("VAE_LIGHTNING_DATA", "VAE_LIGHTNING_RUN_DIR", "WANDB_API_KEY", "WANDB_MODE", *RANKS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VAE_LIGHTNING_DATA", str(tmp_path_factory.mktemp("no-data")))
    monkeypatch.setenv("NETRC", os.devnull)
    yield
    os.environ.pop("VAE_LIGHTNING_RUN_DIR", None)  # set by a claim
    torch.set_num_threads(ONE_THREAD)  # a job of a sweep took its share of the cores


@pytest.fixture
def full_mnist() -> Path:
    """The real MNIST, where this machine has it."""
    folder = SHARED / "mnist"
    if not folder.is_dir():
        pytest.skip("the full MNIST is not beside this checkout (../shared/data/mnist)")
    return folder


def config(*overrides: str):
    """The composed configuration, with Hydra's own part set as in a real run."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*overrides], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    OmegaConf.set_struct(cfg, False)
    cfg.pop("hydra")
    OmegaConf.set_struct(cfg, True)
    return cfg


def vae(cfg):
    """The module of a configuration, for the images that its data have."""
    from vae_lightning.app import build

    return build.vae(cfg, get_class(cfg.data._target_).image_shape)


@pytest.fixture
def train(tmp_path) -> Callable[..., Path]:
    """The main job in this process, on the bundled digits: overrides -> its run folder."""
    from vae_lightning.train import train as task

    def run(*overrides: str) -> Path:
        dense = not {"network=linear", "experiment=ppca"} & set(overrides)
        quick = [word for word in QUICK if dense or not word.startswith("network.hidden")]
        quick += [NARROW] if CONVOLUTIONAL & set(overrides) else []
        cfg = config(*quick, f"project_dir={tmp_path / 'outputs'}", *overrides)
        task(cfg)
        return Path(cfg.run_dir)

    return run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """One small run with its page, for all who only look. Copy it to change it."""
    from vae_lightning.train import train as task

    folder = tmp_path_factory.mktemp("finished")
    words = [
        "epochs=2",
        "network.hidden=[16]",
        "latent=z2",
        "loss=bce_logits",
        "seed=7",
        "group=pages",
        f"data.dir={folder}",
    ]
    cfg = config(*words, f"project_dir={folder / 'outputs'}", "callbacks.latent_traversal.size=3", *NO_NETWORK)
    task(cfg)
    os.environ.pop("VAE_LIGHTNING_RUN_DIR", None)
    return Path(cfg.run_dir)


@pytest.fixture
def answer(monkeypatch, capsys):
    """A command in this process: its arguments -> (status, what it printed, what it said on stderr)."""

    def run(main, *arguments):
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["vae", *map(str, arguments)])
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    """Real runs of the main job in processes of their own: see `Nursery`."""
    from nurse import Nursery

    kept = Nursery(tmp_path_factory.mktemp("no-data"))
    yield kept
    kept.close()


def command(*arguments: str, cwd: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """`python -m ...` as a user would type it, in a process of its own; None takes a variable away."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=300,
    )


class ForeignVAE(pl.LightningModule):
    """Somebody else's project: other names, other logging, no part of this package."""

    def __init__(self, latent: int = 2) -> None:
        super().__init__()
        self.kl_weight = 0.0
        self.encoder = nn.Linear(16, 2 * latent)
        self.decoder = nn.Sequential(nn.Linear(latent, 16), nn.Dropout(0.5), nn.Sigmoid())
        self.latent_size = latent
        self.weights_seen: list[float] = []

    def to_latent(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_var = self.encoder(x.flatten(1)).chunk(2, 1)
        return mean, log_var

    def to_image(self, z: Tensor) -> Tensor:
        return self.decoder(z).view(-1, 1, 4, 4)

    def autoencode(self, x: Tensor) -> Tensor:
        mean, log_var = self.to_latent(x)
        return self.to_image(mean + torch.randn_like(mean) * (0.5 * log_var).exp())

    def reconstruction_loss(self, x: Tensor) -> Tensor:
        return (self.autoencode(x) - x).square().mean()

    def dream(self, n: int) -> Tensor:
        return self.to_image(torch.randn(n, self.latent_size))

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        loss = self.reconstruction_loss(batch[0])
        self.weights_seen.append(self.kl_weight)
        self.log("foreign_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.log("foreign_val_loss", (self.autoencode(batch[0]) - batch[0]).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def foreign_fit(tmp_path):
    """Trains a ForeignVAE for some epochs of 5 steps with the given callbacks."""

    def fit(
        *callbacks: pl.Callback, logger=False, epochs: int = 2, module: pl.LightningModule | None = None, **options
    ):
        pl.seed_everything(0, verbose=False)
        module = module or ForeignVAE()
        images = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=4, shuffle=True)
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            callbacks=list(callbacks),
            logger=logger,
            default_root_dir=tmp_path,
            enable_progress_bar=any(isinstance(each, pl.callbacks.ProgressBar) for each in callbacks),
            enable_model_summary=False,
            enable_checkpointing=False,
            **options,
        )
        trainer.fit(module, loader, torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=4))
        return module, trainer

    return fit
