"""The main job: `python -m vae_lightning.train loss=bce schedule=cyclic`.

What can be wrong is found before the run folder is claimed; heavy imports wait until there is something to do.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vae_lightning import cli, config
from vae_lightning.errors import ConfigError, FolderError
from vae_lightning.pages import sweep_recorder
from vae_lightning.targets import ALLOWED, check_targets

if TYPE_CHECKING:
    import torch
    from lightning.pytorch import Callback, LightningDataModule, Trainer

    from vae_lightning.module import VAE
    from vae_lightning.runs.run import Run


def train(cfg: DictConfig) -> float:
    """Trains, tests, and returns the last validation ELBO (training ELBO where nothing is held out), in nats."""
    with sweep_recorder.recorded(cfg) as job:
        return train_job(cfg, job)


def train_job(cfg: DictConfig, job: sweep_recorder.Recorder) -> float:
    """The checks, the run folder, and the run in it."""
    config.check(cfg)
    config.check_added(HydraConfig.get().overrides.task)
    check_targets(OmegaConf.to_container(cfg), [*ALLOWED, *cfg.allow_targets])
    import lightning.pytorch as pl

    from vae_lightning import resume
    from vae_lightning.runs.folder import claim, owned

    quiet()
    hydra_cfg = HydraConfig.get()
    cfg.group, cfg.name = config.name_run(cfg, hydra_cfg.runtime.choices)
    before = resume.find(cfg)
    if before:
        cfg = resume.configuration(before, list(hydra_cfg.overrides.task), cfg)
        if resume.finished(before, cfg):
            job.becomes(before.path, cfg.group)
            print(f"{before.path}: completed, nothing to do")
            return before.score
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data, module = data_module(cfg), vae(cfg)
    rehearse(cfg, data)
    if before:
        resume.check_data(before, data)
    else:
        cfg.run_dir = str(claim(cfg.project_dir, cfg.group, cfg.name, cfg.date_prefix, cfg.save_dir))
    job.becomes(Path(cfg.run_dir), cfg.group)
    with owned(Path(cfg.run_dir)):
        return fit_and_test(cfg, data, module, before)


def fit_and_test(cfg: DictConfig, data: "LightningDataModule", module: "VAE", before: "Run | None") -> float:
    """The run itself, in its folder, from the start or from where it was left."""
    from hydra.utils import get_class

    from vae_lightning import logger, resume
    from vae_lightning.app.facts import PARTS, facts_of

    start = resume.sound_checkpoint(before, module, fall_back=cfg.resume == resume.AUTO) if before else None
    try:
        trainer = make_trainer(cfg, data)
        resolved: Any = OmegaConf.to_container(cfg, resolve=True)
        said = list(HydraConfig.get().overrides.task)
        record(trainer, config=resolved, overrides=resume.overrides(before, said) if before else said)
        record(trainer, **(resume.history(before) if before else {}))
        parts = {name: getattr(module, name, None) or get_class(cfg[name]._target_) for name in PARTS}
        record(trainer, **facts_of(resolved, before.choices if before else HydraConfig.get().runtime.choices, parts))
        for each in trainer.loggers:
            each.log_hyperparams(resolved)
        trainer.fit(module, data, ckpt_path=start, weights_only=True)
        score = trainer.callback_metrics.get("val/elbo", trainer.callback_metrics.get("train/elbo"))
        trainer.test(module, data, ckpt_path=best_checkpoint(trainer), verbose=False, weights_only=True)
        return before.score if score is None and before else float(score or 0.0)
    finally:
        logger.finish()
        if cfg.report and not isinstance(sys.exc_info()[1], OSError | FolderError):  # then nothing can be written
            write_report(cfg, data, module)


def write_report(cfg: DictConfig, data: "LightningDataModule", module: "VAE") -> None:
    """report.html, of a run that ended well or badly. Where it cannot be written, a warning; the run is what it is."""
    from vae_lightning.runs.lock import is_first_process

    if not is_first_process():
        return
    try:
        from vae_lightning.app.restore import shown
        from vae_lightning.pages.run.page import write_run_page
        from vae_lightning.runs.run import open_run

        run = open_run(cfg.run_dir)
        print(f"open {write_run_page(run, shown(run, module, data)[0], {})}", flush=True)
    except ConfigError:  # it ended before its record began: there is nothing to show
        pass
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"warning: {cfg.run_dir}: no report.html ({reason}); its results are whole", file=sys.stderr, flush=True)


def data_module(cfg: DictConfig) -> "LightningDataModule":
    """The data, on disk and in memory."""
    data = build(cfg.data)
    data.prepare_data()
    data.setup("fit")
    return data


def vae(cfg: DictConfig) -> "VAE":
    """The module of a configuration: its parts fit each other because each is told only the sizes it needs."""
    import torch
    from hydra.utils import get_class

    from vae_lightning.module import VAE

    latent, loss, bound = build(cfg.latent), build(cfg.loss), build(cfg.bound)
    image_shape = get_class(cfg.data._target_).image_shape  # type: ignore[attr-defined]
    sizes = {"image_shape": image_shape, "latent_dim": latent.dim, "num_parameters": loss.num_parameters}
    with torch.device("meta"):  # its size, without its memory
        check_memory(cfg, build(cfg.network, **sizes))
    network = build(cfg.network, **sizes)
    return VAE(network, latent, loss, bound, build(cfg.optimizer), beta=cfg.beta, seed=cfg.seed)


def make_trainer(cfg: DictConfig, data: "LightningDataModule") -> "Trainer":
    """Lightning's trainer with the callbacks and loggers of the configuration.

    What monitors validation is left out where there is no validation set.
    """
    from vae_lightning.checkpoint import WholeCheckpointIO
    from vae_lightning.errors import ConfigError, shown

    callbacks: list[Callback] = [build(part) for part in cfg.callbacks.values()]
    if data.val_size == 0:  # type: ignore[attr-defined]
        callbacks = [each for each in callbacks if not str(getattr(each, "monitor", "")).startswith("val/")]
    loggers = [build(part) for part in ([cfg.logger] if "_target_" in cfg.logger else cfg.logger.values())]
    more = {"callbacks": callbacks, "logger": loggers or False, "plugins": [WholeCheckpointIO()]}
    try:
        return build(cfg.trainer, default_root_dir=cfg.run_dir, **more)
    except ConfigError as error:
        asked = ", ".join(f"trainer.{key}={shown(cfg.trainer[key])}" for key in ("accelerator", "devices"))
        raise ConfigError(f"{asked}: {error}; auto and 1 always work") from error


def rehearse(cfg: DictConfig, data: "LightningDataModule") -> None:
    """Raises ConfigError for whatever would be found wrong only in a claimed folder, without claiming one."""
    import math
    import os

    from vae_lightning.errors import ConfigError
    from vae_lightning.schedule import in_fractions

    trial = cfg.copy()
    trial.run_dir = "."
    trainer = make_trainer(trial, data)
    steps_per_epoch = math.ceil(len(data.train_dataloader()) / trainer.accumulate_grad_batches)
    steps = (
        cfg.epochs * steps_per_epoch if trainer.max_steps < 0 else min(cfg.epochs * steps_per_epoch, trainer.max_steps)
    )
    in_fractions(build(cfg.schedule), steps, steps / steps_per_epoch)
    cores = os.cpu_count() or 1
    if trainer.strategy.root_device.type == "cpu" and trainer.num_devices > cores:
        raise ConfigError(f"trainer.devices={trainer.num_devices}: this machine has {cores} cores")
    if trainer.limit_train_batches == 0 or trainer.max_steps == 0:
        raise ConfigError("trainer.limit_train_batches=0 or trainer.max_steps=0: nothing would be trained")


def check_memory(cfg: DictConfig, network: "torch.nn.Module") -> None:
    """Raises ConfigError where weights, gradients and Adam's two moments would not fit into the machine's memory."""
    import os

    from vae_lightning.errors import ConfigError

    needed = 4 * sum(each.numel() * each.element_size() for each in network.parameters())
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return
    if needed > there:
        raise ConfigError(
            f"latent.dim={cfg.latent.dim}, hidden_dim={cfg.hidden_dim}: training takes {needed / 2**30:,.0f} GiB for "
            f"the weights alone, this machine has {there / 2**30:,.0f}; make them smaller"
        )


def build(part: DictConfig, **more: Any) -> Any:
    """`hydra.utils.instantiate`, with a value that its class refuses as a ConfigError."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from vae_lightning.errors import ConfigError, UserError

    try:
        return instantiate(part, _convert_="all", **more)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, ValueError | TypeError | MisconfigurationException):
            raise ConfigError(" ".join(str(error.__cause__).split())) from error
        raise


