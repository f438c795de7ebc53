"""Projects of other people: a LightningModule, its data and its training. All have the methods of ForeignVAE."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from conftest import ForeignVAE
from lightning.pytorch.callbacks import BatchSizeFinder, EMAWeightAveraging, LearningRateFinder
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

IMAGES = 20


class Gan(ForeignVAE):
    """A VAE-GAN under manual optimization: two optimizers, which step in every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.critic = nn.Linear(16, 1)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.weights_seen.append(self.kl_weight)
        generator, critic = self.optimizers()
        x = self.autoencode(batch[0])
        loss = (x - batch[0]).square().mean() - self.critic(x.flatten(1)).mean()
        generator.zero_grad()
        self.manual_backward(loss)
        generator.step()
        loss = self.critic(x.detach().flatten(1)).mean() - self.critic(batch[0].flatten(1)).mean()
        critic.zero_grad()
        self.manual_backward(loss)
        critic.step()
        self.log("foreign_loss", loss, on_step=False, on_epoch=True)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        of_the_vae = [*self.encoder.parameters(), *self.decoder.parameters()]
        return [torch.optim.SGD(of_the_vae, lr=0.1), torch.optim.SGD(self.critic.parameters(), lr=0.1)]


class ReadsDictionaries(ForeignVAE):
    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        return super().training_step([batch["image"]], batch_idx)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        super().validation_step([batch["image"]], batch_idx)


class Tuned(ForeignVAE):
    """Has what Lightning's tuners change: a learning rate, a batch size and a loader of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.lr, self.batch_size = 0.1, 4

    def train_dataloader(self) -> DataLoader:
        return plain(self.batch_size)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


class LargeImages(ForeignVAE):
    """Another fold's model: for images of 6 x 6."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(36, 4)
        self.decoder = nn.Sequential(nn.Linear(2, 36), nn.Dropout(0.5), nn.Sigmoid())

    def to_image(self, z: Tensor) -> Tensor:
        return self.decoder(z).view(-1, 1, 6, 6)


class Named(Dataset):
    """{"id", "path", "image"}: the image comes last."""

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"id": index, "path": f"{index}.png", "image": images()[index]}


class Stream(IterableDataset):
    """Images without a length; without an end, if `endless`."""

    def __init__(self, endless: bool = False) -> None:
        self.endless = endless

    def __iter__(self):
        yield from images()
        while self.endless:
            yield from images()


def images(side: int = 4) -> Tensor:
    return torch.rand(IMAGES, 1, side, side, generator=torch.Generator().manual_seed(0))


def plain(batch_size: int = 4, side: int = 4) -> DataLoader:
    return DataLoader(TensorDataset(images(side)), batch_size=batch_size)


def listed(dataset: Dataset) -> DataLoader:
    """A loader whose batches are lists of one tensor."""
    return DataLoader(dataset, batch_size=4, collate_fn=lambda rows: [torch.stack(rows)])


def half() -> dict[str, Any]:
    """float16 with a gradient scaler, on a CPU."""
    return {"plugins": [MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))]}


def tuners() -> list[pl.Callback]:
    return [BatchSizeFinder(steps_per_trial=1, max_trials=1), LearningRateFinder(num_training_steps=4)]


@dataclass(frozen=True)
class Project:
    """Modules are trained one after the other, as the folds of a notebook; all of them with the same callbacks."""

    modules: tuple[Callable[[], ForeignVAE], ...] = (ForeignVAE,)
    loaders: tuple[Callable[[], DataLoader | None], ...] = (plain,)
    options: Callable[[], dict[str, Any]] = dict
    callbacks: Callable[[], list[pl.Callback]] = list
    limits: dict[str, Any] = field(default_factory=lambda: {"max_epochs": 2})

    def train(self, root: Path, *callbacks: pl.Callback, **options: Any) -> tuple[ForeignVAE, pl.Trainer]:
        """Trains all modules and returns the last one with its trainer."""
        for fold, (make, load) in enumerate(zip(self.modules, self.loaders, strict=True)):
            pl.seed_everything(fold, verbose=False)
            module, loader = make(), load()
            trainer = quiet_trainer(root, *callbacks, *self.callbacks(), **self.limits, **self.options(), **options)
            trainer.fit(module, loader, plain() if loader is None else load())
        return module, trainer


def quiet_trainer(root: Path, *callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    """A Trainer on the CPU that prints, logs and saves nothing."""
    bar = any(isinstance(callback, pl.callbacks.ProgressBar) for callback in callbacks)
    quiet = {"enable_progress_bar": bar, "enable_model_summary": False, "enable_checkpointing": False, "logger": False}
    return pl.Trainer(accelerator="cpu", default_root_dir=root, callbacks=list(callbacks), **{**quiet, **options})


PROJECTS = {
    "plain": Project(),
    "gan": Project(modules=(Gan,)),
    "dictionaries": Project(modules=(ReadsDictionaries,), loaders=(lambda: DataLoader(Named(), batch_size=4),)),
    "stream": Project(loaders=(lambda: listed(Stream()),)),
    "endless": Project(
        loaders=(lambda: listed(Stream(endless=True)),), limits={"max_steps": 8, "limit_val_batches": 2}
    ),
    "float16": Project(options=half),
    "bfloat16": Project(options=lambda: {"precision": "bf16-mixed"}),
    "tuners": Project(modules=(Tuned,), loaders=(lambda: None,), callbacks=tuners),
    "average": Project(callbacks=lambda: [EMAWeightAveraging()]),
    "folds": Project(modules=(ForeignVAE, LargeImages), loaders=(plain, partial(plain, side=6))),
}
