"""A run stands for a job only if it had the data of the job: by their checksum, wherever they are."""

import json
import shutil
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vae_lightning import callbacks, train
from vae_lightning.runs.jobs import read_jobs

TINY = ["data=image_folder", "data.size=8", "data.val_size=10", "batch_size=16", "epochs=1", "network.hidden=[8]"]
TINY += ["latent.dim=2", "report=false", "project_dir=o", "group=g", "~callbacks.reconstruction_grid"]
TINY += ["~callbacks.latent_traversal", "~callbacks.sample_grid"]
SKIP = "sweep.skip_finished=true"


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """The main job in this process, beside two folders of different images: overrides -> (status, output, stderr)."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("AB"):
        (tmp_path / "pics" / name).mkdir(parents=True)
        for number, pixels in enumerate(np.random.default_rng(seed).integers(0, 256, (40, 8, 8), dtype=np.uint8)):
            Image.fromarray(pixels).save(tmp_path / "pics" / name / f"{number:02d}.png")
    return partial(answer, train.main, *TINY)


@pytest.fixture
def trained(monkeypatch):
    """data.dir and beta of the jobs that train, in order."""
    places: list[tuple[str, float]] = []
    start = callbacks.RunRecord.on_fit_start

    def noted(self, trainer, module):
        config = self._added["config"]
        places.append((Path(config["data"]["dir"]).name, config["beta"]))
        start(self, trainer, module)

    monkeypatch.setattr(callbacks.RunRecord, "on_fit_start", noted)
    return places


def last(out: str) -> str:
    return out.splitlines()[-1].partition(": ")[2]


def test_a_sweep_over_data_trains_on_all_of_them(ask, trained, tmp_path):
    words = ["-m", "data.dir=pics/A,pics/B", "sweep.name=de", SKIP]
    code, out, err = ask(*words)
    assert (code, trained, last(out)) == (0, [("A", 1.0), ("B", 1.0)], "2 jobs, 2 done"), err
    code, out, err = ask(*words)
    assert (code, len(trained), last(out)) == (0, 2, "2 jobs, 2 done"), err
    shutil.move(tmp_path / "pics", tmp_path / "moved")
    code, out, err = ask("-m", "data.dir=moved/A,moved/B", "sweep.name=de", SKIP)
    assert (code, len(trained), last(out)) == (0, 2, "2 jobs, 2 done"), err
    assert out.count("completed, nothing to do") == 2


def test_a_job_on_other_data_is_another_run(ask, trained, tmp_path):
    """Data that only moved are the same. The sweep then shows the runs of the data that it was asked for last."""
    assert ask("-m", "data.dir=pics/A", "beta=1,2")[0] == 0
    shutil.copytree(tmp_path / "pics" / "A", tmp_path / "copy")
    code, out, err = ask("-m", "data.dir=copy", "beta=1,2", SKIP)
    assert (code, trained, last(out)) == (0, [("A", 1.0), ("A", 2.0)], "2 jobs, 2 done"), err
    code, out, err = ask("-m", "data.dir=pics/B", "beta=1,2", SKIP)
    assert (code, trained[2:], last(out)) == (0, [("B", 1.0), ("B", 2.0)], "2 jobs, 2 done"), err
    assert out.count("it had other data than data.dir=pics/B") == 2
    code, out, err = ask("-m", "data.dir=pics/A", "beta=1,2", SKIP)
    assert (code, len(trained), last(out)) == (0, 4, "2 jobs, 2 done"), err
    (sweep,) = (tmp_path / "o" / "multirun").iterdir()
    dirs = [json.loads((job.run_folder / "run_meta.json").read_text())["data"]["source"] for job in read_jobs(sweep)]
    assert dirs == ["pics/A", "pics/A"]


def test_auto_takes_no_run_of_other_data(ask, trained):
    assert ask("-m", "data.dir=pics/A", "beta=1,2")[0] == 0
    code, _, err = ask("-m", "data.dir=pics/B", "beta=1,2", "resume=auto")
    assert (code, trained[2:]) == (0, [("B", 1.0), ("B", 2.0)]), err
    assert ask("save_dir=one", "data.dir=pics/A")[0] == 0
    code, _, err = ask("save_dir=one", "data.dir=pics/B", "resume=auto")
    assert (code, "one already holds a run" in err) == (2, True), err
    code, _, err = ask("resume=one", "save_dir=one", "data.dir=pics/B")
    assert (code, "it had other data than data.dir=pics/B" in err) == (4, True), err
    assert ask("resume=one", "save_dir=one", "data.dir=pics/A")[0] == 0
    assert len(trained) == 5


def test_a_wrong_path_that_is_put_right_leaves_no_job_behind(ask, trained, tmp_path):
    """Nor do the project by its absolute path, 1.0 for 1, and worker processes."""
    code, out, _ = ask("-m", "data.dir=pics/AA", "beta=1,2", f"project_dir={tmp_path / 'o'}")
    assert (code, trained, last(out)) == (3, [], "2 jobs, 2 failed (job 0, job 1)")
    code, out, err = ask("-m", "data.dir=pics/A", "beta=1.0,2.0", "data.num_workers=0", SKIP)
    assert (code, len(trained), last(out)) == (0, 2, "2 jobs, 2 done"), err


@pytest.mark.skipif(find_spec("optuna") is None, reason="the extra `optuna` is not installed")
def test_a_study_is_of_one_data_set(ask, trained, tmp_path):
    words = ["sweep=optuna", "sweep.pruning=false"]
    assert ask(*words, "data.dir=pics/A", "sweep.trials=1")[0] == 0
    code, _, err = ask(*words, "data.dir=pics/B", "sweep.trials=2")
    assert (code, "holds a study of other data than data.dir=pics/B; say the same" in err) == (4, True), err
    shutil.copytree(tmp_path / "pics" / "A", tmp_path / "copy")
    code, _, err = ask(*words, "data.dir=copy", "sweep.trials=2")
    assert (code, [place for place, _ in trained]) == (0, ["A", "copy"]), err
