"""Files as bytes, JSON and rows of a CSV file: only regular files of a bounded size are read.

So no pipe keeps a command waiting, and no device fills the memory.
"""

import csv
import io
import json
import math
import os
import stat
from collections.abc import Mapping
from errno import EFBIG, EINVAL
from pathlib import Path
from typing import Any, BinaryIO

from vae_lightning.runs.readings import LARGEST

MOST_JSON, MOST_CSV = 8 * 2**20, 32 * 2**20  # bytes of a file
MOST_ROWS = 1_000_000
DEEPEST = 60  # lists and mappings in one another
MOST_NAMED = 20  # mistakes of one file


def opened(path: str | Path) -> BinaryIO:
    """A regular file, open for reading. Raises OSError for any other file."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(EINVAL, "not a regular file", str(path))
    return open(descriptor, "rb")


def content_of(path: str | Path, most: int) -> bytes:
    """The content of a regular file. Raises OSError for any other file, and for one of more than `most` bytes."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(min(size, most) + 1)  # not `most`: Python reserves what it is asked to read
        if len(content) > size:
            content += file.read(most + 1 - len(content))
    if len(content) > most:
        raise OSError(EFBIG, f"more than {most:,} bytes", str(path))
    return content


def json_in(path: Path) -> Any:
    """The content of a JSON file. Raises OSError or ValueError, with the reason."""
    text = content_of(path, MOST_JSON).decode("utf-8")
    try:
        return encodable(json.loads(text, parse_int=integer))
    except RecursionError:
        raise ValueError("too deep") from None


def json_of(path: Path) -> Any:
    """The content of a JSON file, or None."""
    try:
        return json_in(path)
    except (OSError, ValueError):
        return None


def integer(digits: str) -> float:
    """A whole number of JSON; one that no 64 bits hold is a float, as in other programs."""
    return int(digits) if len(digits) < 20 else float(digits)


def encodable(value: Any, depth: int = DEEPEST) -> Any:
    """The same plain values, with texts that UTF-8 can hold. Raises ValueError where they are nested too deeply."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if not isinstance(value, dict | list):
        return value
    if not depth:
        raise ValueError("too deep")
    if isinstance(value, dict):
        return {encodable(key): encodable(item, depth - 1) for key, item in value.items()}
    return [encodable(item, depth - 1) for item in value]


def csv_in(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    """The complete rows of a CSV file with a whole number under `epoch`, and what is wrong with the file.

    A cell that is neither empty nor a number becomes empty. A last row that was cut short is not named: it is what a
    killed process leaves.
    """
    rows: list[dict[str, str]] = []
    broken: list[str] = []
    try:
        content = content_of(path, MOST_CSV).decode("utf-8", "replace")
        cut = 0 if content.endswith("\n") else content.count("\n") + 1
        table = csv.DictReader(io.StringIO(content, newline=""))
        for row in table:
            if len(rows) == MOST_ROWS:
                raise ValueError(f"more than {MOST_ROWS:,} rows")
            bad = wrong_cells(row)
            if bad and table.line_num != cut and len(broken) < MOST_NAMED:
                broken.append(f"line {table.line_num}: {bad[0]} is no number")
            if "epoch" not in bad:
                rows.append({**row, **dict.fromkeys(bad, "")})
    except FileNotFoundError:
        pass
    except (OSError, ValueError, csv.Error) as error:
        broken.append(reason(error))
    return rows, broken


def wrong_cells(row: Mapping[Any, Any]) -> list[str]:
    """The columns of a row without a number in them; `epoch` where the row has too many cells, or too few."""
    epoch = row.get("epoch") or ""
    if None in row or None in row.values() or not (epoch.isascii() and epoch.isdecimal() and len(epoch) < 12):
        return ["epoch"]
    return [name for name, cell in row.items() if not is_cell(cell)]


def is_cell(cell: str) -> bool:
    """Whether a cell is empty or a number; nan and inf are numbers here."""
    try:
        return not cell or not LARGEST < abs(float(cell)) < math.inf
    except ValueError:
        return False


def csv_rows(path: Path) -> list[dict[str, str]]:
    """The complete rows of a CSV file with a whole number under `epoch`."""
    return csv_in(path)[0]


def reason(error: Exception) -> str:
    """Why a file cannot be read, in a few words."""
    return str(getattr(error, "strerror", None) or error)
