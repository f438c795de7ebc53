"""The result of a row as JSON: what the page, its figures and the list of all rows are made of."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vae_lightning.errors import DataError
from vae_lightning.paper.judging import checks, curve_of, means, numbers_of
from vae_lightning.paper.plan import Planned, evaluation_of
from vae_lightning.paper.row import Row
from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.readings import finite, mapping, text
from vae_lightning.runs.regular import json_in

SHAPE: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("name", "budget", "title", "source", "known", "says", "command", "processor", "ended"), str),
    **dict.fromkeys(("runs", "checks", "published"), list),
    **dict.fromkeys(("versions", "device"), dict),
    "seconds": (int, float),
    "within": bool,
}
SHAPES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "runs": {"run": str, "seed": int, "numbers": dict, "curve": list},
    "checks": {"says": str, "holds": bool},
    "published": {"run": str, "number": str, "value": (int, float), "others": str},
}


def file_of(folder: Path, name: str, budget: str) -> Path:
    """Where a result is kept; its figure (.png) and a remark (.md) have the same name."""
    return folder / f"{name}-{budget}.json"


def result_of(row: Row, budget: str, done: Sequence[Planned], command: str) -> dict[str, Any]:
    """The result of a row whose runs are done."""
    runs = [one_run(row, one) for one in done]
    made = checks(row, budget, means(runs))
    newest: Mapping[str, Any] = max((one.run.record for one in done), key=lambda record: str(record.get("ended")))
    return {
        "name": row.name,
        "budget": budget,
        "title": row.title,
        "source": row.source,
        "known": row.known,
        "says": row.budgets[budget].says,
        "command": command,
        "commit": mapping(newest.get("git")).get("commit"),
        "changed": mapping(newest.get("git")).get("changed"),
        "versions": mapping(newest.get("versions")),
        "device": mapping(newest.get("device")),
        "processor": processor(),
        "ended": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seconds": round(sum(each["seconds"] for each in runs)),
        "published": [{**asdict(each), "tolerance": each.tolerance.get(budget)} for each in row.published],
        "checks": [asdict(check) for check in made],
        "within": all(check.holds for check in made),
        "runs": runs,
    }


def one_run(row: Row, one: Planned) -> dict[str, Any]:
    """One run: its words, numbers, curve and seconds."""
    run, evaluation = one.run, evaluation_of(one)
    size = mapping(run.data.get("sizes")).get("train")
    return {
        "run": one.name,
        "seed": one.seed,
        "words": " ".join(word for word in one.words if not word.startswith(("data.dir=", "report=", "~callbacks."))),
        "evaluation": " ".join(one.evaluation),
        "status": run.status,
        "data": {key: run.data.get(key) for key in ("name", "protocol", "subset")} | {"train": size},
        "epochs": run.epochs_done,
        "seconds": round((run.seconds or 0) + (finite(evaluation.get("seconds")) or 0), 1),
        "numbers": numbers_of(row, one),
        "errors": {number: mapping(evaluation.get("errors")).get(of) for number, of in row.numbers.items()},
        "curve": curve_of(one, size) if row.figure == "curves" else [],
    }


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, UnicodeError):
        return platform.processor() or platform.machine()


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
    """The day of a result."""
    return (text(result.get("ended")) or "")[:10]
