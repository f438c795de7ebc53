"""The rows as a whole: one row run to its result, the list of all, and the page of results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_lightning.app.row import Row
from vae_lightning.errors import DataError, FolderError, printable
from vae_lightning.output import say
from vae_lightning.paper import listing, page, plan, results, running
from vae_lightning.runs.place import check_room

OF_MODELS = ("manifold", "samples")  # figures that the models draw


@dataclass(frozen=True)
class Places:
    """Where the runs, the results and the data are."""

    project: Path
    results: Path
    data: str

    @property
    def root(self) -> Path:
        return self.project / "reproduce"


def one(row: Row, budget: str, places: Places, command: str) -> int:
    """Runs a row, writes its result and figure, and prints the checks: 0 where all hold, 1 where one does not."""
    try:
        places.results.mkdir(parents=True, exist_ok=True)
        check_room(places.results, "choose another folder")
    except OSError as error:
        raise FolderError(f"results={printable(places.results)}: {error.strerror}; choose another folder") from error
    done = running.complete(row, plan.planned(row, budget, places.root / f"{row.name}-{budget}", places.data))
    result = results.result_of(row, budget, done, command)
    path = results.write(places.results, result)
    say("\n".join([*page.table(result), *map(verdict, result["checks"])]))
    if row.figure in OF_MODELS:
        from vae_lightning.paper import pictures

        pictures.draw(done, result, row.figure, path.with_suffix(".png"))
    elif row.figure:
        from vae_lightning.paper import figures

        figures.draw(result, row.figure, path.with_suffix(".png"))
    say(f"{row.name}, budget={budget}: {'within' if result['within'] else 'outside'} tolerance -> {printable(path)}")
    if result["within"]:
        return 0
    say(f"say why in {printable(path.with_suffix('.md'))}: --page puts that text below the checks")
    return 1


def verdict(check: Mapping[str, Any]) -> str:
    return f"{'ok' if check['holds'] else 'OUTSIDE':<7} {check['says']}"


def listed(rows: Sequence[Row], places: Places) -> int:
    """Prints all rows with the state of each budget."""
    say("\n".join(listing.lines(rows, places.results, places.root, places.data)))
    return 0


def page_again(rows: Sequence[Row], places: Places) -> int:
    """Writes the page and the figures that come from JSON again: FOLDER.md beside the folder of the results.

    Raises DataError where that folder holds no result.
    """
    from vae_lightning.paper import figures

    found = page.all_results(places.results)
    if not found:
        raise DataError(f"results={printable(places.results)}: holds no result; name the folder of the results")
    kinds = {row.name: row.figure for row in rows}
    for result in found:
        kind = kinds.get(result["name"], "")
        if kind and kind not in OF_MODELS:
            file = results.file_of(places.results, result["name"], result["budget"])
            figures.draw(result, kind, file.with_suffix(".png"))
    written = places.results.with_name(f"{places.results.name}.md")
    page.write(written, found, places.results)
    say(f"{printable(written)}: written from {printable(places.results)}")
    return 0
