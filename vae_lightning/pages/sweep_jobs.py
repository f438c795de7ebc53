"""The jobs of a sweep on disk: what each was asked, which run it became, how it ended.

A job that is refused before its run folder exists is known by nothing else. project_dir/multirun/<time>/jobs/0003.json
holds one job; `run` in it is relative to that file, so the project may move. Imports no torch, Lightning, Hydra.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vae_lightning.runs.atomic import atomically

SWEEPS, FOLDER, PAGE = "multirun", "jobs", "sweep.html"
STARTING, COMPLETED, FAILED, STOPPED = "starting", "completed", "failed", "interrupted"


@dataclass(frozen=True)
class Job:
    """One job's record; `file` is where it stands."""

    file: Path
    number: int
    overrides: tuple[str, ...] = ()
    group: str | None = None
    status: str = STARTING
    error: str | None = None
    run: str | None = None

    @property
    def run_folder(self) -> Path | None:
        """The run it became; None where it became none."""
        return (self.file.parent / self.run).resolve() if self.run else None

    def write(self) -> None:
        """The record, whole."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        facts = {key: value for key, value in asdict(self).items() if key != "file"}
        with atomically(self.file) as temporary:
            temporary.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read(folder: Path) -> list[Job]:
    """The jobs of every sweep below a folder, in their order; what is no job's record is passed over."""
    files = sorted(folder.rglob(f"{FOLDER}/*.json"))
    return [job for job in map(read_one, files) if job is not None]


def read_one(file: Path) -> Job | None:
    """One record, or None where it is not one."""
    try:
        facts: Any = json.loads(file.read_text(encoding="utf-8"))
        texts = {key: None if facts.get(key) is None else str(facts[key]) for key in ("group", "error", "run")}
        overrides = tuple(str(each) for each in facts["overrides"])
        return Job(file, int(facts["number"]), overrides, status=str(facts["status"]), **texts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
