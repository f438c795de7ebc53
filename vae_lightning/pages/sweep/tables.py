"""The sweep's numbers for other programs: sweep.csv, a row per run, and sweep.md, a Markdown table of folds."""

import csv
import io
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from vae_lightning.pages.sweep import keys as swept_keys
from vae_lightning.pages.sweep.folds import Fold, Section, Spread, Sweep
from vae_lightning.pages.sweep.runs import SweptRun

BEFORE = ("run", "status", "data", "protocol", "likelihood", "subset")
AFTER = ("seed", "split", "elbo", "recon", "kl", "active_units", "nll", "nll_num_samples", "nll_num_images")
AFTER += ("epochs_done", "seconds", "error", "overrides")


def as_csv(sweep: Sweep) -> str:
    """All runs, and all jobs that became none; a column for each key that a section was swept over."""
    keys = list(dict.fromkeys(key for section in sweep.sections for key in section.keys))
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow([*BEFORE, *keys, *AFTER])
    for run in sweep.runs:
        config = swept_keys.flat(run)
        values = [swept_keys.value_of(run, config, key) for key in keys]
        writer.writerow(
            [*before(sweep, run), *("" if value == swept_keys.ABSENT else value for value in values), *after(run)]
        )
    return lines.getvalue()


def before(sweep: Sweep, run: SweptRun) -> list[object]:
    """The run, and the data that it was measured on."""
    of = run.setting
    where = os.path.relpath(run.folder, sweep.folder) if run.folder else run.name
    return [where, run.status, *((of.data, of.protocol, of.measure, of.subset) if of else ("", "", "", ""))]


def after(run: SweptRun) -> list[object]:
    """The numbers of a run, and its end."""
    numbers = [run.numbers.get(key, "") for key in ("elbo", "recon", "kl", "active_units")]
    bound = [run.nll.value, run.nll.num_samples, run.nll.num_images] if run.nll else ["", "", ""]
    seed, split = "" if run.seed is None else run.seed, run.split or ""
    ended = [run.numbers.get("epochs", ""), run.numbers.get("seconds", ""), run.error or ""]
    return [seed, split, *numbers, *bound, *ended, shlex.join(run.overrides)]


def as_markdown(sweep: Sweep) -> str:
    """A table for each section, and one of the runs that did not end well."""
    return "\n".join(markdown_lines(sweep)) + "\n"


def markdown_lines(sweep: Sweep) -> Iterator[str]:
    counts = ", ".join(f"{count} {escaped(status)}" for status, count in sweep.counts.items())
    yield f"# {escaped(sweep.title)}"
    yield ""
    yield f"{len(sweep.runs)} runs: {counts}. Nats per image; mean ± standard deviation over n completed runs."
    for section in sweep.sections:
        yield from ("", f"## {escaped(section.label)}", "")
        yield from table(section)
    if sweep.unfinished:
        yield from ("", "## Not completed", "", *failures(sweep.unfinished))


def table(section: Section) -> Iterator[str]:
    """The folds of a section, best ELBO first."""
    head = [*section.keys, "n", "split", "ELBO", "recon", "KL", "active units", "NLL", "seconds"]
    ranked = sorted(section.folds, key=lambda fold: -(elbo.mean if (elbo := fold.spread("elbo")) else -float("inf")))
    yield row([escaped(name) for name in head])
    yield row(["---"] * len(section.keys) + ["---:", "---"] + ["---:"] * 6)
    for fold in ranked:
        yield row([*map(escaped, fold.values), *cells(fold)])


def cells(fold: Fold) -> list[str]:
    """The number of runs, and their numbers."""
    done = sum(run.ended_well for run in fold.runs)
    count = str(done) if done == len(fold.runs) else f"{done} of {len(fold.runs)}"
    shown = [plus_minus(fold.spread(key)) for key in ("elbo", "recon", "kl")]
    nll = fold.nll()
    bound = f"{plus_minus(nll[1])} (K = {nll[0]})" if nll else "–"
    more = [plus_minus(fold.spread("active_units"), 1), bound, plus_minus(fold.spread("seconds"), 1)]
    return [count, fold.split or "–", *shown, *more]


def failures(runs: Sequence[SweptRun]) -> Iterator[str]:
    """The runs that did not end well, with their errors."""
    yield row(["run", "status", "error", "overrides"])
    yield row(["---"] * 4)
    for run in runs:
        yield row(map(escaped, (run.name, run.status, run.error or "", shlex.join(run.overrides))))


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plus_minus(spread: Spread | None, digits: int = 2) -> str:
    """-98.21 ± 0.07; one run has no deviation."""
    if spread is None:
        return "–"
    return f"{spread.mean:.{digits}f}" + ("" if spread.deviation is None else f" ± {spread.deviation:.{digits}f}")


def escaped(text: object) -> str:
    """Any text as Markdown that reads as this text, within one cell of one line."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
