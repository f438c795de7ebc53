"""What a file of somebody's folder holds, or nothing in place of what cannot be what it should. Nothing here raises."""

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def csv_rows(path: Path) -> list[dict[str, str]]:
    """The whole rows of a log; none where it cannot be read."""
    return list(iter_rows(path))


def iter_rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if None not in row and None not in row.values() and str(row.get("epoch", "")).isdecimal():
                    yield row
    except (OSError, ValueError, csv.Error):
        return


def mapping(value: Any) -> Mapping[str, Any]:
    """A dictionary, or an empty one in place of whatever else it is."""
    return value if isinstance(value, dict) else {}


def finite(value: Any) -> float | None:
    """A finite number, or None."""
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def whole(value: Any) -> int | None:
    """A whole number, or None."""
    return value if type(value) is int else None
