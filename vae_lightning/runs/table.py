"""A CSV file with one whole row per epoch, which a resumed run continues."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vae_lightning.runs.atomic import atomically


class EpochRows:
    """The rows of `path`, of which those up to `epochs_done` are kept; `epoch` stands first and counts from 1."""

    def __init__(self, path: Path, columns: Sequence[str], epochs_done: int) -> None:
        self.path, self.columns = path, ["epoch", *columns]
        self.rows = [row for row in read_rows(path) if int(row["epoch"]) <= epochs_done]
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n", restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self.rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomically(path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")

    def add(self, epoch: int, values: Mapping[str, float]) -> None:
        """One more row; a column without a value leaves its cell empty."""
        cells = {name: f"{values[name]:.6g}" if name in values else "" for name in self.columns[1:]}
        row = {"epoch": str(epoch), **cells}
        self.rows.append(row)
        size = self.path.stat().st_size
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(",".join(row.values()) + "\n")
        except OSError as error:  # a full disk takes a part of the row, and does not say where
            os.truncate(self.path, size)
            error.filename = str(self.path)
            raise


def read_rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a log; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["epoch"] and None not in row.values()]
