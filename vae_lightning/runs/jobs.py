"""The jobs of a sweep on disk: the overrides of each job, the run it became, and how it ended.

A job that is refused before its run folder exists has no other record. project_dir/multirun/<time>/jobs/0003.json holds
one job. `run` in it is relative to that file, so the project may move.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.configuration import essential
from vae_lightning.runs.files import JOBS, MULTIRUN, RECORD
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.readings import mapping, sequence, text, whole
from vae_lightning.runs.regular import content_of, json_of
from vae_lightning.runs.sweep import read_sweep

MOST_YAML = 2**18  # bytes; YAML is read slowly
STARTING, COMPLETED, FAILED, STOPPED, PRUNED = "starting", "completed", "failed", "interrupted", "pruned"


@dataclass(frozen=True)
class Job:
    """The record of one job; `file` is where it stands."""

    file: Path
    number: int
    overrides: tuple[str, ...] = ()
    group: str | None = None
    status: str = STARTING
    error: str | None = None
    run: str | None = None
    identity: str | None = None  # of its configuration, without paths and names

    @property
    def sweep(self) -> Path:
        """The folder of its sweep."""
        return self.file.parent.parent

    @property
    def run_folder(self) -> Path | None:
        """The folder of the run that the job became, or None."""
        return (self.file.parent / self.run).resolve() if self.run else None

    @property
    def is_done(self) -> bool:
        """Whether it was completed, and its run is still there."""
        run = self.run_folder
        return self.status == COMPLETED and run is not None and os.path.lexists(run / RECORD)

    @property
    def lock(self) -> Lock | None:
        """The lock that a process holds while it works on the job. Jobs of one identity share it."""
        return Lock(self.file.parent, f".{self.identity[:16]}.lock") if self.identity else None

    def write(self) -> None:
        """Writes the record atomically."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        facts = {key: value for key, value in asdict(self).items() if key != "file"}
        write_text(self.file, json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


def job_file(sweep: Path, number: int) -> Path:
    """Where the record of a job of a sweep stands."""
    return sweep / JOBS / f"{number:04d}.json"


def read_jobs(folder: Path) -> list[Job]:
    """The jobs of all sweeps below a folder, in order. Files that are not job records are passed over."""
    walked = ((Path(path), names) for path, _, names in os.walk(folder) if os.path.basename(path) == JOBS)
    jobs = map(read_job, sorted(path / name for path, names in walked for name in names if name.endswith(".json")))
    return [job for job in jobs if job is not None]


def read_job(file: Path) -> Job | None:
    """One record, or None."""
    facts = mapping(json_of(file))
    number, status = whole(facts.get("number")), text(facts.get("status"))
    if number is None or status is None or not isinstance(facts.get("overrides"), list):
        return None
    overrides = tuple(word for word in sequence(facts["overrides"]) if isinstance(word, str))
    group, error, run, identity = (text(facts.get(key)) for key in ("group", "error", "run", "identity"))
    identity = identity if identity and re.fullmatch(r"[0-9a-f]{64}", identity) else None  # it names a lock
    return Job(file, number, overrides, group, status, error, run, identity)


def not_repeated(jobs: Iterable[Job]) -> list[Job]:
    """The jobs, without those that became no run and have a later job with the same words and group."""
    ordered = sorted(jobs, key=lambda job: str(job.file))
    sweeps = {job.sweep: read_sweep(job.sweep) for job in ordered}
    swept = {folder: sweep.swept if sweep else [] for folder, sweep in sweeps.items()}
    words = {job.file: (job.group, *essential(job.overrides, swept[job.sweep])) for job in ordered}
    last = {words[job.file]: job.file for job in ordered}
    return [job for job in ordered if job.run is not None or last[words[job.file]] == job.file]


def sweep_words(folder: Path) -> tuple[list[str], list[str]]:
    """The words of a sweep's command line for the runs, and those for Hydra; both empty where Hydra left no file."""
    try:
        content = yaml.safe_load(content_of(folder / MULTIRUN, MOST_YAML).decode("utf-8"))
        said = content["hydra"]["overrides"]
        task, launching = ([word for word in said[kind] if isinstance(word, str)] for kind in ("task", "hydra"))
        return task, launching
    except (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError):
        return [], []
