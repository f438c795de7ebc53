"""Run folders as the program writes them, without training: for the pages of sweeps."""

import copy
import csv
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conftest import config
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from vae_lightning.app.facts import PARTS, facts_of
from vae_lightning.app.trust import located
from vae_lightning.callbacks import pictures
from vae_lightning.callbacks.curve_log import COLUMNS

SUBSET = {"train_images": "36cb", "train_labels": "6bf0", "test_images": "b97c", "test_labels": "41cf"}


@cache
def composed(*overrides: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A plain configuration, and the facts that a run of it records. Both are cached: composing takes a while."""
    cfg = config(*overrides)
    choices = HydraConfig.get().runtime.choices
    cfg.run_dir, cfg.data.dir = "RUN_DIR", "data"  # whatever folder the first test has
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    return plain, facts_of(plain, choices, {name: located(plain[name]["_target_"], name) for name in PARTS})


def made_config(folder: Path, options: tuple[str, ...], values: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a run in `folder`: `options` are composed, `values` are root keys and what follows them."""
    made = json.loads(json.dumps(copy.deepcopy(composed(*options)[0])).replace("RUN_DIR", str(folder)))
    made |= {"run_dir": str(folder), "group": folder.parent.name, "name": folder.name, **values}
    if "beta" in values:
        made["schedule"]["beta"] = made["callbacks"]["beta_annealing"]["schedule"]["beta"] = values["beta"]
    if "seed" in values:
        made["data"]["seed"] = values["seed"]
    return made


def make_run(
    folder: Path,
    *options: str,
    status: str = "completed",
    elbo: float = -110.0,
    kl: float = 20.0,
    epochs: int = 5,
    picture: bool = False,
    data: dict[str, Any] | None = None,
    said: tuple[str, ...] | None = None,
    error: str | None = None,
    facts: bool = True,
    **values: Any,
) -> Path:
    """A run folder whose test ELBO is `elbo` if it completed; its validation ELBO rises to one nat below that.

    Without `facts` the record is that of version 0.1: no options, no facts of the parts.
    """
    made = made_config(folder, options, values)
    metrics = {f"val/{key}": value for key, value in terms(elbo - 1, kl).items()} | {"active_units": 2.0, "beta": 1.0}
    if status == "completed":
        metrics |= {f"test/{key}": value for key, value in terms(elbo, kl).items()}
    protocol = made["data"].get("protocol", "grey")
    about = {"name": "mnist", "protocol": protocol, "source": "bundled subset", "subset": True, "sha256": SUBSET}
    meta = {
        "status": status,
        "config": made,
        "overrides": list(
            said if said is not None else (*options, *(f"{key}={value}" for key, value in values.items()))
        ),
        "seed": made["seed"],
        "data": {**about, **(data or {})},
        "epochs_done": epochs,
        "metrics": metrics,
        "seconds": 12.5,
        **(composed(*options)[1] if facts else {}),
        **({"error": error} if error else {}),
    }
    (folder / "curves").mkdir(parents=True)
    (folder / "run_meta.json").write_text(json.dumps(meta), encoding="utf-8")
    write_curves(folder, elbo, kl, epochs)
    if picture:
        draw_samples(folder, seed=made["seed"])
    return folder


def terms(elbo: float, kl: float) -> dict[str, float]:
    """ELBO = -(recon + KL)."""
    return {"elbo": elbo, "recon": -elbo - kl, "kl": kl}


def write_curves(folder: Path, elbo: float, kl: float, epochs: int) -> None:
    """train_log.csv with the columns of CurveLog."""
    with (folder / "curves" / "train_log.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", *COLUMNS], lineterminator="\n", restval="1")
        writer.writeheader()
        for epoch in range(1, epochs + 1):
            found = {f"val_{key}": value for key, value in terms(elbo - 1 - 40 * (1 / epoch - 1 / epochs), kl).items()}
            writer.writerow({"epoch": epoch, **found})


def draw_samples(folder: Path, seed: int = 0) -> None:
    """A sample grid as SampleGrid writes it, of blots."""
    noise = np.random.default_rng(seed)
    axis = np.arange(28)
    centres, width = noise.uniform(8, 20, (64, 2)), noise.uniform(3, 6, 64)
    blots = [
        np.exp(-(((axis[:, None] - y) ** 2 + (axis - x) ** 2) / w**2)) for (y, x), w in zip(centres, width, strict=True)
    ]
    blots = np.array(blots) + noise.normal(0, 0.1, (64, 28, 28))  # else they are smaller files than digits are
    image = pictures.captioned(pictures.grid(torch.tensor(blots)[:, None], 8), "E[x|z], z ~ p(z) · epoch 5")
    (folder / "samples").mkdir(exist_ok=True)
    image.save(folder / "samples" / "epoch_0005.png")


def make_sweep(group: Path, betas=(0.5, 1.0, 2.0, 4.0), dims=(2, 20), seeds=(1, 2, 3), **more: Any) -> list[Path]:
    """beta x latent dimensions x seeds, with a plausible trade-off of recon and KL."""
    runs = []
    for dim in dims:
        for beta in betas:
            for seed in seeds:
                kl = (6 if dim == 2 else 24) / beta**0.5 + 0.05 * seed
                elbo = -(150 if dim == 2 else 105) - 4 * abs(np.log2(beta)) - 0.1 * seed
                name = f"20260101-{len(runs) + 1:03d}-seed{seed}"
                said = (f"beta={beta:g}", f"latent=z{dim}", f"seed={seed}")
                made = make_run(
                    group / name, f"latent=z{dim}", elbo=elbo, kl=kl, beta=beta, seed=seed, said=said, **more
                )
                runs.append(made)
    os.makedirs(group, exist_ok=True)
    if runs and not (group / "latest").exists():
        (group / "latest").symlink_to(runs[-1].name)
    return runs


def evaluate(run: Path, nll: float, num_samples: int = 500, num_images: int = 1000, **more: Any) -> Path:
    """Gives a run the evaluation.json that `evaluate` would write, of the checkpoint with the digest `d`."""
    meta = json.loads((run / "run_meta.json").read_text(encoding="utf-8"))
    data = meta["data"]
    about = {"data": data["name"], "protocol": data["protocol"], "subset": data["subset"], "split": "test", "seed": 0}
    about |= {"num_images": num_images, "data_sha256": "x", "checkpoint": "best.ckpt", "checkpoint_sha256": "d", **more}
    numbers = {**terms(-nll - 1, 20.0), "nll": nll}
    rows = [
        {"name": name, "value": value, "unit": "nats", "num_samples": None if name == "kl" else num_samples, **about}
        for name, value in numbers.items()
    ]
    (run / "evaluation.json").write_text(json.dumps({"results": rows}), encoding="utf-8")
    (run / "checkpoints").mkdir(exist_ok=True)
    (run / "checkpoints" / "best.ckpt.sha256").write_text("d  best.ckpt\n")
    return run
