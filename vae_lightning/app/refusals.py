"""Objects that a configuration cannot have, in one line: a class that refuses its arguments, a part of another kind."""

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class
from omegaconf import OmegaConf

from vae_lightning.app.mistakes import raised_in
from vae_lightning.errors import ConfigError, nearest, with_place
from vae_lightning.runs.configuration import leaves

EXPLAINED = ("vae_lightning", "lightning", "torch", "hydra")  # packages whose messages need no line of code
NEEDS = {
    "network": ("encode", "decode"),
    "latent": ("dim", "num_parameters", "posterior", "log_pz", "noise"),
    "loss": ("num_parameters", "log_px_z", "mean", "sample"),
    "bound": ("num_samples", "chunk", "name", "__call__"),
    "schedule": ("__call__",),
    "optimizer": ("__call__",),
    "lr_schedule": ("__call__",),
    "data": ("prepare_data", "setup", "train_dataloader"),
    "callbacks": ("on_train_batch_end", "state_key"),
    "logger": ("log_metrics", "log_hyperparams"),
    "trainer": ("fit", "test"),
}  # group: what the command asks of its objects


def refused(error: InstantiationException, part: Any, given: Collection[str]) -> str:
    """Why a class refused its arguments, after its place in the configuration.

    `part` is the configuration of the object, and `given` are the arguments that the command adds.
    """
    key, cause = re.search(r"full_key: (\S+)", str(error)), error.__cause__
    place = key[1] if key else "the configuration"
    if cause is None:
        return f"{place}: {one_line(str(error).partition('full_key:')[0])}"
    target = re.search(r"target '([\w.]+)'", str(error))
    unknown = re.search(r"unexpected keyword argument '(\w+)'", str(cause))
    if target and unknown and unknown[1] in {*names_in(part), *given} - arguments_of(get_class(target[1])):
        return no_argument(place, get_class(target[1]), unknown[1], given)
    refusal = isinstance(cause, ValueError | TypeError) or type(cause).__name__ == "MisconfigurationException"
    return f"{place}: {one_line(cause) if refusal and raised_in(cause) in EXPLAINED else with_place(cause)}"


def names_in(part: Any) -> set[str]:
    """The keys of a part and of the parts in it."""
    values: Any = OmegaConf.to_container(part) if OmegaConf.is_config(part) else {}
    return {name for key, _ in leaves(values) for name in key.split(".")}


def one_line(text: object) -> str:
    """A text without its line breaks."""
    return " ".join(str(text).split())


def no_argument(place: str, kind: type, name: str, given: Collection[str]) -> str:
    """The answer to an argument that a class does not take."""
    if name in given:
        return f"{place}._target_: {kind.__name__} must take {', '.join(given)}; see docs/extending.md"
    taken = sorted(arguments_of(kind) - {"_target_", "self", "args", "kwargs", "options", *given})
    near = nearest(name, taken)
    return f"{place}.{name}: {kind.__name__} takes no such argument; {near}it takes {', '.join(taken) or 'none'}"


def arguments_of(kind: type) -> set[str]:
    """The arguments that the constructor of a class takes, with those that it hands on to its bases as **options."""
    names = {"_target_"}
    for base in kind.__mro__:
        parameters = inspect.signature(base).parameters.values()
        names |= {parameter.name for parameter in parameters}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return names


def made(kind: type, base: type, make: Callable[..., Any], parts: Mapping[str, Any]) -> Any:
    """The module of the group `paper`. Raises ConfigError for a class that is no `base`, or takes other arguments."""
    if not issubclass(kind, base):
        raise ConfigError(f"paper._target_: {kind.__name__} is no {base.__name__}; derive it from that class")
    try:
        return make(**parts)
    except TypeError as error:
        missing = re.search(r"missing \d+ required .*argument.*: (.*)", str(error))
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if missing:
            names = re.findall(r"'(\w+)'", missing[1])
            says = f"paper: {one_line(error)}; say {', '.join(f'+paper.{name}=VALUE' for name in names)}"
        elif unknown and unknown[1] not in arguments_of(kind):
            says = no_argument("paper", kind, unknown[1], parts)
        else:
            says = f"paper: {with_place(error)}"
        raise ConfigError(says) from error


def check_kind(group: str, part: Any) -> Any:
    """The part itself. Raises ConfigError where it lacks what the command asks of a part of its group."""
    lacks = [name for name in NEEDS[group] if not hasattr(part, name)]
    if lacks:
        raise ConfigError(
            f"{group}: {type(part).__name__} has no {', '.join(lacks)}, so it cannot be used here; "
            f"--help lists the options of {group}, docs/extending.md says what one of your own needs"
        )
    return part
