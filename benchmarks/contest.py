"""Contestants that take turns, so that a busy machine slows them alike; medians, ratios, and a JSON record of them."""

import argparse
import importlib.metadata
import json
import os
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vae_lightning.callbacks.machine import processor

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "outputs" / "benchmarks"
PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "pythae")


def arguments(doc: str | None, **defaults: Any) -> argparse.Namespace:
    """The benchmark's numbers, each with a flag of its own."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, help=f"({default})")
    return parser.parse_args()


def take_turns(contestants: Mapping[str, Callable[[], float]], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """What each contestant returns (seconds), in every round after the first `warm_up`; the order is drawn anew."""
    order = random.Random(0)
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(warm_up + rounds):
        for name in order.sample(list(contestants), len(contestants)):
            taken = contestants[name]()
            if number >= warm_up:
                found[name].append(taken)
    return found


def seconds(function: Callable[[], Any]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ratio(found: Mapping[str, list[float]], one: str, other: str) -> float:
    """The ratio of two medians."""
    return statistics.median(found[one]) / statistics.median(found[other])


def spread(values: list[float]) -> str:
    """The quartiles, as a share of the median."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{100 * (low / middle - 1):+.0f} % {100 * (high / middle - 1):+.0f} %"


def table(found: Mapping[str, list[float]], unit: str, scale: float, against: str) -> str:
    """A line per contestant: median, quartiles, ratio to `against`."""
    width = max(len(name) for name in found)
    lines = [f"{'':<{width}}   median {unit:<8} quartiles        of {against}"]
    for name, values in found.items():
        median = statistics.median(values) * scale
        lines.append(f"{name:<{width}} {median:>10.3f}        {spread(values):<16} {ratio(found, name, against):.2f}")
    return "\n".join(lines)


def demand(what: str, value: float, most: float) -> dict[str, Any]:
    """One line of the issue, measured: printed, and kept."""
    print(f"{'holds' if value <= most else 'FAILS'}: {what}: {value:.2f}, at most {most:.2f}", flush=True)
    return {"what": what, "value": round(value, 4), "most": most, "holds": value <= most}


def record(name: str, **facts: Any) -> Path:
    """outputs/benchmarks/<name>.json: the facts with machine, versions and commit."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"benchmark": name, **environment(), **facts}, indent=2) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}", flush=True)
    return path


def environment() -> dict[str, Any]:
    """Where and with what it was measured."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    machine = {"processor": processor(), "cores": os.cpu_count(), "load": os.getloadavg()[0], "os": platform.system()}
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"when": when, "commit": commit(), "machine": machine, "versions": versions}


def commit() -> str:
    """The short hash of the checkout, with a + where it was changed since."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
