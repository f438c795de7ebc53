"""The runs that the words of a command line name: a run, a group's latest, a folder of runs, or a glob of these."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from vae_lightning.runs.files import RECORD
from vae_lightning.runs.folder import resolved
from vae_lightning.runs.place import at_home
from vae_lightning.runs.run import Run, open_run

WITHIN = ("*", "*/*")  # the runs of a group, and those of the groups of a project


def named(words: str | Sequence[str], key: str = "run") -> list[Path]:
    """The folders of the runs that the words name, each once. Raises ConfigError for a word that names no run."""
    words = [words] if isinstance(words, str) else words
    folders = (folder for word in words for folder in runs_of(word) or [open_run(word, key).path])
    return list({folder.resolve(): folder for folder in folders}.values())


def runs_of(word: str) -> list[Path]:
    """The run folders that one word names."""
    return [run for folder in folders_of(word) for run in ([folder] if is_run(folder) else inside(folder))]


def folders_of(word: str) -> list[Path]:
    """The folders that one word names, sorted. A word with * ? [ that is not itself a folder is a glob."""
    path = resolved(word)
    if os.path.isdir(path):
        return [path]
    return [resolved(match) for match in sorted(glob.glob(at_home(word))) if os.path.isdir(match)]


def is_run(folder: Path) -> bool:
    """Whether a folder holds the record of a run, in whatever state."""
    return os.path.lexists(folder / RECORD)


def inside(folder: Path) -> list[Path]:
    """The run folders of a group or a project, sorted. Links such as `latest` are not followed."""
    records = sorted(record for pattern in WITHIN for record in folder.glob(f"{pattern}/{RECORD}"))
    return [record.parent for record in records if not record.parent.is_symlink()]


def runs_below(folder: Path) -> list[Run]:
    """All runs below a folder, sorted by path. Neither links are followed nor folders that cannot be read."""
    found = (path for path, folders, files in os.walk(folder) if RECORD in (*folders, *files))
    return [Run(Path(path)) for path in sorted(found)]
