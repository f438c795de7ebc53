"""Objects of a configuration: data, module, callbacks, loggers, trainer. Nothing here writes to disk."""

import inspect
import os
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf, open_dict

from vae_lightning.checkpoint import WholeCheckpointIO
from vae_lightning.errors import ConfigError, UserError, shown
from vae_lightning.module import VAE
from vae_lightning.runs.configuration import key_of


def build(part: Any, **more: Any) -> Any:
    """`hydra.utils.instantiate`. Raises ConfigError for a value that the class refuses."""
    try:
        return instantiate(part, _convert_="all", **more)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, ValueError | TypeError | MisconfigurationException):
            raise ConfigError(" ".join(str(error.__cause__).split())) from error
        raise


def settle_targets(cfg: DictConfig, overrides: Sequence[str]) -> dict[str, str]:
    """Fits the arguments of a part to the class that an override names, such as network._target_=my_pkg.Net.

    The option's own arguments go where the class does not take them; those said on the command line stay. Returns
    {group: class name}.
    """
    said = {key_of(override) for override in overrides}
    named = {}
    for group in (key.removesuffix("._target_") for key in said if key.endswith("._target_")):
        node = OmegaConf.select(cfg, group)
        kind = get_class(node._target_)
        named[group] = kind.__name__
        takes = arguments_of(kind)
        with open_dict(node):
            for key in [key for key in node if key not in takes and f"{group}.{key}" not in said]:
                del node[key]
    return named


def arguments_of(kind: type) -> set[str]:
    """The arguments that the constructor of a class takes, with those that it hands on to its bases as **options."""
    names = {"_target_"}
    for base in kind.__mro__:
        parameters = inspect.signature(base).parameters.values()
        names |= {parameter.name for parameter in parameters}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return names


def data_module(node: Any) -> pl.LightningDataModule:
    """The data of the node `data`, on disk and in memory."""
    data = build(node)
    data.prepare_data()
    data.setup("fit")
    return data


def image_shape(data: Any, target: str) -> list[int]:
    """[C, H, W] of a data module. Raises ConfigError where it does not say its shape."""
    shape = getattr(data, "image_shape", None)
    if not shape:
        raise ConfigError(f"data._target_={target}: it has no attribute image_shape; give it one, such as (1, 28, 28)")
    return list(shape)


def described(data: Any) -> dict[str, Any]:
    """What a data module says of its data; for one without `describe`, its class."""
    plain = {"name": type(data).__name__, "protocol": "real", "source": type(data).__module__, "subset": False}
    describe: Any = getattr(data, "describe", dict)
    return {**plain, **describe()}


def vae(cfg: DictConfig, shape: Sequence[int]) -> VAE:
    """The module of a configuration, for images of `shape` [C, H, W]. Each part is told only the sizes it needs."""
    latent, loss, bound = build(cfg.latent), build(cfg.loss), build(cfg.bound)
    sizes = {"image_shape": list(shape), "latent_dim": latent.dim, "num_parameters": loss.num_parameters}
    check_memory(cfg, sizes)
    network = build(cfg.network, **sizes)
    optimizer, numbers = build(cfg.optimizer), {"beta": cfg.beta, "seed": cfg.seed, "reduction": cfg.reduction}
    return VAE(network, latent, loss, bound, optimizer, **numbers)


def callbacks_and_loggers(cfg: DictConfig) -> tuple[list[DictConfig], list[DictConfig]]:
    """The nodes of the callbacks and of the loggers."""
    loggers = [cfg.logger] if "_target_" in cfg.logger else list(cfg.logger.values())
    return list(cfg.callbacks.values()), loggers


def make_trainer(cfg: DictConfig, data: pl.LightningDataModule, with_loggers: bool = True) -> pl.Trainer:
    """The trainer with the callbacks and loggers of the configuration.

    A ModelCheckpoint that monitors validation is left out where there is no validation.
    """
    nodes, logger_nodes = callbacks_and_loggers(cfg)
    callbacks: list[pl.Callback] = [build(node) for node in nodes]
    if getattr(data, "val_size", None) == 0 or cfg.trainer.get("limit_val_batches") == 0:
        callbacks = [part for part in callbacks if not selects_by_validation(part)]
    loggers = [build(node) for node in logger_nodes] if with_loggers else []
    more = {"callbacks": callbacks, "logger": loggers or False, "plugins": [WholeCheckpointIO()]}
    try:
        return build(cfg.trainer, default_root_dir=cfg.run_dir, **more)
    except ConfigError as error:
        asked = ", ".join(f"trainer.{key}={shown(cfg.trainer[key])}" for key in ("accelerator", "devices"))
        raise ConfigError(f"{asked}: {error}; auto and 1 always work") from error


def selects_by_validation(part: pl.Callback) -> bool:
    """Whether a callback is a ModelCheckpoint that monitors a metric of the validation set."""
    return isinstance(part, ModelCheckpoint) and str(part.monitor).startswith("val/")


def check_loggers(cfg: DictConfig) -> None:
    """Raises ConfigError for a logger that is not installed, has no key, or whose server does not answer.

    The class of a logger may have a class method `check_ready`, which takes some arguments of the constructor.
    """
    for node in callbacks_and_loggers(cfg)[1]:
        check_ready = getattr(get_class(node._target_), "check_ready", None)
        if check_ready is not None:
            check_ready(**{name: node[name] for name in inspect.signature(check_ready).parameters if name in node})


def check_memory(cfg: DictConfig, sizes: dict[str, Any]) -> None:
    """Raises ConfigError where weights, gradients and Adam's two moments do not fit into the machine's memory."""
    try:
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return
    try:
        with isolate_rng(), torch.device("meta"):  # the size of the network without its memory
            network = build(cfg.network, **sizes)
    except (RuntimeError, NotImplementedError):  # a network of the user's own that computes while it is built
        return
    needed = 4 * sum(weight.numel() * weight.element_size() for weight in network.parameters())
    if needed > available:
        hidden = f", network.hidden={shown(cfg.network.hidden)}" if "hidden" in cfg.network else ""
        raise ConfigError(
            f"latent.dim={cfg.latent.dim}{hidden}: training takes {needed / 2**30:,.0f} GiB for the weights alone, "
            f"this machine has {available / 2**30:,.0f}; make them smaller"
        )
