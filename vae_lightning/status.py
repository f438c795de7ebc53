"""The runs of a folder, a line each: `python -m vae_lightning.status [DIR]`."""

import sys
from collections.abc import Iterator
from pathlib import Path

from vae_lightning.app import command
from vae_lightning.errors import ConfigError
from vae_lightning.output import say
from vae_lightning.runs.run import Run, runs_below

COLUMNS = "{status:<12} {epochs:>9} {elbo:>11}   {run}"
USAGE = "usage: python -m vae_lightning.status [DIR]\n\nDIR: a run, a group, or everything (default: outputs)"


def lines(folder: Path) -> Iterator[str]:
    """Status, epochs done and planned, best validation ELBO (nats), and the folder of every run, sorted by folder."""
    runs = runs_below(folder)
    if not runs:
        yield f"{folder}: no runs"
        return
    yield COLUMNS.format(status="status", epochs="epochs", elbo="best ELBO", run="run folder")
    yield from map(line, runs)


def line(run: Run) -> str:
    """The line of one run."""
    elbos = [value for _, value in run.elbo_curve]
    planned = "?" if run.epochs is None else run.epochs
    best = f"{max(elbos):.2f}" if elbos else "-"
    return COLUMNS.format(status=run.status, epochs=f"{len(elbos)}/{planned}", elbo=best, run=run.path)


def main() -> None:
    arguments = sys.argv[1:]
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        say(USAGE)
        sys.exit(0 if arguments[0] in ("-h", "--help") else 2)
    folder = Path(arguments[0] if arguments else "outputs")
    with command.answered():
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder; name a run, a group, or a project_dir")
        say("\n".join(lines(folder)))


if __name__ == "__main__":
    main()
