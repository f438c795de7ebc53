"""The numbers of a trained run, each with what it is: `python -m vae_lightning.evaluate run=DIR num_samples=5000`."""

from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from vae_lightning import cli
from vae_lightning.config import check_keys, whole
from vae_lightning.errors import ConfigError, did_you_mean
from vae_lightning.targets import check_targets

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from vae_lightning.evaluation.result import Source
    from vae_lightning.module import VAE
    from vae_lightning.run_folder import Run

SPLITS = ("test", "val", "train")
COUNTS = ("num_samples", "rows", "batch_size", "ais.num_chains", "ais.num_temperatures", "ais.num_leapfrog")
COUNTS += ("appendix_d.num_samples", "appendix_d.num_chains", "appendix_d.num_leapfrog")
RULES = {name: whole(1) for name in COUNTS} | {"seed": whole(0), "ais.num_images": whole(0)}
RULES |= {"appendix_d.num_images": whole(0)}


def evaluate(cfg: DictConfig) -> None:
    """Measures, writes evaluation.json and figures into the run folder, and prints the table."""
    check(cfg)
    import json
    from functools import partial
    from pathlib import Path

    from vae_lightning.evaluation import ais_log_px, appendix_d_log_px
    from vae_lightning.evaluation.appendix_d import check_dims
    from vae_lightning.evaluation.measure import estimated, measure
    from vae_lightning.evaluation.result import FILE, merged, read
    from vae_lightning.evaluation.summary import figures, table
    from vae_lightning.run_folder import open_run
    from vae_lightning.runs.atomic import atomically

    run = open_run(cfg.run)
    path = run.checkpoint(cfg.checkpoint)
    old = read(run.path)
    module = load(path, cfg.device)
    if cfg.appendix_d.num_images:
        check_dims(module.latent.dim)
    x, facts = images(cfg, run)
    source = about(cfg, run, path, facts)
    x = x[: cfg.num_images].to(module.device)
    module.model.check(x)
    print(f"run folder: {run.path}", flush=True)
    measured = measure(module.model, x, source, cfg.num_samples, list(cfg.curve), cfg.rows)
    for name, estimator in (("ais", ais_log_px), ("appendix_d", appendix_d_log_px)):
        settings = dict(cfg[name])
        n = settings.pop("num_images")
        if n:
            ready = partial(estimator, **settings, seed=cfg.seed, progress=True)
            measured.results.append(estimated(name, ready, module.model, x[:n], source, settings))
    rows = merged(old, [result.row() for result in measured.results])
    with atomically(run.path / FILE) as temporary:
        Path(temporary).write_text(json.dumps({"results": rows}, indent=1) + "\n", encoding="utf-8")
    figures(measured, run.path / "evaluation")
    print(table(measured))
    print(f"in the run folder: {FILE}, evaluation/*.png")


def check(cfg: DictConfig) -> None:
    """Raises ConfigError for the first key that cannot be what its name says."""
    check_keys(cfg, RULES)
    if cfg.num_images is not None:
        check_keys(cfg, {"num_images": whole(1)})
    for k in cfg.curve:
        if type(k) is not int or k < 1:
            raise ConfigError(f"curve={list(cfg.curve)}: must be whole numbers >= 1")
    if cfg.split not in SPLITS:
        raise ConfigError(f"split={cfg.split}: {did_you_mean(str(cfg.split), SPLITS)}")


def load(path: "Path", device: str) -> "VAE":
    """The model of a checkpoint, ready to be measured.

    Raises CheckpointError where the file is damaged or of another model, ConfigError where there is no such device.
    """
    import torch

    from vae_lightning import checkpoint
    from vae_lightning.errors import CheckpointError
    from vae_lightning.module import VAE

    checkpoint.load(path)
    if device == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        device = found.type if found else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={device}: {checkpoint.first_line(error)}; use device=auto") from None
    try:
        return VAE.load_from_checkpoint(path, map_location=torch.device(device), weights_only=True).eval()
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"checkpoint={path}: not one of a VAE ({checkpoint.first_line(error)})") from error


def images(cfg: DictConfig, run: "Run") -> "tuple[Tensor, dict[str, Any]]":
    """The x of the split, and what the data say of themselves. Raises ConfigError where they are not the model's."""
    from hydra.utils import get_class
    from omegaconf import OmegaConf

    from vae_lightning.train import data_module

    asked = cfg.get("data")
    check_targets(run.meta["config"]["data"], ["vae_lightning.data."])
    own: DictConfig = OmegaConf.create(dict(run.meta["config"]["data"]))
    node = OmegaConf.create(OmegaConf.to_container(asked, resolve=True)) if asked else own
    if cfg.data_dir is not None:
        node.dir = cfg.data_dir
    data: Any = data_module(OmegaConf.create({"data": node}))
    shape = list(get_class(own._target_).image_shape)  # type: ignore[attr-defined]
    if list(data.image_shape) != shape:
        raise ConfigError(
            f"data={data.name}: its images are {list(data.image_shape)}, but the model of {run.path} takes {shape}; "
            "evaluate it on data of that shape"
        )
    trained = own.get("protocol", data.protocol)
    for key, protocol in (("protocol", cfg.protocol), ("data.protocol", data.protocol)):
        if protocol not in (None, trained):
            raise ConfigError(
                f"{key}={protocol}: {run.path} was trained on {trained}, and numbers of two protocols are never "
                f"compared; evaluate it on {trained}, or train a run with data.protocol={protocol}"
            )
    x = data.images(cfg.split)
    if cfg.num_images is not None and cfg.num_images > len(x):
        raise ConfigError(f"num_images={cfg.num_images}: the {cfg.split} split has {len(x)}")
    if not len(x):
        raise ConfigError(f"split={cfg.split}: it is empty in {run.path}; choose another")
    return x, data.describe()


def about(cfg: DictConfig, run: "Run", path: "Path", facts: dict[str, Any]) -> "Source":
    """What every result says of itself."""
    from vae_lightning.checkpoint import sha256
    from vae_lightning.evaluation.result import Source

    likelihood = str(run.meta["config"]["loss"]["_target_"]).rpartition(".")[2]
    return Source(
        data=facts["name"],
        protocol=facts["protocol"],
        subset=facts["subset"],
        split=cfg.split,
        seed=cfg.seed,
        likelihood=likelihood,
        checkpoint=path.name,
        checkpoint_sha256=sha256(path),
    )


def main() -> None:
    cli.run("evaluate", evaluate)


if __name__ == "__main__":
    main()
