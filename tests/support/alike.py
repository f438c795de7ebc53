"""Whether two runs are the same run, bit for bit."""

import json
from pathlib import Path

import torch

from vae_lightning import checkpoint


def tensors(node, path: str = "") -> dict[str, torch.Tensor | float | str]:
    """Everything in a checkpoint that training produced, flat."""
    if isinstance(node, dict):
        return {k: v for key, value in node.items() for k, v in tensors(value, f"{path}.{key}").items()}
    if isinstance(node, list | tuple):
        return {k: v for i, value in enumerate(node) for k, v in tensors(value, f"{path}.{i}").items()}
    return {path: node}


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, optimiser, schedulers and counts of the last checkpoint; the curves; the final metrics."""
    first, second = (checkpoint.load(run / "checkpoints" / "last.ckpt") for run in (one, other))
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch"):
        flat, again = tensors({part: first[part]}), tensors({part: second[part]})
        assert list(flat) == list(again)
        for key, value in flat.items():
            assert torch.equal(value, again[key]) if isinstance(value, torch.Tensor) else value == again[key], key
    for curve in ("train_log.csv", "latent_usage.csv"):
        assert (one / "curves" / curve).read_text() == (other / "curves" / curve).read_text()
    metrics = [json.loads((run / "run_meta.json").read_text())["metrics"] for run in (one, other)]
    assert metrics[0] == metrics[1]
