"""The peers: a bare loop over tensors in memory, a loop in the style of the PyTorch example, and pythae.

784-400-20, batches of 128, Adam at 1e-3, grey MNIST. `epoch` of a peer trains one epoch of the first N images. The
bare loop and the example run on any device.
"""

import gzip
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from benchmarks.contest import RESULTS
from vae_lightning.bound import Elbo
from vae_lightning.data import MNISTDataModule
from vae_lightning.data.idx import NAMES
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import Bernoulli
from vae_lightning.model import Model
from vae_lightning.network import MLP

BATCH = 128


def data_dir() -> str:
    """The folder that VAE_LIGHTNING_DATA names, else the cache of the package."""
    return str(Path(os.environ.get("VAE_LIGHTNING_DATA", "~/.cache/vae_lightning")).expanduser())


def mnist(**options: object) -> MNISTDataModule:
    """All 60,000 images to train on, unless `val_size` says otherwise."""
    options = {"val_size": 0, "batch_size": BATCH, "allow_subset": False, **options}
    data = MNISTDataModule(dir=data_dir(), **options)  # type: ignore
    data.prepare_data()
    data.setup("fit")
    return data


def torchvision_folder() -> Path:
    """A folder with the same files in torchvision's layout, written once."""
    root = RESULTS / "torchvision"
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name in NAMES.values():
        if not (raw / name).is_file():
            found = next(path for path in Path(data_dir()).rglob(f"{name}*") if path.is_file())
            content = found.read_bytes()
            (raw / name).write_bytes(gzip.decompress(content) if found.suffix == ".gz" else content)
    return root


class BareLoop:
    """Our model without Lightning. A framework around this loop can only add to its time.

    With `bf16` it computes in bfloat16 (autocast), else in float32; with `compiled` it uses torch.compile. `network`
    makes its network for 20 latent dimensions. The images lie in the memory of the `device`.
    """

    def __init__(
        self,
        images: Tensor,
        bf16: bool = False,
        compiled: bool = False,
        network: Callable[..., nn.Module] = MLP,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(0)
        self.images, self.device = images.to(device), device
        self.network: Any = network([1, 28, 28], 20).to(device)
        self.model, self.bound, self.bf16 = Model(self.network, DiagonalGaussian(20), Bernoulli()), Elbo(), bf16
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3, fused=True)
        self.loss: Callable[[Tensor], Tensor] = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, x: Tensor) -> Tensor:
        return self.bound(self.model.draw(x, torch.randn(1, len(x), 20, device=self.device)), 1.0).objective.mean()

    def epoch(self) -> None:
        for chosen in torch.randperm(len(self.images)).to(self.device).split(BATCH):
            self.step(chosen)

    def step(self, chosen: Tensor) -> None:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            loss = self.loss(self.images.index_select(0, chosen))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


class ExampleStyle(nn.Module):
    """A script in the usual style: a dataset of PIL images, ToTensor, a DataLoader, and the loss read at every step."""

    def __init__(self, images: int = 60_000, device: str = "cpu") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.hidden, self.mean, self.log_var = nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20)
        self.expand, self.pixels = nn.Linear(20, 400), nn.Linear(400, 784)
        data = datasets.MNIST(str(torchvision_folder()), train=True, transform=transforms.ToTensor())
        self.loader = DataLoader(Subset(data, range(images)), batch_size=BATCH, shuffle=True)
        self.device = device
        self.to(device)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)

    def decode(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.pixels(functional.relu(self.expand(z))))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = functional.relu(self.hidden(x.view(-1, 784)))
        mean, log_var = self.mean(hidden), self.log_var(hidden)
        return self.decode(mean + torch.randn_like(mean) * torch.exp(0.5 * log_var)), mean, log_var

    def loss(self, x: Tensor, y: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
        cross_entropy = functional.binary_cross_entropy(y, x.view(-1, 784), reduction="sum")
        return cross_entropy - 0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())

    def epoch(self) -> float:
        total = 0.0
        for x, _ in self.loader:
            x = x.to(self.device)
            self.optimizer.zero_grad()
            loss = self.loss(x, *self(x))
            loss.backward()
            total += loss.item()
            self.optimizer.step()
        return total / len(self.loader.dataset)  # type: ignore[arg-type]


class Pythae:
    """The VAE and the trainer of pythae (Chadebec et al. 2022), with its default network."""

    def __init__(self, images: Tensor) -> None:
        from pythae.data.datasets import BaseDataset
        from pythae.models import VAE, VAEConfig
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

        class Named(BaseDataset):
            def __init__(self) -> None:
                super().__init__(images, torch.zeros(len(images)))

        config = BaseTrainerConfig(
            output_dir=str(RESULTS / "pythae"), per_device_train_batch_size=BATCH, learning_rate=1e-3, num_epochs=1
        )
        model = VAE(VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="bce"))
        self.trainer = BaseTrainer(model, Named(), training_config=config)
        self.trainer.prepare_training()

    def epoch(self) -> None:
        self.trainer.train_step(epoch=1)


def pythae(images: Tensor) -> dict[str, Pythae]:
    """pythae as a contestant, if it is installed."""
    return {"pythae": Pythae(images)} if importlib.util.find_spec("pythae") else {}
