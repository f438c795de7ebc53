"""What submitit and Ray need around a sweep: their jobs are no children of the command, and may be on other machines.

Imports neither torch nor Lightning, and submitit and Ray only where they launch.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.app.launchers import LOCAL, RAY, SLURM, kind
from vae_lightning.errors import CheckpointError, ConfigError, UserError
from vae_lightning.output import say
from vae_lightning.runs.files import LAUNCHER_LOCK, MULTIRUN
from vae_lightning.runs.jobs import STARTING, read_jobs
from vae_lightning.runs.lock import Lock
from vae_lightning.signals import HANGUP, SIGNALS

TIME_LIMIT = getattr(signal, "SIGUSR2", None)  # what submitit has Slurm send before the time limit; none on Windows
ANSWERS = 5.0  # seconds for an address to answer
LAST = 60.0  # seconds for the jobs of a sweep to end after a worker died
KEPT = ("VAE_LIGHTNING_DATA", "VAE_LIGHTNING_FULL_ERROR", "OMP_NUM_THREADS", "WANDB_MODE")  # for workers elsewhere


def before_launch(config: DictConfig, folder: Path) -> None:
    """Makes submitit or Ray ready for the jobs of the sweep in `folder`. Raises UserError where Ray does not answer."""
    launcher = kind(config.hydra.get("launcher"))
    if launcher in (LOCAL, SLURM):
        say(f"output of the jobs: {submitted(config)}")
    if launcher == LOCAL:
        stand_alone()
        folder.mkdir(parents=True, exist_ok=True)
        _locks.append(Lock(folder, LAUNCHER_LOCK))
        with suppress(CheckpointError):  # another command goes on with the same sweep
            _locks[-1].take()
    if launcher == RAY:
        start_ray(config.hydra.launcher.ray.init)


def after_launch(launcher: str, folder: Path, stop: Callable[[], None]) -> None:
    """Ends the jobs that still run when the command is over, which is so after a worker died.

    `stop` tells them. The end of the command ends Ray, so the jobs have a minute to leave their records.
    """
    while _locks:
        _locks.pop().release()
    if launcher == RAY and still_running(folder):
        stop()
        deadline = time.monotonic() + LAST
        while still_running(folder) and time.monotonic() < deadline:
            time.sleep(0.2)


def submitted(config: DictConfig) -> Path:
    """The folder that holds a folder for each job of submitit."""
    return Path(str(config.hydra.launcher.submitit_folder)).parent


def stand_alone() -> None:
    """Starts the local jobs of submitit in sessions of their own.

    The controller of a job answers Ctrl-C with SIGINT to the job and SIGKILL a second later, so it must not hear it.
    The command hears it, and its jobs hear of it from the folder of the sweep.
    """
    local: Any = import_module("submitit.local.local")

    local.subprocess = SimpleNamespace(
        **{**vars(subprocess), "Popen": partial(subprocess.Popen, start_new_session=True)}
    )


def start_ray(init: DictConfig) -> None:
    """Connects to Ray, before its launcher does.

    Ray takes SIGTERM for itself, so the handlers from before are put back. Its processes ignore SIGHUP, which a closed
    terminal would send to them as well. A cluster's workers are told the variables in KEPT.
    """
    options: Any = OmegaConf.to_container(init, resolve=True)
    address = options.get("address")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # lines of two jobs are not one line
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning in each job
    if address != "local":
        if has_token():  # Ray looks for it only where it finds the cluster itself
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        options = {key: value for key, value in options.items() if key not in ("object_store_memory", "num_cpus")}
        known = {name: os.environ[name] for name in KEPT if name in os.environ}
        options.setdefault("runtime_env", {"env_vars": known} if known else None)
        check_address(str(address))
    ray: Any = import_module("ray")
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        if HANGUP:
            signal.signal(HANGUP, signal.SIG_IGN)
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, TypeError) as error:
        line = " ".join(str(error).split())
        raise UserError(f"hydra.launcher.ray.init.address={address}: Ray does not start ({line})") from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def has_token() -> bool:
    """Whether this user has a token of Ray, which its clusters ask for (`ray get-auth-token --generate`)."""
    said = any(os.environ.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    return said or (Path.home() / ".ray" / "auth_token").is_file()


def check_address(address: str) -> None:
    """Raises UserError where nobody listens at HOST:PORT. Ray itself would ask for half a minute."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), ANSWERS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"hydra.launcher.ray.init.address={address}: no Ray answers there ({error}); start it: "
            "ray start --head --port=6379"
        ) from error


def stop_queue(config: DictConfig) -> None:
    """Takes the jobs that wait out of Slurm's queue. Those that run hear of the signal themselves."""
    if kind(config.hydra.launcher) != SLURM:
        return
    arrays = {path.name.partition("_")[0] for path in submitted(config).glob("[0-9]*")}
    with suppress(OSError):
        if arrays:
            subprocess.Popen(["scancel", "--state=PENDING", *sorted(arrays)])


def still_running(folder: Path) -> bool:
    """Whether a job of the sweep runs, whose run has begun."""
    runs = [job.run_folder for job in read_jobs(folder) if job.status == STARTING]
    return any(run is not None and Lock(run).held for run in runs)


@contextmanager
def inside(launcher: Any, folder: Path) -> Iterator[None]:
    """Runs a job in a process of submitit or Ray. Raises ConfigError where the folder of the sweep is not shared.

    A worker of Ray blocks SIGINT. At the time limit Slurm sends SIGUSR2, which stops a job as SIGTERM does.
    """
    if not (folder / MULTIRUN).is_file():
        raise ConfigError(
            f"{folder}: {socket.gethostname()} does not see what the command wrote there; all machines of a sweep must "
            "share project_dir, at the same path"
        )
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS) if hasattr(signal, "pthread_sigmask") else None
    before = None
    if TIME_LIMIT and kind(launcher) in (LOCAL, SLURM):
        before = signal.signal(TIME_LIMIT, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    try:
        yield
    finally:
        if before is not None:
            signal.signal(TIME_LIMIT, before)  # type: ignore[arg-type]
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def command_is_gone(launcher: Any, folder: Path) -> bool:
    """Whether the command that launched a local job of submitit has ended. A job of Slurm does not depend on it."""
    return kind(launcher) == LOCAL and not Lock(folder, LAUNCHER_LOCK).held


_locks: list[Lock] = []  # of the sweep that this process started, at most one
