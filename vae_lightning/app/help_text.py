"""The text of `--help`: what a command does, its options and keys as conf/ has them, examples; 80 columns.

The first and the last part stand in the command's own YAML file, at hydra.help. Imports neither torch nor Lightning.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vae_lightning.options import CONF, Key, Option, chosen, command, options

WIDTH, COLUMN = 80, 25
PART = "+{0}@{0}.NAME=NAME adds one of these:"


def of_command(name: str, folders: Sequence[Path] = (CONF,)) -> str:
    """The help of a command whose options lie in the folders."""
    help_of: dict[str, Any] = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))["hydra"]["help"]
    parts = [help_of["header"].rstrip()]
    if chosen(name):
        parts.append("Options, GROUP=OPTION; * marks the one that is chosen by itself:")
        parts += ["\n".join(of_group(group, option, folders)) for group, option in chosen(name).items()]
    parts += ["Keys, KEY=VALUE, with their defaults:", "\n".join(of_keys(command(name).keys))]
    return "\n\n".join([*parts, help_of["footer"].rstrip()])


def of_group(group: str, usual: str | None, folders: Sequence[Path]) -> Iterator[str]:
    """The lines of a group: its options, or the parts that can be added to one."""
    known: dict[str, Option] = {}
    for folder in reversed(folders):  # the first folder comes first with Hydra, too
        known |= options(group, folder)
    sets = {name: option for name, option in known.items() if not option.target} if group == "callbacks" else known
    yield f"{group}="
    for name, option in sets.items():
        yield from entry(f"{'*' if name == usual else ' '} {name}", option.says)
    if parts := {name: option for name, option in known.items() if name not in sets}:
        held = members(CONF / group / f"{usual}.yaml")
        yield from wrapped(f"{usual} holds: {' '.join(held)}", "    ")
        yield f"    {PART.format(group)}"
        for name, part in parts.items():
            if name not in held:
                yield from entry(f"  {name}", part.says)


def members(path: Path) -> dict[str, None]:
    """The parts of an option that is a set of parts, in its order."""
    defaults = yaml.safe_load(path.read_text(encoding="utf-8")).get("defaults", [])
    return dict.fromkeys(str(entry).partition("@")[0] for entry in defaults)


def of_keys(keys: Mapping[str, Key]) -> Iterator[str]:
    """The lines of the keys of a command's own file, below the remarks that stand above them."""
    for name, key in keys.items():
        if key.text == "???" and not said_by_user(key):
            continue
        if key.heading:
            yield ""
            yield from wrapped(key.heading, "")
        yield from entry(f"  {name}" if key.text == "???" else f"  {name}={key.text}", key.remark)


def said_by_user(key: Key) -> bool:
    """Whether a user fills in a key without a default; the others are filled in by the command."""
    return not key.remark.startswith("filled in")


def entry(word: str, says: str) -> Iterator[str]:
    """A word, and what it means in a column beside it, or below it where it is long."""
    lines = textwrap.wrap(says, WIDTH - COLUMN, break_on_hyphens=False) or [""]
    if len(word) > COLUMN - 2:
        yield word
        word = ""
    yield f"{word:<{COLUMN}}{lines[0]}".rstrip()
    yield from (f"{'':<{COLUMN}}{line}" for line in lines[1:])


def wrapped(text: str, indent: str) -> list[str]:
    """A text in lines of 80 columns."""
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


REPORT = """usage: python -m vae_lightning.report DIR... [data_dir=DIR]
                                      [allow_targets=[PACKAGE.]]

Writes the page of a run, or of a folder of runs, again. The page is one file.

DIR            a run folder or a group's latest (writes DIR/report.html); a
               folder of runs (writes DIR/sweep.html, .csv and .md); or a glob
               of these in quotes, such as 'outputs/GROUP/2*'
data_dir       where the run's data are now, if they moved
allow_targets  packages of the run's own parts, as they were said to train

Examples:
  python -m vae_lightning.report outputs/GROUP/latest
  python -m vae_lightning.report outputs/GROUP
  python -m vae_lightning.report 'outputs/GROUP/2*'
  python -m vae_lightning.report outputs/GROUP/latest data_dir=pictures
  python -m vae_lightning.report outputs/GROUP/latest allow_targets=[my_pkg.]

docs/pages.md describes the pages."""


STATUS = """usage: python -m vae_lightning.status [DIR]

Lists runs, the newest first: status, epochs, best validation ELBO (nats), data.

DIR  a run, a group, a sweep, or everything (default: outputs)

Examples:
  python -m vae_lightning.status
  python -m vae_lightning.status outputs/GROUP
  python -m vae_lightning.status outputs/GROUP/latest
  python -m vae_lightning.status outputs/multirun/NAME
  watch python -m vae_lightning.status outputs/multirun/NAME

docs/sweeps.md describes what it says of a sweep."""


REPRODUCE = """usage: python -m vae_lightning.reproduce NAME [budget=BUDGET] [KEY=VALUE ...]
       python -m vae_lightning.reproduce --list | --page

Runs a figure or a published number again: trains what it needs, judges the
result against the published value, and writes both down. The same command goes
on where it stopped. Exit status: 0 within tolerance, 1 outside.

NAME    a row: a file of conf/reproduce/
--list  all rows, with the state of each budget
--page  writes docs/results.md and its figures again, from docs/results/

budget=cpu            ci: under two minutes; cpu: under 40 minutes on two cores,
                      or two hours (iwae_table1, modern_recipe); full: as
                      published in most rows
project_dir=outputs   the runs go to project_dir/reproduce/NAME-BUDGET
results=docs/results  the result goes there, as NAME-BUDGET.json, with its figure
data=                 the folder of the data; empty: that of the train command

Examples:
  python -m vae_lightning.reproduce --list
  python -m vae_lightning.reproduce pytorch_example budget=ci
  python -m vae_lightning.reproduce pytorch_example
  python -m vae_lightning.reproduce iwae_table1 budget=full
  python -m vae_lightning.reproduce aevb_fig2 data=pictures results=outputs

docs/paper.md leads from each equation and figure to its row."""
