"""From a configuration to a `Job`: every mistake is found here, then the run's folder is claimed."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from omegaconf import DictConfig, OmegaConf

from vae_lightning.app import build, resume
from vae_lightning.app.config import name_run, plain
from vae_lightning.app.trust import ALLOWED, check_targets
from vae_lightning.errors import ConfigError
from vae_lightning.module import VAE
from vae_lightning.runs.folder import claim
from vae_lightning.runs.run import Run
from vae_lightning.schedule import in_fractions


@dataclass(frozen=True)
class Job:
    """A run that is ready to start: its folder is claimed, and every object is built."""

    folder: Path
    config: dict[str, Any]  # resolved, plain values
    overrides: tuple[str, ...]
    choices: Mapping[str, str]  # {group: option}
    image_shape: list[int]  # [C, H, W]
    data: pl.LightningDataModule
    module: VAE
    schedule: object
    trainer: pl.Trainer
    resumes: Run | None = None  # the run that goes on in its own folder

    @property
    def parts(self) -> dict[str, object]:
        """{part: object} of the parts that the record says something of."""
        named = ("network", "latent", "loss", "bound", "optimizer")
        return {**{name: getattr(self.module, name) for name in named}, "schedule": self.schedule}

    @property
    def falls_back(self) -> bool:
        """Whether a damaged last checkpoint may be replaced by the one before it."""
        return self.config["resume"] == resume.AUTO


def prepare(cfg: DictConfig, overrides: Sequence[str], choices: Mapping[str, str]) -> Job | Run:
    """Checks the configuration, builds data and module, rehearses, and claims the folder.

    Returns the run itself where a finished run was to be resumed. Raises UserError for whatever cannot work; a folder
    exists only after everything was found to work.
    """
    check_targets(OmegaConf.to_container(cfg), [*ALLOWED, *cfg.allow_targets])
    choices = {**choices, **build.settle_targets(cfg, overrides)}
    cfg.group, cfg.name = name_run(cfg, choices)
    before = resume.find(cfg)
    if before:
        cfg = resume.configuration(before, overrides, cfg)
        overrides = resume.overrides(before, overrides)
        choices = before.choices
        if resume.finished(before, cfg):
            return before
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build.data_module(cfg.data)
    shape = build.image_shape(data, cfg.data._target_)
    module = build.vae(cfg, shape)
    schedule = rehearse(cfg, data)
    build.check_loggers(cfg)
    if before:
        resume.check_data(before, data)
    else:
        cfg.run_dir = str(claim(cfg.project_dir, cfg.group, cfg.name, cfg.date_prefix, cfg.save_dir))
    trainer = build.make_trainer(cfg, data)
    return Job(Path(cfg.run_dir), plain(cfg), tuple(overrides), choices, shape, data, module, schedule, trainer, before)


def rehearse(cfg: DictConfig, data: Any) -> object:
    """The schedule, once the rehearsal has succeeded.

    Raises ConfigError for a trainer, callback or schedule that cannot work. Touches no logger, network or disk.
    """
    trial = cfg.copy()
    trial.run_dir = "."
    trainer = build.make_trainer(trial, data, with_loggers=False)
    steps_per_epoch = math.ceil(len(data.train_dataloader()) / trainer.accumulate_grad_batches)
    steps = cfg.epochs * steps_per_epoch
    steps = steps if trainer.max_steps < 0 else min(steps, trainer.max_steps)
    schedule = build.schedule(cfg)
    in_fractions(schedule, steps, steps / steps_per_epoch)
    cores = os.cpu_count() or 1
    if trainer.strategy.root_device.type == "cpu" and trainer.num_devices > cores:
        raise ConfigError(f"trainer.devices={trainer.num_devices}: this machine has {cores} cores")
    if trainer.limit_train_batches == 0 or trainer.max_steps == 0:
        raise ConfigError("trainer.limit_train_batches=0 or trainer.max_steps=0: nothing would be trained")
    return schedule
