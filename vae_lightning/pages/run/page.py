"""The page of a run: report.html in its folder, one file with everything inside. It changes nothing but that file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_lightning.model import Model
from vae_lightning.pages.base.numbers import file_size, nats
from vae_lightning.pages.base.render import render
from vae_lightning.pages.explorer.explorer import Images, explorer
from vae_lightning.pages.explorer.words import EXPLORER
from vae_lightning.pages.run import facts as said
from vae_lightning.pages.run import files
from vae_lightning.pages.run.japanese import japanese
from vae_lightning.pages.run.references import references
from vae_lightning.pages.run.vector_words import VECTOR_WORDS
from vae_lightning.pages.run.words import RUN_WORDS
from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.configuration import at
from vae_lightning.runs.files import PAGE
from vae_lightning.runs.readings import Row, mapping, sequence, text
from vae_lightning.runs.run import Run
from vae_lightning.runs.setting import data_title
from vae_lightning.version import __version__

MOST_BYTES = 5_600_000  # of the page; the pictures of epochs get what is left
STATUSES = ("completed", "interrupted", "diverged", "failed", "killed", "pruned", "running")
Missing = tuple[str, Mapping[str, str]]  # a key of the page's words, and the values of its {names}


@dataclass(frozen=True)
class Shown:
    """What the explorer shows of a run. `model` is None if there is none; `missing` says why something is not there.

    `weights` is the name of the checkpoint, None for the weights of a living module.
    """

    model: Model | None = None
    weights: str | None = None
    images: Images | None = None
    missing: tuple[Missing, ...] = ()


def write_run_page(
    run: Run, shown: Shown, facts: Mapping[str, Any], published: Sequence[Mapping[str, Any]] = ()
) -> Path:
    """Writes report.html and returns its path. `facts` serve where the record has none: {"parts": ..., "changed": ...}.

    `published` are numbers of others: {"row", "source", "number", "value", "others", "ours"}.
    The model, its gradients and the global random numbers stay as they are.
    """
    known = {**facts, **{key: run.record[key] for key in ("parts", "changed") if run.record.get(key)}}
    path = run.path / PAGE
    words = {**RUN_WORDS, **EXPLORER, **(VECTOR_WORDS if is_of_vectors(run) else {})}
    write_text(path, render("run/run.html.j2", words, published=published, **context(run, shown, known)))
    return path


def is_of_vectors(run: Run) -> bool:
    """Whether the run was trained on vectors."""
    return list(sequence(run.record.get("image_shape")))[:2] == [1, 1]


def context(run: Run, shown: Shown, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the template."""
    explored = explorer_data(shown, run.usage)
    used = len(str(explored)) if explored else 0
    kinds = files.PLANE if at(run.config, "latent.dim") == 2 else files.PICTURES
    film = files.film(run.path, max(600_000, min(3_500_000, MOST_BYTES - used - 300_000)), kinds)
    split, values = said.values(run)
    parts = mapping(facts.get("parts"))
    english, japanese_words = said.in_words(run, parts)
    return {
        "version": __version__,
        "run": run,
        "meta": run.record,
        "name": run.path.name,
        "status": run.status if run.status in STATUSES else "other",
        "words": {"en": english, "ja": japanese_words},
        "description": description(run),
        "figures": said.figures(run),
        "missing": shown.missing,
        "explorer": explored,
        "weights": shown.weights,
        "curves": run.curve,
        "units": units(explored, run.usage),
        "film": film,
        "is_of_vectors": is_of_vectors(run),
        "split": split,
        "values": values,
        "bound": terms(run, parts, values),
        "changed": said.changes(facts.get("changed")),
        "all_keys": said.all_keys(run),
        "commands": said.commands(run),
        "folders": files.folders(run.path),
        "nats": nats,
        "size": file_size,
    }


def explorer_data(shown: Shown, usage: list[Row]) -> dict[str, Any] | None:
    """The data of the explorer, or None if there is no model, or no way to know the shape of its images."""
    if shown.model is None:
        return None
    kl = unit_kl(usage) if usage else []
    kl = kl if len(kl) == shown.model.latent.dim else None  # the log of another model
    shape = getattr(shown.model.network, "image_shape", None) or (shown.images.x.shape[1:] if shown.images else None)
    if shape is None:
        return None
    values = explorer(shown.model, shown.images, kl, list(shape))
    return {**values, "classes": [[name, japanese(name)] for name in values.get("classes", [])]}


def unit_kl(usage: list[Row]) -> list[float]:
    """The KL of each latent unit after the last epoch."""
    return [value or 0.0 for key, value in usage[-1].items() if key.startswith("kl_z")]


def units(explored: dict[str, Any] | None, usage: list[Row]) -> list[dict[str, Any]]:
    """Name, KL and activity of each latent unit: measured on the explorer's images, else as the run logged them."""
    if explored is not None and explored["points"]:
        kl, active = explored["kl"], explored["active"]
    elif usage:
        kl = unit_kl(usage)
        count = int(usage[-1].get("active_units") or 0)  # the log has no names: those with the largest KL
        largest = sorted(range(len(kl)), key=lambda unit: -kl[unit])[:count]
        active = [unit in largest for unit in range(len(kl))]
    else:
        return []
    rows = [{"name": f"z{i + 1}", "value": kl[i], "active": bool(active[i])} for i in range(len(kl))]
    return sorted(rows, key=lambda unit: -unit["value"])


def terms(run: Run, parts: Mapping[str, Any], values: Mapping[str, float]) -> list[dict[str, Any]]:
    """The rows of the bound's table: a term, its value, and its place in paper and code."""
    signed = {key: -value if key == "recon" else value for key, value in values.items()}
    return [{"reference": reference, "value": signed.get(metric)} for metric, reference in references(run, parts)]


def description(run: Run) -> str:
    """The data and their protocol: `MNIST, grey`."""
    return ", ".join(part for part in (data_title(run.data), text(run.data.get("protocol"))) if part)
