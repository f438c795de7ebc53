"""The page of a run: report.html in its folder, everything in one file.

`write_run_page` looks and touches nothing: neither the weights and modes of a living module nor the random numbers.
"""

import inspect
from pathlib import Path
from typing import Any

from vae_lightning import __version__
from vae_lightning.errors import CheckpointError, UserError
from vae_lightning.pages import run_data, run_facts
from vae_lightning.pages.page import render
from vae_lightning.pages.references import references
from vae_lightning.pages.run_words import CLASSES, RUN_WORDS
from vae_lightning.runs.atomic import atomically
from vae_lightning.runs.run import Run, open_run
from vae_lightning.targets import located

FILE = "report.html"
MOST_BYTES = 5_600_000  # of the page; pictures of epochs give way
STATUSES = ("completed", "interrupted", "diverged", "failed", "killed", "running")
Missing = tuple[str, dict[str, str]]  # a key of the page's strings, and what it needs


def write_run_page(run_dir: Path, module: Any = None, data: Any = None) -> Path:
    """Writes the page of a run folder and returns its path.

    With the living `module` and `data` of a run that just ended nothing is built again. What is missing (data,
    checkpoint) is missing on the page, which says why. Raises ConfigError where it is not a run folder.
    """
    return write(open_run(run_dir), module, data)[0]


def write(run: Run, module: Any = None, data: Any = None, data_dir: str | None = None) -> tuple[Path, UserError | None]:
    """The path, and the mistake that kept the explorer out of the page (a damaged checkpoint), if there was one."""
    context, mistake = gathered(run, module, data, data_dir)
    text = render("run.html.j2", RUN_WORDS, **context)
    path = run.path / FILE
    with atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path, mistake


def gathered(run: Run, module: Any, data: Any, data_dir: str | None) -> tuple[dict[str, Any], UserError | None]:
    """Everything the template is given."""
    status = run.status
    log, usage = run.curve, run.usage
    explorer, weights, missing, mistake = explored(run, module, data, data_dir, usage)
    used = len(str(explorer)) if explorer else 0
    film = run_data.film(run.path, max(600_000, min(3_500_000, MOST_BYTES - used - 300_000)))
    split, values = run_facts.values(run)
    english, japanese = run_facts.in_words(run)
    context = {
        "version": __version__,
        "run": run,
        "meta": run.record,
        "name": run.path.name,
        "status": status if status in STATUSES else "other",
        "words": {"en": english, "ja": japanese},
        "description": described(run),
        "figures": run_facts.figures(run, log, usage),
        "missing": missing,
        "explorer": explorer,
        "weights": weights,
        "curves": log,
        "units": units(explorer, usage),
        "film": film,
        "split": split,
        "values": values,
        "bound": terms(run, values),
        "overrides": [str(each) for each in run.record.get("overrides") or []],
        "changed": run_facts.changed(run),
        "all_keys": run_facts.all_keys(run),
        "commands": run_facts.commands(run, unfinished=status != "completed"),
        "folders": run_data.folders(run.path),
        "nats": run_facts.nats,
        "size": run_facts.size,
        "duration": run_facts.duration,
    }
    return context, mistake


def explored(
    run: Run, module: Any, data: Any, data_dir: str | None, usage: list[dict[str, float | None]]
) -> tuple[dict[str, Any] | None, str | None, list[Missing], UserError | None]:
    """(the explorer or None, the checkpoint's name, what is missing, the mistake behind it)."""
    from vae_lightning.pages.explorer import explorer, images_of
    from vae_lightning.pages.weights import data_of, finite, model_of

    if module is None and run.newest_weights is None:
        return None, None, [("no_checkpoint", {})], None
    try:
        model, weights = model_of(run, module)
    except UserError as error:
        mistake = error if isinstance(error, CheckpointError) else None
        return None, None, [("bad_checkpoint", {"error": str(error)})], mistake
    if not finite(model):
        return None, None, [("not_finite", {})], None
    missing: list[Missing] = []
    images = None
    try:
        images = images_of(data if data is not None else data_of(run, data_dir))
    except (UserError, OSError) as error:
        missing.append(("no_data", {"error": str(error)}))
    kl = [value or 0.0 for key, value in usage[-1].items() if key.startswith("kl_z")] if usage else None
    shape = getattr(model.network, "image_shape", None) or (images.x.shape[1:] if images else None)
    if shape is None:
        return None, None, missing, None
    found = explorer(model, images, kl, list(shape))
    found = {
        **dict.fromkeys(("decoder", "encoder", "plane", "points", "picks", "why", "why_encoder", "drawn_as")),
        **found,
    }
    found["classes"] = [[name, CLASSES.get(name, name)] for name in found.get("classes", [])]
    return found, weights, missing, None


def units(explorer: dict[str, Any] | None, usage: list[dict[str, float | None]]) -> list[dict[str, Any]]:
    """Name, KL and activity of each latent unit: as measured for the explorer, else as the run wrote them down."""
    if explorer is not None and explorer["points"]:
        kl, active = explorer["kl"], explorer["active"]
    elif usage:
        kl = [value or 0.0 for key, value in usage[-1].items() if key.startswith("kl_z")]
        alive = int(usage[-1].get("active_units") or 0)  # which ones it does not say: those that cost most
        best = sorted(range(len(kl)), key=lambda unit: -kl[unit])[:alive]
        active = [unit in best for unit in range(len(kl))]
    else:
        return []
    found = [{"name": f"z{i + 1}", "value": kl[i], "active": bool(active[i])} for i in range(len(kl))]
    return sorted(found, key=lambda unit: -unit["value"])


def terms(run: Run, values: dict[str, float]) -> list[dict[str, Any]]:
    """The rows of the bound's table: term, value, where it stands, and what the docstring there says."""
    found = []
    for metric, reference in references(run):
        value = values.get(metric)
        if value is not None and metric == "recon":
            value = -value
        found.append({"reference": reference, "value": value, "says": first_words(reference.code)})
    return found


def first_words(name: str) -> str:
    """The first paragraph of what `name` says of itself; empty where it is not one of ours."""
    found = located(name) if name.startswith("vae_lightning.") else None
    return " ".join((inspect.getdoc(found) or "").partition("\n\n")[0].split()) if found is not None else ""


def described(run: Run) -> str:
    """Which data, under which protocol."""
    data: dict[str, Any] = run.record.get("data") or {}
    name = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}.get(str(data.get("name")), str(data.get("name", "")))
    return ", ".join(each for each in (name, str(data.get("protocol", ""))) if each)
