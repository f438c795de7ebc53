"""The command line before Hydra reads it: flags of the predecessor, folders, letters, untrusted YAML."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal.utils import get_args_parser
from omegaconf import OmegaConf

from vae_lightning.app.places import NO_PATHS
from vae_lightning.app.trust import check_yaml
from vae_lightning.errors import ConfigError, did_you_mean, shown
from vae_lightning.runs.place import at_home

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
}  # of the script repository that this package succeeds
LOGGINGS = {
    "hydra/job_logging": ("none", "stdout", "disabled"),
    "hydra/hydra_logging": ("none", "default", "disabled"),
}  # the options of Hydra's logs that write no file
IN_PLACE = ("--config-path", "-cp")  # a folder of YAML files follows, which takes the place of conf/
YAML_FLAGS = ("--config-dir", "-cd", *IN_PLACE)
RENAMED = {"hidden_dim": "network.hidden=VALUE", "loss.reduction": "reduction=VALUE"}  # of version 0.1


def check_arguments(arguments: Sequence[str]) -> None:
    """Raises ConfigError for flags of the predecessor, for folders of Hydra's, and for YAML that must not be read."""
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
        group = key.partition("@")[0]
        if group == "reproduce":
            runs = f"python -m vae_lightning.reproduce {shown(value) or 'NAME'}"
            raise ConfigError(f"{shown(argument)}: a row is no option of a run; {runs} runs it")
        if group in LOGGINGS and value.strip("'\"") not in LOGGINGS[group]:
            raise ConfigError(
                f"{shown(argument)}: it may write a log file into the working folder; choose one of "
                f"{', '.join(LOGGINGS[group])}"
            )
        if key == "hydra.searchpath":
            for folder in re.findall(r"file://([^,\]'\"]+)", value):
                check_yaml(Path(folder))
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=False):
        name, _, within = flag.partition("=")
        if name in YAML_FLAGS:
            check_yaml(Path(within or value))


def in_order(arguments: Sequence[str]) -> list[str]:
    """The flags, then the words key=value: argparse takes words on one side of a flag only.

    Raises ConfigError for a flag that does not exist or lacks its value, and for one that reads a pickle.
    """
    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    known, unknown = parser.parse_known_intermixed_args(list(arguments))
    flags = [flag for action in parser._actions for flag in action.option_strings]
    if unknown:
        raise ConfigError(f"{shown(unknown[0])}: no such flag; {did_you_mean(unknown[0], flags)}")
    if known.experimental_rerun:
        raise ConfigError("--experimental-rerun: reads a pickle, which may run any code; use resume=DIR")
    rest = list(arguments)
    for word in known.overrides:
        rest.reverse()
        rest.remove(word)
        rest.reverse()
    return [*rest, *known.overrides]


def refuse(message: str) -> NoReturn:
    """Raises ConfigError in place of argparse's usage."""
    raise ConfigError(f"{message.removeprefix('argument ')}; --hydra-help shows all flags")


def expanded(arguments: Sequence[str]) -> list[str]:
    """The arguments with the home folder in place of `~`, which Hydra reads only between quotes.

    A folder in place of conf/ becomes absolute: Hydra looks for a relative one beside this package.
    """
    new = []
    for flag, argument in zip(["", *arguments], arguments, strict=False):
        name, _, value = argument.partition("=")
        if flag in YAML_FLAGS:
            argument = str(Path(at_home(argument)).absolute()) if flag in IN_PLACE else at_home(argument)
        elif name in IN_PLACE and value:
            argument = f"{name}={Path(at_home(value)).absolute()}"
        elif value.startswith("~") and name.rpartition(".")[2] not in NO_PATHS:
            argument = f"{name}={at_home(value, shown(argument))}"
        elif name == "hydra.searchpath":
            argument = re.sub(r"(?<=file://)~[^/,\]'\"]*", lambda match: at_home(match[0]), argument)
        new.append(argument)
    return new


def quoted(argument: str) -> str:
    """name=名 -> name='名': Hydra reads letters outside ASCII, and a `~`, only between quotes."""
    key, equals, value = argument.partition("=")
    if not equals or argument.startswith("-") or is_bare(value) or re.search(r"""['"\[\]{}()$\\]""", value):
        return argument
    parts = (part if is_bare(part) else f"'{part}'" for part in value.split(","))
    return f"{key}={','.join(parts)}"


def is_bare(value: str) -> bool:
    """Whether a value holds no letter that Hydra reads only between quotes."""
    return value.isascii() and "~" not in value


def task_overrides(hydra_cfg: Any) -> list[str]:
    """The overrides of a job as they were typed: ${run_dir} stays, where the configuration would resolve it."""
    words: Any = OmegaConf.to_container(hydra_cfg.overrides.task, resolve=False)
    return [str(word) for word in words]


def renamed(key: str, value: str) -> str:
    """hidden_dim, 16 -> network.hidden=16."""
    return RENAMED[key].replace("VALUE", value or "VALUE")


def predecessor(arguments: Sequence[str]) -> str | None:
    """The answer to flags of the script repository: `--latent-dim 2` is `latent.dim=2` here. None without flags."""
    old, new = [], []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        flag, _, value = argument.partition("=")
        if flag in FLAGS:
            old.append(flag)
            new.append(FLAGS[flag].replace("VALUE", value or following))
    return f"{' '.join(old)}: flags became key=value; here it is {' '.join(new)}" if old else None
