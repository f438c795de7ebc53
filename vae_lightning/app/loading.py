"""A trained model from the place where it lies: a run folder, a checkpoint, or a folder that `export` wrote."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf

from vae_lightning import checkpoint
from vae_lightning.app import build, restore
from vae_lightning.app.trust import ALLOWED, check_targets
from vae_lightning.data.protocol import OF_BYTES, PROTOCOLS
from vae_lightning.data.standard import Standard
from vae_lightning.errors import CheckpointError, ConfigError, UserError
from vae_lightning.formats import STANDARD, check_installed, kept, weights
from vae_lightning.module import VAE
from vae_lightning.runs.configuration import at
from vae_lightning.runs.files import CHECKPOINTS
from vae_lightning.runs.folder import resolved
from vae_lightning.runs.named import is_run
from vae_lightning.runs.readings import finite
from vae_lightning.runs.regular import json_of
from vae_lightning.runs.run import Run, open_run

OF_THE_MODULE = ("network", "latent", "loss", "bound", "optimizer", "lr_schedule", "beta", "seed", "reduction")


@dataclass(frozen=True)
class Trained:
    """A module in evaluation mode, and its run where it lies in one. `config` is what the module was built from.

    `standard` says how the vectors that it was trained on were standardised; None if they were not.
    """

    module: VAE
    place: Path
    run: Run | None = None
    config: Mapping[str, Any] | None = None
    standard: Standard | None = None

    @property
    def image_shape(self) -> list[int]:
        """[C, H, W] of the images that the model takes. Raises CheckpointError if nothing says it."""
        if self.run is not None:
            return restore.image_shape(self.run, OmegaConf.create(dict(self.config or {})))
        shape = getattr(self.module.network, "image_shape", None) or (self.config or {}).get("image_shape")
        if not shape:
            raise CheckpointError(f"{self.place}: it does not say the shape of its images; name the run folder")
        return list(shape)

    @property
    def protocol(self) -> str:
        """How pixels became x in training, a key of PROTOCOLS; "grey" if nothing says it."""
        said = (self.run.data.get("protocol") if self.run else None) or at(self.config, "data.protocol")
        said = said or (self.config or {}).get("protocol")
        return said if isinstance(said, str) and said in PROTOCOLS else "grey"

    @property
    def scale(self) -> float | None:
        """What `data=arrays` divided all numbers by in training, `data.scale`; None where pixels are bytes over 255."""
        own = at(self.config, "data.scale" if self.run and self.run.data.get("name") == "arrays" else "scale")
        return None if self.protocol in OF_BYTES else finite(own) or None


def load(path: str | os.PathLike[str], device: str = "cpu", allow_targets: Sequence[str] = ()) -> VAE:
    """The VAE of a run folder, of a checkpoint, or of a folder of `export format=safetensors` or `hub`.

    The VAE is in evaluation mode on the device. `allow_targets` names the packages of parts of your own, as for the
    commands. Raises ConfigError if there is no model, CheckpointError if it is damaged.
    """
    return trained(path, device, allow_targets).module


def trained(
    path: str | os.PathLike[str], device: str = "cpu", allow_targets: Sequence[str] = (), asked: str | None = None
) -> Trained:
    """The model of a place; of a run folder the best checkpoint, else the last one, or the checkpoint `asked` for."""
    place = resolved(path)
    if kept(place) and not is_run(place):
        if asked:
            raise ConfigError(f"checkpoint={asked}: {place} is an exported model, which has one file of weights")
        return of_folder(place, device, allow_targets)
    if not place.is_file():
        return of_run(open_run(path), asked, device, allow_targets)
    home = place.absolute().parent
    if home.name == CHECKPOINTS and is_run(home.parent):
        return of_run(open_run(home.parent), str(place), device, allow_targets)
    content = checkpoint.load(place)
    module = described(content.get("hyper_parameters"), place)
    checkpoint.check_fits(content, module, place)
    return Trained(ready(module, content["state_dict"], device), place, standard=Standard.in_checkpoint(content))


def of_run(run: Run, asked: str | None, device: str, allow_targets: Sequence[str]) -> Trained:
    """The model of a run folder."""
    path = run.checkpoint(asked)
    content = checkpoint.load(path)
    module = restore.module_of(run, content, path, device, allow_targets)
    config: Any = OmegaConf.to_container(restore.trusted_config(run, allow_targets))
    return Trained(module, path, run, config, Standard.in_checkpoint(content))


def of_folder(folder: Path, device: str, allow_targets: Sequence[str]) -> Trained:
    """The model of an exported folder. Parts of one's own are built from the configuration that the folder keeps."""
    check_installed("safetensors")
    said, state = weights(folder)
    config = said.get("vae_lightning")
    if isinstance(config, dict) and config.get("image_shape"):
        check_targets({part: config.get(part) for part in OF_THE_MODULE}, [*ALLOWED, *allow_targets])
        made: DictConfig = OmegaConf.create(config)
        module = built(lambda: build.vae(made, config["image_shape"]), folder)
    else:
        config, module = None, described(said, folder)
    shared = {key: tensor.data_ptr() for key, tensor in module.state_dict().items()}
    for key in shared.keys() - state.keys():  # a tensor with two names is saved once
        twin = next((name for name in state if shared.get(name) == shared[key] != 0), None)
        state |= {key: state[twin]} if twin else {}
    checkpoint.check_fits({"state_dict": state}, module, folder)
    path = folder / STANDARD
    standard = Standard.in_json(json_of(path)) if path.is_file() else None
    return Trained(ready(module, state, device), folder, config=config, standard=standard)


def described(parts: Any, place: Path) -> VAE:
    """The VAE of the descriptions of its parts, with random weights."""
    if not isinstance(parts, Mapping) or not parts.get("network"):
        raise CheckpointError(f"{place}: it does not describe a VAE of this package; name the run folder")
    return built(lambda: VAE(**{key: parts[key] for key in OF_THE_MODULE if key in parts}), place)


def built(make: Any, place: Path) -> VAE:
    """The module that `make` returns. Raises CheckpointError if what the place says cannot be built."""
    try:
        with isolate_rng():
            return make()
    except (*restore.UNBUILT, ImportError) as error:
        if isinstance(error, UserError):
            raise
        raise CheckpointError(f"{place}: it describes no model ({checkpoint.first_line(error)})") from error


def ready(module: VAE, state: Mapping[str, Any], device: str) -> VAE:
    """The module with its weights, in evaluation mode on the device."""
    module.load_state_dict(dict(state))
    return module.to(restore.torch_device(device)).eval()
