"""A sweep under each launcher: the same numbers, one page, an orderly end; in processes of their own, so slow."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import NO_NETWORK, ROOT
from test_signals import processes, record

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="/proc, submitit and Ray")]
INSTALLED = {"joblib": "joblib", "submitit_local": "submitit", "slurm": "submitit", "ray": "ray"}
LEFT_OUT = ["~callbacks.reconstruction_grid", "~callbacks.latent_traversal", "~callbacks.sample_grid"]
TINY = ["network.hidden=[8]", "project_dir=o", "group=g", "report=false", *LEFT_OUT, "data.dir=no-data", *NO_NETWORK]
TINY += [f"+trainer.limit_{part}_batches=2" for part in ("train", "val", "test")]
GRID = ["epochs=1", "seed=1,2,3", "beta=0.5,1,2,4", "latent=z2,z8"]
LONG = ["epochs=2000", "seed=1,2,3,4"]


@pytest.fixture(autouse=True)
def _nothing_left(tmp_path) -> Iterator[None]:
    """A test that fails leaves no process behind."""
    yield
    for path in (tmp_path, *tmp_path.iterdir()):
        for number in processes(path):
            os.kill(number, signal.SIGKILL)


def needs(launcher: str) -> None:
    if launcher in INSTALLED and find_spec(INSTALLED[launcher]) is None:
        pytest.skip(f"the launcher {launcher} is not installed")


def start(folder: Path, *words: str, **environment: str) -> subprocess.Popen:
    """A sweep in a process group of its own, as a shell starts one."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "vae_lightning.train", "-m", *TINY, *words]
    return subprocess.Popen(command, cwd=folder, env=variables, stdout=-1, stderr=-1, text=True, process_group=0)


def sweep(folder: Path, *words: str, **environment: str) -> str:
    """What a sweep that works says on stderr."""
    folder.mkdir(exist_ok=True)
    process = start(folder, *words, **environment)
    out, err = process.communicate(timeout=550)
    assert process.returncode == 0, out[-2000:] + err[-2000:]
    assert processes(folder) == []
    return err


def table(folder: Path) -> list[dict[str, str]]:
    """The rows of the sweep's table, without what may differ between two launchers."""
    (path,) = (folder / "o" / "multirun").glob("*/sweep.csv")
    assert path.with_suffix(".html").is_file()
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            {k: v for k, v in row.items() if k not in ("run", "seconds", "overrides")} for row in csv.DictReader(file)
        ]
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def metrics(folder: Path) -> dict[tuple, tuple]:
    """{(seed, beta, latent): (metrics, threads)} of the runs."""
    runs = [record(run) for run in (folder / "o" / "g").glob("2*")]
    return {
        (run["config"]["seed"], run["config"]["beta"], run["config"]["latent"]["dim"]): (
            run["metrics"],
            run["device"]["threads"],
        )
        for run in runs
    }


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("basic")
    sweep(folder, *GRID)
    return folder


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
def test_twenty_four_runs_are_the_same_under_every_launcher(one_by_one, tmp_path, launcher):
    needs(launcher)
    sweep(tmp_path, *GRID, f"hydra/launcher={launcher}")
    assert len(metrics(tmp_path)) == 24
    assert metrics(tmp_path) == metrics(one_by_one)
    assert len(table(tmp_path)) == 24
    assert table(tmp_path) == table(one_by_one)


