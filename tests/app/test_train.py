"""The main job, end to end, on the bundled digits."""

import csv
import json
import os
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import joblib
import pytest
import torch
from conftest import QUICK, ROOT, SHARED, command, config

from vae_lightning import VAE
from vae_lightning.errors import ConfigError
from vae_lightning.train import main
from vae_lightning.train import train as task


def meta(run: Path) -> dict:
    return json.loads((run / "run_meta.json").read_text(encoding="utf-8"))


def test_the_run_folder(train, capsys):
    run = train("epochs=2", "latent=z2", "loss=bce", "schedule=cyclic")
    assert run.parent.name == "mnist-lat2-bce-beta1-cyclic-mean"
    assert run.name.endswith("-001-seed42")
    assert os.readlink(run.parent / "latest") == run.name
    for folder in ("reconstructions", "samples", "traversals"):
        assert sorted(path.name for path in (run / folder).iterdir()) == [f"epoch_000{i}.png" for i in range(3)]
    names = sorted(path.name for path in (run / "checkpoints").iterdir() if "previous" not in path.name)
    assert names == ["best.ckpt", "best.ckpt.sha256", "last.ckpt", "last.ckpt.sha256"]
    curves = sorted(path.name for path in (run / "curves").iterdir())
    assert curves == ["latent_usage.csv", "losses.png", "train_log.csv"]
    assert not list(run.rglob("*=*")) + list(run.rglob("*.part"))
    out = capsys.readouterr().out
    for said in ("best epoch", "test ELBO -", str(run), "MNIST subset (5,000 + 1,000), grey"):
        assert said in out
    assert "Tip" not in out


def test_the_record(train):
    run = train("data.protocol=static", "beta=2")
    assert run.parent.name == "mnist-static-lat20-bce-beta2-none-mean"
    record = meta(run)
    assert record["status"] == "completed"
    assert record["config"]["beta"] == 2
    assert "data.protocol=static" in record["overrides"]
    assert record["data"]["protocol"] == "static"
    assert record["data"]["subset"] is True
    assert set(record["data"]["sha256"]) == {"train_images", "train_labels", "test_images", "test_labels"}
    assert record["data"]["sizes"] == {"train": 4500, "val": 500, "test": 1000}
    assert record["seed"] == 42
    assert {"train/elbo", "val/elbo", "test/elbo", "beta"} <= set(record["metrics"])


