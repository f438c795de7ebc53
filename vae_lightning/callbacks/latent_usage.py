"""The latent units that a model uses, and a sentence when it stops using a unit."""

import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from vae_lightning import output
from vae_lightning.batch import Place
from vae_lightning.callbacks.epoch_end import after_module
from vae_lightning.callbacks.foreign import encodes, looking, method, run_dir
from vae_lightning.callbacks.held_out import encoded, held_out, in_parts
from vae_lightning.latent import active_units
from vae_lightning.rules import Count, check
from vae_lightning.runs.files import CURVES, USAGE
from vae_lightning.runs.table import EpochRows

ADVICE = "raise beta slowly (annealing), lower it, or give each unit free bits"


class LatentUsage(pl.Callback):
    """Writes `curves/latent_usage.csv`: after every epoch, the number of active units and the KL of each unit in nats.

    Follows Burda et al. (2016): a unit is active if the mean of q(z_j|x) has a variance above 0.01 over the first
    `num_images` held-out images. Logs `active_units`. Prints a sentence when units die and a sentence at the end: the
    units, since when, and what to try. `encode` is the name of a method or a function; it maps x to (mean, log_var), to
    an object with these attributes, or to a Normal. The KL is that to N(0, 1), or what the object's own method `kl`
    returns. The encoder sees the images in parts, so memory does not grow with their number. `batch` is the key or
    index of the images in a batch, or a function of the batch. The second LatentUsage of a trainer logs
    `active_units_2`, and writes `latent_usage_2.csv` if it has no folder of its own.
    """

    def __init__(
        self,
        encode: str | Callable[[Any], Any] = "encode",
        num_images: Count = 1000,
        every_n_epochs: Count = 1,
        dirpath: str | PathLike[str] | None = None,
        batch: Place = None,
    ) -> None:
        self.batch = batch
        self.encode, self.num_images, self.every_n_epochs, self.dirpath = encode, num_images, every_n_epochs, dirpath
        check(self, type(self).__name__)
        self._advised = False
        self._last_active: list[int] = []  # for each unit the last epoch in which it was active; 0: never

    @property
    def state_key(self) -> str:
        """Lightning's name of the state in a checkpoint: another one for each encoder and folder."""
        if self.encode == "encode" and self.dirpath is None:
            return super().state_key
        encode, folder = name_of(self.encode), None if self.dirpath is None else str(self.dirpath)
        return self._generate_state_key(encode=encode, dirpath=folder)

    def state_dict(self) -> dict[str, Any]:
        return {"last_active": self._last_active}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._last_active = list(state_dict["last_active"])

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.current_epoch == 0:  # before a resumed fit loads the state of its checkpoint
            self._advised, self._last_active = False, []

    def look_up(self, pl_module: pl.LightningModule) -> None:
        """Finds the encoder. Raises ConfigError if the module does not have it."""
        self._encode = method(pl_module, self, "encode", self.encode, takes="x")

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not encodes(pl_module):
            return
        self.look_up(pl_module)
        with looking(trainer, pl_module, seed=0):
            self._images = in_parts(held_out(trainer, self.num_images, self.batch, self))
            mean, _, _ = self._codes(pl_module, self._images[:1])
        if len(self._last_active) != mean.shape[1]:
            self._last_active = [0] * mean.shape[1]
        columns = ["active_units", *(f"kl_z{unit + 1}" for unit in range(mean.shape[1]))]
        path = run_dir(trainer, self.dirpath) / CURVES / USAGE
        usages = [part for part in trainer.callbacks if isinstance(part, LatentUsage)]  # type: ignore[attr-defined]
        self._metric = numbered("active_units", usages.index(self))
        here = [usage for usage in usages if usage.dirpath == self.dirpath]
        path = path.with_stem(numbered(path.stem, here.index(self)))
        self._rows = EpochRows(path, columns, trainer.current_epoch)

    @rank_zero_only
    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if encodes(pl_module) and (trainer.current_epoch + 1) % self.every_n_epochs == 0:
            after_module(trainer, partial(self._look, trainer, pl_module), logs=True)

    def _look(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        with looking(trainer, pl_module, seed=0):
            mean, _, unit_kl = self._codes(pl_module, self._images)
            kl, active = unit_kl.mean(0).tolist(), active_units(mean).tolist()
        pl_module.log(self._metric, float(sum(active)), rank_zero_only=True)
        self._rows.add(epoch, dict(zip(self._rows.columns[1:], [sum(active), *kl], strict=True)))
        before = epoch - self.every_n_epochs
        died = [unit for unit, last in enumerate(self._last_active) if last and last == before and not active[unit]]
        if died:
            say(f"epoch {epoch}: {listed(died)} died, active until epoch {before}{self._advice()}")
        self._last_active = [epoch if now else last for now, last in zip(active, self._last_active, strict=True)]

    @rank_zero_only
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        newest = max(self._last_active, default=0)
        dead = [unit for unit, last in enumerate(self._last_active) if last < max(newest, 1)]
        if dead:
            never = [unit for unit in dead if not self._last_active[unit]]
            since = [f"z{unit + 1} since epoch {self._last_active[unit] + 1}" for unit in dead if unit not in never]
            which = "; ".join([f"{listed(never)} never" if never else "", *since]).strip("; ")
            total = len(self._last_active)
            say(f"{len(dead)} of {total} latent units are not in use ({which}); {ADVICE}")

    def _codes(self, pl_module: pl.LightningModule, images: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        return encoded(self._encode, images, pl_module.device, f"LatentUsage(encode={self.encode!r})")

    def _advice(self) -> str:
        """What to try. It is said with the first sentence of a run, and once more at the end."""
        advised, self._advised = self._advised, True
        return "" if advised else f"; {ADVICE}"


def name_of(function: str | Callable) -> str:
    """The name of a method, or the name of a function and the line where it is defined."""
    if isinstance(function, str):
        return function
    code = getattr(function, "__code__", None)
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{name}:{code.co_firstlineno}" if code else name


def numbered(name: str, before: int) -> str:
    """The name; with a number from 2 if there are others before it."""
    return f"{name}_{before + 1}" if before else name


def say(sentence: str) -> None:
    """Prints a sentence on lines of its own, over a progress bar."""
    text = textwrap.fill(sentence, 79, subsequent_indent="  ")
    output.say(f"\r{text:<78}" if output.on_terminal() else text)


def listed(units: Sequence[int]) -> str:
    """z1, z2 and z5. Of more than eight units, the first six."""
    names = [f"z{unit + 1}" for unit in units]
    if len(names) > 8:
        return f"{', '.join(names[:6])} and {len(names) - 6} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
