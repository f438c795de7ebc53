"""What the run's page says of a run beside its pictures: numbers, the model in words, keys, commands. No torch."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from vae_lightning.pages.base.numbers import nats
from vae_lightning.pages.run.japanese import japanese
from vae_lightning.runs.again import again, alone, flags_of
from vae_lightning.runs.configuration import at, leaves
from vae_lightning.runs.readings import Row, mapping, sequence, text
from vae_lightning.runs.run import Run
from vae_lightning.runs.words import duration

SPLITS = ("test", "val", "train")
Figure = tuple[str, str, str, dict[str, Any]]  # the key of the label, the value, the key of the unit, {names} of both
Change = tuple[str, str, str]  # key, value, default


def figures(run: Run) -> list[Figure]:
    """The numbers at the top of the page."""
    metrics = run.metrics
    tested: list[Figure] = []
    if "test/elbo" in metrics:
        tested.append(("test_elbo", nats(metrics["test/elbo"]), "nats", {}))
    for key in (key for key in metrics if key.startswith(("test/iwae_", "test/miwae_"))):
        tested.append(("test_bound", nats(metrics[key]), "nats", {"name": key.partition("/")[2]}))
    terms = [
        (f"test_{name}", nats(metrics[f"test/{name}"]), "nats", {})
        for name in ("recon", "kl")
        if f"test/{name}" in metrics
    ]
    return [*tested, *best_epoch(run.curve), *terms, *last_usage(run.usage), *training_time(run)]


def best_epoch(curve: Sequence[Row]) -> list[Figure]:
    """The best validation ELBO, else the last training ELBO."""
    validated = [(value, int(row["epoch"] or 0)) for row in curve if (value := row.get("val_elbo")) is not None]
    if validated:
        value, epoch = max(validated)
        return [("best_elbo", nats(value), "nats", {"epoch": epoch})]
    last = curve[-1].get("elbo") if curve else None
    return [] if last is None else [("last_elbo", nats(last), "nats", {"epoch": int(curve[-1]["epoch"] or 0)})]


def last_usage(usage: Sequence[Row]) -> list[Figure]:
    """The number of active units after the last epoch."""
    active = usage[-1].get("active_units") if usage else None
    units = sum(key.startswith("kl_z") for key in usage[-1]) if usage else 0
    return [] if active is None else [("active", f"{active:.0f}", "of_n", {"n": units})]


def training_time(run: Run) -> list[Figure]:
    """The training time of all attempts."""
    return [] if run.seconds is None else [("time", duration(round(run.seconds)), "", {})]


def values(run: Run) -> tuple[str, dict[str, float]]:
    """(split, {"elbo", "recon", "kl", "bound", "loss"}) of the test set, else of validation, else of training."""
    for split in SPLITS:
        own = {key.partition("/")[2]: v for key, v in run.metrics.items() if key.startswith(f"{split}/")}
        if "elbo" in own:
            weighted = next((v for key, v in own.items() if key.startswith(("iwae_", "miwae_"))), own["elbo"])
            return split, {**own, "bound": weighted}
    return "none", {}


def class_of(run: Run, part: str) -> str:
    """The class of a part as the configuration names it: `vae_lightning.loss.Bernoulli`."""
    return text(at(run.config, f"{part}._target_")) or ""


def in_words(run: Run, parts: Mapping[str, Any]) -> list[dict[str, str]]:
    """The model in English and in Japanese: the {names} of the words `model_words`. `parts` are facts of the parts."""
    numbers = {"batch": str(run.config.get("batch_size")), "beta": str(run.config.get("beta"))}
    titles = {part: title_of(run, parts, part) for part in ("network", "latent", "loss", "bound", "optimizer")}
    titles["schedule"] = annealing(title_of(run, parts, "schedule"))
    titles["lr_schedule"] = annealing(title_of(run, parts, "lr_schedule"))
    known = {
        part: {**mapping(at(run.config, part)), **mapping(mapping(parts.get(part)).get("values"))} for part in titles
    }
    return [
        {**numbers, **{part: filled(title, known[part]) for part, title in language.items()}}
        for language in (titles, {part: japanese(title) for part, title in titles.items()})
    ]


def title_of(run: Run, parts: Mapping[str, Any], part: str) -> str:
    """The title of a part, with {braces} for values of its configuration, else the last name of its class."""
    title = mapping(parts.get(part)).get("title")
    return title if isinstance(title, str) else class_of(run, part).rpartition(".")[2]


def annealing(title: str) -> str:
    """The title of a schedule as the end of a sentence; the name of a class follows a comma."""
    return title if not title or title.startswith(",") else f", {title}"


def filled(title: str, values: Mapping[str, Any]) -> str:
    """A title with values in place of {names}: [500, 200] becomes 500-200, an unknown value "?"."""

    def value(name: re.Match[str]) -> str:
        found = values.get(name[1], "?")
        return "-".join(map(str, found)) if isinstance(found, list) else str(found)

    return re.sub(r"\{(\w+)\}", value, title)


def changes(recorded: Any) -> list[Change]:
    """(key, value, default) of the keys that differ from the defaults, as the run recorded them."""
    rows = [row for row in sequence(recorded) if isinstance(row, list | tuple) and len(row) == 3]
    return [(str(key), str(value), str(default)) for key, value, default in rows]


def yaml_text(value: Any) -> str:
    """A value as YAML has it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def all_keys(run: Run) -> list[tuple[str, str]]:
    """(dotted key, value) of the whole configuration."""
    return [(key, yaml_text(value)) for key, value in leaves(run.config)]


def commands(run: Run) -> list[tuple[str, str]]:
    """(the key of the label, command) of what can be done with the run."""
    here = str(run.path)
    lines = [("rerun", "train", *alone(again(run.overrides, flags_of(run))))]
    if run.status != "completed" and run.last.is_file():
        lines.append(("go_on", "train", f"resume={here}"))
    lines += [("evaluate", "evaluate", f"run={here}"), ("again", "report", here)]
    return [(key, shlex.join(["python", "-m", f"vae_lightning.{name}", *words])) for key, name, *words in lines]
