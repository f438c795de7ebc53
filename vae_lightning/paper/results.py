"""The result of a row as JSON: what the page, its figures and the list of all rows are made of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vae_lightning.app.row import Row
from vae_lightning.errors import DataError
from vae_lightning.paper.judging import checks, curve_of, means, numbers_of
from vae_lightning.paper.plan import Planned, evaluation_of, planned
from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.configuration import key_of
from vae_lightning.runs.readings import finite, mapping
from vae_lightning.runs.regular import json_in

SHAPE: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("name", "budget", "title", "source", "known", "says", "command"), str),
    **dict.fromkeys(("runs", "checks", "published"), list),
    "seconds": (int, float),
    "within": bool,
}
SHAPES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "runs": {
        **dict.fromkeys(("run", "words", "evaluation", "ended", "torch", "device"), str),
        **{"seed": int, "commit": (str, type(None)), "changed": bool, "numbers": dict, "curve": list},
    },
    "checks": {"says": str, "holds": bool},
    "published": {
        **dict.fromkeys(("run", "number", "others"), str),
        **{"value": (int, float), "tolerance": (int, float, type(None))},
    },
}


def file_of(folder: Path, name: str, budget: str) -> Path:
    """Where a result is kept; its figure (.png) and a remark (.md) have the same name."""
    return folder / f"{name}-{budget}.json"


def result_of(row: Row, budget: str, done: Sequence[Planned], command: str) -> dict[str, Any]:
    """The result of a row whose runs are done."""
    runs = [one_run(row, one) for one in done]
    made = checks(row, budget, means(runs))
    trials = {trial.folder: trial.run.seconds or 0 for one in done for trial in one.trials}
    return {
        "name": row.name,
        "budget": budget,
        "title": row.title,
        "source": row.source,
        "known": row.known,
        "says": row.budgets[budget].says,
        "command": command,
        "seconds": round(sum(each["seconds"] for each in runs) + sum(trials.values())),
        "published": published_of(row, budget),
        "checks": [asdict(check) for check in made],
        "within": all(check.holds for check in made),
        "runs": runs,
    }


def published_of(row: Row, budget: str) -> list[dict[str, Any]]:
    """The published values, each with the tolerance of a budget; None where the budget's setting is another."""
    return [{**asdict(each), "tolerance": each.tolerance.get(budget)} for each in row.published]


def is_of(row: Row, budget: str, result: Mapping[str, Any]) -> bool:
    """Whether a result has the runs that the row has today, each with the words of today."""

    chosen = row.choose.key if row.choose else None

    def settled(run: str, seed: int, words: str, evaluation: str) -> tuple[Any, ...]:
        return run, seed, [word for word in words.split() if key_of(word) != chosen], evaluation

    plan = planned(row, budget, Path(), "")
    today = [settled(one.name, one.seed, one.said, " ".join(one.evaluation)) for one in plan]
    return [settled(*(run[key] for key in ("run", "seed", "words", "evaluation"))) for run in result["runs"]] == today


def one_run(row: Row, one: Planned) -> dict[str, Any]:
    """One run: its words, where it comes from, its numbers, curve and seconds."""
    run, evaluation = one.run, evaluation_of(one)
    size = mapping(run.data.get("sizes")).get("train")
    git, device = mapping(run.record.get("git")), mapping(run.record.get("device"))
    threads = f"{device.get('threads')} thread{'s' * (device.get('threads') != 1)}"
    return {
        "run": one.name,
        "seed": one.seed,
        "words": one.said,
        "evaluation": " ".join(one.evaluation),
        "status": run.status,
        "commit": git.get("commit"),
        "changed": bool(git.get("changed")),
        "torch": str(mapping(run.record.get("versions")).get("torch")),
        "device": f"{device.get('accelerator')} ({device.get('name')}, {threads}, {device.get('precision')})",
        "ended": str(run.record.get("ended")),
        "data": {key: run.data.get(key) for key in ("name", "protocol", "subset")} | {"train": size},
        "epochs": run.epochs_done,
        "seconds": round((run.seconds or 0) + (finite(evaluation.get("seconds")) or 0), 1),
        "numbers": numbers_of(row, one),
        "errors": {number: mapping(evaluation.get("errors")).get(of) for number, of in row.numbers.items()},
        "curve": curve_of(one, size) if row.figure == "curves" else [],
    }


def write(folder: Path, result: Mapping[str, Any]) -> Path:
    """Writes a result atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    path = file_of(folder, str(result["name"]), str(result["budget"]))
    write_text(path, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return path


def read(path: Path) -> dict[str, Any] | None:
    """A result, or None where there is no such file. Raises DataError where the file holds no result."""
    try:
        found = json_in(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); run its row again") from None
    if not is_result(found):
        raise DataError(f"{path}: holds no result of a row; run its row again")
    return found


def is_result(found: Any) -> bool:
    """Whether plain values have the shape of a result."""
    if not has_shape(found, SHAPE) or not found["runs"]:
        return False
    if not all(has_shape(item, shape) for name, shape in SHAPES.items() for item in found[name]):
        return False
    numbers, first = [each["numbers"] for each in found["runs"]], found["runs"][0]["numbers"]
    points = [point for each in found["runs"] for point in each["curve"]]
    rows = [*(list(each.values()) for each in numbers), *points]
    same = all(each.keys() == first.keys() for each in numbers)
    triples = all(isinstance(point, list) and len(point) == 3 for point in points)
    return same and triples and all(value is None or finite(value) is not None for row in rows for value in row)


def has_shape(values: Any, shape: Mapping[str, type | tuple[type, ...]]) -> bool:
    """Whether a mapping holds the keys of a shape, each with a value of its type."""
    return isinstance(values, dict) and all(isinstance(values.get(key), kind) for key, kind in shape.items())


def when(result: Mapping[str, Any]) -> str:
    """The day on which the last run of a result ended."""
    return max(run["ended"] for run in result["runs"])[:10]
