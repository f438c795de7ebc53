"""Tolerant readers: a missing or malformed value becomes None or empty. Nothing here raises."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

Row = Mapping[str, float | None]
Value = TypeVar("Value")


def json_of(path: Path) -> Any:
    """The content of a JSON file, or None."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def csv_rows(path: Path) -> list[dict[str, str]]:
    """The complete rows of a CSV file with a whole number under `epoch`."""
    return list(complete_rows(path))


def complete_rows(path: Path) -> Iterator[dict[str, str]]:
    """As `csv_rows`, up to the first row that cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(file):
                if None not in row and None not in row.values() and row.get("epoch", "").isdecimal():
                    yield row
    except (OSError, ValueError, csv.Error):
        return


def number_rows(path: Path) -> list[Row]:
    """The rows of `csv_rows` as numbers; a cell without a number is None."""
    return [{key: finite(cell) for key, cell in row.items()} for row in csv_rows(path)]


def mapping(value: Any) -> Mapping[str, Any]:
    """A dictionary, or an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> Sequence[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """A text, or None. A number becomes its text; an empty text, a list or a dictionary becomes None."""
    return str(value) if isinstance(value, str | int | float) and str(value) else None


def finite(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def whole(value: Any) -> int | None:
    """A whole number, or None."""
    return value if type(value) is int else None


def thinned(values: Sequence[Value], most: int) -> list[Value]:
    """At most `most` of the values, evenly spaced, with the first and the last. `most` is at least 2."""
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]
