"""What the page of a run shows, from a run that has just ended or from its folder. A living run stays as it is."""

import contextlib
import copy
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from torch import nn

from vae_lightning import checkpoint
from vae_lightning.app import build, restore
from vae_lightning.app.facts import facts_of_config
from vae_lightning.app.published import published_for
from vae_lightning.errors import DataError, UserError
from vae_lightning.model import Model
from vae_lightning.pages.explorer.explorer import all_finite, images_of
from vae_lightning.pages.run.page import Shown, write_run_page
from vae_lightning.runs.run import Run


def write_page(
    run: Run, module: Any = None, data: Any = None, data_dir: str | None = None, allow_targets: Sequence[str] = ()
) -> tuple[Path, UserError | None]:
    """Writes report.html. Returns its path and the error that kept the model away from the page, if there is one.

    The living `module` and `data` of a run that has just ended serve as they are. Without them, model and data are
    built from the run folder. Raises ConfigError for a part of a package that is not in `allow_targets`.
    """
    if module is None:
        restore.trusted_config(run, allow_targets)
    look, mistake = shown(run, module, data, data_dir, allow_targets)
    facts = {} if run.parts else facts_of_config(run.config)
    return write_run_page(run, look, facts, published_for(run)), mistake


def shown(
    run: Run, module: Any = None, data: Any = None, data_dir: str | None = None, allow_targets: Sequence[str] = ()
) -> tuple[Shown, UserError | None]:
    """What the explorer shows of a run, and the error that kept the model away from it, if there is one."""
    path: Any = run.newest_weights
    if module is None and path is None:
        return Shown(missing=(("no_checkpoint", {}),)), None
    try:
        model = (
            restore.load(run, run.checkpoint(), "cpu", allow_targets).model if module is None else living(run, module)
        )
    except UserError as error:
        return Shown(missing=(("bad_checkpoint", {"error": str(error)}),)), error
    if not all_finite(model):
        return Shown(missing=(("not_finite", {}),)), None
    weights = path.name if path else None
    try:
        images = images_of(data if data is not None else local_data(run, data_dir, allow_targets))
    except (UserError, OSError) as error:
        return Shown(model, weights, missing=(("no_data", {"error": str(error)}),)), None
    return Shown(model, weights, images), None


def living(run: Run, module: Any) -> Model:
    """A copy of a module's model on the CPU, with the weights of the run's checkpoint if it has one.

    Raises CheckpointError if the file is damaged or belongs to another model.
    """
    copied = {name: copy.deepcopy(getattr(module, name)) for name in ("network", "latent", "loss")}
    parts = nn.ModuleDict({name: part.cpu().float() for name, part in copied.items() if isinstance(part, nn.Module)})
    if run.newest_weights is not None:
        load_weights(parts, run.newest_weights)
    parts.eval()
    return Model(**copied)


def load_weights(parts: nn.ModuleDict, path: Path) -> None:
    """Loads the weights of those parts of a checkpoint that `parts` has. Raises CheckpointError if they do not fit."""
    state = {key: value for key, value in checkpoint.load(path)["state_dict"].items() if key.split(".")[0] in parts}
    checkpoint.check_fits({"state_dict": state}, parts, path)
    parts.load_state_dict(state)


def local_data(run: Run, data_dir: str | None, allow_targets: Sequence[str]) -> Any:
    """The run's data, from their old place or from `data_dir`, never from the network.

    Raises DataError if the data are gone or have changed.
    """
    config = restore.trusted_config(run, allow_targets)
    node = config.data
    if data_dir is not None:
        node.dir = data_dir
    if "mirrors" in build.arguments_of(get_class(node._target_)):
        node.mirrors = []
    if "allow_subset" in node:
        node.allow_subset = run.data.get("subset") is True
    with contextlib.redirect_stderr(io.StringIO()), restore.believed(run):  # the run has said that it is the subset
        data = build.data_module(node)
    if build.image_shape(data, node._target_) != restore.image_shape(run, config):
        raise DataError(f"{node.get('dir')}: the images there are not of the shape that the model takes")
    if run.data.get("sha256", {}) != build.described(data).get("sha256", {}):
        raise DataError(f"{node.get('dir')}: the data there are not those of the run, their checksums differ")
    return data