def test_torch_has_its_share_of_the_cores_in_each_worker(tmp_path):
    needs("joblib")
    import joblib

    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        folder.mkdir()
        variables = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        words = ["-m", *TINY, "epochs=1", "seed=1,2", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
        subprocess.run(
            [sys.executable, "-m", "vae_lightning.train", *words],
            cwd=folder,
            env={**variables, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
        )
        threads = [record(run)["device"]["threads"] for run in (folder / "o" / "g").glob("2*")]
        assert threads == [max(1, joblib.cpu_count() // jobs)] * 2


# --- signals ---------------------------------------------------------------------------------------------------------


def begun(folder: Path, count: int) -> None:
    """Waits until as many runs have written their first epoch."""
    deadline = time.monotonic() + 240
    while len([*folder.glob("o/g/2*/curves/train_log.csv")]) < count and time.monotonic() < deadline:
        time.sleep(0.2)


def left(folder: Path) -> list[str]:
    """The processes that still work in a folder after two minutes. Agents of Ray look for their node now and then."""
    deadline = time.monotonic() + 120
    while (numbers := processes(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return [Path(f"/proc/{number}/cmdline").read_text().replace("\0", " ") for number in numbers]


@pytest.mark.parametrize("launcher", ["ray", "submitit_local"])
@pytest.mark.parametrize(
    ("number", "to"),
    [
        (signal.SIGTERM, "command"),
        (signal.SIGINT, "group"),
        (signal.SIGHUP, "group"),
        (signal.SIGKILL, "command"),
    ],
)
def test_a_signal_ends_a_sweep_in_order(tmp_path, launcher, number, to):
    """No process is left. Each run that began says `interrupted`; after SIGKILL those of Ray die with their node."""
    needs(launcher)
    process = start(tmp_path, *LONG, f"hydra/launcher={launcher}")
    begun(tmp_path, 2)
    (os.killpg if to == "group" else os.kill)(process.pid, number)
    said = process.communicate(timeout=120)[1]
    killed = number == signal.SIGKILL
    assert process.returncode == (-number if killed else 128 + number), said
    assert left(tmp_path) == []
    statuses = [record(run)["status"] for run in (tmp_path / "o" / "g").glob("2*")]
    assert len(statuses) >= 2
    assert set(statuses) == {"interrupted"} or (killed and launcher == "ray"), said
    assert "Traceback" not in said
    if not killed:
        assert f"error: stopped by {signal.Signals(number).name}" in said
        jobs = [json.loads(path.read_text())["status"] for path in tmp_path.glob("o/multirun/*/jobs/*.json")]
        assert set(jobs) == {"interrupted"}
    if not killed and launcher == "ray":
        assert "not started: job 2, job 3" in said


def run_of_job(folder: Path, number: int) -> Path:
    (path,) = folder.glob(f"o/multirun/*/jobs/{number:04d}.json")
    return path.parent / json.loads(path.read_text())["run"]


def test_a_worker_of_ray_that_is_killed_ends_the_sweep_in_order(tmp_path):
    needs("ray")
    process = start(tmp_path, *LONG, "hydra/launcher=ray")
    begun(tmp_path, 2)
    first, second = (run_of_job(tmp_path, number) for number in (0, 1))
    os.kill(int((first / ".lock").read_text().split()[0]), signal.SIGKILL)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 1, said
    assert "a worker of the launcher was killed" in said
    assert left(tmp_path) == []
    assert (record(first)["status"], record(second)["status"]) == ("running", "interrupted")


# --- clusters --------------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_sweep_on_a_cluster_of_two_nodes(tmp_path):
    """The documented commands of docs/clusters.md, with both nodes on this machine, started in another folder."""
    needs("ray")
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", "--disable-usage-stats"]
    address, token = f"127.0.0.1:{free_port()}", {"RAY_AUTH_TOKEN": "f" * 64}
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "token", **token}
    (tmp_path / "nodes").mkdir()
    nodes = []
    try:
        for words in (
            ["--head", f"--port={address.rpartition(':')[2]}", "--include-dashboard=false"],
            [f"--address={address}"],
        ):
            nodes.append(
                subprocess.Popen(
                    [*ray, *words], cwd=tmp_path / "nodes", env=variables, stdout=-3, stderr=-3, process_group=0
                )
            )
            time.sleep(10)
        folder = tmp_path / "sweep"
        folder.mkdir()
        words = ["epochs=1", "seed=1,2,3,4", "hydra/launcher=ray", f"hydra.launcher.ray.init.address={address}"]
        sweep(folder, *words, **token)
        assert len(metrics(folder)) == len(table(folder)) == 4
        assert {threads for _, threads in metrics(folder).values()} == {1}
        assert [path.name for path in (tmp_path / "nodes").iterdir()] == []
    finally:
        for node in nodes:
            os.killpg(node.pid, signal.SIGTERM)
            node.wait(timeout=60)


SBATCH = """#!{python}
import os, re, subprocess, sys
script = open(sys.argv[-1]).read()
last = int(re.search(r"--array=0-(\\d+)", script)[1])
one = {{"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_NTASKS": "1", "SLURM_NNODES": "1"}}
one |= {{"SLURM_JOB_NUM_NODES": "1", "SLURM_ARRAY_JOB_ID": "4242", "SLURM_JOB_NAME": "vae", "SLURM_NODELIST": "here"}}
run = "import os, subprocess, sys\\n"
run += "for i in range(int(sys.argv[2]) + 1):\\n"
run += "    own = {{**os.environ, 'SLURM_ARRAY_TASK_ID': str(i), 'SLURM_JOB_ID': str(4243 + i)}}\\n"
run += "    subprocess.run(['bash', sys.argv[1]], env=own)\\n"
command = [sys.executable, "-c", run, sys.argv[-1], str(last)]
subprocess.Popen(command, env={{**os.environ, **one}}, start_new_session=True, stdout=-3, stderr=-3)
print("Submitted batch job 4242")
"""
SRUN = """#!{python}
import subprocess, sys
words = sys.argv[1:]
while words[0].startswith("-"):
    words = words[1 if words[0] == "--unbuffered" or "=" in words[0] else 2:]
sys.exit(subprocess.run(words).returncode)
"""


def test_a_sweep_of_slurm_against_a_stand_in_of_sbatch(tmp_path):
    """Slurm itself was never run: `sbatch` here is a script that runs the array one task after the other."""
    needs("slurm")
    (tmp_path / "bin").mkdir()
    sacct = "#!/bin/sh\necho 'JobID|State|NodeList'\necho '4242_0|RUNNING|here'\n"
    for name, text in {"sbatch": SBATCH, "srun": SRUN, "sacct": sacct}.items():
        (tmp_path / "bin" / name).write_text(text.format(python=sys.executable) if name != "sacct" else text)
        (tmp_path / "bin" / name).chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    folder = tmp_path / "sweep"
    folder.mkdir()
    words = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.launcher.cpus_per_task=1"]
    process = start(folder, "epochs=1", "seed=1,2,3", *words, PATH=path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out[-1000:] + err[-2000:]
    assert len(metrics(folder)) == len(table(folder)) == 3
    scripts = [*folder.glob("o/multirun/*/.submitit/**/*submission*.sh")]
    assert scripts
    assert all("#SBATCH --partition=gpu" in script.read_text() for script in scripts)
    assert shutil.which("sbatch", path=path)
