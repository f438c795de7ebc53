"""All rows with the state of each budget: `python -m vae_lightning.reproduce --list`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_lightning.app.row import BUDGETS, Row
from vae_lightning.output import wrapped
from vae_lightning.paper import results
from vae_lightning.paper.judging import checks, means, shown
from vae_lightning.paper.plan import planned
from vae_lightning.runs.run import COMPLETED


def lines(rows: Sequence[Row], folder: Path, root: Path, data: str) -> Iterator[str]:
    """Each row, the state of its budgets, and the published values beside our own of the largest budget."""
    for row in rows:
        yield from wrapped(f"{row.name}: {row.title}")
        found = {budget: results.read(results.file_of(folder, row.name, budget)) for budget in row.budgets}
        for budget in (name for name in BUDGETS if name in row.budgets):
            yield from wrapped(f"    {budget:<5} {state(row, budget, found[budget], root, data)}")
        largest = next((found[budget] for budget in reversed(BUDGETS) if found.get(budget)), None)
        yield from (part for line in beside(row, largest) for part in wrapped(f"    {line}"))


def state(row: Row, budget: str, result: Mapping[str, Any] | None, root: Path, data: str) -> str:
    """within tolerance, outside, of another setting, so many runs done, or not run. The checks are those of today."""
    if result and not results.is_of(row, budget, result):
        return f"of another setting ({results.when(result)}); run it again"
    if result:
        failed = [check.says for check in checks(row, budget, means(result["runs"])) if not check.holds]
        return f"{f'outside: {failed[0]}' if failed else 'within tolerance'} ({results.when(result)})"
    plan = planned(row, budget, root / f"{row.name}-{budget}", data)
    untouched = f"not run ({len(plan)} run{'s' * (len(plan) > 1)})"
    if row.choose:
        return "begun" if any(plan[0].root.glob("*")) else untouched
    done = sum(one.run.status == COMPLETED for one in plan)
    return f"{done} of {len(plan)} runs done" if done else untouched


def beside(row: Row, result: Mapping[str, Any] | None) -> Iterator[str]:
    """Published values, each beside ours."""
    ours = means(result["runs"]) if result else {}
    for each in row.published:
        own = ours.get(each.run, {}).get(each.number)
        others = f"; others {each.others}" if each.others else ""
        mine = ""
        if result and own is not None:
            setting = result["budget"] if result["budget"] in each.tolerance else f"{result['budget']}, another setting"
            mine = f"; ours {shown(own)} ({setting})"
        yield f"{each.run}: {each.number} {each.value:g} published{others}{mine}"
