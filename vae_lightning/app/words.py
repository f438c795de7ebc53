"""The words of a command line, as Hydra's grammar reads them."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException


def sweep_overrides(words: Sequence[str], declared: Mapping[str, Any] | None) -> list[Any]:
    """Hydra's overrides that a sweep varies: those that the configuration declares, then those among the words."""
    parser, params = OverridesParser.create(), dict(declared or {})
    said = parser.parse_overrides([word for word in words if "=" in word and not word.startswith("-")])
    for override in said:
        params.pop(override.key_or_group, None)
    in_yaml = parser.parse_overrides([f"{key}={value}" for key, value in params.items()])
    return [override for override in (*in_yaml, *said) if override.is_sweep_override()]


def axes(words: Sequence[str], declared: Mapping[str, Any] | None) -> list[list[str]]:
    """The words of the jobs of Hydra's own sweeper, key by key: each job has one word of each list.

    Empty where the values are not known before the sweep begins.
    """
    params = [f"{key}={value}" for key, value in dict(declared or {}).items()]
    known: dict[str, list[str]] = {}
    try:
        for override in OverridesParser.create().parse_overrides([*params, *words]):
            key = override.get_key_element()
            if override.is_sweep_override():
                known[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
            else:
                known[key] = [f"{key}={override.get_value_element_as_str()}"]
    except HydraException:
        return []
    return list(known.values())
