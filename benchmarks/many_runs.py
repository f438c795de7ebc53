"""What it costs to look at a folder of many runs: `report`, `status` and `compare`.

    python -m benchmarks.many_runs [--runs 2000] [--epochs 50]

One short run of each latent size is trained. All other runs are its copies without weights: the record with the whole
configuration, curves of every epoch and the picture of the last one, as a run leaves them, with a beta, a seed and
numbers of their own. The grid is 4 betas x 2 latent sizes x seeds, and each run has the record of its job. Each
command is a process of its own; its memory is the most that the process had resident.
"""

import csv
import json
import math
import shutil
from pathlib import Path

from benchmarks.contest import RESULTS, arguments, demand, record
from benchmarks.process import cost
from vae_lightning.runs.files import CURVES, LOG, RECORD, SAMPLES, SWEEP_PAGE, USAGE, epoch_picture
from vae_lightning.runs.jobs import Job

BETAS, DIMS = (0.5, 1.0, 2.0, 4.0), (2, 20)
WORDS = ("epochs=1", "+trainer.max_steps=5", "data.mirrors=[]", "report=false", "group=template")
LONGEST, LARGEST, PAGE_MB = 60.0, 1.0, 20.0  # seconds, GiB and MB that the commands may take


def template(folder: Path, dim: int) -> Path:
    """A real run of a latent size."""
    cost("-m", "vae_lightning.train", *WORDS, f"latent=z{dim}", f"name=z{dim}", f"project_dir={folder}")
    return next((folder / "template").glob(f"*-z{dim}"))


def make_run(source: Path, folder: Path, beta: float, seed: int, epochs: int) -> None:
    """A copy of a run with a beta, a seed, curves and numbers of its own."""
    text = (source / RECORD).read_text(encoding="utf-8")
    meta = json.loads(text.replace(json.dumps(str(source))[1:-1], json.dumps(str(folder))[1:-1]))
    config = meta["config"]
    config |= {"beta": beta, "seed": seed, "group": folder.parent.name, "name": folder.name, "epochs": epochs}
    config["schedule"]["beta"] = config["callbacks"]["beta_annealing"]["schedule"]["beta"] = beta
    config["data"]["seed"] = seed
    kl = (6 if config["latent"]["dim"] == 2 else 24) / math.sqrt(beta)
    elbo = -105 - 4 * abs(math.log2(beta)) - 30 * (config["latent"]["dim"] == 2) - 0.1 * (seed % 17)
    terms = {"elbo": elbo, "recon": -elbo - kl, "kl": kl}
    measured = {f"{split}/{key}": value for split in ("train", "val", "test") for key, value in terms.items()}
    meta |= {"status": "completed", "seed": seed, "epochs_done": epochs, "seconds": 60.0 + seed % 7}
    meta["metrics"] = {**meta["metrics"], **measured}
    meta["overrides"] = [f"beta={beta:g}", f"latent=z{config['latent']['dim']}", f"seed={seed}", f"epochs={epochs}"]
    (folder / CURVES).mkdir(parents=True)
    (folder / RECORD).write_text(json.dumps(meta, indent=2), encoding="utf-8")
    for name in (LOG, USAGE):
        write_curves(source / CURVES / name, folder / CURVES / name, elbo, epochs)
    (folder / SAMPLES).mkdir()
    shutil.copyfile(source / SAMPLES / epoch_picture(1), folder / SAMPLES / epoch_picture(epochs))


def write_curves(source: Path, path: Path, elbo: float, epochs: int) -> None:
    """The row of the only epoch again for each epoch, with an ELBO that rises."""
    with source.open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        writer.writeheader()
        for epoch in range(1, epochs + 1):
            risen = {key: elbo - 40 / epoch for key in ("elbo", "val_elbo") if key in row}
            writer.writerow({**row, **risen, "epoch": epoch})


def make_runs(project: Path, runs: int, epochs: int) -> Path:
    """A sweep of so many runs, in one group. Returns the folder of the group."""
    sources = {dim: template(project, dim) for dim in DIMS}
    group = project / "many"
    for number in range(runs):
        dim, beta = DIMS[number % 2], BETAS[number // 2 % 4]
        name = f"20260101-{number + 1:04d}-beta{beta:g}-z{dim}-seed{number // 8}"
        make_run(sources[dim], group / name, beta, number // 8, epochs)
        file = project / "multirun" / "20260101-000000" / "jobs" / f"{number:04d}.json"
        words = (f"beta={beta:g}", f"latent=z{dim}", f"seed={number // 8}")
        Job(file, number, words, group.name, "completed", run=f"../../../{group.name}/{name}").write()
    shutil.rmtree(project / "template")
    return group


def main() -> None:
    asked = arguments(__doc__, runs=2000, epochs=50)
    project = RESULTS / "many_runs"
    shutil.rmtree(project, ignore_errors=True)
    group = make_runs(project, asked.runs, asked.epochs)
    sweep = project / "multirun" / "20260101-000000"
    costs = {
        "report of the group": cost("-m", "vae_lightning.report", str(group)),
        "report of the sweep": cost("-m", "vae_lightning.report", str(sweep)),
        "status of the project": cost("-m", "vae_lightning.status", str(project)),
        "compare by beta": cost("-m", "vae_lightning.compare", f"sweep={group}", "by=beta"),
    }
    pages = {"page of the group": group / SWEEP_PAGE, "page of the sweep": sweep / SWEEP_PAGE}
    for name, taken in costs.items():
        print(f"{name:<22} {taken.seconds:6.1f} s {taken.peak:6.2f} GiB")
    demands = [demand(f"{name}, seconds", taken.seconds, LONGEST) for name, taken in costs.items()]
    demands += [demand(f"{name}, peak GiB", taken.peak, LARGEST) for name, taken in costs.items()]
    demands += [demand(f"{name}, MB", path.stat().st_size / 1e6, PAGE_MB) for name, path in pages.items()]
    record("many_runs", runs=asked.runs, epochs=asked.epochs, demands=demands)


if __name__ == "__main__":
    main()
