"""The command line, looked at before Hydra reads it: flags of the predecessor, folders, letters, untrusted YAML."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vae_lightning.errors import ConfigError, shown

FLAGS = {
    "--epochs": "epochs=VALUE",
    "--batch-size": "batch_size=VALUE",
    "--latent-dim": "latent.dim=VALUE",
    "--loss": "loss=VALUE",
    "--reduction": "reduction=VALUE",
    "--beta": "beta=VALUE",
    "--beta-schedule": "schedule=VALUE (its cyclic is schedule=triangle)",
    "--lr": "lr=VALUE",
    "--device": "trainer.accelerator=VALUE",
    "--seed": "seed=VALUE",
    "--project-dir": "project_dir=VALUE",
    "--group": "group=VALUE",
    "--name": "name=VALUE",
    "--no-date-prefix": "date_prefix=false",
    "--save-dir": "save_dir=VALUE",
    "--save-weights": "save_weights=true",
    "--wandb": "logger=wandb",
    "--wandb-mode": "logger.mode=VALUE",
    "--wandb-project": "logger.project=VALUE",
    "--wandb-entity": "logger.entity=VALUE",
    "--wandb-run-name": "logger.name=VALUE",
    "--wandb-tags": "logger.tags=[VALUE]",
}  # of the script repository this one succeeds
RENAMED = {"hidden_dim": "network.hidden=VALUE", "loss.reduction": "reduction=VALUE"}  # of version 0.1
MOST_NODES = 10_000


def check_arguments(arguments: Sequence[str]) -> None:
    """Raises ConfigError for the predecessor's flags, and for what Hydra would make or read before we can look."""
    if (answer := predecessor(arguments)) is not None:
        raise ConfigError(answer)
    for argument in arguments:
        key, equals, value = argument.lstrip("+~").partition("=")
        if key in RENAMED:
            raise ConfigError(f"{shown(argument)}: this key has a new name; here it is {renamed(key, shown(value))}")
        if equals and not key:
            raise ConfigError(f"{shown(argument)}: no key before '='; the command line is key=value and group=option")
        if re.match(r"hydra$|hydra\.(run|sweep|output_subdir)\b|hydra\.job\.chdir\b", key):
            raise ConfigError(
                f"{shown(argument)}: Hydra makes no folders here; a run goes to project_dir/group/name, or to save_dir"
            )
        if key == "hydra.searchpath":
            for folder in re.findall(r"file://([^,\]'\"]+)", value):
                check_yaml(Path(folder))
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=False):
        name, _, within = flag.partition("=")
        if name in ("--config-dir", "-cd", "--config-path", "-cp"):
            check_yaml(Path(within or value))


def check_yaml(folder: Path) -> None:
    """Raises ConfigError for a file below it whose aliases expand to more than a configuration could hold.

    OmegaConf 2.3 expands them without limit: a kilobyte can keep it busy for minutes.
    """
    import yaml

    for path in sorted((*folder.rglob("*.yaml"), *folder.rglob("*.yml"))):
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from error
        if expanded(root, {}) > MOST_NODES:
            raise ConfigError(f"{path}: its aliases expand to more than {MOST_NODES:,} nodes; write it without them")


def expanded(node: Any, known: dict[int, float]) -> float:
    """How many nodes a YAML node is once each alias is a copy; `known` holds those that were counted already."""
    if id(node) not in known:
        known[id(node)] = math.inf  # an alias to a node around it has no end
        children = (
            [each for pair in node.value for each in (pair if isinstance(pair, tuple) else (pair,))]
            if isinstance(getattr(node, "value", None), list)
            else []
        )
        known[id(node)] = 1 + sum(expanded(each, known) for each in children)
    return known[id(node)]


def quoted(argument: str) -> str:
    """name=名 -> name='名': Hydra reads letters outside ASCII only between quotes."""
    key, equals, value = argument.partition("=")
    if not equals or argument.startswith("-") or value.isascii() or re.search(r"""['"\[\]{}()$\\]""", value):
        return argument
    parts = (part if part.isascii() else f"'{part}'" for part in value.split(","))
    return f"{key}={','.join(parts)}"


def renamed(key: str, value: str) -> str:
    """hidden_dim, 16 -> network.hidden=16."""
    return RENAMED[key].replace("VALUE", value or "VALUE")


def predecessor(arguments: Sequence[str]) -> str | None:
    """The answer to flags of the script repository: `--latent-dim 2` is `latent.dim=2`. None where there are none."""
    old, new = [], []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        flag, _, value = argument.partition("=")
        if flag in FLAGS:
            old.append(flag)
            new.append(FLAGS[flag].replace("VALUE", value or following))
    return f"{' '.join(old)}: flags became key=value; here it is {' '.join(new)}" if old else None
