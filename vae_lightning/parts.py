"""Parts (network, latent, loss, bound, optimizer, ...) as plain values and back, and what a part says of itself.

A checkpoint holds descriptions, so that `weights_only=True` can read it and it still knows what to build. Only parts of
this package are built from a description. A part of one's own is noted by its class, and handed over when loading.
"""

import importlib
import inspect
import numbers
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from vae_lightning.errors import ConfigError, shown
from vae_lightning.options import named

MODULES = ("network", "latent", "loss", "bound", "optimizer", "lr_schedule")
OURS = "vae_lightning"
CITATION = re.compile(
    r"(?:Implements|Follows|Inspired by) "
    r"(Eqs?\. \(\d+\)|Algorithm \d+|Appendix [A-F]|Sec\. [\d.]*\d|(?:[A-Z][\w'-]+(?: & | et al\.)? ?)+\(\d{4}\))"
)
Named: TypeAlias = str | float | Sequence[int] | Mapping[str, Any] | None  # what `rebuild` makes a part of
ASKED = {  # part -> (the methods that the module calls, what to hand over)
    "network": (
        ("encode", "decode", "parameters"),
        "a torch.nn.Module with encode and decode, such as network.MLP([1, 28, 28], 20)",
    ),
    "latent": (("posterior", "log_pz", "noise"), "a latent space, such as latent.DiagonalGaussian(20)"),
    "loss": (("log_px_z", "mean", "sample"), "a likelihood, such as loss.Bernoulli()"),
    "bound": (("__call__",), "a bound, such as bound.Elbo()"),
    "optimizer": (("__call__",), "a function of the parameters, such as optimizer.Adam()"),
    "lr_schedule": (("__call__",), "a function of t in [0, 1], such as lr_schedule.Cosine()"),
}
LAYERS = {"MLP": (1, {}), "PaperMLP": (1, {"activation": "tanh", "initial": "normal"})}
LAYERS |= {"IwaeMLP": (2, {"activation": "tanh", "initial": "glorot"})}  # of checkpoints that say `hidden_dim`


def describe(part: object) -> dict[str, Any]:
    """{"class": "network.MLP", "hidden": [400], ...}: plain values only.

    A part of one's own, or one whose constructor arguments cannot be read back, is its class name and rebuilt=False.
    """
    kind = part.func if isinstance(part, partial) else type(part)
    package, *rest = kind.__module__.split(".")
    if package != OURS:
        return {"class": f"{kind.__module__}.{kind.__qualname__}", "rebuilt": False}
    name = f"{rest[0]}.{kind.__qualname__}"  # where the part is exported
    try:
        arguments = {key: plain(getattr(part, key)) for key in inspect.signature(kind).parameters}
    except (AttributeError, TypeError):
        return {"class": name, "rebuilt": False}
    return {"class": name, **arguments}


def plain(value: Any) -> Any:
    """The same value without numpy or torch: a number, string, flag, None, list or dictionary. Raises TypeError."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} is no plain value")


def check_part(part: Any, name: str) -> None:
    """Raises ConfigError unless the object has the methods that the module calls of this part."""
    methods, what = ASKED[name]
    by_class = inspect.isclass(part) and not hasattr(part, "step")  # torch.optim.AdamW is a function of parameters
    if by_class or not all(callable(getattr(part, method, None)) for method in methods):
        given = f"the class {part.__name__}" if inspect.isclass(part) else shown(repr(part))
        raise ConfigError(f"VAE({name}={given}): must be {what}")


def rebuild(part: Any, name: str = "part", default: Callable[[], Any] | None = None, **sizes: Any) -> Any:
    """The part of a description, of an option's name or of a number, see `options.named`; the `default` for None.

    Any other object is a part already and comes back. Raises ConfigError for an object that cannot be this part, and
    for a description of a part of one's own, with the argument that hands it over.
    """
    if not isinstance(part, Mapping):
        part = default() if part is None and default is not None else part
        if name in ASKED:
            part = named(name, part, **sizes)
            check_part(part, name)
        return part
    arguments = dict(part)
    said = str(arguments.pop("class", None))
    module, _, kind_name = said.rpartition(".")
    kind = getattr(importlib.import_module(f"{OURS}.{module}"), kind_name, None) if module in MODULES else None
    if not inspect.isclass(kind) or not kind.__module__.startswith(f"{OURS}.") or "rebuilt" in arguments:
        raise ConfigError(
            f"{shown(said)} is not a part of {OURS} that a checkpoint can rebuild; hand it over: "
            f"VAE.load_from_checkpoint(path, {name}={shown(kind_name)}(...))"
        )
    return kind(**arguments)


def translated(given: Mapping[str, Any]) -> dict[str, Any]:
    """Descriptions of an old checkpoint in the words of today: `hidden` and the module's `reduction`."""
    parts = {name: dict(part) if isinstance(part, Mapping) else part for name, part in given.items()}
    network, loss = parts["network"], parts["loss"]
    if isinstance(network, dict) and "hidden_dim" in network:
        count, more = LAYERS[network["class"].rpartition(".")[2]]
        network |= {"class": "network.MLP", "hidden": [network.pop("hidden_dim")] * count, **more}
    if isinstance(loss, dict) and "reduction" in loss:
        parts["reduction"] = loss.pop("reduction")
    return parts


def facts(part: Any) -> dict[str, str]:
    """What a part, or its class, says of itself: the class, its title, what line one of its docstring cites, and that
    docstring's first paragraph.

    {"class": "vae_lightning.loss.Bernoulli", "title": "Bernoulli, on probabilities", "cited": "Eq. (11)", "says": ...}
    {Braces} in the title hold constructor arguments. `cited` is "" where nothing is cited.
    """
    part = part.func if isinstance(part, partial) else part
    kind = part if inspect.isclass(part) else type(part)
    package, *rest = kind.__module__.split(".")
    home = f"{OURS}.{rest[0]}" if package == OURS else kind.__module__
    says = " ".join(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].split())
    cited = CITATION.match(says)
    title = getattr(kind, "title", kind.__name__)
    return {"class": f"{home}.{kind.__qualname__}", "title": title, "cited": cited[1] if cited else "", "says": says}
