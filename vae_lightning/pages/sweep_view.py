"""What the sweep's template and script are given: plain values only, every run and fold with a number of its own."""

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import yaml

from vae_lightning.pages import sweep_keys, sweep_pictures
from vae_lightning.pages.sweep_data import NUMBERS, Fold, Section, Spread, Sweep
from vae_lightning.pages.sweep_runs import SweptRun

MOST_POINTS = 40_000  # of all curves together
COMMAND = "python -m vae_lightning.train"


@dataclass(frozen=True)
class View:
    """`sections` and `others` are for the template, `script` is the JSON of the page's script."""

    sections: list[dict[str, Any]]
    others: list[dict[str, Any]]
    script: dict[str, Any]
    left_out: int


def view(sweep: Sweep) -> View:
    """Numbered in the order of the page."""
    numbers = {id(run): i for i, run in enumerate(sweep.runs)}
    runs = [run_view(sweep, run, i) for i, run in enumerate(sweep.runs)]
    left_out = add_pictures(sweep.runs, runs)
    sections, count = [], 0
    for i, each in enumerate(sweep.sections):
        sections.append(section_view(each, i, count, runs, numbers))
        count += len(each.folds)
    unfinished = [runs[numbers[id(run)]] for run in sweep.unfinished]
    light = [{key: value for key, value in run.items() if key != "picture"} for run in runs]
    plain = [
        {key: each[key] for key in ("id", "label", "swept", "bounds", "best", "statuses")}
        | {"folds": [{**fold, "runs": [run["id"] for run in fold["runs"]]} for fold in each["folds"]]}
        for each in sections
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
        "command": f"{COMMAND} {shlex.join(run.overrides)}".strip(),
        "report": report(sweep, run),
    }


def thinned(curve: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """Evenly spaced points of a curve of many epochs, with its last."""
    step = max(1, math.ceil(len(curve) / most))
    return [curve[i] for i in sorted({*range(0, len(curve), step), len(curve) - 1})] if curve else []


def report(sweep: Sweep, run: SweptRun) -> str | None:
    """Where the run's own page is, seen from the sweep's; None where there is none."""
    if run.folder is None or not (run.folder / "report.html").is_file():
        return None
    path = os.path.relpath(run.folder.resolve() / "report.html", sweep.folder)
    return quote("./" + path.replace(os.sep, "/") if not path.startswith("..") else path.replace(os.sep, "/"))


def section_view(
    section: Section, number: int, count: int, runs: Sequence[dict[str, Any]], numbers: Mapping[int, int]
) -> dict[str, Any]:
    """A section with its folds, numbered from `count` on."""
    folds = [
        fold_view(fold, count + i, [runs[numbers[id(run)]] for run in fold.runs])
        for i, fold in enumerate(section.folds)
    ]
    best = next((view for view, fold in zip(folds, section.folds, strict=True) if fold is section.best), None)
    keys = [
        {
            "key": key,
            "name": sweep_keys.shown_key(key),
            "values": list(dict.fromkeys(fold.values[i] for fold in section.folds)),
        }
        for i, key in enumerate(section.keys)
    ]
    bounds = sorted({(run.nll.num_samples, run.nll.num_images) for run in section.runs if run.nll})
    return {
        "id": number,
        "label": section.label,
        "swept": keys,
        "folds": folds,
        "best": best["id"] if best else None,
        "bounds": [{"k": k, "n": n} for k, n in bounds],
        "ranked": sorted(folds, key=lambda fold: -(fold["spread"]["elbo"] or {"mean": -math.inf})["mean"]),
        "marked": any(run.split in ("val", "train") for run in section.runs),
        "seeded": any(len(fold.runs) > 1 for fold in section.folds),
        "statuses": sorted({run.status for run in section.runs}),
    }


def fold_view(fold: Fold, number: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """A fold with its means over completed runs."""
    nll = fold.nll()
    done = sum(run.ended_well for run in fold.runs)
    first = fold.runs[0].nll if nll else None
    return {
        "id": number,
        "values": list(fold.values),
        "runs": runs,
        "split": fold.split,
        "done": done,
        "spread": {key: spread_view(fold.spread(key)) for key in NUMBERS},
        "nll": {"k": nll[0], "n": first.num_images if first else None, **(spread_view(nll[1]) or {})} if nll else None,
    }


def spread_view(spread: Spread | None) -> dict[str, Any] | None:
    """{mean, sd, n}."""
    return {"mean": spread.mean, "sd": spread.deviation, "n": spread.count} if spread else None


def add_pictures(runs: Sequence[SweptRun], views: Sequence[dict[str, Any]]) -> int:
    """Each run's samples, as long as the page stays small enough; how many were left out."""
    rows, spent, left_out = sweep_pictures.rows_for(len(runs)), 0, 0
    for run, each in zip(runs, views, strict=True):
        picture = sweep_pictures.samples(run, rows) if spent < sweep_pictures.BUDGET else None
        left_out += picture is None and spent >= sweep_pictures.BUDGET
        spent += len(picture or "")
        each["picture"] = picture
    return left_out


def configs(runs: Sequence[SweptRun]) -> dict[str, Any]:
    """What all configurations have in common, once, and of each run what is its own."""
    flat = [sweep_keys.flat(run) if run.config else None for run in runs]
    known = [each for each in flat if each is not None]
    common = {
        key: value
        for key, value in (known[0] if known else {}).items()
        if all(each.get(key) == value for each in known)
    }
    own = [None if each is None else {key: value for key, value in each.items() if key not in common} for each in flat]
    return {"common": common, "own": own}


def command(sweep: Sweep) -> str | None:
    """The command line of the sweep, from Hydra's multirun.yaml; None where this is no sweep's own folder."""
    try:
        content = yaml.safe_load((sweep.folder / "multirun.yaml").read_text(encoding="utf-8"))
        said = content["hydra"]["overrides"]
        launching = [str(each) for each in said["hydra"] if not str(each).startswith("hydra.mode=")]
        return f"{COMMAND} -m {shlex.join([*map(str, said['task']), *launching])}"
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return None
