"""The launchers of a sweep: their options, what a file may say of them, threads, and where their jobs run."""

import os
import pickle
import signal
import socket
import sys
from dataclasses import fields
from functools import partial
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
import torch
from conftest import NO_NETWORK
from hydra.core.config_store import ConfigNode, ConfigStore
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import OmegaConf

from vae_lightning import train
from vae_lightning.app import clusters, launchers
from vae_lightning.app.config import CONF
from vae_lightning.app.launch import Quiet
from vae_lightning.errors import ConfigError, Interrupted, UserError
from vae_lightning.runs.lock import Lock
from vae_lightning.signals import answering

PLUGINS = "hydra_plugins."
JOBLIB = {"_target_": f"{PLUGINS}hydra_joblib_launcher.joblib_launcher.JoblibLauncher"}
LOCAL = {"_target_": f"{PLUGINS}hydra_submitit_launcher.submitit_launcher.LocalLauncher"}
SLURM = {"_target_": f"{PLUGINS}hydra_submitit_launcher.submitit_launcher.SlurmLauncher"}
RAY = {"_target_": f"{PLUGINS}hydra_ray_launcher.ray_launcher.RayLauncher"}


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return partial(answer, train.main)


def plugins_options() -> dict[str, ConfigNode]:
    """The options of hydra/launcher that the installed plugins have registered."""
    Plugins.instance()
    return ConfigStore.instance().repo["hydra"].setdefault("launcher", {})


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["joblib", "ray"])
def test_an_option_of_ours_takes_the_place_of_the_plugin_s(ask, monkeypatch, option):
    """Hydra merged the two, and said on stderr that it is deprecated."""
    node = ConfigNode(f"{option}.yaml", OmegaConf.create({"theirs": 1}), "hydra.launcher", "a_plugin", "hydra/launcher")
    monkeypatch.setitem(plugins_options(), f"{option}.yaml", node)
    monkeypatch.setattr(launchers, "located", lambda *_: object)
    monkeypatch.setattr("vae_lightning.app.composing.check_targets", lambda *_: None)
    status, out, err = ask(f"hydra/launcher={option}", "--cfg=hydra", "--package=hydra.launcher")
    assert (status, err) == (0, "")
    assert OmegaConf.create(out) == OmegaConf.load(CONF / "hydra" / "launcher" / f"{option}.yaml")


@pytest.mark.parametrize(
    ("option", "extra"), [("joblib", "sweep"), ("ray", "ray"), ("slurm", "slurm"), ("submitit_local", "slurm")]
)
def test_a_launcher_that_is_not_installed_is_answered_with_our_extra(ask, monkeypatch, tmp_path, option, extra):
    monkeypatch.setattr(launchers, "located", lambda *_: None)
    for name in ("submitit_local", "submitit_slurm"):
        monkeypatch.delitem(plugins_options(), f"{name}.yaml", raising=False)
    status, _, err = ask("-m", f"hydra/launcher={option}", "seed=1,2", *NO_NETWORK)
    assert (status, err.count("\n")) == (2, 1), err
    assert err.startswith(f"error: hydra/launcher={option}: not installed; pip install 'vae-lightning[{extra}]'")
    assert list(tmp_path.iterdir()) == []
    assert f"\n{extra} = [" in (CONF.parent / "pyproject.toml").read_text(encoding="utf-8")


def test_the_joblib_option_says_every_argument_of_the_launcher():
    config = pytest.importorskip("hydra_plugins.hydra_joblib_launcher.config")
    ours = OmegaConf.load(CONF / "hydra" / "launcher" / "joblib.yaml")
    assert list(ours) == [field.name for field in fields(config.JobLibLauncherConf)]


def test_help_lists_no_launcher(ask):
    status, out, _ = ask("--help")
    assert status == 0
    assert "launcher" not in out


# --- what a file may say ---------------------------------------------------------------------------------------------

REFUSED = [
    (SLURM, "setup", ["touch ran"]),
    (SLURM, "submitit_folder", "ran"),
    (SLURM, "partition", "gpu\ntouch ran"),
    (SLURM, "partition", "${oc.env:SECRET}"),
    (SLURM, "additional_parameters", {"wrap": "touch ran"}),
    (LOCAL, "python", "sh -c ran"),
    (JOBLIB, "temp_folder", "ran"),
    (RAY, "ray", {"init": {"address": "evil.example:6379"}}),
    (RAY, "ray", {"init": {"address": "local", "runtime_env": {"worker_process_setup_hook": "os.abort"}}}),
    (RAY, "ray", {"init": {"_temp_dir": "ran"}}),
]


@pytest.mark.parametrize(("launcher", "key", "value"), REFUSED, ids=lambda part: str(part)[:40])
def test_a_file_starts_no_program_and_names_no_place(monkeypatch, launcher, key, value):
    """sbatch runs the lines of `setup`, and a driver of Ray what a cluster returns."""
    monkeypatch.setattr(launchers, "located", lambda *_: object)
    values = {"launcher": {**launcher, key: value}}
    with pytest.raises(ConfigError, match=rf"^hydra\.launcher\.{key}.*: a file says it; only the command line may"):
        launchers.check(values, ["hydra/launcher=theirs", "hydra.launcher.other=1"])
    launchers.check(values, [f"+hydra.launcher.{key}=x"])


def test_a_file_may_describe_a_queue(monkeypatch):
    monkeypatch.setattr(launchers, "located", lambda *_: object)
    queue = {"partition": "gpu-long", "gres": "gpu:a100:2", "account": "lab_7", "timeout_min": 60, "setup": None}
    own = {"submitit_folder": "${hydra.sweep.dir}/.submitit/%j", "name": "${hydra.job.name}", "gpus_per_node": 1}
    launchers.check({"launcher": {**SLURM, **queue, **own}}, [])


