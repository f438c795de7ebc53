"""The default of every public constructor argument is that of an option in conf/, or stands in the table below."""

import inspect
from typing import Any

import pytest
from conftest import config
from hydra.utils import get_class
from omegaconf import OmegaConf

from vae_lightning import VAE
from vae_lightning.app.config import CONF

GROUPS = ("network", "latent", "loss", "bound", "optimizer", "lr_schedule", "schedule", "data", "callbacks", "logger")
GROUPS += ("trainer", "paper")
CHOSEN = [(path.parent.name, path.stem) for group in GROUPS for path in sorted(CONF.glob(f"{group}/*.yaml"))]
ELSEWHERE: dict[str, Any] = {  # CLASS.ARGUMENT: its default, where no option has it. None means that nothing is given
    "VAE.image_shape": [1, 28, 28],
    "VAE.seed": 0,
    "MLP.num_parameters": 1,
    "Linear.num_parameters": 1,
    "Conv.num_parameters": 1,
    "ResNet.num_parameters": 1,
    "EpochWeights.enabled": True,
    "EpochWeights.prefix": "vae",
    "FastTrainer.compiles": "objective",
    "LatentTraversal.decode": "decode",
    "LatentTraversal.encode": "encode",
    "LatentUsage.encode": "encode",
    "ReconstructionGrid.reconstruct": "reconstruct",
    "SampleGrid.sample": "sample",
}


def node(group: str, option: str) -> dict[str, Any]:
    """The composed option, with its interpolations resolved."""
    tried = group == "callbacks"
    words = (f"+callbacks@callbacks.tried={option}", "bound=capacity") if tried else (f"{group}={option}",)
    cfg = config(*words, "run_dir=.")
    values: Any = OmegaConf.to_container(OmegaConf.select(cfg, "callbacks.tried" if tried else group), resolve=True)
    return values


NODES = [node(group, option) for group, option in CHOSEN]
KINDS: dict[type, list[dict[str, Any]]] = {VAE: [{key: config()[key] for key in ("beta", "reduction")}]}
for given in NODES:
    if str(given.get("_target_")).startswith("vae_lightning."):
        KINDS.setdefault(get_class(given["_target_"]), []).append(given)


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def defaults(kind: type) -> dict[str, Any]:
    """{argument: default} of a constructor."""
    parameters = inspect.signature(kind).parameters.values()
    return {p.name: plain(p.default) for p in parameters if p.default is not p.empty}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_default_is_that_of_an_option(kind):
    for argument, default in defaults(kind).items():
        given = [option[argument] for option in KINDS[kind] if argument in option]
        place = f"{kind.__name__}.{argument}"
        in_table = place in ELSEWHERE and ELSEWHERE[place] == default
        assert in_table or default in (given or [None]), f"{place}={default}: {given}"


def test_the_table_holds_nothing_else():
    known = {f"{kind.__name__}.{argument}" for kind in KINDS for argument in defaults(kind)}
    assert set(ELSEWHERE) <= known
