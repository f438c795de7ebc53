"""The runs of a folder, a line each: `python -m vae_lightning.status [DIR]`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vae_lightning.run_folder import Lock

COLUMNS = "{status:<12} {epochs:>9} {elbo:>11}   {run}"


def lines(folder: Path) -> Iterator[str]:
    """Status, epochs done and planned, best validation ELBO (nats), and the folder of every run, oldest first."""
    runs = records(folder)
    if not runs:
        yield f"{folder}: no runs"
        return
    yield COLUMNS.format(status="status", epochs="epochs", elbo="best ELBO", run="run folder")
    for path in runs:
        yield COLUMNS.format(**summary(path))


def summary(path: Path) -> dict[str, Any]:
    """What a run's record says of it; one that still says `running` while nobody runs was killed."""
    run, (status, meta) = path.parent, standing(path)
    elbos, config = curve(run), meta.get("config")
    return {
        "status": status,
        "epochs": f"{len(elbos)}/{config.get('epochs', '?') if isinstance(config, dict) else '?'}",
        "elbo": f"{max(elbos):.2f}" if elbos else "-",
        "run": run,
    }


def standing(path: Path) -> tuple[str, dict[str, Any]]:
    """A run's status and record: `killed` where it says `running` and nobody runs, `damaged` where it is no record."""
    try:
        meta = json.loads(path.read_text(encoding="utf-8") or "{}")
    except (OSError, ValueError):
        meta = None
    if not isinstance(meta, dict):
        return "damaged", {}
    status = str(meta.get("status") or "killed")
    return ("killed" if status == "running" and not Lock(path.parent).held else status), meta


def records(folder: Path) -> list[Path]:
    """Every run_meta.json below a folder, oldest run first; `latest` is a link, and none of them."""
    found = sorted(folder.rglob("run_meta.json"), key=lambda path: str(path.parent))
    depth = len(folder.parents)
    return [path for path in found if not any(each.is_symlink() for each in list(path.parents)[: -depth - 1])]


def curve(run: Path) -> list[float]:
    """The validation ELBO of every epoch done, or the training ELBO where nothing was held out."""
    import csv

    path = run / "curves" / "train_log.csv"
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        values = [row.get("val_elbo") or row.get("elbo") for row in csv.DictReader(file)]
    return [float(value) for value in values if value]


def main() -> None:
    arguments = sys.argv[1:]
    if len(arguments) > 1 or (arguments and arguments[0].startswith("-")):
        print("usage: python -m vae_lightning.status [DIR]\n\nDIR: a run, a group, or everything (default: outputs)")
        sys.exit(0 if arguments[0] in ("-h", "--help") else 2)
    folder = Path(arguments[0] if arguments else "outputs")
    if not folder.is_dir():
        print(f"error: {folder}: no such folder; name a run, a group, or a project_dir", file=sys.stderr)
        sys.exit(2)
    print("\n".join(lines(folder)))


if __name__ == "__main__":
    main()
