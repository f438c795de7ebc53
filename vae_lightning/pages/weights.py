"""A run's model and data, to look at: copies, so that nothing of a living run is touched."""

import contextlib
import copy
import io
from typing import Any

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import OmegaConf
from torch import nn

from vae_lightning.errors import CheckpointError, DataError
from vae_lightning.runs.run import Run
from vae_lightning.targets import check_targets

LOCAL = (".Folder", ".Subset")  # sources that need no network


def model_of(run: Run, module: Any = None) -> tuple[Model, str | None]:
    """The run's model on the CPU, and the checkpoint its weights are from: the best, else the last.

    With a living `module`, its weights where there is no checkpoint (then None). Raises CheckpointError where there is
    neither, or where the file is damaged or of another model.
    """
    from vae_lightning.evaluate import load

    path = run.newest_weights
    if module is None:
        if path is None:
            raise CheckpointError(f"{run.path}: it holds no checkpoint")
        with isolate_rng():  # parts are made with random weights first
            return load(path, "cpu").model, path.name
    parts = nn.ModuleDict({"network": copy.deepcopy(module.network).cpu().float()})
    loss = copy.deepcopy(module.loss)
    if isinstance(loss, nn.Module):
        parts["loss"] = loss.cpu()
    if path is not None:
        from vae_lightning import checkpoint

        content = checkpoint.load(path)
        wanted = {key: value for key, value in content["state_dict"].items() if key.split(".")[0] in parts}
        checkpoint.check_fits({"state_dict": wanted}, parts, path)
        parts.load_state_dict(wanted)
    parts.eval()
    return Model(parts["network"], module.latent, loss), path.name if path else None  # type: ignore[arg-type]


def data_of(run: Run, data_dir: str | None = None) -> Any:
    """The run's data, from where they were or from `data_dir`; never from the network.

    Raises DataError where they are not there any more, or are others now.
    """
    from vae_lightning.train import data_module

    saved = OmegaConf.to_container(OmegaConf.create(run.config["data"]))
    check_targets(saved, ["vae_lightning.data."])
    node: dict[str, Any] = dict(saved)  # type: ignore[arg-type]
    if data_dir is not None:
        node["dir"] = data_dir
    if "sources" in node:
        node["sources"] = {k: v for k, v in node["sources"].items() if str(v["_target_"]).endswith(LOCAL)}
    before = run.record.get("data") or {}
    if "allow_subset" in node:
        node["allow_subset"] = bool(before.get("subset"))
    with contextlib.redirect_stderr(io.StringIO()):  # the run has said that it is the subset
        data = data_module(OmegaConf.create({"data": node}))
    if before.get("sha256") != data.describe().get("sha256"):  # type: ignore[attr-defined]
        raise DataError(f"{node.get('dir')}: the data there are not those of the run, their checksums differ")
    return data


@torch.no_grad()
def finite(model: Model) -> bool:
    """Whether every weight is a number; after a divergence it may not be."""
    return all(bool(each.isfinite().all()) for each in model.network.parameters())  # type: ignore[attr-defined]
