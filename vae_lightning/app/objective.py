"""What a study looks for, checked before its first trial: all trials log the metric, and their values compare."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.app import build
from vae_lightning.app.config import plain
from vae_lightning.app.rehearsal import modes_of
from vae_lightning.app.trust import ALLOWED, check_targets
from vae_lightning.errors import ConfigError, UserError, did_you_mean
from vae_lightning.pages.sweep.metrics import WEIGHING
from vae_lightning.runs.configuration import among, differences
from vae_lightning.runs.keys import ASIDE, SEED

WAYS = {"maximize": "max", "minimize": "min"}


@dataclass(frozen=True)
class Outlook:
    """What a run of a configuration logs, {metric: the better end}, and what two runs must share to be compared."""

    modes: Mapping[str, str | None]
    logs_more: bool  # a callback of the user's own may
    facts: Mapping[str, Any]


class Objective:
    """The metric of a study and its direction, against the configurations of its trials. Data are loaded once."""

    def __init__(self, metric: str, direction: str) -> None:
        self.metric, self.direction = metric, direction
        self._data: dict[str, tuple[list[int], bool, dict[str, Any]]] = {}

    def check(self, cfg: DictConfig) -> Outlook:
        """Raises ConfigError for a metric that no run logs in training or validation, and for the wrong direction.

        A callback of the user's own may log more metrics: then only the direction is checked. A metric of the test is
        refused, because a setting that is chosen by the test set has no test set left.
        """
        found, metric = self.outlook(cfg), self.metric
        if metric.startswith("test") or (metric not in found.modes and not found.logs_more):
            raise ConfigError(
                f"sweep.metric={metric}: no trial logs it before its test; {did_you_mean(metric, found.modes)}"
            )
        if found.modes.get(metric) not in (None, WAYS[self.direction]):
            other = next(way for way in WAYS if way != self.direction)
            raise ConfigError(
                f"sweep.direction={self.direction}: this takes the worst {metric} for the best; "
                f"say sweep.direction={other}"
            )
        return found

    def check_key(self, key: str, cfgs: Sequence[DictConfig]) -> None:
        """Raises ConfigError for a key of the space whose values, in `cfgs`, cannot be built or compared.

        `compare` refuses the same mixes: a study would take the easier data for the better setting.
        """
        place = f"sweep.space.{key}"
        if key.rpartition(".")[2] == SEED:
            raise ConfigError(f"{place}: the best seed is luck, and no setting; leave it out")
        if among(key, ASIDE):
            raise ConfigError(f"{place}: says where a run is or what it keeps, and not what it is; leave it out")
        try:
            facts = [self.check(cfg).facts for cfg in cfgs]
        except UserError as error:
            raise ConfigError(f"{place}: {error}") from error
        other = next((name for one in facts for name in {**facts[0], **one} if one.get(name) != facts[0].get(name)), "")
        if other:
            raise ConfigError(
                f"{place}: its values differ in {other}, and such results are never compared; leave it out, and begin "
                "a study for each"
            )
        moved = [name for cfg in cfgs for name in differences(plain(cfgs[0]), plain(cfg))]
        if self.metric.endswith("/loss") and any(among(name, WEIGHING) for name in moved):
            raise ConfigError(
                f"{place}: it weighs the loss, so {self.metric} does not compare its values; say "
                f"sweep.metric={self.metric.removesuffix('loss')}elbo sweep.direction=maximize"
            )

    def outlook(self, cfg: DictConfig) -> Outlook:
        """Builds the parts of a configuration; nothing is written."""
        check_targets(OmegaConf.to_container(cfg), [*ALLOWED, *cfg.allow_targets])
        cfg.run_dir = "."
        shape, validates, facts = self.data(cfg)
        module = build.vae(cfg, shape)
        validates = validates and cfg.trainer.get("limit_val_batches") != 0
        modes, logs_more = modes_of(module, build.named_callbacks(cfg).values(), validates)
        measure = getattr(module.loss, "measure", "density")
        return Outlook(modes, logs_more, {**facts, "the measure of the likelihood": measure})

    def data(self, cfg: DictConfig) -> tuple[list[int], bool, dict[str, Any]]:
        """The shape of the images, whether some validate, and what two runs must share of them."""
        node = {key: value for key, value in plain(cfg)["data"].items() if key not in ("batch_size", SEED)}
        known = json.dumps(node, sort_keys=True, default=str)
        if known not in self._data:
            data = build.data_module(cfg.data)
            facts = build.described(data)
            aside = ("title", "source") if facts.get("sha256") else ("title",)
            facts = {f"the {name} of the data": fact for name, fact in facts.items() if name not in aside}
            shape = build.image_shape(data, cfg.data._target_)
            self._data[known] = shape, getattr(data, "val_size", None) != 0, facts
        return self._data[known]
