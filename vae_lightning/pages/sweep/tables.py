"""The sweep's numbers for other programs: sweep.csv, a row per run, and sweep.md, a Markdown table of folds.

The row of a run ends with the numbers of its fold: the number of seeds, each mean and its standard error.
"""

import csv
import io
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from vae_lightning.pages.sweep.folds import Bound, Fold, Section, Sweep
from vae_lightning.pages.sweep.runs import SweptRun
from vae_lightning.runs import keys as swept_keys
from vae_lightning.runs.folds import Spread
from vae_lightning.runs.readings import finite
from vae_lightning.runs.words import fixed

BEFORE = ("run", "status", "data", "protocol", "likelihood", "subset")
AFTER = ("seed", "counted", "split", "num_images", "elbo", "recon", "kl", "active_units")
FORMULA = "=+-@\t\r＝＋－＠"  # the first character of what a spreadsheet takes for a formula
AFTER += ("nll", "nll_num_samples", "nll_num_images", "epochs_done", "seconds", "error", "overrides")
FOLDED = ("elbo", "recon", "kl", "active_units", "nll")
OF_FOLD = ("seeds", *(f"{key}_{number}" for key in FOLDED for number in ("mean", "standard_error")))


def as_csv(sweep: Sweep) -> str:
    """All runs, and all jobs that became none; a column for each key that a section was swept over."""
    keys = list(dict.fromkeys(key for section in sweep.sections for key in section.keys))
    all_folds = [fold for section in sweep.sections for fold in section.folds]
    counted = {id(run) for fold in all_folds for run in fold.counted}
    folded = {id(run): cells for fold in all_folds for cells in [of_fold(fold)] for run in fold.runs}
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(map(inert, [*BEFORE, *keys, *AFTER, *OF_FOLD]))
    for run in sweep.runs:
        config = swept_keys.flat(run)
        values = [swept_keys.value_of(run, config, key) for key in keys]
        shown = ["" if value == swept_keys.ABSENT else value for value in values]
        own = [*before(sweep, run), *shown, *after(run, id(run) in counted)]
        writer.writerow(map(inert, [*own, *folded.get(id(run), [""] * len(OF_FOLD))]))
    return lines.getvalue()


def inert(cell: object) -> object:
    """A cell that no spreadsheet runs as a formula: a text that begins like one gets a ' in front. Numbers stay."""
    start = str(cell).lstrip().lstrip("\0")[:1]
    return f"'{cell}" if start in FORMULA and start and finite(cell) is None else cell


def before(sweep: Sweep, run: SweptRun) -> list[object]:
    """The run, and the data that it was measured on."""
    of = run.setting
    where = os.path.relpath(run.folder, sweep.folder) if run.folder else run.name
    return [where, run.status, *((of.data, of.protocol, of.measure, of.subset) if of else ("", "", "", ""))]


def after(run: SweptRun, counted: bool) -> list[object]:
    """The numbers of a run, whether they count in the mean over seeds, and its end."""
    numbers = [run.numbers.get(key, "") for key in ("elbo", "recon", "kl", "active_units")]
    bound = [run.nll.value, run.nll.num_samples, run.nll.num_images] if run.nll else ["", "", ""]
    known = ["" if value is None else value for value in (run.seed, counted, run.split, run.num_images)]
    ended = [run.numbers.get("epochs", ""), run.numbers.get("seconds", ""), run.error or ""]
    return [*known, *numbers, *bound, *ended, shlex.join(run.overrides)]


def of_fold(fold: Fold) -> list[object]:
    """The number of counted runs, then the mean and the standard error of each number; "" where there is none."""
    nll = fold.nll()
    spreads = [*(fold.spread(key) for key in FOLDED[:-1]), nll.spread if nll else None]
    numbers = [value for over in spreads for value in ((over.mean, over.error) if over else (None, None))]
    return [len(fold.counted), *("" if value is None else value for value in numbers)]


def as_markdown(sweep: Sweep) -> str:
    """A table for each section, and one of the runs that did not end well."""
    return "\n".join(markdown_lines(sweep)) + "\n"


def markdown_lines(sweep: Sweep) -> Iterator[str]:
    counts = ", ".join(f"{count} {escaped(status)}" for status, count in sweep.counts.items())
    yield f"# {escaped(sweep.title)}"
    yield ""
    yield f"{len(sweep.runs)} runs: {counts}. Nats per image; mean ± standard error over n completed runs."
    for section in sweep.sections:
        yield from ("", f"## {escaped(section.label)}", "")
        yield from table(section)
        if section.repeated:
            names = ", ".join(escaped(run.name) for run in section.repeated)
            yield from ("", f"Not counted, since a newer run has the same seed: {names}.")
    if sweep.unfinished:
        yield from ("", "## Not completed", "", *failures(sweep.unfinished))


def table(section: Section) -> Iterator[str]:
    """The folds of a section, best ELBO first."""
    head = [*section.keys, "n", "split", "ELBO", "recon", "KL", "active units", "NLL", "seconds"]
    ranked = sorted(section.folds, key=lambda fold: -(elbo.mean if (elbo := fold.spread("elbo")) else -float("inf")))
    yield row([escaped(name) for name in head])
    yield row(["---"] * len(section.keys) + ["---:", "---"] + ["---:"] * 6)
    for fold in ranked:
        yield row([*map(escaped, fold.values), *cells(fold, section.test_images)])


def cells(fold: Fold, test_images: int | None) -> list[str]:
    """The number of runs, and their numbers."""
    done, asked = len(fold.counted), len(fold.runs) - len(fold.repeated)
    count = str(done) if done == asked else f"{done} of {asked}"
    shown = [plus_minus(fold.spread(key)) for key in ("elbo", "recon", "kl")]
    nll = fold.nll()
    bound = bound_text(nll, done, test_images) if nll else "–"
    more = [plus_minus(fold.spread("active_units"), 1), bound, plus_minus(fold.spread("seconds"), 1)]
    return [count, fold.split or "–", *shown, *more]


def bound_text(nll: Bound, runs: int, test_images: int | None) -> str:
    """101.00 ± 1.00 (K = 500, N = 30 of 1,000, n = 2): N images of the test set; n where not all runs have it."""
    of = f" of {test_images:,}" if test_images not in (None, nll.num_images) else ""
    n = f", n = {nll.spread.count}" if nll.spread.count != runs else ""
    return f"{plus_minus(nll.spread)} (K = {nll.num_samples:,}, N = {nll.num_images:,}{of}{n})"


def failures(runs: Sequence[SweptRun]) -> Iterator[str]:
    """The runs that did not end well, with their errors."""
    yield row(["run", "status", "error", "overrides"])
    yield row(["---"] * 4)
    for run in runs:
        yield row(map(escaped, (run.name, run.status, run.error or "", shlex.join(run.overrides))))


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plus_minus(spread: Spread | None, digits: int = 2) -> str:
    """The mean and its standard error, -98.21 ± 0.07; one run has no error."""
    if spread is None:
        return "–"
    return fixed(spread.mean, digits) + ("" if spread.error is None else f" ± {fixed(spread.error, digits)}")


def escaped(text: object) -> str:
    """Any text as Markdown that reads as this text, within one cell of one line."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
