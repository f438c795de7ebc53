"""A comparison of settings in words: a table in 80 columns, plain sentences, and what was left out."""

import math
import os
import textwrap
from collections.abc import Iterator, Sequence

from vae_lightning.errors import printable
from vae_lightning.output import wrapped
from vae_lightning.pages.sweep.better import Comparison, Values
from vae_lightning.runs.ranking import Difference, Place
from vae_lightning.runs.words import fixed

WIDTH = 80  # characters of a line
MOST_NAMED, MOST_SENTENCES = 10, 3
SMALLEST = 1e-5  # an error below it is shown as zero


def lines(found: Comparison) -> Iterator[str]:
    """What is compared, the ranking, a sentence on it, then notes."""
    folder = min(str(found.folder), os.path.relpath(found.folder), key=len)
    yield from wrapped(f"{folder}: {found.label}")
    yield from wrapped(head(found))
    yield from wrapped(pairing(found))
    yield ""
    yield from table(found)
    yield ""
    for said in sentences(found):
        yield from wrapped(said)
    for note in notes(found):
        yield from wrapped(note)


def head(found: Comparison) -> str:
    """What the numbers are."""
    metric = found.metric
    better = {True: "higher is better", False: "lower is better", None: "ranked from high to low"}
    unit = "nats per image" if metric.unit == "nats" else metric.unit
    about = ", ".join(filter(None, (metric.title, unit, better[metric.higher_is_better])))
    averaged = f", averaged over {' and '.join(found.held)}" if found.held else ""
    return f"{about}; mean ± standard error over n seeds{averaged}"


def pairing(found: Comparison) -> str:
    """What a pair is, and what the difference and its interval are."""
    same = " and ".join(("the same seed", *(f"the same {key}" for key in found.held)))
    averaged = ", averaged for each seed" if found.held else ""
    along = f"; {', '.join(found.along)} changes together with {', '.join(found.by)}" if found.along else ""
    return (
        f"difference to the best over pairs of runs with {same}{averaged}: mean and {100 * found.level:.4g} % "
        f"confidence interval (Student's t){along}"
    )


