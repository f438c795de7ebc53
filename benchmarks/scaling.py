"""The cost of an epoch against the number of images and of latent units: linear, and nothing on top of it.

python -m benchmarks.scaling [--rounds 11] [--picture docs/scaling.png]
"""

import statistics
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.contest import arguments, demand, record, take_turns
from benchmarks.train_step import Ours, without_pictures

IMAGES = (15_000, 30_000, 60_000)
LATENTS = (2, 20, 50, 100, 200)


def steadied(found: dict[str, list[float]]) -> dict[str, float]:
    """The median of each, taken after every round was scaled to the same mean: the machine's speed drifts."""
    means = [statistics.mean(taken) for taken in zip(*found.values(), strict=True)]
    middle = statistics.median(means)
    return {
        name: middle * statistics.median(seconds / mean for seconds, mean in zip(values, means, strict=True))
        for name, values in found.items()
    }


def off_the_line(found: dict[int, float]) -> float:
    """How many times farther from zero than their straight line (least squares) the worst of some points lies."""
    slope, intercept = statistics.linear_regression(list(found), list(found.values()))
    return max(seconds / (intercept + slope * number) for number, seconds in found.items())


def draw(by_images: dict[int, float], by_latents: dict[int, float], path: Path) -> None:
    """Both, each with the straight line through its ends."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, found, name in zip(
        figure.subplots(1, 2), (by_images, by_latents), ("images", "latent units, 15,000 images"), strict=True
    ):
        axes.plot([min(found), max(found)], [found[min(found)], found[max(found)]], color="0.8", label="straight line")
        axes.plot(list(found), list(found.values()), "o", color="C0", label="median of an epoch")
        axes.set(xlabel=name, ylabel="seconds", ylim=(0, None), xlim=(0, None))
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


def main() -> None:
    asked = arguments(__doc__, rounds=11, picture="outputs/benchmarks/scaling.png")
    contestants = {f"{n} images": Ours(n, *without_pictures()) for n in IMAGES}
    contestants |= {f"{j} units": Ours(15_000, *without_pictures(), f"latent.dim={j}") for j in LATENTS}
    found = take_turns(contestants, asked.rounds)
    middle = steadied(found)
    for name, seconds in middle.items():
        print(f"{name:>14} {seconds:6.2f} s")
    by_images = {n: middle[f"{n} images"] for n in IMAGES}
    by_latents = {j: middle[f"{j} units"] for j in LATENTS}
    record_path = Path(asked.picture)
    record_path.parent.mkdir(parents=True, exist_ok=True)
    draw(by_images, by_latents, record_path)
    demands = [
        demand("60,000 images / (4 x 15,000 images)", by_images[60_000] / (4 * by_images[15_000]), 1.10),
        demand("latent units, the point farthest above the straight line / the line", off_the_line(by_latents), 1.10),
    ]
    record("scaling", seconds=found, demands=demands)


if __name__ == "__main__":
    main()
