"""A process that has imported everything and forks a child for each run: a second instead of ten, and a real SIGKILL.

Reads one JSON order per line, answers with one: {"status": exit status or -signal, "calls": input/output calls seen,
"seconds": from the signal to the end}.
Run by `Nursery`. Nothing of the package is replaced, except by orders for negative controls, and by `strike_in`:
[function, signal, before], which sends a signal in the first call of that function. With a fourth entry, the
error of the signal is `dropped` there, as other people's code does, or `replaced` by an error of another type.
"""

import io
import json
import os
import resource
import signal
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch

torch.set_num_threads(1)
# all of them before the first fork, also those that only the children's runs use
from vae_lightning import callbacks, checkpoint, evaluate, module, train  # noqa: E402, F401
from vae_lightning.app import fit, prepare, resume  # noqa: E402, F401
from vae_lightning.pages.run import page  # noqa: E402, F401
from vae_lightning.runs import atomic  # noqa: E402

CALLS = {"open", "write", "close", "flush", "replace", "fsync", "symlink", "link", "unlink", "mkdir", "rmdir"}
CALLS |= {"truncate", "__exit__"}


def live(order: dict[str, Any], counter: int, output: int) -> None:
    """The child: becomes what the order says, and never returns."""
    os.chdir(order["cwd"])
    os.dup2(output, 1)
    os.dup2(output, 2)
    if "limit" in order:  # a disk that takes files of so many bytes
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["limit"], order["limit"]))
    if order.get("control") == "in place":
        beside = atomic.temporary_for  # a link cannot be written in place; test_run_folder.py has its control
        atomic.temporary_for = lambda path: beside(path) if path.name == "latest" else path
    kill_at, calls = order.get("kill_at"), 0

    def watch(frame: Any, event: str, function: Any) -> None:
        nonlocal calls
        if event != "c_call" or function.__name__ not in CALLS or "importlib" in frame.f_code.co_filename:
            return
        if getattr(function, "__module__", "") in ("posix", "_io", "io") or isinstance(function.__self__, io.IOBase):
            calls += 1
            if calls == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    if "strike_in" in order:
        strike(*order["strike_in"])
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if kill_at is not None:
            sys.setprofile(watch)
        JOBS[order.get("job", "train")](order)
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    except KeyboardInterrupt:  # before the first line of the command: what Python itself does
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        sys.setprofile(None)
        os.write(counter, str(calls).encode())
        sys.stdout.flush()
        os._exit(status)


def strike(name: str, number: int, before: bool, fate: str = "") -> None:
    """Sends this process a signal in the first call of a function: `app.fit.write_report`, `module.VAE.test_step`."""
    *path, function = name.split(".")
    holder: Any = sys.modules["vae_lightning"]
    for part in path:
        holder = getattr(holder, part)
    original, left = getattr(holder, function), [number]

    def struck_once(*arguments: Any, **options: Any) -> Any:
        if before and left:
            send()
        result = original(*arguments, **options)
        if left:
            send()
        return result

    def send() -> None:
        with suppress(Exception) if fate == "dropped" else nullcontext():
            try:
                os.kill(os.getpid(), left.pop())
            except Exception:
                if fate == "replaced":
                    raise LookupError("unknown encoding: ascii") from None
                raise

    setattr(holder, function, struck_once)


def run_command(order: dict[str, Any]) -> None:
    sys.argv = ["vae", *order["arguments"]]
    train.main()


def save_for_ever(order: dict[str, Any]) -> None:
    """One 20 MB checkpoint after the other over the same file; each holds its number, many times."""
    io_plugin: Any = checkpoint.WholeCheckpointIO()
    if order.get("control") == "stock":
        from lightning.fabric.plugins.io import TorchCheckpointIO

        io_plugin = TorchCheckpointIO()
    number = 0
    while True:
        number += 1
        state = {"pytorch-lightning_version": "2.6.6", "weights": torch.full((5_000_000,), float(number))}
        io_plugin.save_checkpoint(state, Path("last.ckpt"))


def fetch(order: dict[str, Any]) -> None:
    """The four files, stored as a source stores what it has downloaded."""
    from vae_lightning.data.idx import NAMES, unpack
    from vae_lightning.data.mirrors import store
    from vae_lightning.data.sources import SUBSET, shipped_files

    for part, name in NAMES.items():
        store(unpack(SUBSET / f"{name}.gz", 2**26), shipped_files().checksum(part), Path("data/MNIST/raw") / name)


JOBS = {"train": run_command, "save": save_for_ever, "fetch": fetch}


def raise_child(order: dict[str, Any]) -> dict[str, float]:
    """Forks, kills after the time ordered, and says how the child ended."""
    seen, counter = os.pipe()
    log = Path(order["cwd"]) / "log.txt"
    spoken, output = os.pipe() if "limit" in order else (0, os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    child = os.fork()
    if child == 0:
        live(order, counter, output)
    os.close(counter)
    os.close(output)
    if spoken:  # the limit would be the log's, too
        with os.fdopen(spoken) as pipe:
            log.write_text(pipe.read())
    if order.get("kill_after") is not None:
        deadline = time.monotonic() + order["kill_after"]
        while time.monotonic() < deadline and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.005)
        os.kill(child, order.get("signal", signal.SIGKILL))
    asked = time.monotonic()
    _, ended = os.waitpid(child, 0)
    with os.fdopen(seen) as pipe:
        calls = int(pipe.read() or 0)
    return {"status": os.waitstatus_to_exitcode(ended), "calls": calls, "seconds": time.monotonic() - asked}


if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(raise_child(json.loads(line))), flush=True)
