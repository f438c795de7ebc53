"""The facts of a run for its record, so that no page reads conf/: options, changed keys, and facts of the parts."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_lightning.app import older
from vae_lightning.app.places import outside, settled
from vae_lightning.app.trust import located
from vae_lightning.options import CONF
from vae_lightning.pages.run.facts import yaml_text
from vae_lightning.parts import facts
from vae_lightning.runs.configuration import NOT_THE_RUN, among, at, differences
from vae_lightning.runs.readings import mapping

PARTS = ("network", "latent", "loss", "bound", "schedule", "optimizer", "lr_schedule")
GROUPS = (*PARTS, "data", "trainer", "callbacks", "logger", "experiment", "paper")
NOT_CHANGES = ("run_dir", "resume", "allow_drift", "allow_targets", "report", "data.mirrors")


def facts_of(config: Mapping[str, Any], choices: Mapping[str, Any], parts: Mapping[str, object]) -> dict[str, Any]:
    """The facts that go into the record of a run.

    {"choices": {"loss": "bce", ...}, "changed": [[key, value, default], ...], "parts": {"loss": {"class", ...}, ...},
    "outside": {key: folder, ...}}. `choices` are Hydra's, `parts` are the objects or their classes; `outside` holds the
    folders outside of the run folder that parts may write into.
    """
    return {
        "choices": {group: str(choices[group]) for group in GROUPS if choices.get(group) is not None},
        "changed": changed(dict(config)),
        "outside": outside(config),
        "parts": {name: facts_of_part(part, mapping(config.get(name))) for name, part in parts.items()},
    }


def facts_of_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same facts for a run whose record has none, as far as its configuration says them."""
    config = older.upgraded(config)
    names = {part: str(at(config, f"{part}._target_")) for part in PARTS}
    classes = {part: located(name, part) for part, name in names.items() if name.startswith("vae_lightning.")}
    return facts_of(config, {}, {part: kind for part, kind in classes.items() if inspect.isclass(kind)})


def facts_of_part(part: object, config: Mapping[str, Any]) -> dict[str, Any]:
    """Class, title, citation and first paragraph of a part or its class; of a likelihood the measure, too.

    `values` are those that the title asks for in {braces}: from the part's configuration, else its attributes.
    """
    known: dict[str, Any] = dict(facts(part))
    sources = {name: config.get(name, getattr(part, name, None)) for name in re.findall(r"\{(\w+)\}", known["title"])}
    known["values"] = {name: value for name, value in sources.items() if isinstance(value, str | int | float | list)}
    measure = getattr(part, "measure", None)
    return known if measure is None else {**known, "measure": str(measure)}


def changed(config: dict[str, Any]) -> list[list[str]]:
    """[key, value, default] of each key that differs from the defaults; keys that say where a run is come last."""
    usual = composed([], config)
    if usual is None:
        return []
    keys = [key for key in dict.fromkeys(differences(config, usual)) if not among(key, NOT_CHANGES)]
    rows = [[key, yaml_text(at(config, key)), yaml_text(at(usual, key))] for key in keys]
    return sorted(rows, key=lambda row: among(row[0], NOT_THE_RUN))


def composed(words: Sequence[str], config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The configuration that words give, in the run folder of another. None if it cannot be composed."""
    try:
        if GlobalHydra.instance().is_initialized():
            cfg = compose("train", list(words))
        else:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                cfg = compose("train", list(words))
        cfg.run_dir = mapping(config).get("run_dir", ".")
        return OmegaConf.to_container(settled(cfg), resolve=True)  # type: ignore[return-value]
    except (HydraException, OmegaConfBaseException):
        return None
