"""The sweep's numbers for other programs: sweep.csv, a row per run, and sweep.md, a Markdown table of folds."""

import csv
import io
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from vae_lightning.pages import sweep_keys
from vae_lightning.pages.sweep_data import Fold, Section, Spread, Sweep
from vae_lightning.pages.sweep_runs import SweptRun

BEFORE = ("run", "status", "data", "protocol", "likelihood", "subset")
AFTER = ("seed", "split", "elbo", "recon", "kl", "active_units", "nll", "nll_num_samples", "nll_num_images")
AFTER += ("epochs_done", "seconds", "error", "overrides")


def as_csv(sweep: Sweep) -> str:
    """Every run and every job that became none; a column for each key swept in any section."""
    keys = list(dict.fromkeys(key for section in sweep.sections for key in section.keys))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*BEFORE, *map(sweep_keys.shown_key, keys), *AFTER])
    for run in sweep.runs:
        config = sweep_keys.flat(run)
        values = [sweep_keys.shown_value(key, config.get(key, "")) for key in keys]
        writer.writerow([*before(sweep, run), *values, *after(run)])
    return text.getvalue()


def before(sweep: Sweep, run: SweptRun) -> list[object]:
    """Which run, and on what it was measured."""
    of = run.setting
    where = os.path.relpath(run.folder, sweep.folder) if run.folder else run.name
    return [where, run.status, *((of.data, of.protocol, of.measure, of.subset) if of else ("", "", "", ""))]


def after(run: SweptRun) -> list[object]:
    """What was measured."""
    numbers = [run.numbers.get(key, "") for key in ("elbo", "recon", "kl", "active_units")]
    bound = [run.nll.value, run.nll.num_samples, run.nll.num_images] if run.nll else ["", "", ""]
    seed, split = "" if run.seed is None else run.seed, run.split or ""
    ended = [run.numbers.get("epochs", ""), run.numbers.get("seconds", ""), run.error or ""]
    return [seed, split, *numbers, *bound, *ended, shlex.join(run.overrides)]


def as_markdown(sweep: Sweep) -> str:
    """A table for each section, and one of what did not end well."""
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
    keys = [sweep_keys.shown_key(key) for key in section.keys]
    head = [*keys, "n", "split", "ELBO", "recon", "KL", "active units", "NLL", "seconds"]
    ranked = sorted(section.folds, key=lambda fold: -(found.mean if (found := fold.spread("elbo")) else -float("inf")))
    yield row([escaped(each) for each in head])
    yield row(["---"] * (len(keys)) + ["---:", "---"] + ["---:"] * 6)
    for fold in ranked:
        yield row([*map(escaped, fold.values), *cells(fold)])


def cells(fold: Fold) -> list[str]:
    """How many runs, and their numbers."""
    done = sum(run.ended_well for run in fold.runs)
    count = str(done) if done == len(fold.runs) else f"{done} of {len(fold.runs)}"
    shown = [plus_minus(fold.spread(key)) for key in ("elbo", "recon", "kl")]
    nll = fold.nll()
    bound = f"{plus_minus(nll[1])} (K = {nll[0]})" if nll else "–"
    more = [plus_minus(fold.spread("active_units"), 1), bound, plus_minus(fold.spread("seconds"), 1)]
    return [count, fold.split or "–", *shown, *more]


def failures(runs: Sequence[SweptRun]) -> Iterator[str]:
    """What did not end well, and why."""
    yield row(["run", "status", "error", "overrides"])
    yield row(["---"] * 4)
    for run in runs:
        yield row(escaped(each) for each in (run.name, run.status, run.error or "", shlex.join(run.overrides)))


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def plus_minus(spread: Spread | None, digits: int = 2) -> str:
    """-98.21 ± 0.07; without a deviation where there is one run."""
    if spread is None:
        return "–"
    return f"{spread.mean:.{digits}f}" + ("" if spread.deviation is None else f" ± {spread.deviation:.{digits}f}")


def escaped(text: object) -> str:
    """Any text as Markdown that says just this text, within one cell of one line."""
    line = "".join(each if each.isprintable() else " " for each in str(text))
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
