"""Curves by epoch as a picture: a panel for each number, and beta within the epochs."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vae_lightning.runs.atomic import atomically

TITLES = {"elbo": "ELBO = -(recon + KL)", "recon": "recon", "kl": "KL", "beta": "beta"}  # in the order of the panels
COLOURS = {"elbo": "C0", "recon": "C1", "kl": "C2", "beta": "C3"}
BETA = ("beta_first", "beta", "beta_mean")  # of an epoch: in its first step, in its last one, and the mean
ACROSS = 4  # panels in a row, at most
WIDE, HIGH, TOP, LEAST = 3.3, 2.9, 0.45, 6.0  # inches: a panel, the title above them, and the least width of all
Rows = Sequence[Mapping[str, str]]


def panels(filled: set[str]) -> list[str]:
    """The names of the panels for some columns: those with a title first. A column val_NAME belongs to NAME.

    `total` is no panel where `elbo` is one: it is -ELBO, its KL weighted by beta.
    """
    names = {"beta" if name in BETA else name.removeprefix("val_") for name in filled}
    names -= {"total"} if "elbo" in names else set()
    return [*(name for name in TITLES if name in names), *sorted(names - set(TITLES))]


def draw(rows: Rows, title: str, path: Path) -> None:
    """A panel for each number by epoch. Validation is dashed. Draws nothing if no column has a value."""
    from matplotlib.figure import Figure  # pyplot would keep global state and open windows

    names = panels({name for row in rows for name, value in row.items() if value and name != "epoch"})
    if not names:
        return
    down = math.ceil(len(names) / ACROSS)
    across = math.ceil(len(names) / down)
    width, height = max(LEAST, WIDE * across), HIGH * down + TOP
    figure = Figure(figsize=(width, height))
    margins = {"left": 0.62 / width, "right": 1 - 0.1 / width, "bottom": 0.45 / height, "top": 1 - (TOP + 0.3) / height}
    figure.subplots_adjust(**margins, wspace=0.26, hspace=0.42)  # a layout engine draws twice
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for place, name in zip(axes, names, strict=False):
        beta_panel(place, rows) if name == "beta" else panel(place, rows, name)
        place.set(title=TITLES.get(name, name), xlabel="epoch")
        place.xaxis.get_major_locator().set_params(integer=True)
        place.grid(alpha=0.3)
        if place.get_legend_handles_labels()[0]:
            place.legend(frameon=False, fontsize=9, loc="upper left" if name == "beta" else "best")
    for place in axes[len(names) :]:
        place.set_axis_off()
    figure.suptitle(title, fontsize=10)
    with atomically(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def panel(axes: Any, rows: Rows, name: str) -> None:
    """A number, and the same number in validation."""
    marker, colour = "." if len(rows) < 4 else "", COLOURS.get(name, "C4")
    for column, style, label in ((name, "-", name), (f"val_{name}", "--", "validation")):
        points = [(int(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
        if points:
            axes.plot(*zip(*points, strict=True), style, color=colour, label=label, marker=marker)


def beta_panel(axes: Any, rows: Rows) -> None:
    """Beta from the first to the last step of each epoch, and its mean. Epoch e lies between e - 1 and e.

    Rows of an older version know only the last step.
    """
    known = [row for row in rows if row.get("beta")]
    within = any(row.get("beta_first", row["beta"]) not in ("", row["beta"]) for row in known)
    line, mean = [], []
    for row in known:
        epoch, last = int(row["epoch"]), float(row["beta"])
        if within and row.get("beta_first"):
            line.append((epoch - 1, float(row["beta_first"])))
        line.append((epoch, last))
        if row.get("beta_mean"):
            mean += [(epoch - 1, float(row["beta_mean"])), (epoch, float(row["beta_mean"])), (epoch, math.nan)]
    marker = "." if len(rows) < 4 else ""
    if line:
        axes.plot(*zip(*line, strict=True), color="C3", label="first to last step" if within else None, marker=marker)
    if mean and (within or any(row.get("beta_mean") not in ("", row["beta"]) for row in known)):
        axes.plot(*zip(*mean, strict=True), ":", color="0.3", label="mean of the epoch")
    top = max([value for _, value in (*line, *mean) if value == value], default=1.0)
    axes.set_ylim(0, top * (1.45 if within else 1.1) or 1.0)  # room for the legend
