"""Parts (network, latent, loss, bound, optimizer) as plain values and back, so that a checkpoint can be loaded with
`weights_only=True` and still knows what to build.

A part keeps its constructor arguments as attributes of the same name; that is all `describe` needs.
"""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from vae_lightning.errors import ConfigError

MODULES = ("network", "latent", "loss", "bound", "optimizer")


def describe(part: object) -> dict[str, Any]:
    """{"class": "network.MLP", "hidden_dim": 400, ...}: numbers, strings and lists only."""
    kind = type(part)
    arguments = {name: getattr(part, name) for name in inspect.signature(kind).parameters}
    package, *rest = kind.__module__.split(".")
    home = rest[0] if package == "vae_lightning" else kind.__module__  # where the part is exported
    return {"class": f"{home}.{kind.__qualname__}", **arguments}


def rebuild(part: Any) -> Any:
    """The part of a description; whatever is not a description is a part already.

    Only classes of this package are built. Raises ConfigError for any other: hand that part over yourself, as in
    `VAE.load_from_checkpoint(path, network=MyNetwork())`.
    """
    if not isinstance(part, Mapping):
        return part
    arguments = dict(part)
    module, _, name = str(arguments.pop("class", None)).rpartition(".")
    kind = getattr(importlib.import_module(f"vae_lightning.{module}"), name, None) if module in MODULES else None
    if not inspect.isclass(kind) or not kind.__module__.startswith("vae_lightning."):
        raise ConfigError(f"{module}.{name} is not a part of vae_lightning: pass the object itself when loading")
    return kind(**arguments)
