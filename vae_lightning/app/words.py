"""The words of a command line, as Hydra's grammar reads them."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser


def sweep_overrides(words: Sequence[str], declared: Mapping[str, Any] | None) -> list[Any]:
    """Hydra's overrides that a sweep varies: those that the configuration declares, then those among the words."""
    parser, params = OverridesParser.create(), dict(declared or {})
    said = parser.parse_overrides([word for word in words if "=" in word and not word.startswith("-")])
    for override in said:
        params.pop(override.key_or_group, None)
    in_yaml = parser.parse_overrides([f"{key}={value}" for key, value in params.items()])
    return [override for override in (*in_yaml, *said) if override.is_sweep_override()]
