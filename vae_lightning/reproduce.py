"""Figures and published numbers from scratch: `python -m vae_lightning.reproduce NAME budget=cpu`; --list."""

import sys
from collections.abc import Sequence
from pathlib import Path

from vae_lightning.app import command, front, help_text, rows
from vae_lightning.app.row_reading import row_of
from vae_lightning.errors import ConfigError, did_you_mean, shown
from vae_lightning.output import say
from vae_lightning.runs.place import at_home

FLAGS = {"--list": ("project_dir", "results", "data"), "--page": ("results",)}  # and the keys that each reads
DEFAULTS = {"budget": "cpu", "project_dir": "outputs", "results": "docs/results", "data": ""}


def options(words: Sequence[str]) -> dict[str, str]:
    """The keys of the command line, with their defaults. Raises ConfigError for a word that is no key=value."""
    chosen = dict(DEFAULTS)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or key not in DEFAULTS:
            raise ConfigError(f"{shown(word)}: no such key; {did_you_mean(key, DEFAULTS)}")
        if not value and key != "data":
            raise ConfigError(f"{shown(word)}: must not be empty")
        chosen[key] = value if key == "budget" else at_home(value, shown(word))
    return chosen


def reproduce(arguments: Sequence[str]) -> int:
    """Runs one row, or answers --list or --page: the exit status."""
    flags = [word for word in arguments if word.startswith("-")]
    names = [word for word in arguments if "=" not in word and word not in flags]
    chosen = options([word for word in arguments if "=" in word])
    if unknown := [flag for flag in flags if flag not in FLAGS]:
        raise ConfigError(f"{shown(unknown[0])}: no such flag; {did_you_mean(unknown[0], FLAGS)}")
    if len(names) + len(flags) != 1:
        said = shown(" ".join(names + flags)) or "nothing"
        raise ConfigError(f"{said}: must be one NAME ({', '.join(rows.names())}), --list or --page")
    for flag in flags:
        if unread := [word for word in arguments if "=" in word and word.partition("=")[0] not in FLAGS[flag]]:
            raise ConfigError(f"{shown(unread[0])}: {flag} does not read it; leave it out")
    known = [row_of(name, *rows.row(name)) for name in (rows.names() if flags else names)]
    if not flags and chosen["budget"] not in known[0].budgets:
        said = did_you_mean(chosen["budget"], known[0].budgets)
        raise ConfigError(f"budget={shown(chosen['budget'])}: no such budget of {known[0].name}; {said}")
    from vae_lightning.paper import table

    places = table.Places(Path(chosen["project_dir"]), Path(chosen["results"]), chosen["data"])
    if flags:
        return table.listed(known, places) if flags == ["--list"] else table.page_again(known, places)
    said = f"python -m vae_lightning.reproduce {known[0].name} budget={chosen['budget']}"
    return table.one(known[0], chosen["budget"], places, said)


def main() -> None:
    arguments = sys.argv[1:]
    with command.answered():
        if front.asked("reproduce", arguments, help_text.REPRODUCE):
            return
        if not arguments:
            say(help_text.REPRODUCE)
            sys.exit(2)
        status = reproduce(arguments)
    sys.exit(status)


if __name__ == "__main__":
    main()
