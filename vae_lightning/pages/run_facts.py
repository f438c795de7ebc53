"""What the run's page says about a run beside its pictures: numbers, words, changed keys, commands. No torch."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from vae_lightning.config import CONF
from vae_lightning.pages.references import target
from vae_lightning.pages.run_words import HIDDEN, PARTS
from vae_lightning.runs.configuration import NOT_THE_RUN, among, at, differences, leaves
from vae_lightning.runs.run import Run
from vae_lightning.runs.words import duration

NOT_CHANGES = ("run_dir", "resume", "allow_drift", "allow_targets", "report", "data.mirrors")
SPLITS = ("test", "val", "train")
Row = Mapping[str, float | None]


def figures(run: Run, log: Sequence[Row], usage: Sequence[Row]) -> list[tuple[str, str, str, dict[str, Any]]]:
    """(label, value, unit, what the label needs) of the numbers at the top of the page."""
    metrics: dict[str, Any] = run.record.get("metrics") or {}
    found: list[tuple[str, str, str, dict[str, Any]]] = []
    if metrics.get("test/elbo") is not None:
        found.append(("test_elbo", nats(metrics["test/elbo"]), "nats", {}))
    for key in (each for each in metrics if each.startswith(("test/iwae_", "test/miwae_"))):
        if metrics[key] is not None:
            found.append(("test_bound", nats(metrics[key]), "nats", {"name": key.partition("/")[2]}))
    validated = [(row["val_elbo"], int(row["epoch"] or 0)) for row in log if row.get("val_elbo") is not None]
    if validated:
        value, epoch = max(validated)  # type: ignore[type-var]
        found.append(("best_elbo", nats(value), "nats", {"epoch": epoch}))
    elif log and log[-1].get("elbo") is not None:
        found.append(("last_elbo", nats(log[-1]["elbo"]), "nats", {"epoch": int(log[-1]["epoch"] or 0)}))
    for name in ("recon", "kl"):
        if metrics.get(f"test/{name}") is not None:
            found.append((f"test_{name}", nats(metrics[f"test/{name}"]), "nats", {}))
    if usage and usage[-1].get("active_units") is not None:
        total = sum(key.startswith("kl_z") for key in usage[-1])
        found.append(("active", f"{usage[-1]['active_units']:.0f}", "of_n", {"n": total}))
    if isinstance(run.record.get("seconds"), int | float):
        found.append(("time", duration(round(run.record["seconds"])), "", {}))
    return found


def nats(value: Any) -> str:
    """-105.4 with a real minus sign and two decimals."""
    return f"{float(value):.2f}".replace("-", "\u2212")


def size(count: int) -> str:
    """1.3 MB."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.1f} GB"


def values(run: Run) -> tuple[str, dict[str, float]]:
    """(split, {"elbo", "recon", "kl", "bound", "loss"}) of the test set, else of validation, else of training."""
    metrics: dict[str, Any] = run.record.get("metrics") or {}
    for split in SPLITS:
        if metrics.get(f"{split}/elbo") is not None:
            own = {key.partition("/")[2]: v for key, v in metrics.items() if key.startswith(f"{split}/")}
            weighted = next((v for key, v in own.items() if key.startswith(("iwae_", "miwae_"))), own["elbo"])
            found = {**own, "bound": weighted}
            return split, {key: float(value) for key, value in found.items() if value is not None}
    return "none", {}


def in_words(run: Run) -> list[dict[str, str]]:
    """The model in words, in English and in Japanese: what the string `model_words` needs."""
    config: dict[str, Any] = run.config
    found = []
    for language in (0, 1):
        network, loss, bound, schedule = (
            said(run, part, language) for part in ("network", "loss", "bound", "schedule")
        )
        optimizer = f"{target(run, 'optimizer').rpartition('.')[2]}, lr {at(config, 'optimizer.lr')}"
        words = {"network": network, "loss": loss, "bound": bound, "schedule": schedule, "optimizer": optimizer}
        numbers = {"latent": at(config, "latent.dim"), "batch": config.get("batch_size"), "beta": config.get("beta")}
        found.append({**words, **{key: str(value) for key, value in numbers.items()}})
    return found


def said(run: Run, part: str, language: int) -> str:
    """A part in words: what its class is called, with its sizes."""
    name = target(run, part)
    config: dict[str, Any] = run.config.get(part) or {}
    hidden = config.get("hidden_dim") or HIDDEN.get(name.rpartition(".")[2], "?")
    words = PARTS.get(name, (name, name))[language]
    words = words.replace("{activation}", str(config.get("activation", "relu")))
    return words.replace("{hidden}", str(hidden)).replace("{samples}", str(config.get("num_samples", "?")))


def defaults(run: Run) -> dict[str, Any] | None:
    """The configuration that nobody changed anything of; None where it cannot be composed."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        if GlobalHydra.instance().is_initialized():
            cfg = compose("train", [])
        else:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                cfg = compose("train", [])
        cfg.run_dir = run.config.get("run_dir", ".")
        return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]
    except (HydraException, OmegaConfBaseException):
        return None


def changed(run: Run) -> list[tuple[str, str | None, str | None]]:
    """(key, value, default) of what differs from the defaults; where the run is comes after what it is."""
    usual = defaults(run)
    if usual is None:
        return []
    config = run.config
    keys = [key for key in differences(config, usual) if not among(key, NOT_CHANGES)]
    rows = [(key, shown(at(config, key)), shown(at(usual, key))) for key in dict.fromkeys(keys)]
    return sorted(rows, key=lambda row: among(row[0], NOT_THE_RUN))


def shown(value: Any) -> str | None:
    """A value as YAML would have it; None where there is no such key."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def all_keys(run: Run) -> list[tuple[str, str | None]]:
    """(dotted key, value) of the whole configuration."""
    return [(key, shown(value)) for key, value in leaves(run.config)]


def commands(run: Run, unfinished: bool) -> list[tuple[str, str]]:
    """(label, command) of what can be done with the run."""
    overrides = [str(each) for each in run.record.get("overrides") or []]
    here = str(run.path)
    found = [("rerun", shlex.join(["python", "-m", "vae_lightning.train", *overrides]))]
    if unfinished and (run.path / "checkpoints" / "last.ckpt").is_file():
        found.append(("go_on", shlex.join(["python", "-m", "vae_lightning.train", f"resume={here}"])))
    found.append(("evaluate", shlex.join(["python", "-m", "vae_lightning.evaluate", f"run={here}"])))
    return [*found, ("again", shlex.join(["python", "-m", "vae_lightning.report", here]))]
