"""The complete main job from start to exit, beside the example-style script with its pictures; and its memory.

    python -m benchmarks.main_job [--epochs 20] [--rounds 3]

Both train on 55,000 images; ours validates on 5,000 after every epoch, the script tests on 10,000, as it is written.
"""

import statistics
import tempfile

from benchmarks.contest import arguments, demand, ratio, record, table, take_turns
from benchmarks.peers import data_dir
from benchmarks.process import Cost, cost


def main() -> None:
    asked = arguments(__doc__, epochs=20, rounds=3)
    folder = tempfile.mkdtemp()
    ours = [
        "-m",
        "vae_lightning.train",
        f"epochs={asked.epochs}",
        f"data.dir={data_dir()}",
        f"project_dir={folder}/ours",
    ]
    commands = {
        "example style": ["-m", "benchmarks.example_script", str(asked.epochs), "55000", f"{folder}/example"],
        "main job": ours,
        "main job, fast": [*ours, "trainer=fast"],
        "torch alone": ["-c", "import torch"],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}

    def run(name: str) -> float:
        costs[name].append(cost(*commands[name]))
        return costs[name][-1].seconds

    found = take_turns({name: lambda name=name: run(name) for name in commands}, asked.rounds, warm_up=0)
    print(table(found, "s", 1, "example style"))
    peak = {name: max(each.peak for each in values) for name, values in costs.items()}
    print("peak memory, GiB: " + ", ".join(f"{name} {gib:.2f}" for name, gib in peak.items()))
    demands = [
        demand("main job / example style, wall time", ratio(found, "main job", "example style"), 1.0),
        demand("main job, peak memory in GiB", peak["main job"], 1.5),
    ]
    cpu = {name: statistics.median(each.cpu for each in values) for name, values in costs.items()}
    record("main_job", epochs=asked.epochs, seconds=found, cpu_seconds=cpu, peak_gib=peak, demands=demands)


if __name__ == "__main__":
    main()
