"""A comparison of settings as a picture: the numbers of all runs, and the paired differences to the best setting."""

from pathlib import Path
from typing import Any

from PIL import Image

from vae_lightning.errors import ConfigError
from vae_lightning.pages.sweep.better import Comparison, Values
from vae_lightning.runs.atomic import atomically
from vae_lightning.runs.ranking import t_quantile

MADE_BY = "vae_lightning.compare"  # the PNG's Software
MOST_LINES = 60  # pairs that are joined by a line


def check_output(path: Path) -> None:
    """Raises ConfigError unless a picture can be written there. A file that is not a comparison's stays."""
    if path.suffix.lower() != ".png":
        raise ConfigError(f"output={path}: must end in .png")
    if path.exists() and not is_ours(path):
        raise ConfigError(f"output={path}: is there already and no comparison; choose another name, or remove it first")


def is_ours(path: Path) -> bool:
    """Whether this command wrote a file."""
    try:
        with Image.open(path) as picture:
            return picture.info.get("Software") == MADE_BY
    except (OSError, ValueError):
        return False


def write(found: Comparison, path: Path) -> None:
    """Writes the PNG atomically."""
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    settings = [setting for setting, numbers in found.numbers.items() if numbers]
    figure = Figure(figsize=(9, max(2.6, 1.5 + 0.34 * len(settings))), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    draw_numbers(found, settings, left)
    draw_differences(found, settings, right)
    names = [plain(found.name(setting)) for setting in settings]
    left.set_yticks(range(len(settings)), [name if len(name) < 40 else f"{name[:37]}..." for name in names])
    left.set_ylim(len(settings) - 0.5, -0.5)
    about = f"{found.label}; {100 * found.level:.4g} % intervals; hollow: not told apart"
    figure.suptitle(plain(about), fontsize=10)
    with atomically(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": MADE_BY})


def draw_numbers(found: Comparison, settings: list[Values], axes: Any) -> None:
    """Each run a dot, each pair a line, each mean over seeds with its confidence interval."""
    rows = {setting: i for i, setting in enumerate(settings)}
    pairs = dict.fromkeys(pair for setting in settings for pair in found.numbers[setting])
    for pair in list(pairs)[:MOST_LINES]:
        points = [(found.numbers[one][pair], row) for one, row in rows.items() if pair in found.numbers[one]]
        axes.plot(*zip(*points, strict=True), ".-", color="0.75", linewidth=0.8, markersize=5)
    for place in found.places:
        error = place.spread.error
        width = None if error is None else t_quantile(found.level, place.spread.count) * error
        axes.errorbar(place.spread.mean, rows[place.setting], xerr=width, fmt="o", color="C0", capsize=3)
    unit = f" [{found.metric.unit}]" if found.metric.unit else ""
    axes.set_xlabel(plain(f"{found.metric.title}{unit}"))
    axes.set_title("runs, and means over seeds", fontsize=9)
    axes.grid(alpha=0.3)


def draw_differences(found: Comparison, settings: list[Values], axes: Any) -> None:
    """Each setting minus the best one over their pairs; full where the interval leaves zero out."""
    rows = {setting: i for i, setting in enumerate(settings)}
    best = found.numbers[found.places[0].setting]
    axes.axvline(0, color="0.4", linewidth=1)
    axes.plot(0, rows[found.places[0].setting], "*", color="C2", markersize=11)
    for place in found.places[1:]:
        if place.to_best is None:
            continue
        own, row = found.numbers[place.setting], rows[place.setting]
        common = [own[pair] - best[pair] for pair in own if pair in best]
        axes.plot(common, [row] * len(common), ".", color="0.75", markersize=5)
        face = "C1" if place.is_clear else "white"
        axes.errorbar(
            -place.to_best.mean,
            row,
            xerr=place.to_best.half_width,
            fmt="o",
            color="C1",
            markerfacecolor=face,
            capsize=3,
        )
    unit = f" [{found.metric.unit}]" if found.metric.unit else ""
    axes.set_xlabel(f"minus the best{unit}")
    axes.set_title("paired differences to the best, over seeds", fontsize=9)
    axes.grid(alpha=0.3)


def plain(text: str) -> str:
    """A text in which Matplotlib finds no formula."""
    return text.replace("$", r"\$")
