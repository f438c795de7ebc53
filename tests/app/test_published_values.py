"""The page of a run shows the published values of its setting and protocol, and of no other."""

import json

import pytest

from vae_lightning import evaluate, train
from vae_lightning.app import published, rows
from vae_lightning.app.row_reading import row_of
from vae_lightning.runs.run import Run

ROW = """# A row.
source: somebody (1999)
setting: experiment=ppca data.sizes=[200,50,50] lr=0.01
runs:
  plain: epochs=1
  longer: epochs=2
numbers:
  elbo: test/elbo
  nll: nll
published:
  - {run: plain, number: elbo, value: -21.5, full: 1, others: 20 to 22}
  - {run: plain, number: nll, value: 19.25, full: 1}
  - {run: longer, number: elbo, value: -18.75, full: 1}
budgets:
  full: {}
"""
WORDS = ["experiment=ppca", "data.sizes=[200,50,50]", "epochs=1"]


@pytest.fixture
def one_row(tmp_path, monkeypatch):
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "one.yaml").write_text(ROW)
    monkeypatch.setattr(rows, "FOLDER", tmp_path / "rows")


def trained(answer, folder, *words) -> Run:
    status, _, err = answer(train.main, *WORDS, *words, f"save_dir={folder}")
    assert status == 0, err
    return Run(folder)


def test_a_run_of_the_setting_has_its_values_beside_its_own(one_row, answer, tmp_path):
    """Another seed and another place of the run are the same setting; what is said without need is, too."""
    run = trained(answer, tmp_path / "run", "seed=7", "network=linear", "beta=1", "~callbacks.sample_grid")
    elbo, nll = published.published_for(run)
    assert elbo == {
        "row": "one",
        "source": "somebody (1999)",
        "number": "elbo",
        "others": "20 to 22",
        "value": -21.5,
        "ours": run.metrics["test/elbo"],
    }
    assert (nll["value"], nll["ours"]) == (19.25, None)
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Published numbers of this setting" in page
    assert "\u221221.50" in page
    assert "not measured" in page
    assert answer(evaluate.main, f"run={run.path}", "num_samples=5", "curve=[1]")[0] == 0
    assert published.published_for(Run(run.path))[1]["ours"] is not None


@pytest.mark.parametrize("mistake", ["runs: 3", "runs: ["])
def test_a_row_with_a_mistake_costs_no_page(one_row, answer, tmp_path, mistake):
    (tmp_path / "rows" / "another.yaml").write_text(f"# A row.\nsource: nobody\n{mistake}\n")
    run = trained(answer, tmp_path / "run")
    assert len(published.published_for(run)) == 2
    assert (run.path / "report.html").is_file()


@pytest.mark.parametrize(
    "words",
    [
        "lr=0.02",
        "beta=2",
        "bound=iwae",
        "data.sizes=[300,50,50]",
        "optimizer=adamw",
        "+callbacks@callbacks.ema=ema",
        "+trainer.gradient_clip_val=1.0",
    ],
)
def test_a_run_of_another_setting_has_none(one_row, answer, tmp_path, words):
    run = trained(answer, tmp_path / "run", words, "report=false")
    assert published.published_for(run) == []


def test_the_setting_of_the_pytorch_example_is_known_again(tmp_path):
    """A record with its configuration: its published value is found, and no value of another row."""
    row = row_of("pytorch_example", *rows.row("pytorch_example"))
    config = published.composed(row.words("example", "cpu"), {"run_dir": str(tmp_path)})
    record = {
        "config": config,
        "choices": {"latent": "z20", "loss": "bce_logits"},
        "metrics": {"test/elbo": -105.0},
    }
    (tmp_path / "run_meta.json").write_text(json.dumps(record))
    (found,) = published.published_for(Run(tmp_path))
    assert (found["row"], found["value"], found["ours"]) == ("pytorch_example", -105.6, -105.0)
