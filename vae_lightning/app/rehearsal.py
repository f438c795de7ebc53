"""The rehearsal of a run: what cannot work is found before its folder is claimed."""

import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.data import sized_len
from lightning.pytorch.callbacks import DeviceStatsMonitor, LearningRateMonitor
from lightning.pytorch.trainer.connectors.data_connector import _parse_num_batches
from lightning.pytorch.trainer.states import RunningStage
from lightning.pytorch.utilities.combined_loader import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf

from vae_lightning import checkpoint
from vae_lightning.app import build
from vae_lightning.app.processes import check_processes
from vae_lightning.app.together import Callbacks, check_averaging, check_files, check_states
from vae_lightning.callbacks import LatentUsage
from vae_lightning.callbacks.foreign import encodes, progress_columns
from vae_lightning.errors import ConfigError, DataError, UserError, did_you_mean
from vae_lightning.length import length_of
from vae_lightning.loss.common import LINKS
from vae_lightning.lr_schedule import mover
from vae_lightning.model import outside
from vae_lightning.module import VAE
from vae_lightning.schedule import in_fractions, span
from vae_lightning.sums import BETA

MODES = {"elbo": "max", "loss": "min", "recon": "min", "kl": None}  # of the metrics of a stage, beside the bound
OWN_MODES = {"train/log_pxz": "max"}  # of the metrics of modules that have no ELBO
BOUNDED = set(LINKS) - {"identity"}  # the links whose mean is in (0, 1)
FAR = 0.5  # beyond [0, 1]: noise around grey values does not reach so far, and other data do
OURS = ("vae_lightning.", "lightning.", "pytorch_lightning.")  # those of other packages may log more metrics


def rehearse(cfg: DictConfig, data: Any, module: VAE, in_sweep: bool = False) -> object:
    """The schedule, once the rehearsal has succeeded. A trial (`fast_dev_run`) rehearses the whole run.

    Raises ConfigError for a trainer, callback or schedule that cannot work, CheckpointError for data whose settings no
    checkpoint can hold. Touches no logger, network or disk.
    """
    whole = cfg.copy()
    whole.run_dir = "."
    OmegaConf.update(whole, "trainer.fast_dev_run", False, force_add=True)
    callbacks = build.named_callbacks(whole)
    check_states(callbacks)
    check_averaging(callbacks)
    trainer = build.make_trainer(whole, data, with_loggers=False)
    batches = num_batches(trainer, data)
    check_trainer(trainer, batches)
    if check_run := getattr(module, "check_run", None):  # what a module of its own kind asks of the run
        check_run(trainer, data, batches["val"] > 0)
    check_processes(trainer, data, in_sweep)
    schedule = build.schedule(cfg)
    length = length_of(trainer, batches["train"])
    stretched = span(schedule, length)
    in_fractions(schedule, stretched.steps, stretched.whole_epochs)
    if key := mover(module.optimizer, module.lr_schedule):
        length.needed_by(key)
    for part in callbacks.values():
        getattr(part, "look_up", id)(module)  # what it needs of the module is there
    check_monitors(callbacks, module, batches["val"] > 0)
    check_files(callbacks, Path(trainer.default_root_dir))
    for name, part in callbacks.items():
        if isinstance(part, LearningRateMonitor | DeviceStatsMonitor) and not build.logger_nodes(cfg):
            raise ConfigError(f"callbacks.{name}: {type(part).__name__} needs a logger; add one: logger=tensorboard")
    checkpoint.savable(dict(getattr(data, "hparams", None) or {}), "datamodule_hyper_parameters")
    return schedule


def try_out(module: VAE, shape: Sequence[int]) -> None:
    """Raises ConfigError where the parts do not fit each other: takes two grey images through them, once."""
    x = torch.full((2, *shape), 0.5)
    try:
        with isolate_rng(), torch.no_grad():
            eps = module.latent.noise(module.bound.num_samples, len(x), torch.Generator())
            module.eval().bound(module.model.draw(x, eps, module.bound.chunk), module.beta)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, UserError):
            raise
        parts = ", ".join(type(part).__name__ for part in (module.network, module.latent, module.loss, module.bound))
        raise ConfigError(f"{parts}: these parts do not fit each other ({' '.join(str(error).split())})") from error
    finally:
        module.train()


def check_range(module: VAE, data: Any, shape: Sequence[int]) -> None:
    """Raises DataError where p(x|z) does not cover the `value_range` of the data, if the data module knows it.

    A mean that is held in (0, 1) does not cover data far from there.
    """
    limits = getattr(data, "value_range", None)
    if limits is None:
        return
    low, high = limits
    loss = module.loss
    try:
        module.model.check(torch.tensor([low, high]).view(2, *[1] * len(shape)).expand(2, *shape))
        if getattr(loss, "link", "") in BOUNDED and not (low >= -FAR and high <= 1 + FAR):
            raise DataError(outside(loss, low, high, "the mean of this p(x|z) is in (0, 1)"))
    except DataError as error:
        scales = low >= 0 and hasattr(data, "scale")
        raise DataError(f"{error}; data.scale={high:g} divides by the largest" if scales else str(error)) from None


