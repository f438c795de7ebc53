"""Whatever selects the best epoch: test and evaluate take the same checkpoint, and it is the best; or it is refused."""

import json
import shutil
import signal
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from conftest import QUICK
from lightning.pytorch.callbacks import ModelCheckpoint

from vae_lightning import VAE, checkpoint, evaluate
from vae_lightning.callbacks import RunRecord
from vae_lightning.callbacks.moved import follow
from vae_lightning.errors import Interrupted
from vae_lightning.runs.run import open_run
from vae_lightning.train import main

SECOND = "+callbacks.second._target_=lightning.pytorch.callbacks.ModelCheckpoint"
SMALL = ["epochs=4", "latent=z2", "callbacks.latent_traversal.size=3"]
COUNTER = "callbacks.best.enable_version_counter=true"


@pytest.fixture
def _worse(monkeypatch):
    """The third and the fourth epoch are worse than the second: a file that is written later is not the best."""

    def spoil(module):
        if module.current_epoch == 2:
            for weight in module.network.parameters():
                weight.data.mul_(5)

    monkeypatch.setattr(VAE, "on_validation_epoch_start", spoil)


def epoch_of(path: Path) -> int:
    return checkpoint.load(path)["epoch"] + 1


def curve(run: Path) -> dict[int, float]:
    return dict(open_run(run).elbo_curve)


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    "words",
    [
        [],
        ["+callbacks.best.save_top_k=3", COUNTER],
        ["+callbacks.best.save_top_k=-1", COUNTER],
        ["+callbacks.best.save_top_k=2", "callbacks.best.filename='at-{epoch}'"],
        ["callbacks.best.filename=mine"],
        ["callbacks.best.monitor=val/loss", "callbacks.best.mode=min"],
        ["~callbacks.best", SECOND, "+callbacks.second.monitor=val/elbo", "+callbacks.second.mode=max"],
        [SECOND, "+callbacks.second.monitor=val/loss", "+callbacks.second.mode=min"],
        ["+callbacks.best.every_n_epochs=3"],
    ],
    ids=lambda words: " ".join(words)[:60] or "default",
)
@pytest.mark.usefixtures("_worse")
def test_the_best_epoch_is_tested_and_evaluated(train, answer, words):
    """At 756e4e9 three files had one name, and the last of them was taken for the best."""
    run = train(*SMALL, *words)
    elbos = curve(run)
    every = 3 if words and "every_n_epochs" in words[0] else 1
    best = max((epoch for epoch in elbos if epoch % every == 0), key=lambda epoch: elbos[epoch])
    assert max(elbos, key=lambda epoch: elbos[epoch]) == 2
    assert epoch_of(open_run(run).best) == best
    metrics = json.loads((run / "run_meta.json").read_text())["metrics"]
    assert answer(evaluate.main, f"run={run}", "num_samples=2", "rows=1", "curve=[]")[0] == 0
    results = json.loads((run / "evaluation.json").read_text())["results"]
    result = next(result for result in results if result["name"] == "elbo")
    assert result["checkpoint"] == open_run(run).best.name
    assert result["value"] == pytest.approx(metrics["test/elbo"], abs=2)


def test_without_a_choice_the_last_weights_are_tested(train):
    run = train("+callbacks.best.save_top_k=0", "epochs=2")
    assert not (run / "checkpoints" / "best.ckpt").exists()
    assert open_run(run).newest_weights == run / "checkpoints" / "last.ckpt"


def test_a_run_that_moves_keeps_its_best(train, tmp_path):
    run = train("callbacks.best.filename=mine")
    moved = run.rename(tmp_path / "moved")
    assert open_run(moved).newest_weights == moved / "checkpoints" / "mine.ckpt"


@pytest.mark.parametrize("named", ["gone.ckpt", "", None, 7, ["a"], "\0", "x" * 5000, "/dev/zero", "."])
def test_a_record_that_names_no_file_is_passed_over(tmp_path, named):
    (tmp_path / "run_meta.json").write_text(json.dumps({"config": {"a": 1}, "best_checkpoint": named}))
    assert open_run(tmp_path).best == tmp_path / "checkpoints" / "best.ckpt"


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["+callbacks.best.save_top_k=3"], "callbacks.best.save_top_k=3: all its files would be best.ckpt; say "
         "callbacks.best.enable_version_counter=true"),
        (["+callbacks.best.save_top_k=-1"], "callbacks.best.save_top_k=-1: all its files would be best.ckpt"),
        (["callbacks.best.monitor=val/loss"], "callbacks.best.mode=max: this takes the worst val/loss for the "
         "best; say callbacks.best.mode=min"),
        (["callbacks.best.mode=min"], "the worst val/elbo for the best"),
        (["callbacks.best.monitor=val/elbow"], "callbacks.best.monitor=val/elbow: it is not logged; did you mean "
         "val/elbo?"),
        ([SECOND, "+callbacks.second.monitor=val/elbo"], "callbacks.second.mode=min: this takes the worst val/elbo"),
        ([SECOND, "+callbacks.second.monitor=val/elbo", "+callbacks.second.mode=max"],
         "callbacks.second: a second ModelCheckpoint with the same settings as callbacks.best"),
        ([SECOND, "+callbacks.second.monitor=val/loss", "+callbacks.second.filename=best"],
         "callbacks.second: it would replace best.ckpt, which callbacks.best writes"),
        (["+callbacks.best.save_last=true"], "it would replace last.ckpt"),
    ],
    ids=lambda value: " ".join(value)[-50:] if isinstance(value, list) else "",
)  # fmt: skip
def test_what_would_take_a_worse_epoch_is_refused(answer, tmp_path, words, says):
    status, _, err = answer(main, f"project_dir={tmp_path / 'o'}", "data.mirrors=[]", *words)
    assert status == 2
    assert says in err
    assert not (tmp_path / "o").exists()


