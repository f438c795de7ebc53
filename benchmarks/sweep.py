"""Four runs: as four commands, as a sweep one by one with all threads, and two at a time with one thread each.

python -m benchmarks.sweep [--epochs 5] [--rounds 3]
"""

import tempfile

from benchmarks.contest import arguments, demand, ratio, record, table, take_turns
from benchmarks.peers import data_dir
from benchmarks.process import cost

SEEDS = (1, 2, 3, 4)


def main() -> None:
    asked = arguments(__doc__, epochs=5, rounds=3, workers=2)
    folder = tempfile.mkdtemp()
    train = ["-m", "vae_lightning.train", f"epochs={asked.epochs}", f"data.dir={data_dir()}"]
    train += [f"project_dir={folder}", "group=sweep"]
    sweep = [*train, "-m", f"seed={','.join(map(str, SEEDS))}"]
    joblib = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={asked.workers}"]
    found = take_turns(
        {
            "four commands": lambda: sum(cost(*train, f"seed={seed}").seconds for seed in SEEDS),
            "one by one": lambda: cost(*sweep).seconds,
            "joblib": lambda: cost(*sweep, *joblib).seconds,
        },
        asked.rounds,
        warm_up=0,
    )
    print(table(found, "s", 1, "one by one"))
    demands = [
        demand(f"joblib, {asked.workers} workers / {other}", ratio(found, "joblib", other), 0.75)
        for other in ("four commands", "one by one")
    ]
    record("sweep", epochs=asked.epochs, workers=asked.workers, seconds=found, demands=demands)


if __name__ == "__main__":
    main()
