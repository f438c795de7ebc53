"""What the callbacks ask of a module and a trainer of any Lightning project.

They find a method or an attribute by its name, read the result of an encoder, and leave the module as it was.
"""

import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.distributions import Independent, Normal

from vae_lightning.equations import kl_standard_normal
from vae_lightning.errors import ConfigError
from vae_lightning.shapes import at_least_float32


@contextmanager
def looking(trainer: pl.Trainer, pl_module: pl.LightningModule, seed: int) -> Iterator[None]:
    """Evaluation mode, no gradients, the random numbers of `seed`. Restores the modes and the random state."""
    modes = [(part, part.training) for part in pl_module.modules()]
    mps_state = torch.mps.get_rng_state() if torch.backends.mps.is_available() else None  # isolate_rng knows CPU, CUDA
    with isolate_rng(), torch.no_grad(), trainer.precision_plugin.forward_context():
        torch.manual_seed(seed)
        pl_module.eval()
        try:
            yield
        finally:
            for part, training in modes:
                part.training = training
            if mps_state is not None:
                torch.mps.set_rng_state(mps_state)


def encodes(pl_module: pl.LightningModule) -> bool:
    """Whether the module trains an encoder; one that does not says `encodes = False`, and then nobody looks at it."""
    return getattr(pl_module, "encodes", True)


def progress_columns(pl_module: pl.LightningModule) -> Mapping[str, str]:
    """{column: metric} of a module that names its own in `progress_columns`; else none."""
    return getattr(pl_module, "progress_columns", {})


def method(
    pl_module: pl.LightningModule, owner: object, argument: str, function: str | Callable, takes: str = ""
) -> Callable[..., Any]:
    """`function` itself, or the method of the module with that name, which may be dotted (`"net.encode"`).

    Raises ConfigError if there is no such method, or if it cannot be called with `takes` alone.
    """
    name, found = f"{type(owner).__name__}({argument}={function!r})", function
    if isinstance(function, str):
        with suppress(AttributeError):
            found = follow(pl_module, function)
    if not callable(found):
        raise ConfigError(f"{name}: {type(pl_module).__name__} has no such method; name one, or pass a function")
    if takes and (reason := refusal(found)):
        raise ConfigError(f"{name}: it cannot be called with {takes} alone ({reason}); pass a function of {takes}")
    return found


def refusal(function: Callable[..., Any]) -> str:
    """Why a function does not take exactly one argument; an empty text if it does, or if its signature is unknown."""
    try:
        inspect.signature(getattr(function, "forward", function)).bind(None)
    except TypeError as error:
        return str(error)
    except ValueError:  # a function of another language
        pass
    return ""


def follow(root: Any, path: str) -> Any:
    """The object at a dotted path; the root for an empty path. Raises AttributeError."""
    for name in path.split(".") if path else ():
        root = getattr(root, name)
    return root


def mean_and_log_var(posterior: Any, owner: str) -> tuple[Tensor, Tensor]:
    """The result of an encoder as (mean, log_var), both [B, J], in float32 at least.

    It is an object with these attributes, a Normal of torch.distributions, or the two tensors themselves. Raises
    ConfigError, which begins with `owner`, for anything else.
    """
    result = posterior.base_dist if isinstance(posterior, Independent) else posterior
    if isinstance(result, Normal):
        result = (result.loc, 2 * result.scale.log())
    elif hasattr(result, "log_var"):
        result = (result.mean, result.log_var)
    both = isinstance(result, list | tuple) and len(result) == 2 and all(isinstance(part, Tensor) for part in result)
    if not both or result[0].shape != result[1].shape or result[0].ndim != 2:
        raise ConfigError(
            f"{owner}: it returns {returned(posterior)}; it must return mean and log_var, both [B, J], an object with "
            "these attributes, or a Normal; pass a function of x that does"
        )
    mean, log_var = map(at_least_float32, result)
    return mean, log_var


def unit_kl(posterior: Any, mean: Tensor, log_var: Tensor) -> Tensor:
    """The KL of each latent unit, [B, J]: the posterior's own, if it has a method `kl`, else that to N(0, 1)."""
    with suppress(TypeError):  # it takes more than we have
        own = posterior.kl() if callable(getattr(posterior, "kl", None)) else None
        if isinstance(own, Tensor) and own.shape == mean.shape:
            return own
    return kl_standard_normal(mean, log_var)


def returned(value: Any) -> str:
    """What a function returned, in words: the sizes of tensors, else the type."""
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(returned, value))})"
    return f"a {type(value).__name__}"


def description(trainer: pl.Trainer) -> str:
    """The data in one line, if the data module has a `description`; else an empty text."""
    return getattr(getattr(trainer, "datamodule", None), "description", "")


def undo_of(trainer: pl.Trainer) -> Callable[[Tensor], Tensor] | None:
    """How standardised vectors are mapped back, if the data module standardises them."""
    data = getattr(trainer, "datamodule", None)
    return getattr(data, "undo", None) if getattr(data, "standardise", False) is True else None


def run_dir(trainer: pl.Trainer, dirpath: str | os.PathLike[str] | None) -> Path:
    """`dirpath`, or the trainer's `default_root_dir`, with the home folder in place of `~`.

    Raises ConfigError for a URL: the files are local ones.
    """
    path = str(trainer.default_root_dir if dirpath is None else dirpath)
    if re.match(r"[A-Za-z][\w+.-]+:/", path):
        argument = "default_root_dir" if dirpath is None else "dirpath"
        raise ConfigError(f"{argument}={path}: the files go into a folder of this machine; give the callback a dirpath")
    return Path(path).expanduser()


def steps_done(trainer: pl.Trainer) -> int:
    """The steps of the run so far. Under manual optimization a batch is a step, however many optimizers it steps."""
    automatic = trainer.lightning_module.automatic_optimization
    return trainer.global_step if automatic else trainer.fit_loop.total_batch_idx + 1


def best_checkpoint(trainer: pl.Trainer) -> Path | None:
    """The file that the first ModelCheckpoint with a `monitor` holds for the best; None if none was selected."""
    for callback in trainer.checkpoint_callbacks:
        if getattr(callback, "monitor", None) and getattr(callback, "best_model_path", ""):
            return Path(callback.best_model_path)  # type: ignore[attr-defined]
    return None
