"""A run folder written at commit 756e4e9, before the layout of today: evaluated, compared, reported and resumed."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from vae_lightning import VAE, compare, evaluate, report, status, train
from vae_lightning.app.older import upgraded, upgraded_words

OLD = Path(__file__).parents[1] / "support" / "old_run"


@pytest.fixture
def old_run(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(OLD, tmp_path / "old_run"))


def test_it_is_evaluated_and_compared(answer, old_run):
    ended, out, err = answer(evaluate.main, "run=old_run", "num_samples=20", "curve=[1]")
    assert ended == 0, err
    metrics = json.loads((old_run / "run_meta.json").read_text())["metrics"]
    rows = {row["name"]: row for row in json.loads((old_run / "evaluation.json").read_text())["results"]}
    assert rows["elbo"]["value"] == pytest.approx(metrics["test/elbo"], abs=0.5)
    assert rows["kl"]["value"] == pytest.approx(metrics["test/kl"], rel=1e-4)
    assert "active units" in out
    assert answer(compare.main, "runs=[old_run]")[0] == 0
    assert "completed" in answer(status.main, ".")[1]


def test_it_has_its_page(answer, old_run):
    ended, _, err = answer(report.main, "old_run")
    assert ended == 0, err
    page = (old_run / "report.html").read_text()
    for word in ("Bernoulli, on logits", "Eq. (11)", '"decoder"', "hidden"):
        assert word in page, word
    assert answer(report.main, ".")[0] == 0
    assert "bce_logits" in (old_run.parent / "sweep.html").read_text()


def test_it_is_resumed(answer, old_run):
    before = [list(row) for row in csv.reader((old_run / "curves" / "train_log.csv").read_text().splitlines())]
    ended, _, err = answer(train.main, "resume=old_run", "epochs=2", "allow_drift=[epochs]", "report=false")
    assert ended == 0, err
    record = json.loads((old_run / "run_meta.json").read_text())
    assert (record["status"], record["epochs_done"], len(record["attempts"])) == ("completed", 2, 1)
    after = [list(row) for row in csv.reader((old_run / "curves" / "train_log.csv").read_text().splitlines())]
    assert [row[: len(before[0])] for row in after[:2]] == before  # a later version has more columns
    assert not any(after[1][len(before[0]) :])
    assert len(after) == 3
    assert record["config"]["reduction"] == "sum"
    assert record["config"]["network"]["hidden"] == [2]


def test_what_would_change_it_is_refused(answer, old_run):
    ended, _, err = answer(train.main, "resume=old_run", "reduction=mean", "epochs=2", "allow_drift=[epochs]")
    assert (ended, "reduction: sum -> mean" in err) == (4, True), err


def test_its_checkpoint_loads_from_python(old_run):
    module = VAE.load_from_checkpoint(old_run / "checkpoints" / "last.ckpt", weights_only=True)
    assert (module.latent.dim, module.reduction) == (2, "sum")
    assert module.sample(2, seed=0).shape == (2, 1, 28, 28)


@pytest.mark.parametrize(
    ("network", "hidden"),
    [("MLP", [400]), ("PaperMLP", [500]), ("IwaeMLP", [200, 200])],
)
def test_old_networks_in_todays_words(network, hidden):
    old = {"network": {"_target_": f"vae_lightning.network.{network}", "hidden_dim": None}, "hidden_dim": None}
    assert upgraded(old)["network"]["hidden"] == hidden
    old["network"]["hidden_dim"] = 7
    assert upgraded(old)["network"]["hidden"] == [7] * len(hidden)
    assert upgraded_words(["hidden_dim=7", "seed=1"], old) == [
        f"network.hidden={[7] * len(hidden)}".replace(" ", ""),
        "seed=1",
    ]


def test_old_words_in_todays():
    old = ["loss.reduction=sum", "~data.sources.mirrors", "~data.sources.npm", "data.files.folder=X", "beta=4"]
    assert upgraded_words(old, {}) == ["reduction=sum", "data.mirrors=[]", "beta=4"]


def test_a_configuration_of_today_stays_as_it_is(train):
    config = json.loads((train() / "run_meta.json").read_text())["config"]
    assert upgraded(config) == config
