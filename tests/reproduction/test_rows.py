"""conf/reproduce/: every row is sound, its runs compose, and its budgets are those that the page promises."""

import re

import pytest
from conftest import config

from vae_lightning.app import rows
from vae_lightning.app.config import CONF
from vae_lightning.app.row import BUDGETS, Claim, last_of_each, pairs_of
from vae_lightning.app.row_reading import row_of
from vae_lightning.errors import ConfigError
from vae_lightning.paper import judging
from vae_lightning.paper.plan import placed, slug

ROWS = {name: row_of(name, *rows.row(name)) for name in rows.names()}
RUNS = [(name, budget, run) for name, row in ROWS.items() for budget in row.budgets for run in row.names(budget)]
SMALL = {
    "source": "somebody",
    "setting": "data=ppca",
    "runs": {"a x": "beta=1", "b x": "beta=2"},
    "numbers": {"elbo": "test/elbo"},
    "claims": [{"says": "so", "number": "elbo", "run": "a x", "least": -1000}],
    "budgets": {"ci": {}},
}


def small(**changes):
    return row_of("small", "A row.", {**SMALL, **changes})


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_where_it_comes_from_and_is_held_to_something(name):
    row = ROWS[name]
    assert row.title.endswith(".")
    assert row.source
    assert row.known
    assert set(row.budgets) <= set(BUDGETS)
    assert {"cpu", "full"} <= set(row.budgets)
    for budget in row.budgets:
        assert row.names(budget)
        numbers = {run: dict.fromkeys(row.numbers, 1.0) for run in row.runs}
        assert judging.checks(row, budget, numbers), f"{name}, {budget}: nothing is checked"


@pytest.mark.parametrize("name", ROWS)
def test_a_published_value_has_a_tolerance_in_the_full_budget(name):
    row = ROWS[name]
    for each in row.published:
        claimed = any(claim.run == each.run and claim.number == each.number for claim in row.claims)
        assert "full" in each.tolerance or claimed, each


@pytest.mark.sample(12)
@pytest.mark.parametrize(("name", "budget", "run"), RUNS)
def test_the_words_of_a_run_compose(name, budget, run):
    row = ROWS[name]
    words = placed(row.words(run, budget), 1, "my_data")
    cfg = config(*[word for word in words if not word.startswith("hydra.")])
    assert cfg.seed == 1
    assert cfg.data.dir.startswith("my_data")
    for word in words:
        assert word.lstrip("+~").partition("=")[0]
    for word in row.evaluation(run, budget):
        assert re.match(r"[\w.]+=", word)


def test_a_ci_budget_needs_no_network():
    for name, row in ROWS.items():
        for run in row.names("ci") if "ci" in row.budgets else []:
            assert "data.mirrors=[]" in row.words(run, "ci"), (name, run)


def test_a_long_budget_refuses_the_bundled_digits():
    for name, row in ROWS.items():
        for budget in ("cpu", "full"):
            for run in row.names(budget):
                words = row.words(run, budget)
                other = any(word.startswith("data=") for word in words)
                assert other or "data.allow_subset=false" in words, (name, run)


