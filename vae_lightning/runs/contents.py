"""Foreign files in a folder: a folder that holds them belongs to the user, and nothing is written into it."""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path

from vae_lightning.runs.files import LATEST, LATEST_TEXT, RECORD, SWEEP_CSV, SWEEP_PAGE, SWEEP_TABLE, SWEEPS

OURS = (LATEST, LATEST_TEXT, SWEEPS, SWEEP_PAGE, SWEEP_CSV, SWEEP_TABLE)
MOST, KINDS = 10_000, 3  # files that are counted, kinds of files that are named


def foreign(folder: Path, ours: Collection[str] = ()) -> str:
    """The foreign files below a folder by their suffix, such as "300 .png, 2 .txt". Empty where there are none.

    Hidden files, run folders, the files of sweeps and the names in `ours` are not foreign.
    """
    kinds = Counter(Path(name).suffix or name for name in islice(foreign_names(folder, ours), MOST))
    named = [f"{count:,} {kind}" for kind, count in kinds.most_common(KINDS)]
    more = kinds.total() - sum(count for _, count in kinds.most_common(KINDS))
    return ", ".join([*named, f"{more:,} others"] if more else named)


def foreign_names(folder: Path, ours: Collection[str]) -> Iterator[str]:
    """The names of the foreign files, and of the links to folders, below a folder."""
    for path, folders, files in os.walk(folder):
        if RECORD in files:  # a run folder
            folders.clear()
            continue
        folders[:] = [name for name in sorted(folders) if not (name.startswith(".") or name in OURS)]
        links = [name for name in folders if os.path.islink(os.path.join(path, name))]
        yield from (name for name in (*links, *sorted(files)) if not (name.startswith(".") or name in (*OURS, *ours)))
