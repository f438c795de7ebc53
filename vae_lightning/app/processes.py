"""The processes of one distributed run: what they share, and that they end together.

Lightning starts the other processes with the command line of the first one. Imports neither torch nor Lightning.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from vae_lightning.errors import ConfigError, Diverged, Interrupted
from vae_lightning.output import leave_to_the_first, warn
from vae_lightning.runs.lock import is_first_process

FIRST = "VAE_LIGHTNING_FIRST_PROCESS"  # tells the processes that Lightning starts the number of the one that does
LOOK = 0.5  # seconds between two looks at the first process
PATIENCE = 10.0  # seconds that a process has to end by itself
OBSERVER = "child-process-observer"  # Lightning's thread, which kills all processes once one has ended badly


def check_processes(trainer: Any, data: Any, in_sweep: bool) -> None:
    """Raises ConfigError for more processes than cores, for several in a sweep, and for a batch they cannot share."""
    world, cores = trainer.world_size, os.cpu_count() or 1
    if trainer.strategy.root_device.type == "cpu" and trainer.num_devices > cores:
        raise ConfigError(f"trainer.devices={trainer.num_devices}: this machine has {cores} cores")
    asked = f"trainer.devices={trainer.num_devices} trainer.num_nodes={trainer.num_nodes}"
    if in_sweep and (world > 1 or trainer.strategy.launcher is not None):
        raise ConfigError(
            f"{asked}: no run of several processes in a sweep, each of them would start the sweep anew; start each run "
            "by a command of its own, or give each job one process and run the jobs side by side: "
            "trainer=default hydra/launcher=joblib"
        )
    if world == 1:
        return
    size = getattr(data, "batch_size", None) if hasattr(data, "share") else None
    if size is None:
        warn(
            f"data: {type(data).__name__} has no method `share`, so each of the {world} processes takes whole batches, "
            "and Lightning repeats some images to fill them; the metrics count these twice"
        )
    elif size % world:
        raise ConfigError(
            f"batch_size={size}: {world} processes share each batch ({asked}); make it a multiple of {world}, such as "
            f"batch_size={max(1, round(size / world)) * world}"
        )


@contextmanager
def together(trainer: Any) -> Iterator[None]:
    """Ends the processes that Lightning started in the block with this one: none is left, and none kills this one.

    After an error they are asked to end, and killed if they do not.
    """
    if starts := trainer.strategy.launcher is not None and "LOCAL_RANK" not in os.environ:
        os.environ[FIRST] = str(os.getpid())
    processes: list[subprocess.Popen] = []
    try:
        yield
    except BaseException:
        processes = started(trainer)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        raise
    finally:
        leave_group()
        end(processes or started(trainer))
        if starts:
            os.environ.pop(FIRST, None)


def started(trainer: Any) -> list[subprocess.Popen]:
    """The processes that Lightning started for a run. Its observer looks at them no more."""
    for thread in threading.enumerate():
        if thread.name == OBSERVER:
            thread._child_processes = []  # type: ignore[attr-defined]  # it ends at its next look
    return list(getattr(trainer.strategy.launcher, "procs", ()))


def leave_group() -> None:
    """Closes the connections to the other processes. gloo's threads would else abort the process at its end.

    Lightning itself does this for NCCL.
    """
    distributed = sys.modules["torch"].distributed
    if distributed.is_available() and distributed.is_initialized() and distributed.get_backend() == "gloo":
        distributed.destroy_process_group()


def end(processes: Sequence[subprocess.Popen]) -> None:
    """Waits for the processes, and kills those that do not end."""
    until = time.monotonic() + PATIENCE
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
        if process.poll() is None:
            process.kill()
            process.wait()


def told_by_first(mistake: Exception) -> bool:
    """Whether this process is not the first of its run, and the first one ends by the same error and says so."""
    return isinstance(mistake, Diverged | Interrupted) and not is_first_process()


def follow_first() -> None:
    """Prepares a process that is not the first of its run: it prints errors only, and ends with the first one.

    Where Lightning started it, it ends some seconds after the first process, which was perhaps killed.
    """
    leave_to_the_first()
    first = os.environ.get(FIRST, "")
    if first.isdecimal():
        threading.Thread(target=end_after, args=[int(first)], daemon=True).start()


def end_after(first: int) -> None:
    """Ends this process once another process is its parent."""
    while os.getppid() == first:
        time.sleep(LOOK)
    time.sleep(PATIENCE)
    os._exit(128 + signal.SIGTERM)
