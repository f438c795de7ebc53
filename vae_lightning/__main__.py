"""`python -m vae_lightning`: the commands, and what each does."""

import sys
import textwrap

from vae_lightning.app import command, front
from vae_lightning.errors import ConfigError, did_you_mean, shown
from vae_lightning.output import say


def listing() -> str:
    """The commands with one line each, in 80 columns."""
    known = front.commands()
    width = max(map(len, known)) + 4
    rows = [
        textwrap.wrap(says, 80, initial_indent=f"  {name:<{width - 2}}", subsequent_indent=" " * width)
        for name, says in known.items()
    ]
    head = "usage: python -m vae_lightning.COMMAND [...], or the script vae-COMMAND"
    tail = "python -m vae_lightning.COMMAND --help describes a command; --version says the version."
    return "\n".join([head, "", *(line for row in rows for line in row), "", *textwrap.wrap(tail, 80)])


def main() -> None:
    arguments = sys.argv[1:]
    with command.answered():
        if not arguments:
            say(listing())
        elif not front.asked("", arguments, listing()):
            first, known = arguments[0], front.commands()
            if first in known:
                raise ConfigError(f"{first}: say python -m vae_lightning.{first}")
            raise ConfigError(f"{shown(first)}: no such command; {did_you_mean(first, known)}")


if __name__ == "__main__":
    main()
