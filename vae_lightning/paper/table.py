"""The rows as a whole: one row run to its result, the list of all, and the page of results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_lightning.errors import FolderError, printable
from vae_lightning.output import say
from vae_lightning.paper import listing, page, plan, results, running
from vae_lightning.paper.row import Row

PAGE = Path("docs/results.md")
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
    except OSError as error:
        raise FolderError(f"results={printable(places.results)}: {error.strerror}; choose another folder") from error
    done = running.complete(row, plan.planned(row, budget, places.root / f"{row.name}-{budget}", places.data))
    result = results.result_of(row, budget, done, command)
    path = results.write(places.results, result)
    picture = path.with_suffix(".png")
    if row.figure in OF_MODELS:
        from vae_lightning.paper import pictures

        pictures.draw(done, row.figure, picture)
    elif row.figure:
        from vae_lightning.paper import figures

        figures.draw(result, row.figure, picture)
    say("\n".join([*page.table(result), *map(verdict, result["checks"])]))
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
    """Writes the page and the figures that come from JSON again."""
    from vae_lightning.paper import figures

    kinds = {row.name: row.figure for row in rows}
    for result in page.all_results(places.results):
        kind = kinds.get(result["name"], "")
        if kind and kind not in OF_MODELS:
            file = results.file_of(places.results, result["name"], result["budget"])
            figures.draw(result, kind, file.with_suffix(".png"))
    page.write(PAGE, places.results)
    say(f"{PAGE}: written from {printable(places.results)}")
    return 0
