"""A YAML file of conf/reproduce/ as a row: mistakes in it are found before anything is run."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from vae_lightning.errors import ConfigError, did_you_mean, shown
from vae_lightning.paper.row import BUDGETS, Budget, Choice, Claim, Published, Row

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
    for key in node:
        if key not in KEYS:
            raise ConfigError(f"conf/reproduce/{name}.yaml: {shown(key)}: no such key; {did_you_mean(key, KEYS)}")
    try:
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
            [Claim(**each) for each in node.get("claims", [])],
            str(node.get("figure", "")),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ConfigError(f"conf/reproduce/{name}.yaml: {type(error).__name__}: {error}") from None
    check(row)
    return row


def budget_of(node: Mapping[str, Any]) -> Budget:
    words, evaluate = (patterns_of(node.get(key)) for key in ("words", "evaluate"))
    runs, seeds = node.get("runs", ["*"]), node.get("seeds", [1])
    return Budget(words, evaluate, list(runs), [int(seed) for seed in seeds], str(node.get("says", "")))


def choice_of(node: Mapping[str, Any]) -> Choice:
    return Choice(str(node["key"]), list(node["values"]), patterns_of(node["words"]), str(node["metric"]).split())


def patterns_of(value: Any) -> dict[str, str]:
    """{pattern: words}; one text is for all runs."""
    if isinstance(value, Mapping):
        return {str(pattern): str(words) for pattern, words in value.items()}
    return {"*": str(value)} if value else {}


def published_of(node: Mapping[str, Any]) -> Published:
    """One published value; the keys ci, cpu and full hold the tolerance of that budget."""
    tolerance = {budget: float(node[budget]) for budget in BUDGETS if budget in node}
    more = {key: value for key, value in node.items() if key not in BUDGETS}
    return Published(tolerance=tolerance, **{**more, "value": float(more["value"])})


def check(row: Row) -> None:
    """Raises ConfigError where the row names a run, a number or a budget that it has not."""
    place = f"conf/reproduce/{row.name}.yaml"
    for known in row.budgets:
        if known not in BUDGETS:
            raise ConfigError(f"{place}: budgets.{known}: {did_you_mean(known, BUDGETS)}")
    named = [each.run for each in row.published]
    named += [name for claim in row.claims for name in (claim.higher, claim.lower, claim.run) if name]
    for name in named:
        if not any(fnmatchcase(run, name) for run in row.runs):
            raise ConfigError(f"{place}: {shown(name)}: no such run; {did_you_mean(name, row.runs)}")
    for each in (*row.published, *row.claims):
        if each.number not in row.numbers:
            raise ConfigError(
                f"{place}: {shown(each.number)}: no such number; {did_you_mean(each.number, row.numbers)}"
            )
