"""What a command answers before it does anything: `--help`, `--version` and `--copy-config`.

Imports neither torch nor Lightning.
"""

import ast
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from vae_lightning.app import help_text
from vae_lightning.app.arguments import IN_PLACE, YAML_FLAGS
from vae_lightning.errors import ConfigError, printable, shown
from vae_lightning.options import CONF, PACKAGE
from vae_lightning.output import say
from vae_lightning.runs.atomic import folder_atomically
from vae_lightning.runs.place import at_home, check_output
from vae_lightning.version import __version__

HELP, VERSION, COPY = ("-h", "--help"), "--version", "--copy-config"


def asked(name: str, arguments: Sequence[str], usage: str | None = None) -> bool:
    """Whether one of the three was asked for, and answered. `usage` is the help of a command without a YAML file."""
    if VERSION in arguments:
        say(f"vae_lightning {__version__}")
    elif any(flag in arguments for flag in HELP):
        say(help_text.of_command(name, folders(arguments)) if usage is None else usage)
    elif places := [*values(arguments, COPY)]:
        copy_config(places[0])
    else:
        return False
    return True


def values(arguments: Sequence[str], flag: str) -> Iterator[str]:
    """The values of a flag: `--flag VALUE` and `--flag=VALUE`; an empty text where there is none."""
    for argument, following in pairwise([*arguments, ""]):
        name, equals, value = argument.partition("=")
        if name == flag:
            yield value if equals else following


def folders(arguments: Sequence[str]) -> list[Path]:
    """The folders whose options a command line chooses from: conf/, and what a flag adds or puts in its place."""
    first, more = [CONF], []
    for flag in YAML_FLAGS:
        for value in values(arguments, flag):
            folder = Path(at_home(value))
            if not folder.is_dir():
                raise ConfigError(f"{flag} {shown(value)}: there is no such folder")
            first, more = ([folder], more) if flag in IN_PLACE else (first, [*more, folder])
    return [*first, *more]


def copy_config(place: str) -> None:
    """Copies the YAML files of conf/ into a folder that does not exist yet. Raises ConfigError, FolderError."""
    if not place or place.startswith("-"):
        raise ConfigError(f"{COPY}: it needs a folder that does not exist yet, such as {COPY} my_conf")
    folder = Path(at_home(place))
    try:
        check_output(folder)
    except ConfigError as error:
        raise ConfigError(str(error).replace("output=", f"{COPY} ", 1)) from error
    with folder_atomically(folder) as temporary:
        shutil.copytree(CONF, temporary, ignore=shutil.ignore_patterns("__*"), dirs_exist_ok=True)
    files = len([*folder.rglob("*.yaml")])
    say(f"in {printable(folder)}: {files} YAML files; --config-path {printable(folder)} takes them in place of our own")


def commands() -> dict[str, str]:
    """{command: what it does} of all commands: the modules whose first line shows `python -m vae_lightning.NAME`."""
    found = {}
    for path in sorted(PACKAGE.glob("*.py")):
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        says, said, _ = first.partition(f": `python -m {PACKAGE.name}.{path.stem}")
        if said:
            found[path.stem] = says
    return found
