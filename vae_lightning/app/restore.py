"""From a run folder back to its model and its data."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from hydra.errors import HydraException
from hydra.utils import get_class
from lightning.pytorch.utilities.seed import isolate_rng
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from vae_lightning import checkpoint
from vae_lightning.app import build, older
from vae_lightning.app.trust import ALLOWED, check_targets
from vae_lightning.callbacks.foreign import encodes
from vae_lightning.errors import CheckpointError, ConfigError, UserError
from vae_lightning.evaluation.result import Source
from vae_lightning.module import VAE
from vae_lightning.output import warn
from vae_lightning.runs.configuration import at
from vae_lightning.runs.digest import sha256
from vae_lightning.runs.readings import sequence, text
from vae_lightning.runs.run import Run

UNBUILT = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RuntimeError)
PARTS = ("network", "latent", "loss", "bound", "optimizer", "lr_schedule", "data", "paper")


def trusted_config(run: Run, allow_targets: Sequence[str]) -> DictConfig:
    """The run's configuration in today's words.

    Raises CheckpointError where the record is damaged, ConfigError for a class of a package that is not allowed.
    """
    config = older.config_of(run)
    check_targets({part: config.get(part) for part in PARTS}, [*ALLOWED, *allow_targets])
    made: DictConfig = OmegaConf.create(config)
    return made


def load(run: Run, path: Path, device: str, allow_targets: Sequence[str] = ()) -> VAE:
    """The run's module with the weights of a checkpoint, in evaluation mode on the device.

    The parts are built from the run's configuration: a part of the user's own is as good as one of this package.
    Raises CheckpointError where the file is damaged or of another model, ConfigError where there is no such device.
    """
    return module_of(run, checkpoint.load(path), path, device, allow_targets)


def module_of(run: Run, content: dict[str, Any], path: Path, device: str, allow_targets: Sequence[str]) -> VAE:
    """The module of `load` from the content of the checkpoint `path`."""
    config, place = trusted_config(run, allow_targets), torch_device(device)
    with believed(run), isolate_rng():  # new parts draw random weights
        module = build.vae(config, image_shape(run, config))
    checkpoint.check_fits(content, module, path)
    module.load_state_dict(content["state_dict"])
    if not encodes(module):
        warn(f"{type(module).__name__} trains no encoder: codes, ELBO and NLL come from random weights")
    return module.to(place).eval()


@contextmanager
def believed(run: Run) -> Iterator[None]:
    """For a block that builds what the record describes. Raises CheckpointError where the record describes nothing."""
    try:
        yield
    except (HydraException, OmegaConfBaseException, *UNBUILT) as error:
        if isinstance(error, UserError) and not isinstance(error, ConfigError):
            raise
        raise CheckpointError(
            f"{run.path}: its record does not describe what can be built ({checkpoint.first_line(error)}); train it "
            "again, or mend run_meta.json"
        ) from error


def torch_device(name: str) -> torch.device:
    """The device of that name; `auto` is the accelerator, else the CPU. Raises ConfigError where there is none."""
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        name = accelerator.type if accelerator else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={name}: {checkpoint.first_line(error)}; use device=auto") from None
    return device


def image_shape(run: Run, config: DictConfig) -> list[int]:
    """[C, H, W] of the images that the run was trained on: from its record, else from the class of its data."""
    shape = sequence(run.record.get("image_shape")) or getattr(get_class(config.data._target_), "image_shape", None)
    if not shape:
        raise CheckpointError(f"run={run.path}: its record does not say the shape of its images; train it again")
    return list(shape)


def data_of(run: Run, asked: Any, data_dir: str | None, allow_targets: Sequence[str] = ()) -> Any:
    """The run's data module, or the one of the configuration `asked`; from `data_dir` where it is given.

    Raises ConfigError where the images are not of the run's shape.
    """
    config = trusted_config(run, allow_targets)
    node = OmegaConf.create(OmegaConf.to_container(asked, resolve=True)) if asked else config.data
    check_targets({"data": OmegaConf.to_container(node)}, [*ALLOWED, *allow_targets])
    if data_dir is not None:
        node.dir = data_dir  # type: ignore[union-attr]
    if asked and "batch_size" in node:
        node.batch_size = 1  # no batch is loaded, and a small data set has no large one
    with nullcontext() if asked or data_dir is not None else believed(run):
        data = build.data_module(node)
    shape, found = image_shape(run, config), build.image_shape(data, node._target_)  # type: ignore[union-attr]
    if found != shape:
        raise ConfigError(
            f"data={build.described(data)['name']}: its images are {found}, but the model of {run.path} takes {shape}; "
            "evaluate it on data of that shape"
        )
    return data


def as_trained(data: Any, path: Path) -> Any:
    """The data module with what a checkpoint says of its data, such as the mean and scale of standardised vectors."""
    state = checkpoint.load(path).get(type(data).__qualname__)
    if state and hasattr(data, "load_state_dict"):
        data.load_state_dict(state)
    return data


def check_protocol(run: Run, data: Any, protocol: str | None) -> None:
    """Raises ConfigError where the protocol of the data, or the one asked for, is not the run's."""
    own = getattr(data, "protocol", None)
    trained = at(run.config, "data.protocol") or text(run.data.get("protocol")) or own
    for key, name in (("protocol", protocol), ("data.protocol", own)):
        if name not in (None, trained):
            raise ConfigError(
                f"{key}={name}: {run.path} was trained on {trained}, and numbers of two protocols are never compared; "
                f"evaluate it on {trained}, or train a run with data.protocol={name}"
            )


def images(run: Run, data: Any, split: str, num_images: int | None) -> Tensor:
    """The first x of a split. Raises ConfigError where there are not as many, or none."""
    if not hasattr(data, "images"):
        raise ConfigError(f"data={type(data).__name__}: it has no method images(split), which evaluate needs")
    x = data.images(split)
    if num_images is not None and num_images > len(x):
        raise ConfigError(f"num_images={num_images}: the {split} split has {len(x)}")
    if not len(x):
        raise ConfigError(f"split={split}: it is empty in {run.path}; choose another")
    return x[:num_images]


def source(run: Run, path: Path, data: Any, split: str, seed: int) -> Source:
    """What every result says of itself."""
    facts = build.described(data)
    return Source(
        data=facts["name"],
        protocol=facts["protocol"],
        subset=facts["subset"],
        split=split,
        seed=seed,
        likelihood=str(at(run.config, "loss._target_")).rpartition(".")[2],
        checkpoint=path.name,
        checkpoint_sha256=sha256(path),
    )
