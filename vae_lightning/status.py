"""The runs of a folder, the newest first: `python -m vae_lightning.status [DIR]`."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from vae_lightning.app import command, front, help_text
from vae_lightning.errors import ConfigError, printable, shown
from vae_lightning.output import say
from vae_lightning.runs import progress
from vae_lightning.runs.folder import resolved
from vae_lightning.runs.folds import age
from vae_lightning.runs.run import Run
from vae_lightning.runs.setting import Setting, setting

WIDTH = 80
HEAD = ("status", "epochs", "best ELBO", "data, protocol")


def lines(runs: Sequence[Run], folder: Path) -> Iterator[str]:
    """Status, epochs done and planned, best validation ELBO (nats), data, protocol and folder of the runs of a folder.

    A folder that does not fit into the 80 columns of its line has a line of its own.
    """
    if not runs:
        yield f"{printable(folder)}: no runs"
        return
    rows = [HEAD, *facts(runs)]
    status, epochs, elbo, data = (max(map(len, column)) for column in zip(*rows, strict=True))
    for row, path in zip(rows, ("run folder", *(printable(run.path) for run in runs)), strict=True):
        line = f"{row[0]:<{status}}  {row[1]:>{epochs}}  {row[2]:>{elbo}}  {row[3]:<{data}}"
        fits = len(line) + 2 + len(path) <= WIDTH or len(path) > WIDTH - 4
        yield f"{line}  {path}" if fits else line.rstrip()
        if not fits:
            yield f"    {path}"


def facts(runs: Sequence[Run]) -> list[tuple[str, str, str, str]]:
    """Status, epochs, best ELBO and data of each run; the kind of likelihood where the runs have several."""
    settings = [setting(run) for run in runs]
    several = len({known.measure for known in settings if known}) > 1
    rows = []
    for run, known in zip(runs, settings, strict=True):
        elbos = [value for _, value in run.elbo_curve]
        epochs = f"{max(run.epochs_done, len(elbos))}/{'?' if run.epochs is None else run.epochs}"
        rows.append(
            (shown(run.status), epochs, f"{max(elbos):.2f}" if elbos else "-", shown(measured_on(known, several)))
        )
    return rows


def measured_on(known: Setting | None, with_measure: bool) -> str:
    """mnist (subset), grey, Bernoulli; `-` where the run ended before it knew its data."""
    if known is None:
        return "-"
    name = f"{known.data}{' (subset)' if known.subset else ''}"
    return ", ".join([name, known.protocol, *([known.measure] if with_measure else [])])


def main() -> None:
    arguments = sys.argv[1:]
    with command.answered():
        if front.asked("status", arguments, help_text.STATUS):
            return
        if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
            say(help_text.STATUS)
            sys.exit(2)
        given = arguments[0] if arguments else "outputs"
        folder = Path(given) if given.strip() and os.path.isdir(given) else resolved(given)
        if not os.path.isdir(folder):
            raise ConfigError(f"{folder}: no such folder; name a run, a group, or a project_dir")
        runs = sorted(progress.runs_in(folder), key=age, reverse=True)
        say("\n".join([*progress.lines(folder), *lines(runs, folder)]))
        for run in runs:
            command.tell_broken(run)


if __name__ == "__main__":
    main()