# --- a row as values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"claim": []}, "claim: no such key; did you mean claims"),
        ({"budgets": {"cup": {}}}, "did you mean cpu"),
        ({"published": [{"run": "c", "number": "elbo", "value": 1}]}, "c: no such run"),
        ({"published": [{"run": "a x", "number": "elob", "value": 1}]}, "elob: no such number; did you mean elbo"),
        ({"claims": [{"says": "so", "number": "elbo", "higer": "a x"}]}, "higer: no such key; did you mean higher"),
        ({"claims": [{"says": "so", "number": "elbo", "run": "a x", "than": "klo"}]}, "klo: no such number"),
        ({"claims": [{"says": "so", "number": "elbo", "run": "a x", "least": 1, "budgets": ["cup"]}]}, "cup: no such"),
        ({"claims": [{"says": "so", "number": "elbo"}]}, "so: must have higher and lower, or a run with least"),
        ({"claims": []}, "budgets.ci: must have a run, a seed, and a claim"),
        ({"runs": None}, "AttributeError"),
        ({"setting": {"c*": "epochs=2"}}, "c*: no such run"),
        ({"budgets": {"ci": {"seeds": ["one"]}}}, "invalid literal"),
        ({"budgets": {"ci": {"seeds": []}}}, "budgets.ci: must have a run, a seed"),
        ({"budgets": {"ci": {"runs": []}}}, "budgets.ci: must have a run"),
        ({"budgets": {"ci": {"runs": ["c"]}}}, "c: no such run"),
        ({"budgets": {"ci": {"wrods": "epochs=2"}}}, "wrods: no such key; did you mean words"),
        ({"budgets": {"ci": {"evaluate": {"c*": "seed=1"}}}}, "c*: no such run"),
        ({"choose": {"key": "lr", "values": [1], "words": "epochs=1", "metrc": "train/elbo"}}, "metrc: no such key"),
        ({"published": [{"run": "a x", "number": "elbo", "value": 1, "ciu": 2}]}, "ciu: no such key"),
    ],
)
def test_a_row_with_a_mistake_is_one_line(changes, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        small(**changes)


def test_later_words_replace_those_of_the_same_key():
    row = small(budgets={"ci": {"words": {"*": "epochs=2", "b*": "beta=3"}}})
    assert row.words("a x", "ci") == ["data=ppca", "beta=1", "epochs=2"]
    assert row.words("b x", "ci") == ["data=ppca", "epochs=2", "beta=3"]
    assert last_of_each(["a=1", "+b=2", "++b=3", "~c", "a=4"]) == ["++b=3", "~c", "a=4"]
    assert last_of_each(["loss._target_=x", "loss=mse", "loss.variance=2"]) == ["loss=mse", "loss.variance=2"]


def test_a_star_stands_for_the_same_text_in_both():
    claim = Claim("so", "elbo", higher="* aevb", lower="* wake-sleep")
    runs = ["mnist 3 aevb", "mnist 3 wake-sleep", "mnist 5 aevb", "frey wake-sleep"]
    assert pairs_of(claim, runs) == [("mnist 3 aevb", "mnist 3 wake-sleep")]
    assert pairs_of(Claim("so", "elbo", higher="a", lower="b"), ["a", "b"]) == [("a", "b")]


@pytest.mark.parametrize(
    ("claim", "ours", "holds"),
    [
        ({"higher": "a x", "lower": "b x"}, {"a x": 2.0, "b x": 1.0}, True),
        ({"higher": "a x", "lower": "b x"}, {"a x": 1.0, "b x": 1.0}, False),
        ({"higher": "a x", "lower": "b x", "slack": 0.5}, {"a x": 1.0, "b x": 1.2}, True),
        ({"higher": "a x", "lower": "b x"}, {"a x": 2.0}, False),
        ({"run": "a x", "least": 3.0}, {"a x": 3.0}, True),
        ({"run": "a x", "least": 3.0}, {"a x": 2.9}, False),
        ({"run": "a x", "most": 3.0}, {"a x": 3.1}, False),
        ({"run": "a x", "most": 3.0}, {}, False),
    ],
)
def test_claims(claim, ours, holds):
    row = small(claims=[{"says": "so", "number": "elbo", **claim}])
    (check,) = judging.checks(row, "ci", {run: {"elbo": value} for run, value in ours.items()})
    assert check.holds is holds


@pytest.mark.parametrize(("train", "holds"), [(-99.0, True), (-98.0, False)])
def test_a_claim_holds_a_number_against_another_of_its_run(train, holds):
    """A bound of held-out data that is no more than a nat below the training bound: no overfitting."""
    claims = [{"says": "so", "number": "held out", "run": "a x", "than": "train", "slack": 1}]
    row = small(claims=claims, numbers={"held out": "val/elbo", "train": "train/elbo"})
    (check,) = judging.checks(row, "ci", {"a x": {"held out": -99.5, "train": train}})
    assert check.holds is holds
    assert "held out -99.50 > train" in check.says


@pytest.mark.parametrize(("ours", "holds"), [(-105.0, True), (-106.3, True), (-106.5, False), (None, False)])
def test_a_published_value_holds_within_its_tolerance(ours, holds):
    row = small(claims=[], published=[{"run": "a x", "number": "elbo", "value": -105.6, "ci": 0.8}])
    numbers = {} if ours is None else {"a x": {"elbo": ours}}
    (check,) = judging.checks(row, "ci", numbers)
    assert check.holds is holds


def test_means_are_over_seeds_and_a_missing_number_is_left_out():
    runs = [{"run": "a", "numbers": {"elbo": 1.0, "kl": 2.0}}, {"run": "a", "numbers": {"elbo": 3.0, "kl": None}}]
    assert judging.means(runs) == {"a": {"elbo": 2.0}}


def test_a_row_file_begins_with_its_title():
    for path in (CONF / "reproduce").glob("*.yaml"):
        assert path.read_text(encoding="utf-8").startswith(f"# {ROWS[path.stem].title}\n")
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 80
        assert max(map(len, path.read_text(encoding="utf-8").splitlines())) <= 160


def test_a_name_of_a_run_becomes_a_name_of_a_folder():
    assert slug("mnist 3 wake-sleep lr0.01") == "mnist-3-wake-sleep-lr0.01"
    assert slug("../log p(x)/") == "log-p-x"
