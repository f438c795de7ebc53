"""A YAML file of conf/reproduce/ as a row: mistakes in it are found before anything is run."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from fnmatch import fnmatchcase
from typing import Any

from vae_lightning.app.row import BUDGETS, Budget, Choice, Claim, Published, Row
from vae_lightning.errors import ConfigError, did_you_mean, shown

KEYS = (
    "source",
    "known",
    "setting",
    "runs",
    "choose",
    "numbers",
    "evaluate",
    "published",
    "claims",
    "figure",
    "budgets",
)


def row_of(name: str, title: str, node: Mapping[str, Any]) -> Row:
    """The row of a YAML file. Raises ConfigError for a key or a name of a run that nothing knows."""
    try:
        known(node, KEYS)
        row = Row(
            name,
            title,
            str(node["source"]),
            str(node.get("known", "")),
            patterns_of(node.get("setting")),
            {str(run): str(words or "") for run, words in node["runs"].items()},
            {str(number): str(of) for number, of in node["numbers"].items()},
            {str(budget): budget_of(each or {}) for budget, each in node["budgets"].items()},
            str(node.get("evaluate", "")),
            choice_of(node["choose"]) if "choose" in node else None,
            [published_of(each) for each in node.get("published", [])],
            [claim_of(each) for each in node.get("claims", [])],
            str(node.get("figure", "")),
        )
    except ValueError as error:
        raise ConfigError(f"conf/reproduce/{name}.yaml: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"conf/reproduce/{name}.yaml: {type(error).__name__}: {error}") from None
    check(row)
    return row


def budget_of(node: Mapping[str, Any]) -> Budget:
    known(node, ("words", "evaluate", "runs", "seeds", "says"))
    words, evaluate = (patterns_of(node.get(key)) for key in ("words", "evaluate"))
    runs, seeds = node.get("runs", ["*"]), node.get("seeds", [1])
    return Budget(words, evaluate, list(runs), [int(seed) for seed in seeds], str(node.get("says", "")))


def choice_of(node: Mapping[str, Any]) -> Choice:
    known(node, ("key", "values", "words", "metric"))
    return Choice(str(node["key"]), list(node["values"]), patterns_of(node["words"]), str(node["metric"]).split())


def claim_of(node: Mapping[str, Any]) -> Claim:
    known(node, [field.name for field in fields(Claim)])
    return Claim(**node)


def published_of(node: Mapping[str, Any]) -> Published:
    """One published value; the keys ci, cpu and full hold the tolerance of that budget."""
    known(node, ("run", "number", "value", "others", "at", *BUDGETS))
    tolerance = {budget: float(node[budget]) for budget in BUDGETS if budget in node}
    more = {key: value for key, value in node.items() if key not in BUDGETS}
    return Published(tolerance=tolerance, **{**more, "value": float(more["value"])})


def known(node: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Raises ValueError for a key that nothing reads."""
    for key in node:
        if key not in keys:
            raise ValueError(f"{shown(key)}: no such key; {did_you_mean(key, keys)}")


def patterns_of(value: Any) -> dict[str, str]:
    """{pattern: words}; one text is for all runs."""
    if isinstance(value, Mapping):
        return {str(pattern): str(words) for pattern, words in value.items()}
    return {"*": str(value)} if value else {}


def check(row: Row) -> None:
    """Raises ConfigError where the row names a run, a number or a budget that it has not, or holds a run to nothing."""
    place = f"conf/reproduce/{row.name}.yaml"
    for budget in (*row.budgets, *(budget for claim in row.claims for budget in claim.budgets)):
        if budget not in BUDGETS:
            raise ConfigError(f"{place}: {shown(budget)}: no such budget; {did_you_mean(budget, BUDGETS)}")
    named = [each.run for each in row.published] + [*row.setting, *(row.choose.words if row.choose else ())]
    named += [name for claim in row.claims for name in (claim.higher, claim.lower, claim.run) if name]
    named += [name for budget in row.budgets.values() for name in (*budget.words, *budget.evaluate, *budget.runs)]
    for name in named:
        if not any(fnmatchcase(run, name) for run in row.runs):
            raise ConfigError(f"{place}: {shown(name)}: no such run; {did_you_mean(name, row.runs)}")
    numbers = [each.number for each in (*row.published, *row.claims)]
    for number in (*numbers, *(claim.than for claim in row.claims if claim.than)):
        if number not in row.numbers:
            raise ConfigError(f"{place}: {shown(number)}: no such number; {did_you_mean(number, row.numbers)}")
    for claim in row.claims:
        limited = claim.run and (claim.than, claim.least, claim.most) != ("", None, None)
        if not limited and not (claim.higher and claim.lower):
            raise ConfigError(
                f"{place}: {shown(claim.says)}: must have higher and lower, or a run with least, most or than"
            )
    for budget, pays in row.budgets.items():
        held = [*(claim.budgets for claim in row.claims), *(each.tolerance for each in row.published)]
        if not pays.seeds or not row.names(budget) or not any(budget in each for each in held):
            raise ConfigError(f"{place}: budgets.{budget}: must have a run, a seed, and a claim or a tolerance")
