"""A sweep of four runs, one after the other with all threads, and two at a time with one thread each.

python -m benchmarks.sweep [--epochs 5] [--rounds 3]
"""

import tempfile

from benchmarks.contest import arguments, demand, ratio, record, table, take_turns
from benchmarks.peers import data_dir
from benchmarks.process import cost


def main() -> None:
    asked = arguments(__doc__, epochs=5, rounds=3, workers=2)
    folder = tempfile.mkdtemp()
    sweep = ["-m", "vae_lightning.train", "-m", f"epochs={asked.epochs}", f"data.dir={data_dir()}", "group=sweep"]
    sweep += [f"project_dir={folder}", "seed=1,2,3,4"]
    joblib = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={asked.workers}"]
    found = take_turns(
        {"one by one": lambda: cost(*sweep).seconds, "joblib": lambda: cost(*sweep, *joblib).seconds},
        asked.rounds,
        warm_up=0,
    )
    print(table(found, "s", 1, "one by one"))
    demands = [demand(f"joblib, {asked.workers} workers / one by one", ratio(found, "joblib", "one by one"), 0.75)]
    record("sweep", epochs=asked.epochs, workers=asked.workers, seconds=found, demands=demands)


if __name__ == "__main__":
    main()
