"""What a record says of the machine and of the program: device, versions, git revision."""

import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch

from vae_lightning.version import installed

PACKAGES = (
    "vae-lightning",
    "torch",
    "torchvision",
    "lightning",
    "hydra-core",
    "omegaconf",
    "numpy",
    "matplotlib",
    "wandb",
)


def device(trainer: pl.Trainer) -> dict[str, Any]:
    """The device that the run uses, which may differ from the one in the configuration."""
    root = trainer.strategy.root_device
    name = torch.cuda.get_device_name(root) if root.type == "cuda" else processor()
    facts = {"accelerator": root.type, "name": name, "devices": trainer.num_devices, "nodes": trainer.num_nodes}
    return {**facts, "precision": str(trainer.precision), "threads": torch.get_num_threads()}


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, UnicodeError):
        return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """The versions of Python, of the system, and of the packages that are installed."""
    return {"python": platform.python_version(), "platform": platform.platform(), **installed(PACKAGES)}


def git_revision() -> dict[str, Any] | None:
    """The commit of the running program, and whether its files differ from it; None outside a checkout."""
    program = getattr(sys.modules["__main__"], "__file__", None)
    folder = Path(program).resolve().parent if program else Path.cwd()

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, check=True, timeout=10)
        return done.stdout.decode("utf-8", "replace").strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain", "-uno"))}
    except (OSError, subprocess.SubprocessError):
        return None
