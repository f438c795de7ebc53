"""What a row's runs gave, and whether it is what was published."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vae_lightning.app.row import Claim, Row, pairs_of
from vae_lightning.paper.plan import Planned, evaluation_of
from vae_lightning.runs.readings import finite, mapping, thinned

MOST_POINTS = 60  # of a curve
Numbers = Mapping[str, Mapping[str, float]]  # {run: {number: mean over the seeds}}


@dataclass(frozen=True)
class Check:
    """A sentence that holds or does not."""

    says: str
    holds: bool


def numbers_of(row: Row, one: Planned) -> dict[str, float | None]:
    """{number: value}; None where the run has none. A number with a slash is a metric of the run's record."""
    measured, run = mapping(evaluation_of(one).get("numbers")), one.run
    return {
        number: finite(run.metrics.get(of) if "/" in of else measured.get(of)) for number, of in row.numbers.items()
    }


def curve_of(one: Planned, size: int | None) -> list[list[float | None]]:
    """[training samples seen, training bound, held-out bound] of some epochs; without a size, epochs for samples."""
    rows = [row for row in one.run.curve if row.get("elbo") is not None]
    rows = [row for row in rows if row.get("val_elbo") is not None] or rows  # validated epochs, if there are such
    return [
        [(row["epoch"] or 0) * (size or 1), rounded(row.get("elbo")), rounded(row.get("val_elbo"))]
        for row in spread(rows)
    ]


def spread(rows: Sequence[Any]) -> list[Any]:
    """Some of the rows: evenly spaced, with the first twenty."""
    kept = {id(row) for row in (*rows[:20], *thinned(rows, MOST_POINTS))} if len(rows) > MOST_POINTS else None
    return [row for row in rows if kept is None or id(row) in kept]


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def means(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """{run: {number: mean over the seeds}} of a result's runs. A number that one seed lacks is left out."""
    values: dict[str, dict[str, list[Any]]] = {}
    for each in runs:
        for number, value in each["numbers"].items():
            values.setdefault(each["run"], {}).setdefault(number, []).append(value)
    return {
        run: {number: statistics.fmean(found) for number, found in numbers.items() if None not in found}
        for run, numbers in values.items()
    }


def deviation(values: Sequence[float]) -> float | None:
    """The standard deviation over the seeds; None for one seed."""
    return statistics.stdev(values) if len(values) > 1 else None


def checks(row: Row, budget: str, numbers: Numbers) -> list[Check]:
    """All that a budget is held to: published values within their tolerance, and claims."""
    made = []
    for each in row.published:
        if (tolerance := each.tolerance.get(budget)) is not None and each.run in row.names(budget):
            ours = numbers.get(each.run, {}).get(each.number)
            near = ours is not None and abs(ours - each.value) <= tolerance
            made.append(
                Check(f"{each.run}: {each.number} {shown(ours)}, published {each.value:g} ± {tolerance:g}", near)
            )
    for claim in row.claims:
        if budget in claim.budgets:
            made += claimed(claim, row.names(budget), numbers)
    return made


def claimed(claim: Claim, runs: Sequence[str], numbers: Numbers) -> list[Check]:
    """The checks of a claim: one for each pair of runs, or one for its run and each thing that it is held against."""
    made = []
    for higher, lower in pairs_of(claim, runs) if claim.higher else []:
        one, other = (numbers.get(run, {}).get(claim.number) for run in (higher, lower))
        made.append(above(claim, higher, one, lower, other, f" ({claim.number})"))
    if claim.run in runs:
        ours = numbers.get(claim.run, {}).get(claim.number)
        if claim.than:
            other = numbers.get(claim.run, {}).get(claim.than)
            made.append(above(claim, f"{claim.run}, {claim.number}", ours, claim.than, other))
        for limit, sign in ((claim.least, ">="), (claim.most, "<=")):
            if limit is not None:
                holds = ours is not None and (ours >= limit if sign == ">=" else ours <= limit)
                made.append(Check(f"{claim.says}: {claim.run} {shown(ours)} {sign} {limit:g} ({claim.number})", holds))
    return made


def above(claim: Claim, first: str, one: float | None, second: str, other: float | None, of: str = "") -> Check:
    """Whether one value is above another, but for the claim's slack. A missing value holds nothing."""
    allowed = f" - {claim.slack:g}" if claim.slack else ""
    holds = one is not None and other is not None and one > other - claim.slack
    return Check(f"{claim.says}: {first} {shown(one)} > {second} {shown(other)}{allowed}{of}", holds)


def shown(value: float | None) -> str:
    """A number for a table: two digits after the point, none where it is whole."""
    if value is None:
        return "missing"
    return f"{value:g}" if float(value).is_integer() else f"{value:.2f}"