def table(found: Comparison) -> Iterator[str]:
    """A line for each setting, best first. A name that does not fit has a line of its own."""
    show = Numbers(found.places)
    rows = [("n", "mean", "common", "difference"), *(cells(found, place, show) for place in found.places)]
    n, mean, common, last = (max(map(len, column)) for column in zip(*rows, strict=True))
    names = ["", *(printable(found.name(place.setting)) for place in found.places)]
    first = len(str(len(found.places)))
    room = WIDTH - sum((first, 2, 2, n, 2, mean, 2, common, 2, last))
    label = max(len(name) for name in names if len(name) <= room)
    for i, (name, row) in enumerate(zip(names, rows, strict=True)):
        start = f"{i or '':>{first}}  "
        if len(name) > room:
            yield from textwrap.wrap(name, WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
            name, start = "", " " * len(start)
        yield f"{start}{name:<{label}}  {row[0]:>{n}}  {row[1]:>{mean}}  {row[2]:>{common}}  {row[3]}".rstrip()


def cells(found: Comparison, place: Place[Values], show: "Numbers") -> tuple[str, str, str, str]:
    """The number of seeds, their mean, the number in common with the best setting, and the difference to it."""
    common = str(place.seeds) if place.to_best else ""
    return str(place.spread.count), show.mean(place), common, difference(found, place, show)


class Numbers:
    """Numbers of a ranking, with so many digits that the smallest error, and each clear difference, shows one."""

    def __init__(self, places: Sequence[Place[Values]]) -> None:
        widths = [place.to_best.half_width for place in places if place.to_best]
        clear = [abs(place.to_best.mean) for place in places if place.to_best and place.is_clear]
        seen = [one for one in (*widths, *clear, *(place.spread.error for place in places)) if one and one >= SMALLEST]
        self.digits = max(2, -math.floor(math.log10(min(seen)))) if seen else 2

    def __call__(self, value: float) -> str:
        text = fixed(value, self.digits)
        return text if len(text) <= 9 else f"{value:.3g}"

    def apart(self, to_best: Difference, value: float) -> str:
        """The mean or an end of a difference. A clear one is never shown as zero."""
        text = self(value)
        return f"{value:.3g}" if to_best.is_clear and not float(text) else text

    def mean(self, place: Place[Values]) -> str:
        """-98.21 ± 0.07; one run has no error."""
        error = place.spread.error
        return self(place.spread.mean) + ("" if error is None else f" ± {self(error)}")


def difference(found: Comparison, place: Place[Values], show: Numbers) -> str:
    """-1.30 [-1.52, -1.08]: this setting minus the best one. One seed has no interval."""
    if place.to_best is None:
        return "" if place is found.places[0] else "no pair"
    to_best = place.to_best
    mean, low, high = (show.apart(to_best, -value) for value in (to_best.mean, to_best.high, to_best.low))
    return mean + ("" if to_best.half_width is None else f" [{low}, {high}]")


def sentences(found: Comparison) -> Iterator[str]:
    """The best setting against the second one, then those that it can, and cannot, be told apart from."""
    best, *others = found.places
    if not others:
        yield f"{found.name(best.setting)} is the only setting with a completed run: there is nothing to compare."
        return
    if all(place.seeds == 1 for place in others):
        yield f"One seed tells nothing about which setting is better: run more, such as seed=1,2,3. {lead(found)}"
        return
    yield sentence(found, others[0])
    rest = [place for place in others[1:] if place.seeds > 1]
    clear = [place for place in rest if place.is_clear]
    as_ranked = [place for place in clear if found.is_ahead(place)]
    many = as_ranked if len(as_ranked) > MOST_SENTENCES else []
    yield from (sentence(found, place) for place in clear if place not in many)
    if many:
        yield than(found, best.setting, listed([found.name(place.setting) for place in many])) + "."
    if unclear := [found.name(place.setting) for place in rest if place not in clear]:
        yield f"{found.name(best.setting)} cannot be told apart from {listed(unclear)}."
    if few := [found.name(place.setting) for place in others[1:] if place not in rest]:
        yield f"Too few seeds in common with {found.name(best.setting)}: {listed(few)}."


def sentence(found: Comparison, place: Place[Values]) -> str:
    """beta=2 is better than beta=4 by 1.30 ± 0.22 nats over 5 seeds."""
    best, other = found.places[0].setting, place.setting
    both = f"{found.name(best)} and {found.name(other)}"
    if place.to_best is None:
        return f"{both} have no pair in common: they cannot be compared."
    if place.seeds < 2:
        return f"{both} have one seed in common, and one seed tells nothing: run more seeds of both."
    show, unit = Numbers([place]), f" {found.metric.unit}".rstrip()
    amount, width = show.apart(place.to_best, abs(place.to_best.mean)), show(place.to_best.half_width or 0.0)
    by = f"by {amount} ± {width}{unit} over {place.seeds} seeds."
    if not place.is_clear:
        return f"{both} cannot be told apart: they differ {by}"
    first, second = (best, other) if found.is_ahead(place) else (other, best)
    return f"{than(found, first, found.name(second))} {by}"


def than(found: Comparison, first: Values, second: str) -> str:
    """A is better than B; of a number that is neither good nor bad: The kl of A is higher than that of B."""
    if found.metric.higher_is_better is None:
        return f"The {found.metric.name} of {found.name(first)} is higher than that of {second}"
    return f"{found.name(first)} is better than {second}"


def lead(found: Comparison) -> str:
    """How far the best setting is from the second one, in the only seed."""
    best, second = found.places[:2]
    show, by = Numbers([second]), second.to_best.mean if second.to_best else 0.0
    amount = f"{show(abs(by))} {found.metric.unit}".rstrip()
    return f"In this one {found.name(best.setting)} and {found.name(second.setting)} differ by {amount}."


def notes(found: Comparison) -> Iterator[str]:
    """What a reader must know of the runs behind the numbers."""
    settings = len(found.places)
    if settings > 2:
        yield (
            f"note: each interval is wide enough for all {math.comb(settings, 2)} pairs of settings (Bonferroni), "
            "because the best one is chosen from the same runs: if all settings are equal, at most "
            f"{100 * (1 - found.level):.4g} % of sweeps have an interval that leaves zero out"
        )
    if not found.is_even:
        uneven = "the settings do not have the same runs of each seed"
        yield f"note: {uneven}; the differences count, and the means may mislead"
    if found.left_out:
        reasons = dict.fromkeys(why for _, why in found.left_out)
        said = (f"{why}: {listed([run for run, own in found.left_out if own == why])}" for why in reasons)
        count = len(found.left_out)
        yield f"left out, {count} run{'s' if count > 1 else ''}: {'; '.join(said)}"


def listed(names: Sequence[str]) -> str:
    """A, B and C; at most MOST_NAMED names, with a semicolon between those that hold a comma."""
    more = len(names) - MOST_NAMED
    shown = [*names[:MOST_NAMED], *([f"{more} more"] if more > 0 else [])]
    between = "; " if any(", " in name for name in names) else ", "
    return " and ".join(filter(None, (between.join(shown[:-1]), shown[-1])))
