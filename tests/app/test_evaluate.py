"""The evaluation of a run from its folder alone, and the comparison of several."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SHARED, command, config
from PIL import Image

from vae_lightning import compare as comparison
from vae_lightning import evaluate as evaluation
from vae_lightning import train as training
from vae_lightning.app import restore
from vae_lightning.bound import Elbo
from vae_lightning.errors import ConfigError
from vae_lightning.evaluation.result import SAME, check_alike, merged
from vae_lightning.pages.sweep import page as sweep_page
from vae_lightning.pages.sweep.page import write_sweep_page
from vae_lightning.runs.jobs import Job
from vae_lightning.runs.run import open_run

FEW = ["num_images=30", "num_samples=20", "curve=[1,5]"]
EVERYTHING = {"elbo", "recon", "kl", "nll", "iwae_1", "iwae_5", "iwae_20", "effective_samples", "active_units"}
EVERYTHING |= {"kl_per_unit", "mutual_information", "marginal_kl"}


@pytest.fixture
def run(train):
    return train("latent.dim=3", "~callbacks.latent_traversal")


def told(err: str) -> list[str]:
    """The lines on stderr, without the words on the bundled subset."""
    return [line for line in err.splitlines() if not line.startswith("!!")]


def rows_of(run) -> dict:
    return {row["name"]: row for row in json.loads((run / "evaluation.json").read_text())["results"]}


def test_a_run_is_evaluated_from_its_folder_alone(answer, run):
    status, out, err = answer(evaluation.main, f"run={run}", *FEW)
    assert status == 0, err
    rows = rows_of(run)
    assert set(rows) == EVERYTHING
    assert rows["elbo"]["value"] == pytest.approx(-(rows["recon"]["value"] + rows["kl"]["value"]))
    assert rows["nll"]["value"] == -rows["iwae_20"]["value"]
    assert rows["iwae_1"]["value"] < rows["iwae_5"]["value"] < rows["iwae_20"]["value"]
    assert sum(rows["kl_per_unit"]["value"]) == pytest.approx(rows["kl"]["value"], rel=1e-5)
    split = rows["mutual_information"]["value"] + rows["marginal_kl"]["value"]
    assert split == pytest.approx(rows["kl"]["value"], rel=1e-4)
    assert all(len(line) <= 80 for line in out.splitlines() if str(run) not in line)
    for picture in ("bound_over_k", "kl_per_unit", "effective_samples"):
        assert np.asarray(Image.open(run / "evaluation" / f"{picture}.png")).std() > 0


def test_every_result_says_what_it_is(answer, run):
    answer(evaluation.main, f"run={run}", *FEW)
    for row in rows_of(run).values():
        known = {"data": "mnist", "protocol": "grey", "subset": True, "split": "test", "num_images": 30, "seed": 0}
        assert {key: row[key] for key in known} == known
        assert (len(row["checkpoint_sha256"]), len(row["data_sha256"])) == (64, 64)
        assert (row["checkpoint"], row["likelihood"]) == ("best.ckpt", "Bernoulli")
    assert rows_of(run)["nll"]["num_samples"] == 20


def test_the_elbo_is_that_of_the_test_loop(answer, train):
    """The whole test set: the same mean, up to the noise of z."""
    run = train("latent.dim=3")
    tested = json.loads((run / "run_meta.json").read_text())["metrics"]
    answer(evaluation.main, f"run={run}", "num_samples=50")
    assert rows_of(run)["elbo"]["num_images"] == 1000
    assert rows_of(run)["kl"]["value"] == pytest.approx(tested["test/kl"], rel=1e-5)
    assert rows_of(run)["elbo"]["value"] == pytest.approx(tested["test/elbo"], abs=2)


def test_another_evaluation_loses_nothing_and_the_same_one_stands_once(answer, run):
    for arguments in (FEW, FEW, [*FEW, "num_samples=10"], [*FEW, "seed=1"]):
        answer(evaluation.main, f"run={run}", *arguments)
    rows = json.loads((run / "evaluation.json").read_text())["results"]
    assert [(row["num_samples"], row["seed"]) for row in rows if row["name"] == "nll"] == [(20, 0), (10, 0), (20, 1)]


@pytest.mark.sample(1)
@pytest.mark.parametrize("split", ["val", "train"])
def test_other_splits_and_the_dynamic_protocol(answer, train, split):
    run = train("data.protocol=dynamic", "loss=bce_logits", "latent.dim=2")
    assert answer(evaluation.main, f"run={run}", *FEW, f"split={split}")[0] == 0
    assert rows_of(run)["nll"]["split"] == split
    opened = open_run(run)
    module = restore.load(opened, opened.best, "cpu")
    x = restore.images(opened, restore.data_of(opened, None, None), split, None)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    assert Elbo()(module.model.draw(x[:2], torch.zeros(1, 2, 2)), 1.0).bound.isfinite().all()


def test_slower_estimates_and_the_exact_value(answer, tmp_path):
    cfg = config("experiment=ppca", "data.sizes=[400,50,60]", "epochs=20", "batch_size=20", f"project_dir={tmp_path}")
    training.train(cfg)
    run = Path(cfg.run_dir)
    slower = ["ais.num_images=5", "ais.num_temperatures=20", "appendix_d.num_images=60", "appendix_d.num_samples=100"]
    status, out, _ = answer(evaluation.main, f"run={run}", *slower, "num_samples=200")
    rows = rows_of(run)
    assert status == 0
    assert rows["nll"]["value"] == pytest.approx(-rows["exact_log_px"]["value"], abs=0.1)
    assert rows["appendix_d"]["value"] == pytest.approx(rows["exact_log_px"]["value"], abs=0.1)
    assert (rows["ais"]["num_images"], rows["ais"]["num_samples"]) == (5, 16)
    assert "first 5 images" in out
    assert "log p(x), exact" in out


def test_a_mass_function_has_bits(answer, train):
    run = train("loss=discretized_logistic", "latent.dim=2", "~callbacks.latent_traversal")
    answer(evaluation.main, f"run={run}", *FEW)
    rows = rows_of(run)
    assert rows["bits_per_dimension"]["value"] == pytest.approx(rows["nll"]["value"] / (784 * np.log(2)))


def test_mistakes_get_one_line_and_change_nothing(answer, run, tmp_path):
    empty, cut, bare = tmp_path / "empty", tmp_path / "cut", tmp_path / "bare"
    empty.mkdir()
    shutil.copytree(run, cut)
    (cut / "checkpoints" / "best.ckpt").write_bytes((run / "checkpoints" / "best.ckpt").read_bytes()[:1000])
    shutil.copytree(run, bare)
    shutil.rmtree(bare / "checkpoints")
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    (broken / "run_meta.json").write_text("{")
    evil = tmp_path / "evil"
    shutil.copytree(run, evil)
    meta = json.loads((run / "run_meta.json").read_text())
    meta["config"]["data"]["x"] = {"_target_": "os.system", "command": f"touch {tmp_path / 'ran'}"}
    (evil / "run_meta.json").write_text(json.dumps(meta))
    files = sorted(path.name for path in run.rglob("*"))
    for arguments, says in {
        f"run={tmp_path / 'none'}": "no such folder",
        f"run={empty}": "not a run folder",
        f"run={broken}": "run_meta.json is damaged",
        f"run={bare}": "it holds no checkpoint",
        f"run={cut}": "damaged, its SHA-256",
        f"run={evil}": "data.x._target_=os.system: not among",
        f"run={run} checkpoint=missing.ckpt": "checkpoint=missing.ckpt: no such file",
        f"run={run} num_samples=0": "num_samples=0: must be a whole number >= 1",
        f"run={run} num_samples=1.5": "num_samples=1.5: must be",
        f"run={run} curve=[0,10]": "curve=[0, 10]: must be a list of whole numbers >= 1",
        f"run={run} num_images=2000": "the test split has 1000",
        f"run={run} split=tset": "did you mean test",
        f"run={run} protocol=static": "was trained on grey",
        f"run={run} data=mnist data.protocol=dynamic": "was trained on grey",
        f"run={run} data=ppca": "its images are [1, 4, 4]",
        f"run={run} appendix_d.num_images=-1": "appendix_d.num_images=-1: must be",
        f"run={run} device=tpu": "device=tpu",
    }.items():
        status, _, err = answer(evaluation.main, *FEW, *arguments.split())
        told = [line for line in err.splitlines() if line.startswith("error: ")]
        assert (arguments, status, len(told)) == (arguments, 4 if "damaged" in says else 2, 1), err
        assert says in told[0], arguments
        assert "Traceback" not in err
    assert sorted(path.name for path in run.rglob("*")) == files
    assert not (tmp_path / "ran").exists()


def test_appendix_d_is_refused_for_larger_latent_spaces(answer, train):
    run = train("latent.dim=5", "callbacks.latent_traversal.rows=2")
    status, _, err = answer(evaluation.main, f"run={run}", *FEW, "appendix_d.num_images=2")
    assert status == 2
    assert "latent.dim=5: Appendix D needs 4 or fewer" in err
    assert not (run / "evaluation.json").exists()


def test_another_data_set_of_the_same_shape(answer, run):
    if not (SHARED / "fashion_mnist").is_dir():
        pytest.skip("Fashion-MNIST is not beside this checkout")
    status, _, err = answer(
        evaluation.main, f"run={run}", *FEW, "data=fashion_mnist", f"data.dir={SHARED / 'fashion_mnist'}"
    )
    assert (status, err) == (0, "")
    assert rows_of(run)["nll"]["data"] == "fashion_mnist"


@pytest.mark.slow
def test_the_group_s_latest_and_a_process_of_its_own(train, tmp_path):
    run = train("group=g", "latent.dim=2", "callbacks.latent_traversal.size=3")
    done = command("vae_lightning.evaluate", f"run={run.parent / 'latest'}", *FEW, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert f"run folder: {run}" in done.stdout
    assert {"nll", "elbo"} <= set(rows_of(run))


# --- a group of runs -------------------------------------------------------------------------------------------------


@pytest.fixture
def group(train, tmp_path, monkeypatch) -> Path:
    """outputs/g with two runs and outputs/g/sweep.html; the working folder is that of outputs."""
    monkeypatch.chdir(tmp_path)
    words = ["group=g", "latent.dim=2", "callbacks.latent_traversal.size=3"]
    runs = [train(*words, f"seed={seed}") for seed in (1, 2)]
    write_sweep_page(runs[0].parent)
    return Path("outputs/g")


@pytest.mark.sample(1)
@pytest.mark.parametrize("runs", ["outputs/g/*", "outputs/g", "[outputs/g/latest,outputs/g/*-seed1]"])
def test_the_runs_of_a_group_are_evaluated_and_its_page_is_renewed(answer, group, tmp_path, runs):
    (group / "run_in_progress").mkdir()
    status, out, err = answer(evaluation.main, f"run={runs}", *FEW)
    assert (status, told(err)) == (0, [])
    values = [rows_of(run)["nll"]["value"] for run in sorted(group.glob("2*"))]
    assert (
        f"{np.mean(values):.2f} ± {np.std(values, ddof=1) / len(values) ** 0.5:.2f} (K = 20, N = 30 of 1,000)"
        in (group / "sweep.md").read_text()
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outputs"]
    assert [line.partition(": ")[0] for line in out.splitlines()].count("run folder") == 2


def test_a_run_that_cannot_be_evaluated_keeps_no_other_from_it(answer, group):
    first, second = sorted(group.glob("2*"))
    shutil.rmtree(first / "checkpoints")
    status, _, err = answer(evaluation.main, "run=outputs/g", *FEW)
    assert (status, len(told(err))) == (2, 1)
    assert f"error: run={first}: it holds no checkpoint" in told(err)[0]
    assert "nll" in rows_of(second)


def test_a_page_that_cannot_be_renewed_fails_no_evaluation(answer, group, monkeypatch):
    def refuse(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sweep_page, "write_sweep_page", refuse)
    run = next(group.glob("2*"))
    status, _, err = answer(evaluation.main, f"run={run}", *FEW)
    assert (status, len(told(err))) == (0, 1)
    assert "warning: no sweep page (OSError" in told(err)[0]
    assert "nll" in rows_of(run)


def test_the_page_of_the_sweep_that_made_a_run_is_renewed(answer, train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train("group=g", "latent.dim=2", "callbacks.latent_traversal.size=3")
    sweep = tmp_path / "outputs" / "multirun" / "t"
    Job(sweep / "jobs" / "0000.json", 0, status="completed", run=f"../../../g/{run.name}").write()
    write_sweep_page(sweep)
    other = tmp_path / "outputs" / "multirun" / "u"
    Job(other / "jobs" / "0000.json", 0, status="failed").write()
    write_sweep_page(other)
    before = (other / "sweep.html").stat().st_mtime_ns
    assert answer(evaluation.main, f"run={run}", *FEW)[0] == 0
    assert "(K = 20, N = 30 of 1,000)" in (sweep / "sweep.md").read_text()
    assert (other / "sweep.html").stat().st_mtime_ns == before
    assert not (run.parent / "sweep.html").exists()  # no page is made where there was none


def test_a_checkpoint_is_of_one_run(answer, group):
    status, _, err = answer(evaluation.main, "run=outputs/g", "checkpoint=outputs/g/latest/checkpoints/last.ckpt")
    assert (status, err.count("\n")) == (2, 1)
    assert "it is of one run, and run=outputs/g names 2" in err


def test_a_multirun_leaves_nothing_in_the_working_folder(answer, group, tmp_path):
    run = next(group.glob("2*"))
    status, _, err = answer(evaluation.main, "-m", f"run={run}", *FEW, "num_samples=20,0")
    assert (status, len(told(err))) == (2, 1)
    assert told(err)[0].startswith("error: num_samples=0: must be")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outputs"]
    assert rows_of(run)["nll"]["num_samples"] == 20


@pytest.mark.parametrize("run", ["null", "''", "[]", "[a,'']", "3"])
def test_what_can_be_no_run_is_answered_in_one_line(answer, run):
    status, _, err = answer(evaluation.main, f"run={run}")
    assert (status, err.count("\n")) == (2, 1)
    assert "must be a run folder, a group of runs, a glob" in err


# --- several runs ---------------------------------------------------------------------------------------------------


def test_runs_are_compared_and_averaged(answer, train):
    runs = [train("latent.dim=2", f"seed={seed}", "callbacks.latent_traversal.size=3") for seed in (1, 2)]
    for each in runs:
        answer(evaluation.main, f"run={each}", *FEW)
    status, out, _ = answer(comparison.main, f"runs=[{runs[0]},{runs[1]}]")
    values = [rows_of(each)["nll"]["value"] for each in runs]
    assert status == 0
    (line,) = [line for line in out.splitlines() if line.startswith("nll")]
    assert line.split()[1:] == [f"{np.mean(values):.2f}", "±", f"{np.std(values, ddof=1):.2f}"]


@pytest.mark.sample(1)
@pytest.mark.parametrize(
    ("other", "says"), [("data.protocol=static", "protocol is grey"), ("num_samples=10", "num_samples is 20")]
)
def test_numbers_of_different_kinds_are_never_compared(answer, train, other, says):
    runs = []
    for seed, more in ((1, []), (2, [other])):
        protocol = [each for each in more if each.startswith("data.")]
        run = train("latent.dim=2", f"seed={seed}", *protocol, "callbacks.latent_traversal.size=3")
        answer(evaluation.main, f"run={run}", *FEW, *(each for each in more if each not in protocol))
        runs.append(run)
    status, _, err = answer(comparison.main, f"runs=[{runs[0]},{runs[1]}]")
    assert status == 2
    assert says in err
    assert "never compared" in err


@pytest.mark.parametrize("key", SAME)
def test_every_difference_is_refused(key):
    row = {"name": "nll", "value": 90.0, **dict.fromkeys(SAME, 1)}
    check_alike({"a": row, "b": {**row, "value": 92.0}})
    with pytest.raises(ConfigError, match=f"{key} is 1 in a and 2 in b"):
        check_alike({"a": row, "b": {**row, key: 2}})


def test_merging_keeps_what_says_something_else():
    row = {"name": "nll", "value": 1.0, "seed": 0, **dict.fromkeys(SAME, 1)}
    other, again = {**row, "seed": 1}, {**row, "value": 2.0}
    assert merged([row, other], [again]) == [other, again]


def test_mistakes_of_the_comparison(answer, run, tmp_path):
    for runs, says in {f"[{run}]": "has no evaluation; python -m", str(run): "must be a list"}.items():
        status, _, err = answer(comparison.main, f"runs={runs}")
        assert status == 2
        assert says in err
    assert "runs=None: must be a list of runs, a group or a glob, such as runs=[" in answer(comparison.main)[2]
    assert "run: it must be given, such as run=outputs" in answer(evaluation.main)[2]
    answer(evaluation.main, f"run={run}", *FEW)
    with (run / "checkpoints" / "best.ckpt").open("ab") as file:
        file.write(b"more")
    assert "was trained further since it was evaluated" in answer(comparison.main, f"runs=[{run}]")[2]
    (run / "evaluation.json").write_text("{}")
    assert "not an evaluation's results" in answer(comparison.main, f"runs=[{run}]")[2]
