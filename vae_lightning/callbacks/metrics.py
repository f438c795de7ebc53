"""What was logged since the last look: Lightning keeps the values of epochs that did not validate."""

from collections.abc import Mapping
from typing import Any


class NewMetrics:
    """Of a trainer's `callback_metrics`, those that were logged anew."""

    def __init__(self) -> None:
        self._seen: dict[str, Any] = {}

    def of(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """The new ones as plain numbers; a value that is still the same object is an old one."""
        new = {key: float(value) for key, value in metrics.items() if value is not self._seen.get(key)}
        self._seen = dict(metrics)
        return new