def record(trainer: "Trainer", **facts: Any) -> None:
    """Hands the run's record what only the command line knows."""
    from vae_lightning.callbacks import RunRecord

    for each in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(each, RunRecord):
            each.add(**facts)


def best_checkpoint(trainer: "Trainer") -> str | None:
    """The checkpoint of the best validation ELBO; None (the weights as they are) where nothing was selected."""
    for each in trainer.checkpoint_callbacks:
        if getattr(each, "monitor", None) and getattr(each, "best_model_path", ""):
            return each.best_model_path  # type: ignore[attr-defined]
    return None


def quiet() -> None:
    """Keeps Lightning's tips, the warnings that do not apply to data in memory, and its look-out for a GPU away."""
    import logging
    import os
    import warnings

    import torch

    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # a compiler for the CPU needs no CUDA
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")
    warnings.filterwarnings("ignore", ".*across ranks is zero.*")  # val_size=0
    warnings.filterwarnings("ignore", ".*sync_dist=True.*")  # the module sums over processes itself
    warnings.filterwarnings("ignore", ".*your dataloader is not resumable.*")  # ours starts where the run was left
    warnings.filterwarnings("ignore", ".*LeafSpec.*deprecated.*")  # Lightning's own, against torch 2.15
    warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
    if not torch.cuda.is_available():  # Lightning has torch look for the driver's library; Adam would, at every step
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def main() -> None:
    try:
        cli.run("train", train)
    finally:
        sweep_recorder.finish()


if __name__ == "__main__":  # through the import, so that a sweep's workers can find `train` by its name
    from vae_lightning.train import main as imported_main

    imported_main()
