"""The shape of what a run folder holds: what is not of its shape is left out and named.

A shape is a rule for one value, [shape] for a list, or {key: shape} for a mapping; EVERY stands for its other keys,
which may have any value where it is not there. A value may always be null.
"""

from collections.abc import Mapping
from typing import Any

from vae_lightning.errors import shown
from vae_lightning.rules import FLAG, Rule, number, whole
from vae_lightning.runs.configuration import leaves
from vae_lightning.runs.readings import LARGEST
from vae_lightning.runs.regular import MOST_NAMED

EVERY = "*"
TEXT = Rule(lambda v: isinstance(v, str), "must be a text")
COUNT = whole(0, 2**63 - 1)
NUMBER = number(least=-LARGEST, most=LARGEST)
PIXELS = whole(1, 2**20)
IMAGE_SHAPE = Rule(lambda v: isinstance(v, list) and len(v) == 3 and all(map(PIXELS.holds, v)), "must be [C, H, W]")
SECONDS = number(least=0, most=LARGEST)
RESOLVED = Rule(
    lambda v: not any("${" in f"{key}{value}" for key, value in leaves({"": v})), "must be resolved, without ${...}"
)
RESOLVED_TEXT = Rule(lambda v: TEXT.holds(v) and RESOLVED.holds(v), "must be a text without ${...}")
PART = {"_target_": RESOLVED_TEXT, EVERY: RESOLVED}
PARTS = ("data", "network", "latent", "loss", "bound", "optimizer")
PLACES = ("run_dir", "group", "name")
NUMBERS = {"seed": COUNT, "epochs": COUNT, "batch_size": COUNT, "beta": NUMBER}
CONFIG = {
    **NUMBERS,
    **dict.fromkeys(PLACES, RESOLVED_TEXT),
    **dict.fromkeys((*PARTS, "lr_schedule", "schedule", "trainer"), PART),
    "callbacks": {EVERY: PART},
    EVERY: RESOLVED,
}
NEEDED = (*PLACES, "seed", "epochs", *(f"{part}._target_" for part in PARTS))  # to build the run's model again
ATTEMPT = {"status": TEXT, "started": TEXT, "ended": TEXT, "epochs_done": COUNT, "seconds": SECONDS}
RECORD = {
    **ATTEMPT,
    "attempts": [ATTEMPT],
    "error": TEXT,
    "stopped_early": TEXT,
    "config": CONFIG,
    "overrides": [TEXT],
    "flags": [TEXT],
    "command": [TEXT],
    "choices": {EVERY: TEXT},
    "changed": [[TEXT]],
    "parts": {EVERY: {"class": TEXT, "title": TEXT, "cited": TEXT, "says": TEXT, "measure": TEXT, "values": {}}},
    "seed": COUNT,
    "parameters": COUNT,
    "image_shape": IMAGE_SHAPE,
    "metrics": {EVERY: NUMBER},
    "tested": [TEXT],
    "best_checkpoint": TEXT,
    "data": {
        **dict.fromkeys(("name", "title", "protocol", "source"), TEXT),
        "subset": FLAG,
        "split_seed": COUNT,
        "skipped": COUNT,
        "sizes": {EVERY: COUNT},
        "sha256": {EVERY: TEXT},
    },
    "device": {**dict.fromkeys(("accelerator", "name", "precision"), TEXT), "devices": COUNT, "nodes": COUNT},
    "versions": {EVERY: TEXT},
    "git": {"commit": TEXT, "changed": FLAG},
}
RESULT = {
    **dict.fromkeys(("name", "unit", "data_sha256", "data", "protocol", "split", "likelihood"), TEXT),
    **dict.fromkeys(("checkpoint", "checkpoint_sha256"), TEXT),
    **dict.fromkeys(("num_samples", "num_images", "seed"), COUNT),
    "subset": FLAG,
    "standard_error": NUMBER,
    "settings": {EVERY: COUNT},
}
EVALUATIONS = {"results": [RESULT]}


def fitted(value: Any, shape: Any, place: str, broken: list[str]) -> Any:
    """The part of a value that has the shape; None where nothing of it has. `broken` takes the names of the rest."""
    if isinstance(shape, dict) and isinstance(value, dict):
        items = {
            key: fitted(item, shape.get(key, shape.get(EVERY)), f"{place}.{key}".lstrip("."), broken)
            for key, item in value.items()
        }
        return {key: item for key, item in items.items() if item is not None or value[key] is None}
    if isinstance(shape, list) and isinstance(value, list):
        items = [fitted(item, shape[0], f"{place}[{i}]", broken) for i, item in enumerate(value)]
        return [item for item in items if item is not None]
    must = must_be(value, shape)
    if must is None:
        return value
    if len(broken) < MOST_NAMED:
        broken.append(f"{shown(place)}={shown(value)}: {must}".lstrip("="))
    return None


def must_be(value: Any, shape: Any) -> str | None:
    """What a value must be that is not of its shape; None for a value that may be as it is."""
    if value is None or shape is None:
        return None
    if isinstance(shape, Rule):
        return None if shape.holds(value) else str(shape.must)
    return "must be a mapping" if isinstance(shape, Mapping) else "must be a list"
