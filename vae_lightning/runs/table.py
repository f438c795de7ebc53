"""A CSV file with one complete row per epoch. A resumed run continues it."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.place import own_file
from vae_lightning.runs.regular import csv_rows


class EpochRows:
    """The rows of `path` up to `epochs_done`, then those that `add` appends. The first column is `epoch`, from 1."""

    def __init__(self, path: Path, columns: Sequence[str], epochs_done: int) -> None:
        self.path, self.columns = path, ["epoch", *columns]
        known = [row for row in csv_rows(path) if int(row["epoch"]) <= epochs_done]
        self.rows = [{name: row.get(name, "") for name in self.columns} for row in known]
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text.getvalue())

    def add(self, epoch: int, values: Mapping[str, float]) -> None:
        """Appends a row. A column without a value leaves its cell empty. Raises OSError, and keeps no partial row."""
        cells = {name: f"{values[name]:.6g}" if name in values else "" for name in self.columns[1:]}
        row = {"epoch": str(epoch), **cells}
        self.rows.append(row)
        size = self.path.stat().st_size
        try:
            with open(self.path, "a", encoding="utf-8", opener=own_file) as file:
                file.write(",".join(row.values()) + "\n")
        except OSError as error:  # a full disk takes a part of the row, and the error does not name the file
            os.truncate(self.path, size)
            error.filename = str(self.path)
            raise
