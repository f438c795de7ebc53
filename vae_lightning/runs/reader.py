"""The files of a folder, read once each, and what is wrong with them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_lightning.runs.readings import Row, as_numbers, mapping
from vae_lightning.runs.regular import csv_in, json_in, reason
from vae_lightning.runs.shapes import fitted


class Reader:
    """Reads files of `folder`. `broken` names what was left out: {file: ["seconds=nan: must be ...", ...]}."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken: dict[str, list[str]] = {}

    def json(self, name: str, shape: Any) -> Mapping[str, Any]:
        """What a JSON file holds of a shape. An empty file is what a process leaves that was killed at its start."""
        mistakes = self.broken[name] = []
        try:
            return mapping(fitted(json_in(self.folder / name), shape, "", mistakes))
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            mistakes += [] if is_empty(self.folder / name) else [reason(error)]
        return {}

    def rows(self, name: str) -> list[Row]:
        """The rows of a CSV file, as numbers."""
        rows, self.broken[name] = csv_in(self.folder / name)
        return as_numbers(rows)


def is_empty(path: Path) -> bool:
    """Whether there is nothing: no file, or one without content."""
    return not os.path.lexists(path) or (os.path.isfile(path) and not os.path.getsize(path))
