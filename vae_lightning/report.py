"""A page that opens from disk: `python -m vae_lightning.report DIR`.

report.html for the folder of a run, sweep.html for a folder of runs.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from vae_lightning.app import command, front, help_text
from vae_lightning.errors import ConfigError, printable
from vae_lightning.output import say
from vae_lightning.runs.files import LATEST
from vae_lightning.runs.named import folders_of, is_run
from vae_lightning.runs.place import at_home

KEYS = ("data_dir", "allow_targets")


def report(folder: Path, data_dir: str | None = None, allow_targets: Sequence[str] = ()) -> Path:
    """Writes the page of a run, or of a folder with runs in it.

    Raises ConfigError where the folder is neither, CheckpointError where the run's checkpoint is damaged: its page is
    written all the same, without an explorer.
    """
    if folder.name == LATEST or is_run(folder):
        from vae_lightning.app.report import write_page
        from vae_lightning.runs.run import open_run

        run = open_run(folder)
        command.tell_broken(run)
        path, mistake = write_page(run, data_dir=data_dir, allow_targets=allow_targets)
        if mistake is not None:
            raise mistake
        return path
    if not folders_of(str(folder)):
        raise ConfigError(f"{folder}: no such folder; name a run's folder, or a folder of runs")
    if data_dir is not None:
        raise ConfigError(f"data_dir={data_dir}: only a run's page reads data, and {folder} is not a run folder")
    from vae_lightning.pages.sweep.page import write_sweep_page

    return write_sweep_page(folder)


def asked(arguments: Sequence[str]) -> tuple[list[Path], str | None, list[str]]:
    """The folders, data_dir and allow_targets. Raises ConfigError for any other word."""
    words = [word for word in arguments if "=" not in word or Path(word).exists()]
    pairs = [word.partition("=") for word in arguments if word not in words]
    values = {key: value for key, _, value in pairs}
    strange = any(word.startswith("-") for word in words) or not set(values) <= set(KEYS)
    if not words or strange or len(values) < len(pairs):
        known = " and ".join(f"{key}=VALUE" for key in KEYS)
        raise ConfigError(f"{' '.join(arguments)}: DIR, {known} are all it takes; --help says more")
    places = [folder for word in words for folder in folders_of(word) or [Path(word)]]
    folders = [folder for folder in places if len(places) == 1 or not folder.is_file()]  # `*` finds pages, too
    packages = values.get("allow_targets", "").strip("[]").split(",")
    data_dir = at_home(values["data_dir"]) if "data_dir" in values else None
    return list(dict.fromkeys(folders)), data_dir, [name.strip() for name in packages if name.strip()]


def main() -> None:
    arguments = sys.argv[1:]
    if not arguments:
        say(help_text.REPORT)
        sys.exit(2)
    with command.answered():
        if front.asked("report", arguments, help_text.REPORT):
            return
        folders, data_dir, packages = asked(arguments)
        command.for_each(folders, lambda folder: say(f"open {printable(report(folder, data_dir, packages))}"))


if __name__ == "__main__":
    main()
