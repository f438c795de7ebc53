"""Who orders real runs in processes of their own from `nursery.py`, and looks at what they left."""

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import NO_NETWORK, ROOT

WORDS = ["network.hidden=[16]", "latent.dim=3", "loss=bce_logits", "data.protocol=dynamic", "optimizer.final_lr=1e-4"]
WORDS += ["callbacks.latent_traversal.rows=2", "callbacks.sample_grid.num_images=4", "project_dir=o", *NO_NETWORK]


class Nursery:
    """Orders to `nursery.py`, which runs for as long as the module's tests."""

    def __init__(self, data: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "VAE_LIGHTNING_DATA": str(data)}
        if Path("/dev/shm").is_dir():  # another file system, which the stock checkpoint writer goes through
            environment["TMPDIR"] = "/dev/shm"
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "support" / "nursery.py")],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready\n"

    def __call__(self, cwd: Path, *arguments: str, **order) -> dict[str, float]:
        order = {"cwd": str(cwd), "arguments": list(arguments), **order}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self._read())

    def _read(self) -> str:
        return self.process.stdout.readline()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def run_of(folder: Path) -> Path:
    """The newest run of the group."""
    return folder / "o" / "g" / os.readlink(folder / "o" / "g" / "latest")


def log(folder: Path) -> str:
    return (folder / "log.txt").read_text()