def test_a_file_of_a_stranger_is_refused_on_the_command_line(ask, tmp_path):
    (tmp_path / "conf" / "hydra" / "launcher").mkdir(parents=True)
    (tmp_path / "conf" / "hydra" / "launcher" / "theirs.yaml").write_text(
        "_target_: hydra._internal.core_plugins.basic_launcher.BasicLauncher\nsetup: [touch ran]\n"
    )
    status, _, err = ask("-m", "--config-dir=conf", "hydra/launcher=theirs", "seed=1,2", *NO_NETWORK)
    assert (status, err.count("\n")) == (2, 1), err
    assert "hydra.launcher.setup=['touch ran']: a file says it" in err
    assert {path.name for path in tmp_path.iterdir()} == {"conf"}


# --- threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("launcher", "said", "threads"),
    [
        ({**JOBLIB, "n_jobs": 4}, None, 2),
        ({**JOBLIB, "n_jobs": 3}, None, 2),
        ({**JOBLIB, "n_jobs": 16}, None, 1),
        ({**JOBLIB, "n_jobs": -1}, None, 1),
        ({**JOBLIB, "n_jobs": -7}, None, 4),
        ({**JOBLIB, "n_jobs": 4}, "1", 1),
        ({**JOBLIB, "n_jobs": 4}, "nonsense", 2),
        ({**SLURM, "cpus_per_task": 4}, None, 4),
        ({**SLURM, "cpus_per_task": None}, None, None),
        ({**RAY, "ray": {"init": {}, "remote": {"num_cpus": 3}}}, None, 3),
        ({"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}, "1", None),
    ],
)
def test_a_job_gets_its_share_of_the_cores(monkeypatch, launcher, said, threads):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(8), raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert launchers.threads(OmegaConf.create(launcher)) == threads


@pytest.mark.parametrize(("mode", "threads"), [(RunMode.MULTIRUN, 3), (RunMode.RUN, 1)])
def test_torch_has_the_threads_of_a_job(monkeypatch, mode, threads):
    node = OmegaConf.create({"launcher": {**RAY, "ray": {"remote": {"num_cpus": 3}}}})
    monkeypatch.setattr(launchers.HydraConfig, "get", lambda: SimpleNamespace(mode=mode, launcher=node.launcher))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    try:
        launchers.share_cores()
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(1)


# --- where the jobs run ----------------------------------------------------------------------------------------------


def test_a_job_works_in_the_folder_of_the_command(monkeypatch, tmp_path):
    """A worker of Ray began where its node was started, and wrote there."""
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(Quiet())
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    pickle.loads(sent)
    assert os.getcwd() == str(tmp_path)


def test_a_job_of_another_machine_must_see_the_sweep(tmp_path):
    with pytest.raises(ConfigError, match=f"{socket.gethostname()} does not see"), clusters.inside(RAY, tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signal masks")
def test_a_job_hears_ctrl_c_in_ray_and_the_time_limit_of_slurm(tmp_path):
    (tmp_path / "multirun.yaml").touch()
    handler, launcher = signal.getsignal(signal.SIGUSR2), OmegaConf.create(SLURM)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for sent, heard in ((signal.SIGINT, 130), (signal.SIGUSR2, 143)):
            with (
                pytest.raises(Interrupted) as stop,
                clusters.inside(launcher, tmp_path),
                answering("stopped by {}".format),
            ):
                os.kill(os.getpid(), sent)
            assert stop.value.status == heard
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())
        assert signal.getsignal(signal.SIGUSR2) == handler
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def test_a_local_job_of_submitit_ends_with_its_command(tmp_path):
    local, lock = OmegaConf.create(LOCAL), Lock(tmp_path, ".launcher.lock")
    lock.take()
    assert not clusters.command_is_gone(local, tmp_path)
    lock.release()
    assert clusters.command_is_gone(local, tmp_path)
    assert not clusters.command_is_gone(OmegaConf.create(SLURM), tmp_path)  # the queue outlives the command
    assert not clusters.command_is_gone(None, tmp_path)


def test_a_cluster_that_does_not_answer_is_told_at_once():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(UserError, match=f"ray.init.address={address}: no Ray answers there"):
            clusters.check_address(address)
    clusters.check_address("auto")  # Ray looks for it itself


@pytest.mark.skipif(find_spec("submitit") is None, reason="the extra slurm is not installed")
def test_a_controller_of_submitit_does_not_hear_ctrl_c():
    from submitit.local import local

    clusters.stand_alone()
    process = local.subprocess.Popen([sys.executable, "-c", "import os; print(os.getsid(0))"], stdout=-1)
    assert int(process.communicate()[0]) == process.pid


def test_waiting_jobs_leave_the_queue_of_slurm(monkeypatch, tmp_path):
    """Those that run hear of the signal themselves, and save."""
    (tmp_path / ".submitit" / "4242_0").mkdir(parents=True)
    (tmp_path / ".submitit" / "4242_1").mkdir()
    called = []
    monkeypatch.setattr(clusters.subprocess, "Popen", called.append)
    for launcher in (SLURM, LOCAL):
        config = {"hydra": {"launcher": {**launcher, "submitit_folder": f"{tmp_path}/.submitit/%j"}}}
        clusters.stop_queue(OmegaConf.create(config))
    assert called == [["scancel", "--state=PENDING", "4242"]]
