"""The command line on arrays of one's own: vectors and images, from training to page, evaluation and resume."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from documents import blocks, page
from PIL import Image

from vae_lightning import evaluate, report
from vae_lightning import train as training
from vae_lightning.checkpoint import load
from vae_lightning.data.standard import Standard
from vae_lightning.runs.run import open_run

QUICK = ["epochs=1", "batch_size=16", "+trainer.limit_train_batches=2", "network.hidden=[8]", "latent=z2", "seed=1"]
QUICK += ["callbacks.latent_traversal.size=3", "name=own", "group=arrays", "date_prefix=false"]


def spectra(n: int = 64, size: int = 40) -> np.ndarray:
    """Sums of Gaussian bumps on an offset."""
    at, noise = np.linspace(0, 1, size), np.random.default_rng(0)
    centre, height = noise.random((2, n, 1))
    return 1000 + 50 * height * np.exp(-(((at - centre) / 0.1) ** 2)) + noise.normal(0, 0.5, (n, size))


@pytest.fixture
def own(tmp_path, monkeypatch, answer):
    """Trains on arrays in the folder of the test: overrides -> (status, standard error)."""
    monkeypatch.chdir(tmp_path)
    np.save("spectra.npy", spectra())
    np.save("table.npy", spectra(size=5))
    np.save("faces.npy", np.random.default_rng(1).integers(0, 256, (64, 9, 7, 3), dtype=np.uint8))
    np.save("kinds.npy", np.array(["a", "b"])[np.arange(64) % 2])

    def run(*overrides: str) -> tuple[int, str]:
        new = [] if overrides[:1] and overrides[0].startswith("resume=") else ["data=arrays", *QUICK]
        status, _, err = answer(training.main, *new, *overrides)
        return status, err

    return run


def embedded(run: Path, name: str = "explorer-data") -> dict:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', (run / "report.html").read_text())
    assert found
    return json.loads(found[1])


SPECTRA = ["data.file=spectra.npy", "data.labels=kinds.npy", "data.standardise=true", "loss=gaussian_unbounded"]


def test_vectors_from_training_to_page_evaluation_and_resume(own, answer, tmp_path):
    assert own(*SPECTRA) == (0, "")
    run = tmp_path / "outputs" / "arrays" / "own"
    record = open_run(run).record
    assert record["image_shape"] == [1, 1, 40]
    assert (record["data"]["title"], record["data"]["protocol"]) == ("spectra.npy", "standardised")
    for folder in ("reconstructions", "samples", "traversals"):
        canvas = np.asarray(Image.open(run / folder / "epoch_0001.png")).astype(int)
        assert (canvas[..., 2] - canvas[..., 0] > 40).any(), folder

    explorer = embedded(run)
    assert explorer["shape"] == [1, 1, 40]
    assert 990 < explorer["undo"]["range"][0] < 1010 < explorer["undo"]["range"][1]
    assert explorer["decoder"]
    assert explorer["encoder"]
    assert not explorer["drawn_as"]
    assert explorer["classes"] == [["a", "a"], ["b", "b"]]
    html = (run / "report.html").read_text()
    assert "test vector" in html
    assert "Nats per vector" in html
    assert "test image {" not in html

    assert answer(evaluate.main, f"run={run}", "num_samples=4")[0] == 0
    result = json.loads((run / "evaluation.json").read_text())["results"][0]
    assert (result["data"], result["protocol"]) == ("arrays", "standardised")
    assert own(f"resume={run}", "epochs=2", "allow_drift=[epochs]") == (0, "")
    assert open_run(run).epochs_done == 2
    (run / "report.html").unlink()
    assert answer(report.main, run)[0] == 0
    assert embedded(run)["undo"] == explorer["undo"]

    standard = Standard.in_checkpoint(load(run / "checkpoints" / "best.ckpt"))
    assert standard
    assert 990 < float(standard.mean.min()) < float(standard.mean.max()) < 1050


@pytest.mark.slow
def test_a_run_that_is_resumed_ends_as_one_that_was_not(own, tmp_path):
    assert own(*SPECTRA, "epochs=2", "name=whole", "report=false")[0] == 0
    assert own(*SPECTRA, "name=parts", "report=false")[0] == 0
    outputs = tmp_path / "outputs" / "arrays"
    assert own(f"resume={outputs / 'parts'}", "epochs=2", "report=false", "allow_drift=[epochs]") == (0, "")
    states = [load(outputs / name / "checkpoints" / "last.ckpt")["state_dict"] for name in ("whole", "parts")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_other_data_of_the_run_are_standardised_as_its_own(own, answer, tmp_path, monkeypatch):
    assert own(*SPECTRA, "report=false")[0] == 0
    run = tmp_path / "outputs" / "arrays" / "own"
    np.save("later.npy", spectra() + 7)
    seen = []
    monkeypatch.setattr(
        "vae_lightning.app.restore.images", lambda run, data, *_: seen.append(data) or data.images("test")
    )
    words = ["data=arrays", "data.file=later.npy", "data.standardise=true", "num_samples=4"]
    assert answer(evaluate.main, f"run={run}", *words)[2] == ""
    assert seen[0].standard == Standard.in_checkpoint(load(run / "checkpoints" / "best.ckpt"))
    assert float(seen[0].undo(seen[0].images("test")).min()) > 1004
    status, _, err = answer(evaluate.main, f"run={run}", "data=arrays", "data.file=later.npy", "num_samples=4")
    assert (status, "data.protocol=real" in err) == (2, True)


def test_a_table_is_drawn_as_bars_of_standardised_numbers(own, tmp_path):
    assert own("data.file=table.npy", "data.standardise=true", "loss=sigma_unbounded")[0] == 0
    explorer = embedded(tmp_path / "outputs" / "arrays" / "own")
    assert explorer["undo"] is None
    assert explorer["range"][0] < 0 < explorer["range"][1]


def test_images_of_any_layout_and_their_page(own, tmp_path):
    status, err = own("data.file=faces.npy", "data.protocol=dynamic", "latent=z8")
    assert (status, err) == (0, "faces.npy: [64, 9, 7, 3] is read as [N, H, W, C]\n")
    run = tmp_path / "outputs" / "arrays" / "own"
    assert open_run(run).record["image_shape"] == [3, 9, 7]
    assert embedded(run)["shape"] == [3, 9, 7]


@pytest.mark.sample(5)
@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ([], 2, "data.file=null: must be a .npy or .npz, such as data.file=faces.npy"),
        (["data.file=none.npy"], 3, "none.npy: no such file; name a .npy or .npz with data.file=FILE"),
        (["data.file=spectra.npy"], 3, "data.scale="),
        (["data.file=spectra.npy", "data.standardise=true", "loss=bce"], 3, "but this p(x|z) is defined on [0, 1]"),
        (["data.file=spectra.npy", "data.standardise=true", "loss=sigma"], 3, "or use loss=gaussian_unbounded or"),
        (["data.file=spectra.npy", "data.standardise=true", "loss=laplace"], 3, "the mean of this p(x|z) is in (0, 1)"),
        (["data.file={a: spectra.npy, b: table.npy}"], 3, "name its arrays train, val and test"),
        (["data.file=[spectra.npy]"], 3, ""),
        (["data.file=faces.npy", "data.standardise=true"], 2, "data.standardise=true: is for vectors"),
        (["data.fil=faces.npy"], 2, "data.fil"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_line_and_leaves_nothing(own, tmp_path, words, status, says):
    found, err = own(*words)
    assert found == status
    assert len(err.strip().splitlines()) == 1
    assert says in err
    assert not (tmp_path / "outputs").exists()


def test_the_lines_of_the_document_run(tmp_path, monkeypatch):
    (snippet,) = [block for block in blocks(page("data"), "python") if "ArraysDataModule" in block]
    assert len(snippet.splitlines()) < 20
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(snippet, names)
    assert names["curves"].shape == (5, 100)
    assert 900 < float(names["curves"].mean()) < 1100
