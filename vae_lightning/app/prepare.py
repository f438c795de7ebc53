"""From a configuration to a `Job`: every mistake is found here, then the run's folder is claimed."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from omegaconf import DictConfig, OmegaConf

from vae_lightning import signals
from vae_lightning.app import build, find, resume
from vae_lightning.app.command import tell_broken
from vae_lightning.app.config import is_trial, name_run, plain
from vae_lightning.app.finished import gives_way, stays
from vae_lightning.app.rehearsal import check_range, rehearse, try_out
from vae_lightning.app.sweep import goes_on
from vae_lightning.app.trust import ALLOWED, check_targets
from vae_lightning.errors import ConfigError
from vae_lightning.module import VAE
from vae_lightning.parts import MODULES
from vae_lightning.runs.folder import claim
from vae_lightning.runs.run import Run


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
    falls_back: bool = False  # whether a damaged last checkpoint may be replaced by the one before it

    @property
    def parts(self) -> dict[str, object]:
        """{part: object} of the parts that the record says something of."""
        return {**{name: getattr(self.module, name) for name in MODULES}, "schedule": self.schedule}

    @property
    def is_trial(self) -> bool:
        """Whether the run only tries its configuration: its folder is temporary, and nothing of it stays."""
        return is_trial(self.config)


def prepare(
    cfg: DictConfig, overrides: Sequence[str], choices: Mapping[str, str], swept: Sequence[str] | None = None
) -> Job | Run:
    """Checks the configuration, builds data and module, rehearses, and claims the folder.

    `swept` are the keys that the sweep varies; None in a single run. Returns the run itself where a finished run was to
    be resumed. Raises UserError for whatever cannot work; a folder exists only after everything was found to work. That
    of a trial (`fast_dev_run`) is temporary.
    """
    check_targets(OmegaConf.to_container(cfg), [*ALLOWED, *cfg.allow_targets])
    choices = {**choices, **build.settle_targets(cfg, overrides)}
    is_named = cfg.name is not None
    cfg.group, cfg.name = name_run(cfg, choices, swept or ())
    before = find.find(cfg, is_named, swept)
    if before and stays(before, cfg):
        return before
    falls_back = cfg.resume == find.AUTO or goes_on(cfg)
    if before:
        find.check_stays(before, overrides, cfg)
        tell_broken(before)
        cfg = resume.configuration(before, overrides, cfg)
        overrides = resume.overrides(before, overrides)
        choices = before.choices
        if resume.finished(before, cfg):
            resume.check_place(before, cfg)
            return before
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build.data_module(cfg.data)
    shape = build.image_shape(data, cfg.data._target_)
    module = build.vae(cfg, shape)
    try_out(module, shape)
    check_range(module, data, shape)
    schedule = rehearse(cfg, data, module, in_sweep=swept is not None)
    build.check_loggers(cfg)
    if before and is_trial(cfg):
        raise ConfigError("trainer.fast_dev_run: a trial keeps nothing, so it resumes nothing; leave one of them out")
    if before:
        resume.check_data(before, data)
    signals.current().hold()  # from the claim of the folder until `fit` records how the run ends
    if is_trial(cfg):
        cfg.run_dir = tempfile.mkdtemp(prefix="vae_lightning-")
    elif not before:
        yields = partial(gives_way, cfg=cfg, swept=swept or ())
        cfg.run_dir = str(claim(cfg.project_dir, cfg.group, cfg.name, cfg.date_prefix, cfg.save_dir, yields))
    trainer = build.make_trainer(cfg, data, with_loggers=not is_trial(cfg))
    if before:
        resume.compare_processes(before, trainer.world_size)
    values = Path(cfg.run_dir), plain(cfg), tuple(overrides), choices
    return Job(*values, shape, data, module, schedule, trainer, before, falls_back)