def test_a_killed_run_knows_its_best(train, monkeypatch):
    """The record is written when the best checkpoint changes its name, not only at the end."""
    monkeypatch.setattr(RunRecord, "on_fit_end", lambda *_: None)
    monkeypatch.setattr(RunRecord, "on_test_end", lambda *_: None)
    monkeypatch.setattr(RunRecord, "end", lambda *_: None)
    run = train("epochs=3", "+callbacks.best.save_top_k=-1", "callbacks.best.filename='at-{epoch}'")
    assert open_run(run).best.name.startswith("at-epoch=")
    assert torch.load(open_run(run).best, weights_only=True)["epoch"] == 1  # of the last epoch that began


@pytest.fixture
def _stops(monkeypatch, request):
    """The run is stopped in the named hook of the record, once."""
    hook = getattr(RunRecord, request.param)

    def stop(self, trainer, *others):
        if request.param == "on_test_start" or trainer.current_epoch == 3:
            monkeypatch.setattr(RunRecord, request.param, hook)
            raise Interrupted(signal.SIGTERM, "stopped")
        return hook(self, trainer, *others)

    monkeypatch.setattr(RunRecord, request.param, stop)


@pytest.mark.sample(3)
@pytest.mark.parametrize("_stops", ["on_train_epoch_start", "on_test_start"], indirect=True)
@pytest.mark.parametrize("words", [[], ["+callbacks.best.save_top_k=2", "callbacks.best.filename='at-{epoch}'"]])
@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.usefixtures("_worse", "_stops")
def test_a_run_that_stopped_and_moved_keeps_its_best(answer, tmp_path, words, copied):
    """Lightning forgot the best value of a folder that moved: the next epoch, a worse one, replaced best.ckpt."""
    assert answer(main, *QUICK, f"project_dir={tmp_path / 'o'}", *SMALL, *words)[0] == 143
    (run,) = (path.parent for path in tmp_path.glob("**/run_meta.json"))
    whole = {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    moved = shutil.copytree(run, tmp_path / "moved") if copied else run.rename(tmp_path / "moved")
    status, out, err = answer(main, f"resume={moved}")
    assert (status, "dirpath" in err) == (0, False), err
    assert ("best epoch 2: " in out) == (trained_on := "4/4" in out)
    assert trained_on == ("best epoch" in out)
    assert open_run(moved).status == "completed"
    assert json.loads((moved / "run_meta.json").read_text())["best_checkpoint"].startswith("checkpoints/")
    assert epoch_of(open_run(moved).best) == 2
    assert len(list((moved / "checkpoints").glob("*.ckpt"))) == 1 + (2 if words else 1)
    if copied:
        assert {path.name: path.read_bytes() for path in (run / "checkpoints").iterdir()} == whole


@pytest.mark.parametrize("words", [[], ["~callbacks.best"]])
def test_the_checkpoint_to_resume_from_knows_what_every_callback_knows(train, words):
    """A ModelCheckpoint that was listed after `last` was one epoch behind in it: a worse epoch replaced its file."""
    mine = ["+callbacks.second.monitor=val/loss", "+callbacks.second.mode=min", "+callbacks.second.filename=second"]
    run = train("epochs=2", SECOND, *mine, *words)
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
    choices = [state for key, state in saved.items() if "val/" in key and "ModelCheckpoint" in key]
    assert len(choices) == (1 if words else 2)
    best = max(curve(run).values())
    for state in choices:
        assert abs(float(state["best_model_score"])) == pytest.approx(-best, abs=0.01)
        assert Path(state["best_model_path"]).is_file()


@pytest.mark.parametrize(("best", "moves"), [("", True), ("old/best.ckpt", True), ("old/gone.ckpt", False)])
def test_only_files_that_moved_with_the_folder_are_followed(tmp_path, best, moves):
    """Without a best checkpoint there is nothing to lose; one that stayed behind is Lightning's to find."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "best.ckpt").touch()
    choice = ModelCheckpoint(str(tmp_path / "new"), monitor="val/elbo")
    state = {"dirpath": str(tmp_path / "old"), "best_model_path": best and str(tmp_path / best), "kth_value": 1.0}
    before = dict(state)
    follow(pl.Trainer(callbacks=[choice], logger=False), {"callbacks": {choice.state_key: state}})
    after = {"dirpath": str(tmp_path / "new"), "best_model_path": best and str(tmp_path / "new" / "best.ckpt")}
    assert state == ({**before, **after} if moves else before)
