"""The values of the sweep's template and script: plain values; every run and fold has a number."""

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from vae_lightning.pages.sweep import pictures
from vae_lightning.pages.sweep.folds import NUMBERS, Bound, Fold, Section, Sweep
from vae_lightning.pages.sweep.runs import SweptRun
from vae_lightning.runs import keys as swept_keys
from vae_lightning.runs.again import again, alone
from vae_lightning.runs.files import PAGE
from vae_lightning.runs.folds import Spread
from vae_lightning.runs.jobs import sweep_words
from vae_lightning.runs.readings import thinned

MOST_POINTS = 40_000  # of all curves together
COMMAND = "python -m vae_lightning.train"


@dataclass(frozen=True)
class View:
    """`sections` and `others` go to the template, `script` becomes the JSON of the page's script."""

    sections: list[dict[str, Any]]
    others: list[dict[str, Any]]
    script: dict[str, Any]
    left_out: int


def view(sweep: Sweep) -> View:
    """The values of a page, numbered in its order."""
    numbers = {id(run): i for i, run in enumerate(sweep.runs)}
    runs = [run_view(sweep, run, i) for i, run in enumerate(sweep.runs)]
    left_out = add_pictures(sweep.runs, runs)
    sections, count = [], 0
    for i, section in enumerate(sweep.sections):
        sections.append(section_view(section, i, count, runs, numbers))
        count += len(section.folds)
    unfinished = [runs[numbers[id(run)]] for run in sweep.unfinished]
    light = [{key: value for key, value in run.items() if key != "picture"} for run in runs]
    plain = [
        {key: section[key] for key in ("id", "label", "swept", "bounds", "best", "statuses")}
        | {"folds": [{**fold, "runs": [run["id"] for run in fold["runs"]]} for fold in section["folds"]]}
        for section in sections
    ]
    return View(sections, unfinished, {"runs": light, "sections": plain, **configs(sweep.runs)}, left_out)


def run_view(sweep: Sweep, run: SweptRun, number: int) -> dict[str, Any]:
    """A run as the page shows it."""
    return {
        "id": number,
        "name": run.name,
        "group": run.group,
        "status": run.status,
        "done": run.ended_well,
        "error": run.error,
        "seed": run.seed,
        "split": run.split,
        "numbers": {key: run.numbers.get(key) for key in NUMBERS},
        "nll": {"value": run.nll.value, "k": run.nll.num_samples, "n": run.nll.num_images} if run.nll else None,
        "curve": thinned(run.curve, max(20, min(200, MOST_POINTS // len(sweep.runs)))),
        "command": f"{COMMAND} {shlex.join(alone(again(run.overrides, run.flags)))}".strip(),
        "report": report(sweep, run),
    }


def report(sweep: Sweep, run: SweptRun) -> str | None:
    """The link from the sweep's page to the run's page, or None."""
    if run.folder is None or not os.path.isfile(run.folder / PAGE):
        return None
    path = os.path.relpath(run.folder.resolve() / PAGE, sweep.folder)
    path = path.replace(os.sep, "/")
    return quote(path if path.startswith("..") else f"./{path}", errors="surrogateescape")


def section_view(
    section: Section, number: int, count: int, runs: Sequence[dict[str, Any]], numbers: Mapping[int, int]
) -> dict[str, Any]:
    """A section with its folds, which are numbered from `count` on."""
    folds = [
        fold_view(fold, count + i, [runs[numbers[id(run)]] for run in fold.runs])
        for i, fold in enumerate(section.folds)
    ]
    best = next((view for view, fold in zip(folds, section.folds, strict=True) if fold is section.best), None)
    keys = [
        {"name": key, "values": list(dict.fromkeys(fold.values[i] for fold in section.folds))}
        for i, key in enumerate(section.keys)
    ]
    bounds = sorted({(run.nll.num_samples, run.nll.num_images) for run in section.runs if run.nll})
    return {
        "id": number,
        "label": section.label,
        "swept": keys,
        "folds": folds,
        "best": best["id"] if best else None,
        "bounds": [{"k": k, "n": n, "of": section.test_images} for k, n in bounds],
        "repeated": len(section.repeated),
        "ranked": sorted(folds, key=lambda fold: -(fold["spread"]["elbo"] or {"mean": -math.inf})["mean"]),
        "marked": any(run.split in ("val", "train") for run in section.runs),
        "seeded": any(len(fold.runs) > 1 for fold in section.folds),
        "statuses": sorted({run.status for run in section.runs}),
    }


def fold_view(fold: Fold, number: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """A fold with its means over the runs that count."""
    nll, repeated = fold.nll(), set(map(id, fold.repeated))
    return {
        "id": number,
        "values": list(fold.values),
        "runs": runs,
        "repeated": [view["id"] for view, run in zip(runs, fold.runs, strict=True) if id(run) in repeated],
        "split": fold.split,
        "done": len(fold.counted),
        "asked": len(fold.runs) - len(repeated),
        "spread": {key: spread_view(fold.spread(key)) for key in NUMBERS},
        "nll": bound_view(nll) if nll else None,
    }


def spread_view(spread: Spread | None) -> dict[str, Any] | None:
    """{mean, se, runs}."""
    return {"mean": spread.mean, "se": spread.error, "runs": spread.count} if spread else None


def bound_view(bound: Bound) -> dict[str, Any]:
    """{k, n, mean, se, runs}: K samples on N images, over runs."""
    return {"k": bound.num_samples, "n": bound.num_images, **(spread_view(bound.spread) or {})}


def add_pictures(runs: Sequence[SweptRun], views: Sequence[dict[str, Any]]) -> int:
    """Adds the samples of each run until the page is full. Returns the number of pictures that were left out."""
    rows, spent, left_out = pictures.rows_for(len(runs)), 0, 0
    for run, run_values in zip(runs, views, strict=True):
        picture = pictures.samples(run, rows) if spent < pictures.BUDGET else None
        left_out += picture is None and spent >= pictures.BUDGET
        spent += len(picture or "")
        run_values["picture"] = picture
    return left_out


def configs(runs: Sequence[SweptRun]) -> dict[str, Any]:
    """The keys that all configurations share, once, and for each run the keys of its own."""
    flat = [swept_keys.flat(run) if run.config else None for run in runs]
    known = [config for config in flat if config is not None]
    common = {
        key: value
        for key, value in (known[0] if known else {}).items()
        if all(config.get(key) == value for config in known)
    }
    own = [None if config is None else {k: v for k, v in config.items() if k not in common} for config in flat]
    return {"common": common, "own": own}


def command(sweep: Sweep) -> str | None:
    """The command line of the sweep, from Hydra's multirun.yaml; None if the folder has none."""
    said, launching = sweep_words(sweep.folder)
    words = [*said, *(word for word in launching if not word.startswith("hydra.mode="))]
    flags = next((run.flags for run in sweep.runs if run.flags), ())
    return f"{COMMAND} -m {shlex.join(again(words, flags))}" if words else None
