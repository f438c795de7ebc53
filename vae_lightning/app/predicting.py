"""A trained model at one task: the model, its images, the file."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from vae_lightning.app import restore
from vae_lightning.app.loading import Trained, trained
from vae_lightning.data.protocol import PROTOCOLS
from vae_lightning.errors import ConfigError
from vae_lightning.noise import generator
from vae_lightning.prediction import inputs, results
from vae_lightning.prediction.inputs import Images
from vae_lightning.prediction.tasks import TASKS, Predictor
from vae_lightning.shapes import as_x


def predict(cfg: DictConfig) -> str:
    """Writes the output of a task, and returns what it is."""
    kind = TASKS[cfg.task]
    source = trained(cfg.run, cfg.device, cfg.allow_targets, cfg.checkpoint)
    data = data_of(source, cfg) if kind.least and cfg.input is None else None
    standard = source.standard
    images = None if not kind.least else images_of(source, data, standard, cfg, kind.few)
    if images is not None:
        source.module.model.check(images.x)
        if len(images.x) < kind.least:
            raise ConfigError(f"task={cfg.task}: it takes {kind.least} images or more, the input holds {len(images.x)}")
    model = Predictor(source.module, cfg.batch_size, standard.undo if standard else None)
    known = {**cfg, "units": units(cfg.units), "kl": kl_of(source), "num": cfg.num or kind.few}
    result: Any = kind(**{field.name: known[field.name] for field in fields(kind)})(model, images)
    results.write(result, Path(cfg.output))
    return f"{result.what}{of(data, cfg)}"


def data_of(source: Trained, cfg: DictConfig) -> Any:
    """The data module of the run. Raises ConfigError for a model that is no run."""
    if source.run is None:
        raise ConfigError(f"input=null: {source.place} is no run, so it has no test images; name files or folders")
    data = restore.data_of(source.run, None, cfg.data_dir, cfg.allow_targets)
    return restore.as_trained(data, source.place)


def images_of(source: Trained, data: Any, standard: Any, cfg: DictConfig, few: int) -> Images:
    """The images of the input, else the first test images of the run: `few` of them, unless `num` says more."""
    if cfg.input is None:
        assert source.run is not None  # data_of has seen to it
        x = restore.images(source.run, data, "test", None)
        if cfg.num is not None and cfg.num > len(x):
            raise ConfigError(f"num={cfg.num}: the run has {len(x)} test images")
        x = x[: cfg.num or few].float()
        return Images(x, tuple(f"test[{i}]" for i in range(len(x))))
    words = [cfg.input] if isinstance(cfg.input, str) else list(cfg.input)
    as_numbers = unscaled if source.scale else under(source.protocol, cfg.seed)
    images = inputs.read(words, source.image_shape, cfg.resize, cfg.num, as_numbers)
    x = images.x / source.scale if source.scale else images.x
    return Images(standard.apply(x) if standard else x, images.names)


def unscaled(images: Tensor, index: int) -> Tensor:
    """Bytes as the numbers that they are, for data that have a scale of their own."""
    return images.float()


def under(protocol: str, seed: int) -> Callable[[Tensor, int], Tensor]:
    """x of bytes under the protocol of the run: the numbers of a binary protocol are drawn once, by the seed."""

    def as_numbers(images: Tensor, index: int) -> Tensor:
        return as_x(PROTOCOLS[protocol].once(images, generator("cpu", "predict", seed, index)))

    return as_numbers


def units(asked: Any) -> Sequence[int] | None:
    """The units that were asked for, as a list."""
    return asked if asked is None else [asked] if isinstance(asked, int) else list(asked)


def kl_of(source: Trained) -> list[float] | None:
    """The KL of each unit in the last epoch, as the run measured it on held-out images; None if it did not."""
    last = source.run.usage[-1] if source.run and source.run.usage else {}
    values = [last.get(f"kl_z{unit + 1}") for unit in range(source.module.latent.dim)]
    return None if None in values else values  # type: ignore[return-value]


def of(data: Any, cfg: DictConfig) -> str:
    """Where the images came from, in words; under which protocol is what a number must say."""
    if cfg.input is not None or data is None or not TASKS[cfg.task].least:
        return ""
    return f" of {getattr(data, 'description', type(data).__name__)}, test"
