"""The groups of the configuration: where their options are, and what a composed configuration must hold of each.

Imports neither torch nor Lightning.
"""

from collections.abc import Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig

from vae_lightning.errors import ConfigError, shown
from vae_lightning.options import options

SINGLE = ("data", "network", "latent", "loss", "bound", "optimizer", "lr_schedule", "schedule", "trainer")
OPTIONAL = ("paper",)
SETS = ("callbacks", "logger")
OF_THE_COMMAND = {
    "default_root_dir": "the run folder is project_dir/group/name, or save_dir",
    "logger": "loggers are a group: logger=tensorboard, logger=wandb, logger=none",
    "callbacks": "callbacks are a group: +callbacks.NAME._target_=CLASS adds one, ~callbacks.NAME leaves one out",
}  # arguments of the Trainer that the command sets


def check_groups(values: Mapping[str, Any]) -> None:
    """Raises ConfigError for a group without an option, and for an argument of the trainer that the command sets.

    `values` are plain and not resolved. `callbacks` and `logger` hold any number of parts by name, or none.
    """
    for group in (*SINGLE, *(group for group in OPTIONAL if values.get(group) is not None)):
        if not is_part(values.get(group)):
            known = ", ".join(options(group))
            raise ConfigError(f"{group}={shown(values.get(group))}: must be one of its options ({known})")
    for group in SETS:
        check_set(group, {} if values.get(group) is None else values[group])
    for name, fix in OF_THE_COMMAND.items():
        if name in values["trainer"]:
            raise ConfigError(f"trainer.{name}={shown(values['trainer'][name])}: the command sets this; {fix}")


def check_set(group: str, parts: Any) -> None:
    """Raises ConfigError unless `parts` are parts by name. A logger may also be a single part."""
    if not isinstance(parts, Mapping):
        raise ConfigError(f"{group}={shown(parts)}: must be parts by name, such as {group}.NAME._target_=CLASS")
    if "_target_" in parts:
        if group == "callbacks":
            raise ConfigError(one_callback(str(parts["_target_"])))
        return
    for name, part in parts.items():
        if part is not None and not is_part(part):
            raise ConfigError(
                f"{group}.{name}={shown(part)}: has no _target_; +{group}.{name}._target_=CLASS names its class, "
                f"~{group}.{name} leaves it out"
            )


def is_part(value: Any) -> bool:
    """Whether a value names a class, or refers to another value."""
    return "_target_" in value if isinstance(value, Mapping) else str(value).startswith("${")


def one_callback(target: str) -> str:
    """The answer to callbacks=OPTION where the option is one callback."""
    option = HydraConfig.get().runtime.choices.get("callbacks") if HydraConfig.initialized() else None
    option = option or target.rpartition(".")[2]
    return (
        f"callbacks={option}: this is one callback, not a set of callbacks (default); "
        f"+callbacks@callbacks.NAME={option} adds it, ~callbacks.NAME leaves one out"
    )