def test_the_log_has_the_predecessors_columns_first_and_adds_up(train):
    run = train("epochs=3", "schedule=linear", "schedule.length=1.0", "beta=2")
    with (run / "curves" / "train_log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["epoch", "beta", "recon", "kl", "total"]
    for row in rows:
        assert float(row["elbo"]) == pytest.approx(-(float(row["recon"]) + float(row["kl"])), rel=1e-4)
    steps = -(-4500 // 128)
    assert [float(row["beta"]) for row in rows] == pytest.approx(
        [2 * (steps * epoch - 1) / (3 * steps) for epoch in (1, 2, 3)], rel=1e-4
    )


def test_the_same_seed_gives_the_same_weights_with_and_without_observers(train):
    def weights(*overrides: str) -> dict:
        return torch.load(train(*overrides) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]

    first = weights()
    watched = weights("logger=wandb_tensorboard", "logger.wandb.mode=offline", "save_weights=true")
    observers = ["reconstruction_grid", "sample_grid", "latent_traversal", "curve_log", "latent_usage", "progress"]
    bare = weights(*(f"~callbacks.{each}" for each in observers), "data.val_size=500")
    other = weights("seed=1")
    assert all(torch.equal(first[name], again[name]) for again in (watched, bare) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_checkpoints_and_epoch_weights_load_without_trust(train):
    run = train("save_weights=true", "loss=mse")
    assert sorted(path.name for path in run.glob("*.pt")) == ["vae_epoch_0000.pt", "vae_epoch_0001.pt"]
    module = VAE.load_from_checkpoint(run / "checkpoints" / "best.ckpt", weights_only=True)
    weights = torch.load(run / "vae_epoch_0001.pt", weights_only=True)
    assert all(torch.equal(value.cpu(), weights[name]) for name, value in module.state_dict().items())
    assert module.sample(4, seed=0).shape == (4, 1, 28, 28)


def test_best_is_chosen_by_the_unweighted_elbo(train):
    run = train("epochs=3", "schedule=triangle")
    with (run / "curves" / "train_log.csv").open() as file:
        best = max(csv.DictReader(file), key=lambda row: float(row["val_elbo"]))
    saved = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert saved["epoch"] + 1 == int(best["epoch"])


def test_without_validation_nothing_is_selected_by_it(train):
    run = train("data.val_size=0")
    assert sorted(path.name for path in (run / "checkpoints").glob("*.ckpt")) == ["last.ckpt"]
    assert meta(run)["data"]["sizes"]["train"] == 5000


def test_save_dir_takes_everything_directly(train, tmp_path):
    assert train(f"save_dir={tmp_path / 'here'}") == tmp_path / "here"
    assert (tmp_path / "here" / "run_meta.json").is_file()
    assert not (tmp_path / "outputs").exists()


def test_names(train, tmp_path):
    run = train("group=my group", "name='ünï 名'", "date_prefix=false")
    assert run == tmp_path / "outputs" / "my group" / "ünï 名"


@pytest.mark.sample(2)
@pytest.mark.parametrize("logger", ["tensorboard", "wandb", "wandb_tensorboard"])
def test_loggers(train, logger, monkeypatch):
    from wandb.sdk.wandb_run import Run

    logged: set[str] = set()
    log = Run.log
    monkeypatch.setattr(
        Run, "log", lambda run, data, *rest, **more: logged.update(data) or log(run, data, *rest, **more)
    )
    offline = {"wandb": ["logger.mode=offline"], "wandb_tensorboard": ["logger.wandb.mode=offline"]}.get(logger, [])
    run = train(f"logger={logger}", *offline)
    if "tensorboard" in logger:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(run / "tensorboard"))
        events.Reload()
        assert {"train/elbo", "val/elbo", "beta"} <= set(events.Tags()["scalars"])
        assert {"reconstructions", "samples", "traversal"} == set(events.Tags()["images"])
    if "wandb" in logger:
        import wandb

        assert wandb.run is None
        (offline_run,) = (run / "wandb").glob("offline-run-*")
        assert {"loss/recon", "loss/kl", "loss/total", "beta", "epoch"} <= logged
        assert {path.name.split("_")[0] for path in offline_run.rglob("*.png")} == {
            "reconstructions",
            "samples",
            "traversal",
        }


def test_two_wandb_jobs_in_one_process_are_two_runs(train):
    runs = [train("logger=wandb", "logger.mode=offline") for _ in range(2)]
    ids = {path.name.rsplit("-", 1)[1] for run in runs for path in (run / "wandb").glob("offline-run-*")}
    assert len(ids) == 2


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_its_wandb_run(answer, train, tmp_path):
    run = train("logger=wandb", "logger.mode=offline", "name=n", "group=g", "date_prefix=false")
    assert answer(main, f"resume={run}", "epochs=2", "allow_drift=[epochs]")[0] == 0
    ids = [path.name.rsplit("-", 1)[1] for path in (run / "wandb").glob("offline-run-*")]
    assert len(ids) >= 1
    assert len(set(ids)) == 1
    assert (run / "curves" / "train_log.csv").read_text().count("\n") == 3


def test_a_wandb_server_that_does_not_answer_is_left(monkeypatch):
    """Refused at once, and after the timeout where nobody picks up; a server that knows us not is an answer."""
    from vae_lightning import logger

    monkeypatch.setattr(logger, "TIMEOUT", 0.5)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(ConfigError, match="does not answer"):
            logger.check_server(f"http://127.0.0.1:{closed.getsockname()[1]}")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(ConfigError, match=r"does not answer .*timed out.*; use logger\.mode=offline"):
            logger.check_server(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - begun < 10
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as answering:
        threading.Thread(target=answering.handle_request, daemon=True).start()
        logger.check_server(f"http://127.0.0.1:{answering.server_port}")


@pytest.mark.slow
def test_an_unreachable_wandb_server_ends_the_command_before_a_folder_is_made(tmp_path):
    """Seen to take two minutes, and to leave a folder behind, without the question beforehand."""
    environment = {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "a" * 40}
    done = command("vae_lightning.train", *QUICK, "logger=wandb", cwd=tmp_path, **environment)
    assert done.returncode == 2
    assert "http://127.0.0.1:9 does not answer" in done.stderr
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_a_sweep_gives_each_job_a_folder_and_goes_on_after_a_failure(tmp_path):
    done = command("vae_lightning.train", "-m", "loss=bce,mse", "latent.dim=2,0.5", *QUICK, "group=sweep",
                   "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", cwd=tmp_path, OMP_NUM_THREADS=None)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("error: latent.dim=0.5: must be") == 2
    assert "Traceback" not in done.stderr
    runs = sorted((tmp_path / "outputs" / "sweep").glob("2*"))
    assert [run.name.split("-")[1] for run in runs] == ["001", "002"]
    assert {meta(run)["config"]["loss"]["_target_"].rsplit(".")[-1] for run in runs} == {"Bernoulli", "SquaredError"}
    assert [meta(run)["device"]["threads"] for run in runs] == [max(1, joblib.cpu_count() // 2)] * 2
    for page in (*(tmp_path / "outputs").glob("multirun/*/sweep.csv"), tmp_path / "outputs" / "sweep" / "sweep.csv"):
        with page.open() as file:
            statuses = [row["status"] for row in csv.DictReader(file)]
        assert sorted(statuses) == ["completed", "completed", "failed", "failed"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [[], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]], ids=["basic", "joblib"]
)
def test_the_twelve_job_sweeps(tmp_path, launcher):
    sweep = ["loss=bce,mse", "schedule=none,linear,cyclic", "latent=z2,z20"]
    for arguments, group in ((sweep, "mnist-lat*"), (["experiment=mnist_grid"], "mnist-grid")):
        done = command("vae_lightning.train", "-m", *arguments, *QUICK, *launcher, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        runs = sorted((tmp_path / "outputs").glob(f"{group}/2*"))
        assert len(runs) == 12
        assert all(meta(run)["status"] == "completed" for run in runs)
    assert len({run.name.split("-", 2)[2] for run in runs}) == 12


@pytest.mark.slow
def test_eight_starts_at_once_get_eight_folders(tmp_path):
    import subprocess

    arguments = [sys.executable, "-m", "vae_lightning.train", *QUICK, "group=g"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    starts = [subprocess.Popen(arguments, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) for _ in range(8)]
    assert [start.wait() for start in starts] == [0] * 8
    numbers = sorted(path.name.split("-")[1] for path in (tmp_path / "outputs" / "g").glob("2*"))
    assert numbers == [f"{i:03d}" for i in range(1, 9)]


def test_full_mnist_is_used_where_it_is(train, full_mnist):
    record = meta(train(f"data.dir={full_mnist}"))
    assert record["data"]["subset"] is False
    assert record["data"]["sizes"] == {"train": 55000, "val": 5000, "test": 10000}


@pytest.mark.slow
def test_fashion_mnist_for_free(tmp_path):
    folder = SHARED / "fashion_mnist"
    if not folder.is_dir():
        pytest.skip("Fashion-MNIST is not beside this checkout (../shared/data/fashion_mnist)")
    cfg = config(
        "data=fashion_mnist", f"data.dir={folder}", "epochs=1", "network.hidden=[16]", f"project_dir={tmp_path}"
    )
    task(cfg)
    run = Path(cfg.run_dir)
    assert run.parent.name == "fashion_mnist-lat20-bce-beta1-none-mean"
    assert meta(run)["data"]["sizes"]["test"] == 10000
