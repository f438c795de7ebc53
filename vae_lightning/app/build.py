"""Objects of a configuration: data, module, callbacks, loggers, trainer. Nothing here writes to disk."""

import inspect
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, ProgressBar
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import nn

from vae_lightning.app import trials
from vae_lightning.app.refusals import arguments_of, check_kind, made, refused
from vae_lightning.checkpoint import WholeCheckpointIO
from vae_lightning.errors import ConfigError, UserError, shown
from vae_lightning.module import VAE
from vae_lightning.runs.configuration import key_of

TURNED_OFF = {"enable_progress_bar": ProgressBar, "enable_checkpointing": Checkpoint}  # by a flag of the trainer


def build(part: Any, **more: Any) -> Any:
    """`hydra.utils.instantiate`. Raises ConfigError for a value that the class refuses, and for an error in it."""
    try:
        return instantiate(part, _convert_="all", **more)
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise ConfigError(refused(error, part, list(more))) from error


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


def data_module(node: Any) -> pl.LightningDataModule:
    """The data of the node `data`, on disk and in memory."""
    data = check_kind("data", build(node))
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
    loss, bound = (check_kind(name, build(cfg[name])) for name in ("loss", "bound"))
    latent = latent_of(cfg, shape)
    sizes = {"image_shape": list(shape), "latent_dim": latent.dim, "num_parameters": loss.num_parameters}
    check_memory(cfg, sizes)
    network = check_kind("network", build(cfg.network, **sizes))
    optimizer, lr_schedule = optimizer_of(cfg), check_kind("lr_schedule", build(cfg.lr_schedule))
    numbers = {"beta": cfg.beta, "seed": cfg.seed, "reduction": cfg.reduction}
    parts = {"network": network, "latent": latent, "loss": loss, "bound": bound, "optimizer": optimizer}
    parts |= {"lr_schedule": lr_schedule, **numbers}
    if not cfg.get("paper"):
        return VAE(**parts)
    make = build(cfg.paper, _partial_=True)  # a part is no argument of `instantiate`
    return made(get_class(cfg.paper._target_), VAE, make, parts)


def latent_of(cfg: DictConfig, shape: Sequence[int]) -> Any:
    """The latent space. One that keeps images of its own is told their shape."""
    takes_shape = "image_shape" in arguments_of(get_class(cfg.latent._target_))
    return check_kind("latent", build(cfg.latent, **({"image_shape": list(shape)} if takes_shape else {})))


def optimizer_of(cfg: DictConfig) -> Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]:
    """The optimizer: a function of the parameters. A class of torch is one once its arguments are set."""
    kind = get_class(cfg.optimizer._target_)
    if not issubclass(kind, torch.optim.Optimizer):
        return check_kind("optimizer", build(cfg.optimizer))
    build(cfg.optimizer, params=[nn.Parameter(torch.zeros(1))])  # finds an argument that it refuses
    arguments: Any = OmegaConf.to_container(cfg.optimizer, resolve=True)
    return partial(kind, **{str(key): value for key, value in arguments.items() if not str(key).startswith("_")})


def schedule(cfg: DictConfig) -> Callable[[float], float]:
    """The schedule of beta."""
    return check_kind("schedule", build(cfg.schedule))


def logger_nodes(cfg: DictConfig) -> list[DictConfig]:
    """The nodes of the loggers. A group or a node that is null is left out."""
    loggers: Any = cfg.get("logger") or {}
    nodes = [loggers] if "_target_" in loggers else loggers.values()
    return [node for node in nodes if node is not None]


def named_callbacks(cfg: DictConfig) -> dict[str, pl.Callback]:
    """{name: callback} of the configuration, without those that a flag of the trainer turns off."""
    unwanted = tuple(kind for flag, kind in TURNED_OFF.items() if cfg.trainer.get(flag) is False)
    nodes = {str(name): node for name, node in (cfg.get("callbacks") or {}).items() if node is not None}
    built = {name: check_kind("callbacks", build(node)) for name, node in nodes.items()}
    return {name: part for name, part in built.items() if not isinstance(part, unwanted)}


def make_trainer(cfg: DictConfig, data: pl.LightningDataModule, with_loggers: bool = True) -> pl.Trainer:
    """The trainer with the callbacks and loggers of the configuration.

    A ModelCheckpoint that monitors validation is left out where there is no validation.
    """
    callbacks = [*named_callbacks(cfg).values(), *trials.callbacks()]
    # last.ckpt comes after the choices, for it holds what each callback knows by then
    callbacks.sort(key=lambda part: isinstance(part, ModelCheckpoint) and part.monitor is None)
    if getattr(data, "val_size", None) == 0 or cfg.trainer.get("limit_val_batches") == 0:
        callbacks = [part for part in callbacks if not selects_by_validation(part)]
    loggers = [check_kind("logger", build(node)) for node in logger_nodes(cfg)] if with_loggers else []
    plugins = build(cfg.trainer.get("plugins")) or []
    plugins = [*(plugins if isinstance(plugins, list) else [plugins]), WholeCheckpointIO()]
    more = {"callbacks": callbacks, "logger": loggers or False, "plugins": plugins}
    more |= {"default_root_dir": cfg.run_dir, "max_epochs": cfg.epochs}
    try:
        return check_kind("trainer", build(cfg.trainer, **more))
    except ConfigError as error:
        raise ConfigError(f"{error}{hint(cfg.trainer, str(error))}") from error


def hint(trainer: DictConfig, refusal: str) -> str:
    """What to type where Lightning's Trainer refuses a device or a second progress bar."""
    if "progress bar" in refusal:
        return "; ~callbacks.progress leaves out the one that is there"
    if re.search(r"(?i)\b(accelerators?|devices?)\b", refusal):
        asked = ", ".join(f"trainer.{key}={shown(trainer.get(key))}" for key in ("accelerator", "devices"))
        return f" ({asked}; auto and 1 always work)"
    return ""


def selects_by_validation(part: pl.Callback) -> bool:
    """Whether a callback is a ModelCheckpoint that monitors a metric of the validation set."""
    return isinstance(part, ModelCheckpoint) and str(part.monitor).startswith("val/")


def check_loggers(cfg: DictConfig) -> None:
    """Raises ConfigError for a logger that is not installed, has no key, or whose server does not answer.

    The class of a logger may have a class method `check_ready`, which takes some arguments of the constructor.
    """
    for node in logger_nodes(cfg):
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
    except ConfigError:  # a network of the user's own that computes while it is built, or an error in it
        return
    needed = 4 * sum(weight.numel() * weight.element_size() for weight in network.parameters())
    if needed > available:
        named = [key for key in ("widths", "depths", "hidden") if key in cfg.network]
        layers = "".join(f", network.{key}={shown(cfg.network[key])}" for key in named)
        raise ConfigError(
            f"latent.dim={cfg.latent.dim}{layers}: training takes {needed / 2**30:,.0f} GiB for the weights alone, "
            f"this machine has {available / 2**30:,.0f}; make them smaller"
        )
