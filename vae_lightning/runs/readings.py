"""Values of a file as what they should be: a missing or malformed value becomes None or empty. Nothing here raises."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

Row = Mapping[str, float | None]
Value = TypeVar("Value")
LARGEST = 1e100  # of a number: sums and squares of such numbers are finite, too


def as_numbers(rows: Sequence[Mapping[str, str]]) -> list[Row]:
    """Rows of texts as numbers; a cell without a number is None."""
    return [{key: finite(cell) for key, cell in row.items()} for row in rows]


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
    """A finite number of a sensible size, or None."""
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= LARGEST else None


def whole(value: Any) -> int | None:
    """A whole number, or None."""
    return value if type(value) is int else None


def thinned(values: Sequence[Value], most: int) -> list[Value]:
    """At most `most` of the values, evenly spaced, with the first and the last. `most` is at least 2."""
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]
