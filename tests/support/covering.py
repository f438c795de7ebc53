"""Few combinations of many options, in which each pair of options occurs (a pairwise covering array)."""

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product

Row = dict[str, str]
Pair = tuple[tuple[str, str], tuple[str, str]]


def pairs(factors: Mapping[str, Sequence[str]]) -> list[Pair]:
    """All pairs of options from two different factors."""
    two = combinations(sorted(factors), 2)
    return [((a, x), (b, y)) for a, b in two for x, y in product(factors[a], factors[b])]


def covering(factors: Mapping[str, Sequence[str]], fits: Callable[[Row], bool], tries: int = 20) -> list[Row]:
    """Rows with one option of each factor, until each pair of options that can be in a row is in one.

    `fits` says whether options, also of some factors only, go together. A row begins with a pair that is missing; each
    further option is the one that brings most missing pairs. The best of `tries` orders of the factors is kept.
    """
    rows: list[Row] = []
    chance = random.Random(0)
    missing = {pair for pair in pairs(factors) if fits(dict(pair))}
    while missing:
        first = min(missing)
        grown = [row for row in (grow(factors, fits, missing, first, chance) for _ in range(tries)) if row]
        if not grown:
            raise ValueError(f"no row can hold {first}")
        row = max(grown, key=lambda row: len(missing & covered(row)))
        missing -= covered(row)
        rows.append({name: row[name] for name in factors})
    return rows


def grow(factors, fits, missing: set[Pair], first: Pair, chance: random.Random) -> Row | None:
    """A whole row around a pair, or None where nothing fits any more."""
    row = dict(first)
    for name in chance.sample(left := [name for name in factors if name not in row], len(left)):
        able = [option for option in factors[name] if fits({**row, name: option})]
        if not able:
            return None
        row[name] = max(able, key=lambda option: len(missing & covered({**row, name: option})))
    return row


def covered(row: Row) -> set[Pair]:
    return {tuple(sorted(pair)) for pair in combinations(row.items(), 2)}  # type: ignore[misc]
