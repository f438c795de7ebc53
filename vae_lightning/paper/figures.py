"""The figures of the rows, each drawn from the JSON of its result, and the pictures of the models themselves.

A picture names in its metadata the SHA-256 of what it was drawn from, so that a test sees one that is out of date.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from vae_lightning.paper.judging import means
from vae_lightning.runs.atomic import atomically
from vae_lightning.runs.digest import sha256

STYLES = {"aevb": "C3", "wake-sleep": "C2", "mcem": "C0"}  # the paper's colours: red, green, blue
DPI = 90


def draw(result: Mapping[str, Any], kind: str, path: Path) -> None:
    """Draws the figure of a result; a kind without a figure draws nothing."""
    if kind not in KINDS:
        return
    figure = KINDS[kind](result)
    with atomically(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI, metadata={"Source": fingerprint(result)})


def fingerprint(result: Mapping[str, Any]) -> str:
    """What a figure depends on: the runs of the result, and what was published."""
    return sha256(json.dumps([result["runs"], result["published"]], sort_keys=True).encode())


def drawn_from(path: Path) -> str | None:
    """The fingerprint in a picture, or None."""
    with Image.open(path) as picture:
        return picture.info.get("Source")


def parted(run: str) -> tuple[str, str]:
    """(panel, line): the name of a run without its last word, and that word."""
    panel, _, line = run.rpartition(" ")
    return panel, line


def curves(result: Mapping[str, Any]) -> Figure:
    """The bound against training samples seen, a panel for each setting: training solid, held-out dashed (Fig. 2)."""
    first = [each for each in result["runs"] if each["seed"] == result["runs"][0]["seed"]]
    panels = list(dict.fromkeys(parted(each["run"])[0] for each in first))
    columns = min(5, len(panels))
    figure = Figure(figsize=(3.1 * columns, 2.8 * math.ceil(len(panels) / columns)), layout="constrained")
    grid = figure.subplots(math.ceil(len(panels) / columns), columns, squeeze=False).flatten()
    for axes, panel in zip(grid, panels, strict=False):
        for each in (each for each in first if parted(each["run"])[0] == panel):
            line(axes, each)
        axes.set(title=panel, xscale="log", xlabel="training samples seen")
        axes.grid(alpha=0.3)
        limit(axes)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    grid[0].set_ylabel("lower bound, nats")
    grid[0].legend(frameon=False, fontsize=8)
    return figure


def line(axes: Axes, each: Mapping[str, Any]) -> None:
    """The curves of one run."""
    name = parted(each["run"])[1]
    for column, style, what in ((1, "-", "train"), (2, "--", "held out")):
        points = [(point[0], point[column]) for point in each["curve"] if point[column] is not None]
        if points:
            axes.plot(*zip(*points, strict=True), style, color=STYLES.get(name, "C1"), label=f"{name}, {what}", lw=1.3)


def limit(axes: Axes) -> None:
    """Leaves out the first, lowest values, as the paper's axes do."""
    values = sorted(float(value) for curve in axes.lines for value in curve.get_ydata())  # type: ignore[union-attr]
    if values:
        low, high = values[len(values) // 20], values[-1]
        room = 0.06 * (high - low) or 1.0
        axes.set_ylim(low - room, high + room)


def points(result: Mapping[str, Any]) -> Figure:
    """The first number of each run against the number in its name: passes at its begin, or training samples at its end.

    Of the words before the samples, one with a digit names a panel, the others a line; the words behind the passes name
    a line. Published values have the colour of their line: a star where the row says at which number, else dots.
    """
    number, panels = next(iter(result["runs"][0]["numbers"])), {}
    unit = "passes over the training data" if result["runs"][0]["run"][0].isdigit() else "training samples"
    for run, values in means(result["runs"]).items():
        if number in values:
            panel, name, x = placed(run)
            panels.setdefault(panel, {}).setdefault(name, []).append((x, values[number]))
    figure = Figure(figsize=(2.6 + 3.8 * len(panels), 4), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (panel, lines) in zip(grid, panels.items(), strict=True):
        colours = {name: STYLES.get(name, f"C{index}") for index, name in enumerate(lines)}
        for name, found in lines.items():
            axes.plot(*zip(*sorted(found), strict=True), "o-", label=name, color=colours[name])
        for each in result["published"]:
            place, name, _ = placed(each["run"])
            if (place, each["number"]) == (panel, number) and each["at"]:
                axes.plot(each["at"], each["value"], "*", ms=11, color=colours.get(name), label=f"{name}, published")
            elif (place, each["number"]) == (panel, number):
                axes.axhline(each["value"], color=colours.get(name), ls=":", lw=1, label=f"{name}, published")
        axes.set(xscale="log", title=panel, xlabel=unit)
        axes.grid(alpha=0.3)
    grid[0].set_ylabel(f"{number}, nats")
    figure.supxlabel(result["title"].rstrip("."), fontsize=9, wrap=True)
    grid[0].legend(frameon=False, fontsize=8)
    return figure


def placed(run: str) -> tuple[str, str, float]:
    """(panel, line, x) of the name of a run: N1000 aevb 1e4 -> (N1000, aevb, 10000), 328 iwae -> ("", iwae, 328)."""
    words = run.split()
    if words[0][0].isdigit():
        return "", " ".join(words[1:]), float(words[0])
    x = next(word for word in reversed(words) if word[0].isdigit())
    rest = [word for word in words if word != x]
    panels = [word for word in rest if any(map(str.isdigit, word))]
    return " ".join(panels), " ".join(word for word in rest if word not in panels), float(x)


def frontier(result: Mapping[str, Any]) -> Figure:
    """Rate against distortion, a point for each run and seed."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    for index, run in enumerate(dict.fromkeys(each["run"] for each in result["runs"])):
        found = [each["numbers"] for each in result["runs"] if each["run"] == run]
        found = [each for each in found if None not in (each["kl"], each["recon"])]
        if found:
            axes.scatter(
                [each["kl"] for each in found], [each["recon"] for each in found], color=f"C{index}", label=run
            )
    low, high = axes.get_xlim()
    for run, values in means(result["runs"]).items():
        if run.endswith("1") and "kl" in values:  # the tangent of slope -1 touches the frontier at beta = 1
            total = values["kl"] + values["recon"]
            axes.plot([low, high], [total - low, total - high], color="grey", lw=1, ls=":")
            break
    axes.set(xlabel="rate, KL, nats", ylabel="distortion, recon, nats", xlim=(low, high))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return figure


def bars(result: Mapping[str, Any]) -> Figure:
    """A panel for each number; for each run its mean, and a dot for each seed.

    The mean is a bar from zero, or a line across the row where zero is so far that the bars would look alike.
    """
    numbers, names = list(result["runs"][0]["numbers"]), list(dict.fromkeys(each["run"] for each in result["runs"]))
    figure = Figure(figsize=(2.9 * len(numbers) + 1.5, 0.32 * len(names) + 1.4), layout="constrained")
    average = means(result["runs"])
    for axes, number in zip(figure.subplots(1, len(numbers), squeeze=False)[0], numbers, strict=True):
        found = [average[name].get(number, math.nan) for name in names]
        seeds = [(each["numbers"][number], names.index(each["run"])) for each in result["runs"]]
        seeds = [(value, row) for value, row in seeds if value is not None]
        if from_zero([value for value, _ in seeds]):
            axes.barh(range(len(names)), found, color="C0", alpha=0.45)
        else:
            axes.plot(found, range(len(names)), "|", color="C0", ms=17, mew=3, alpha=0.6)
            axes.margins(x=0.15)
        for value, row in seeds:
            axes.plot(value, row, ".", color="black", ms=5)
        axes.set(ylim=(len(names) - 0.4, -0.6), yticks=range(len(names)))
        axes.set_yticklabels(names if axes is figure.axes[0] else [])
        axes.locator_params(axis="x", nbins=5)  # the labels of -112.5 and -110.0 ran into each other
        axes.set_title(number, fontsize=10)
        axes.grid(alpha=0.3)
    return figure


def from_zero(values: Sequence[float]) -> bool:
    """Whether an axis that begins at zero shows the differences."""
    return not values or min(abs(value) for value in values) <= max(values) - min(values)


KINDS: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
    "curves": curves,
    "points": points,
    "frontier": frontier,
    "bars": bars,
}
