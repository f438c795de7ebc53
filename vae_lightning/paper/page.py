"""The generated part of docs/results.md: `python -m vae_lightning.reproduce --page` writes it from docs/results/."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_lightning.errors import DataError
from vae_lightning.paper import results
from vae_lightning.paper.judging import deviation, means, shown
from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.regular import content_of

BEGIN, END = "<!-- begin: written by vae_lightning.reproduce --page -->", "<!-- end -->"
MOST = 2**20  # bytes of the page


def all_results(folder: Path) -> list[dict[str, Any]]:
    """The results of a folder, by name, the largest budget last. Raises DataError where a file holds none."""
    paths = sorted(folder.glob("*.json"))
    return [found for path in paths if (found := results.read(path)) is not None]


def generated(found: Sequence[Mapping[str, Any]], folder: Path) -> str:
    """The generated part: a table of all rows, then a section for each result."""
    return "\n".join([BEGIN, "", *overview(found), *(line for one in found for line in section(one, folder)), END])


def overview(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One line for each result."""
    if not found:
        yield "No row has a result yet."
        yield ""
        return
    yield "| row | budget | checks that hold | time | commit | day |"
    yield "|---|---|---|---|---|---|"
    for one in found:
        holds = sum(check["holds"] for check in one["checks"])
        cells = f"{holds} of {len(one['checks'])} | {duration(one['seconds'])} | {commits(one)} | {results.when(one)}"
        yield f"| `{one['name']}` | {one['budget']} | {cells} |"
    yield ""


def section(one: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """What one result says: where it comes from, the command, the numbers, and the checks."""
    yield f"### {one['name']}, {one['budget']}"
    yield ""
    yield f"{one['title']} Source: {one['source']}{known(one)}."
    yield from ["", one["says"]] if one["says"] else []
    yield from ["", "```text", f"$ {one['command']}", "```", ""]
    yield from table(one)
    yield ""
    yield from (f"* {'Holds' if check['holds'] else '**Does not hold**'}: {check['says']}." for check in one["checks"])
    yield ""
    file = results.file_of(folder, one["name"], one["budget"])
    yield from remark(file.with_suffix(".md"))
    yield provenance(one)
    yield ""
    if (picture := file.with_suffix(".png")).is_file():
        yield f"![{one['title']}]({folder.name}/{picture.name})"
        yield ""


def remark(path: Path) -> Iterator[str]:
    """What a person says of a result: why a check does not hold, and what was tried."""
    if path.is_file():
        yield content_of(path, MOST).decode("utf-8").strip()
        yield ""


def known(one: Mapping[str, Any]) -> str:
    return f" ({one['known']})" if one["known"] else ""


def table(one: Mapping[str, Any]) -> Iterator[str]:
    """The runs and their numbers: the mean over seeds with its deviation, and the published value beside it."""
    numbers = list(one["runs"][0]["numbers"])
    yield f"| run | seeds | {' | '.join(numbers)} |"
    yield f"|{'---|' * (len(numbers) + 2)}"
    ours = means(one["runs"])
    for run, values in ours.items():
        seeds = [each for each in one["runs"] if each["run"] == run]
        cells = [cell(one, run, number, values.get(number), seeds) for number in numbers]
        yield f"| {run} | {', '.join(str(each['seed']) for each in seeds)} | {' | '.join(cells)} |"


def cell(one: Mapping[str, Any], run: str, number: str, mean: float | None, seeds: Sequence[Mapping[str, Any]]) -> str:
    """One number: ours, then what was published."""
    spread = None if mean is None else deviation([each["numbers"][number] for each in seeds])
    text = shown(mean) if spread is None else f"{shown(mean)} (sd {spread:.2f})"
    for each in one["published"]:
        if (each["run"], each["number"]) == (run, number):
            text += f"; published {published(each)}"
    return text


def published(each: Mapping[str, Any]) -> str:
    """A published value, and that our setting is another one where that is so."""
    others = f", others {each['others']}" if each["others"] else ""
    return f"{each['value']:g}{others}{'' if each['tolerance'] is not None else ', in another setting'}"


def provenance(one: Mapping[str, Any]) -> str:
    """Commits, machines and time."""
    changed = " with changes" if any(run["changed"] for run in one["runs"]) else ""
    torch, devices = ", ".join(distinct(one, "torch")), "; ".join(distinct(one, "device"))
    time = f"{duration(one['seconds'])} in all, {results.when(one)}"
    return f"Measured at {commits(one)}{changed} with torch {torch} on {devices}; {time}."


def commits(one: Mapping[str, Any]) -> str:
    """The commits of the runs, in short."""
    return ", ".join(f"`{commit[:7]}`" for commit in distinct(one, "commit"))


def distinct(one: Mapping[str, Any], key: str) -> list[str]:
    """The different values that the runs of a result have, in their order."""
    return list(dict.fromkeys(str(run[key] or "unknown") for run in one["runs"]))


def duration(seconds: float) -> str:
    """Seconds as minutes or hours."""
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def with_part(text: str, part: str) -> str:
    """The page with another generated part. Raises DataError where the page has no place for it."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(f"the page has no lines {BEGIN} and {END}; put them where the results belong")
    return f"{before}{part}{after}"


def write(page: Path, found: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Writes the generated part of the page again."""
    try:
        text = content_of(page, MOST).decode("utf-8")
    except (OSError, UnicodeError) as error:
        raise DataError(f"{page}: cannot be read ({error}); run the command in a checkout") from None
    write_text(page, with_part(text, generated(found, folder)))
