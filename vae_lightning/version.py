"""The version of this package, and those of the packages that are installed."""

import importlib.metadata
from collections.abc import Iterable

__version__ = "1.0.0"


def installed(packages: Iterable[str]) -> dict[str, str]:
    """{package: version} of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
