"""What a study looks for, checked before its first trial: the metric is one that its runs log, and better one way."""

from omegaconf import DictConfig, OmegaConf

from vae_lightning.app import build
from vae_lightning.app.rehearsal import modes_of
from vae_lightning.app.trust import ALLOWED, check_targets
from vae_lightning.errors import ConfigError, did_you_mean

WAYS = {"maximize": "max", "minimize": "min"}


def check_objective(cfg: DictConfig, metric: str, direction: str) -> None:
    """Raises ConfigError for a metric that no run logs in training or validation, and for the wrong direction.

    A callback of the user's own may log more metrics: then only the direction is checked. A metric of the test is
    refused, because a setting that is chosen by the test set has no test set left.
    """
    check_targets(OmegaConf.to_container(cfg), [*ALLOWED, *cfg.allow_targets])
    cfg.run_dir = "."  # nothing is written
    data = build.data_module(cfg.data)
    module = build.vae(cfg, build.image_shape(data, cfg.data._target_))
    callbacks = build.named_callbacks(cfg).values()
    validates = getattr(data, "val_size", None) != 0 and cfg.trainer.get("limit_val_batches") != 0
    modes, logs_more = modes_of(module, callbacks, validates)
    if metric.startswith("test") or (metric not in modes and not logs_more):
        raise ConfigError(f"sweep.metric={metric}: no trial logs it before its test; {did_you_mean(metric, modes)}")
    if modes.get(metric) not in (None, WAYS[direction]):
        other = next(way for way in WAYS if way != direction)
        raise ConfigError(
            f"sweep.direction={direction}: this takes the worst {metric} for the best; say sweep.direction={other}"
        )
