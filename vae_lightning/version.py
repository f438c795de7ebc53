"""The version of this package, and those of the packages that are installed."""

import importlib.metadata
from collections.abc import Iterable
from contextlib import suppress

__version__ = "1.0.0"
OURS = "vae-lightning"


def installed(packages: Iterable[str]) -> dict[str, str]:
    """{package: version} of those packages that are installed. This one counts as it is, installed or not."""
    found = {}
    for package in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = __version__ if package == OURS else importlib.metadata.version(package)
    return found
