"""From a run folder back to its model and its data, for a page. Everything is a copy: a living run stays as it is."""

import contextlib
import copy
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import OmegaConf
from torch import nn

from vae_lightning import checkpoint
from vae_lightning.bound import Model
from vae_lightning.errors import DataError, UserError
from vae_lightning.pages.explorer.explorer import all_finite, images_of
from vae_lightning.pages.run.page import Shown
from vae_lightning.runs.readings import mapping
from vae_lightning.runs.run import Run
from vae_lightning.targets import ALLOWED, check_targets

PARTS = ("network", "latent", "loss", "bound", "optimizer")
LOCAL = (".Folder", ".Subset")  # sources that need no network


def shown(
    run: Run, module: Any = None, data: Any = None, data_dir: str | None = None, allow_targets: Sequence[str] = ()
) -> tuple[Shown, UserError | None]:
    """What the page shows of a run, and the error that kept the model away from it, if there is one.

    The living `module` and `data` of a run that has just ended serve as they are. Without them, model and data are
    built from the run folder; a part or data set of one's own needs its package in `allow_targets`.
    """
    if module is None and run.newest_weights is None:
        return Shown(missing=(("no_checkpoint", {}),)), None
    try:
        model, weights = living(run, module) if module is not None else restored(run, allow_targets)
    except UserError as error:
        return Shown(missing=(("bad_checkpoint", {"error": str(error)}),)), error
    if not all_finite(model):
        return Shown(missing=(("not_finite", {}),)), None
    try:
        images = images_of(data if data is not None else data_of(run, data_dir, allow_targets))
    except (UserError, OSError) as error:
        return Shown(model, weights, missing=(("no_data", {"error": str(error)}),)), None
    return Shown(model, weights, images), None


def living(run: Run, module: Any) -> tuple[Model, str | None]:
    """A copy of a module's model on the CPU, with the weights of the run's checkpoint if it has one, and its name.

    Raises CheckpointError if the file is damaged or belongs to another model.
    """
    parts = nn.ModuleDict({"network": copy.deepcopy(module.network).cpu().float()})
    loss = copy.deepcopy(module.loss)
    if isinstance(loss, nn.Module):
        parts["loss"] = loss.cpu()
    path = run.newest_weights
    if path is not None:
        load_weights(parts, path)
    parts.eval()
    return Model(parts["network"], module.latent, loss), path.name if path else None  # type: ignore[arg-type]


def restored(run: Run, allow_targets: Sequence[str]) -> tuple[Model, str]:
    """The model of the run's newest weights, and the name of their file. The random numbers stay as they are."""
    path = run.checkpoint()
    with isolate_rng():  # the weights of new parts are random at first
        return model_of(run, path, allow_targets), path.name


def model_of(run: Run, path: Path, allow_targets: Sequence[str] = ()) -> Model:
    """The model of a run with the weights of a checkpoint, on the CPU.

    It is built from the run's configuration. Raises ConfigError for a class outside the allowed packages,
    CheckpointError for a file that is damaged or belongs to another model.
    """
    from vae_lightning.evaluate import load
    from vae_lightning.train import vae

    parts = {part: run.config.get(part) for part in PARTS}
    check_targets(parts, [*ALLOWED, *allow_targets])
    if all(str(mapping(part).get("_target_")).startswith("vae_lightning.") for part in parts.values()):
        return load(path, "cpu").model
    module = vae(OmegaConf.create(run.config))
    load_weights(module, path)
    return module.eval().model


def load_weights(parts: nn.Module, path: Path) -> None:
    """Loads the weights of those parts of a checkpoint that `parts` has. Raises CheckpointError if they do not fit."""
    names = dict(parts.named_children())
    state = {key: value for key, value in checkpoint.load(path)["state_dict"].items() if key.split(".")[0] in names}
    checkpoint.check_fits({"state_dict": state}, parts, path)
    parts.load_state_dict(state)


def data_of(run: Run, data_dir: str | None = None, allow_targets: Sequence[str] = ()) -> Any:
    """The run's data, from their old place or from `data_dir`, never from the network.

    Raises ConfigError for a class outside the allowed packages, DataError if the data are gone or have changed.
    """
    from vae_lightning.train import data_module

    node = copy.deepcopy(dict(mapping(run.config.get("data"))))
    check_targets({"data": node}, ["vae_lightning.data.", *allow_targets])
    if data_dir is not None:
        node["dir"] = data_dir
    if "sources" in node:
        node["sources"] = {k: v for k, v in node["sources"].items() if str(v["_target_"]).endswith(LOCAL)}
    if "allow_subset" in node:
        node["allow_subset"] = bool(run.data.get("subset"))
    with contextlib.redirect_stderr(io.StringIO()):  # the run has said that it is the subset
        data = data_module(OmegaConf.create({"data": node}))
    if run.data.get("sha256") != data.describe().get("sha256"):  # type: ignore[attr-defined]
        raise DataError(f"{node.get('dir')}: the data there are not those of the run, their checksums differ")
    return data