def num_batches(trainer: pl.Trainer, data: Any) -> dict[str, float]:
    """The batches of an epoch in training and validation; inf for a stream. Raises Lightning's error for a limit."""

    def batches(stage: RunningStage, load: Callable[[], Any], limit: float) -> list[float]:
        lengths = [sized_len(loader) for loader in CombinedLoader(load(), "max_size_cycle").flattened]
        return [_parse_num_batches(stage, math.inf if length is None else length, limit) for length in lengths]

    train = batches(RunningStage.TRAINING, data.train_dataloader, trainer.limit_train_batches)
    validates = is_overridden("val_dataloader", data) and trainer.limit_val_batches
    val = batches(RunningStage.VALIDATING, data.val_dataloader, trainer.limit_val_batches) if validates else []
    if isinstance(trainer.limit_test_batches, float) and 0 < trainer.limit_test_batches < 1:
        data.setup("test")
        batches(RunningStage.TESTING, data.test_dataloader, trainer.limit_test_batches)
    return {"train": max(train, default=0), "val": sum(val)}


def check_trainer(trainer: pl.Trainer, batches: Mapping[str, float]) -> None:
    """Raises ConfigError for a trainer that trains nothing, waits for other nodes, or never reaches its validation."""
    train, every = batches["train"], trainer.val_check_interval
    if trainer.num_nodes > 1 and not is_started_on_all_nodes(trainer):
        raise ConfigError(
            f"trainer.num_nodes={trainer.num_nodes}: this process would wait for the others; start one on each node "
            "with torchrun or SLURM, or set NODE_RANK and MASTER_ADDR"
        )
    if train == 0 or trainer.max_steps == 0:
        raise ConfigError("trainer.limit_train_batches=0 or trainer.max_steps=0: nothing would be trained")
    if batches["val"] and isinstance(every, int) and trainer.check_val_every_n_epoch is not None and every > train:
        raise ConfigError(
            f"trainer.val_check_interval={every}: an epoch has {train} batches; make it smaller, or let it count the "
            "batches of all epochs: +trainer.check_val_every_n_epoch=null"
        )


def is_started_on_all_nodes(trainer: pl.Trainer) -> bool:
    """Whether something started this process as one of several nodes."""
    environment = trainer._accelerator_connector.cluster_environment
    return environment.creates_processes_externally or bool({"NODE_RANK", "GROUP_RANK"} & set(os.environ))


def modes_of(module: VAE, callbacks: Collection[pl.Callback], validates: bool) -> tuple[dict[str, str | None], bool]:
    """{metric: the better end, or None} of what is logged in training and validation, and whether it may be more.

    A callback or a module of the user's own may log more metrics.
    """
    terms, stages = {**MODES, module.bound.name: "max"}, ("train", "val") if validates else ("train",)
    modes = {key: OWN_MODES.get(key) for key in progress_columns(module).values()}
    if encodes(module):
        modes |= {f"{stage}/{term}": mode for stage in stages for term, mode in terms.items()} | dict.fromkeys(BETA)
        modes |= {"active_units": None} if any(isinstance(part, LatentUsage) for part in callbacks) else {}
    return modes, not all(type(part).__module__.startswith(OURS) for part in (module, *callbacks))


def check_monitors(callbacks: Callbacks, module: VAE, validates: bool) -> None:
    """Raises ConfigError for a callback whose `monitor` is not logged, or whose `mode` takes the worst for the best.

    Where more metrics may be logged, only those of this package are checked.
    """
    modes, logs_more = modes_of(module, callbacks.values(), validates)
    rates = any(isinstance(part, LearningRateMonitor) for part in callbacks.values())
    for name, part in callbacks.items():
        monitor, mode = getattr(part, "monitor", None), getattr(part, "mode", None)
        if not isinstance(monitor, str) or (not validates and build.selects_by_validation(part)):
            continue  # nothing to check, or left out by the trainer
        if monitor not in modes and not logs_more and not (rates and monitor.startswith("lr-")):
            raise ConfigError(f"callbacks.{name}.monitor={monitor}: it is not logged; {did_you_mean(monitor, modes)}")
        if mode in ("min", "max") and modes.get(monitor) not in (None, mode):
            raise ConfigError(
                f"callbacks.{name}.mode={mode}: this takes the worst {monitor} for the best; "
                f"say callbacks.{name}.mode={modes[monitor]}"
            )
