"""The tasks of `predict`, one class each: images and options -> pictures or a table.

N images, J latent dims, C H W pixels, T steps. Nats per image.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from vae_lightning.callbacks.sheet import Undo
from vae_lightning.errors import ConfigError
from vae_lightning.evaluation import importance_weighted, posterior_of
from vae_lightning.evaluation.result import bootstrap
from vae_lightning.module import VAE
from vae_lightning.prediction.inputs import Images
from vae_lightning.prediction.results import Pictures, Table

MOST_UNITS = 10  # that a traversal shows unless it is told which


@dataclass(frozen=True)
class Predictor:
    """A model, the images that it sees at a time, and what maps standardised vectors back, if they are standardised."""

    vae: VAE
    batch_size: int = 256
    undo: Undo | None = None

    @torch.no_grad()
    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log_var of q(z|x), [N, J]."""
        parts = [self.vae.encode(part.to(self.vae.device)) for part in x.split(self.batch_size)]
        return torch.cat([part.mean.cpu() for part in parts]), torch.cat([part.log_var.cpu() for part in parts])

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """E[x|z] of codes [..., J], as [..., C, H, W]."""
        parts = [self.vae.decode(part.to(self.vae.device)).cpu() for part in z.flatten(0, -2).split(self.batch_size)]
        return torch.cat(parts).unflatten(0, z.shape[:-1])


@dataclass(frozen=True)
class Sample:
    """E[x|z] of `num` draws z ~ p(z)."""

    num: int = 64
    seed: int = 0
    least: ClassVar[int] = 0
    few: ClassVar[int] = 64

    def __call__(self, model: Predictor, images: Images | None) -> Pictures:
        drawn = model.vae.sample(self.num, seed=self.seed).cpu()
        what = f"{len(drawn)} samples, E[x|z], z ~ p(z), seed {self.seed}"
        return Pictures(drawn, drawn.unsqueeze(0), what, undo=model.undo)


@dataclass(frozen=True)
class Reconstruct:
    """E[x|z] at the posterior mean of every image; a picture shows x above it."""

    least: ClassVar[int] = 1
    few: ClassVar[int] = 64

    def __call__(self, model: Predictor, images: Images) -> Pictures:
        again = model.decode(model.encode(images.x)[0])
        both = torch.stack([images.x.cpu(), again])
        return Pictures(again, both, f"{len(again)} x, each with E[x|z]", ("x", "E[x|z]"), undo=model.undo)


@dataclass(frozen=True)
class Encode:
    """Mean and log variance of q(z|x) of every image."""

    least: ClassVar[int] = 1
    few: ClassVar[int] = 64

    def __call__(self, model: Predictor, images: Images) -> Table:
        both = torch.stack(model.encode(images.x), 1)
        columns = [f"{name}_{unit + 1}" for name in ("mean", "log_var") for unit in range(both.shape[2])]
        what = f"mean and log_var of q(z|x), {both.shape[2]} units, of {counted(len(both), 'image')}"
        return Table(both, columns, images.names, what)


@dataclass(frozen=True)
class Interpolate:
    """E[x|z] on the straight lines between the posterior means of neighbouring images, in `steps` pictures each."""

    steps: int = 10
    least: ClassVar[int] = 2
    few: ClassVar[int] = 6

    def __call__(self, model: Predictor, images: Images) -> Pictures:
        mean, t = model.encode(images.x)[0], torch.linspace(0, 1, self.steps).view(1, -1, 1)
        walk = model.decode(torch.lerp(mean[:-1].unsqueeze(1), mean[1:].unsqueeze(1), t))
        what = f"{counted(len(walk), 'straight line')} in latent space, {self.steps} steps each"
        return Pictures(walk, walk, what, film=walk.flatten(0, 1).unsqueeze(1), undo=model.undo)


@dataclass(frozen=True)
class Traverse:
    """E[x|z] while one unit walks over [-limit, limit]; the others stay at the posterior mean of the first image.

    `units` are counted from 1, as on the pictures of a run. None: at most ten, those with the largest KL first.
    """

    units: Sequence[int] | None = None
    steps: int = 10
    limit: float = 3.0
    kl: Sequence[float] | None = None  # of each unit, where the run knows it
    least: ClassVar[int] = 1
    few: ClassVar[int] = 1

    def __call__(self, model: Predictor, images: Images) -> Pictures:
        posterior = posterior_of(model.vae.model, images.x.to(model.vae.device), model.batch_size)
        kl = posterior.kl().mean(0).cpu() if self.kl is None else torch.tensor(self.kl)
        units = self.chosen(kl)
        z = posterior.mean[0].cpu().repeat(len(units), self.steps, 1)
        for row, unit in enumerate(units):
            z[row, :, unit] = torch.linspace(-self.limit, self.limit, self.steps)
        walk = model.decode(z)
        labels = [f"z{unit + 1}  {float(kl[unit]):.2f}" for unit in units]
        what = f"one unit at a time, {-self.limit:g} to {self.limit:g}, around {images.names[0]}; its KL in nats"
        film = torch.cat([walk, walk.flip(1)], 1).movedim(1, 0)
        return Pictures(walk, walk, what, labels, film, model.undo)

    def chosen(self, kl: Tensor) -> list[int]:
        """The units that walk. Raises ConfigError for one that the model does not have."""
        if self.units is None:
            return kl.argsort(descending=True)[:MOST_UNITS].tolist()
        if wrong := [unit for unit in self.units if unit > len(kl)]:
            raise ConfigError(f"units={list(self.units)}: the model has {len(kl)} latent units, there is no {wrong[0]}")
        return [unit - 1 for unit in self.units]


@dataclass(frozen=True)
class Nll:
    """-log p(x) of every image, by the importance-weighted bound of K = `num_samples` draws (Burda et al. 2016).

    An upper bound: it falls towards -log p(x) as K grows.
    """

    num_samples: int = 1000
    seed: int = 0
    least: ClassVar[int] = 1
    few: ClassVar[int] = 64

    def __call__(self, model: Predictor, images: Images) -> Table:
        x = images.x.to(model.vae.device)
        with torch.no_grad():
            estimate = importance_weighted(model.vae.model, x, self.num_samples, seed=self.seed, progress=True)
        nll = -estimate.bounds[self.num_samples].cpu()
        spread = f" ± {bootstrap(nll, self.seed):.2f}" if len(nll) > 1 else ""
        what = (
            f"NLL {float(nll.double().mean()):.2f}{spread} nats per image, importance-weighted, K = {self.num_samples}"
        )
        return Table(nll.unsqueeze(1), ["nll"], images.names, f"{what}, {counted(len(nll), 'image')}", flat=True)


KINDS: tuple[Any, ...] = (Sample, Reconstruct, Encode, Interpolate, Traverse, Nll)
TASKS = {kind.__name__.lower(): kind for kind in KINDS}


def counted(number: int, noun: str) -> str:
    """1 image, 2 images."""
    return f"{number} {noun}{'s' * (number != 1)}"
