"""Writes the results of the benchmarks into docs/performance.md and scaling.md: `python -m benchmarks.document`."""

import json
import re
import statistics
from pathlib import Path
from typing import Any

from benchmarks.contest import RESULTS, ROOT, spread

PAGE = ROOT / "docs" / "performance.md"
NAMES = (
    "train_step",
    "overhead",
    "convolution",
    "accuracy",
    "main_job",
    "sweep",
    "start_up",
    "scaling",
    "image_folder",
    "many_runs",
    "shards",
    "accelerator",
)


def shown(found: dict[str, Any]) -> str:
    """The text of one benchmark: the machine, tables of medians, and the demands."""
    machine, versions = found["machine"], found["versions"]
    lines = [
        f"`python -m benchmarks.{found['benchmark']}` at commit `{found['commit']}`, {found['when'][:10]}, "
        f"{machine['cores']} cores of an {machine['processor']}, load {machine['load']:.1f}, torch {versions['torch']}",
        "",
    ]
    if "device" in found:
        lines[0] += f", on an {found['device']}"
    if "seconds_per_epoch" in found:
        steps = -(-found["images"] // found["batch_size"])
        lines += medians(found["seconds_per_epoch"], "ms per step", 1000 / steps, "bare")
    for name, steps_taken in found.get("seconds_per_step", {}).items():
        lines += [*medians(steps_taken, f"ms, {name}", 1000, "bare"), ""]
    if "seconds_between_epochs" in found:
        means = {name: 1000 * statistics.mean(taken) for name, taken in found["seconds_between_epochs"].items()}
        lines.append(
            "Between two epochs, mean: " + ", ".join(f"{name} {ms:.0f} ms" for name, ms in means.items()) + "."
        )
    if "ratios" in found:
        ratios = ", ".join(f"{what} {value:.2f}" for what, value in found["ratios"].items())
        lines += ["", f"Measured without a demand: {ratios}."]
    if "seconds" in found:
        lines += medians(found["seconds"], "s", 1, next(iter(found["seconds"])))
    if "going_on" in found:
        lines += ["", "The first batch after nine tenths of an epoch:", ""]
        lines += medians(found["going_on"], "ms", 1000, next(iter(found["going_on"])))
    if "own_mib" in found:
        own = ", ".join(f"{name} {mib:.0f} MiB" for name, mib in found["own_mib"].items())
        lines += ["", f"Memory that the process does not share: {own}."]
    if "test_elbo" in found:
        lines += ["| seed | " + " | ".join(f"`trainer={name}`" for name in found["test_elbo"]) + " |", "|---|---|---|"]
        rows = zip(*found["test_elbo"].values(), strict=True)
        lines += [f"| {seed} | " + " | ".join(f"{elbo:.2f}" for elbo in row) + " |" for seed, row in enumerate(rows, 1)]
    if "cpu_seconds" in found and "seconds" not in found:
        lines += ["| | s of processor time |", "|---|---|"]
        lines += [f"| `{name}` | {seconds:.2f} |" for name, seconds in found["cpu_seconds"].items()]
    if "peak_gib" in found:
        lines += [
            "",
            "Peak memory: " + ", ".join(f"{name} {gib:.2f} GiB" for name, gib in found["peak_gib"].items()) + ".",
        ]
    if "timeline" in found:
        lines += ["", "```text", *found["timeline"], "```"]
    lines += ["", "| demand | measured | at most | |", "|---|---|---|---|"]
    for demand in found["demands"]:
        holds = "holds" if demand["holds"] else "**does not hold**"
        lines.append(f"| {demand['what']} | {demand['value']:.2f} | {demand['most']:.2f} | {holds} |")
    return "\n".join(lines)


def medians(found: dict[str, list[float]], unit: str, scale: float, against: str) -> list[str]:
    """A table of contestants: median, quartiles, ratio to `against`."""
    lines = [f"| | median, {unit} | quartiles | of {against} |", "|---|---|---|---|"]
    base = statistics.median(found[against])
    for name, values in found.items():
        middle = statistics.median(values)
        lines.append(f"| {name} | {middle * scale:.2f} | {spread(values)} | {middle / base:.2f} |")
    return lines


def main() -> None:
    for path in filter(Path.is_file, (PAGE, PAGE.with_name("scaling.md"))):
        write(path)


def write(document: Path) -> None:
    """Puts the text of each benchmark between its two marks in a document."""
    page = document.read_text(encoding="utf-8")
    for name in NAMES:
        path: Path = RESULTS / f"{name}.json"
        if path.is_file():
            text = shown(json.loads(path.read_text(encoding="utf-8")))
            between = rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)"
            page = re.sub(between, lambda _, text=text: text + "\n", page, flags=re.DOTALL)
    document.write_text(page, encoding="utf-8")
    print(document.relative_to(ROOT))


if __name__ == "__main__":
    main()
