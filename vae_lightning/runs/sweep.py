"""The record of a sweep, project_dir/multirun/NAME/sweep.json: what the sweep is, and each launch of it.

A launch is one command line. The jobs of the first launch have the numbers from 0 on. A later launch adds the jobs that
are new in it, so numbers go on, and a job keeps its number.
"""

import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.configuration import NOT_THE_RUN, among, at, differences, essential
from vae_lightning.runs.files import SWEEP_RECORD, SWEEPS
from vae_lightning.runs.readings import mapping, sequence, text, whole
from vae_lightning.runs.regular import json_of

Words = tuple[str, ...]
MOST_JOBS = 1_000_000  # of a launch that can be counted


@dataclass(frozen=True)
class Launch:
    """One command line of a sweep. `axes` are the words of its jobs, key by key; empty where its sweeper decides."""

    started: str
    swept: Words
    axes: tuple[Words, ...]
    first: int  # the number of its first job where its sweeper decides
    code: Mapping[str, str]

    def jobs(self) -> list[Words]:
        """The words of each job, in Hydra's order."""
        size = 1
        for axis in self.axes:
            size *= len(axis)
        return list(itertools.product(*self.axes)) if self.axes and size <= MOST_JOBS else []


@dataclass(frozen=True)
class Sweep:
    """What a sweep is: its place, its ready-made option, the group that was said, and the configuration of its jobs."""

    folder: Path
    project: str  # where it was when the sweep began
    name: str | None
    option: str | None
    group: str | None
    base: Mapping[str, Any]  # not resolved; without what is swept, the values that nobody said
    launches: tuple[Launch, ...] = ()

    @property
    def swept(self) -> list[str]:
        """The keys that any launch varies."""
        return list(dict.fromkeys(key for launch in self.launches for key in launch.swept))

    @cached_property
    def numbers(self) -> Mapping[Words, list[int]]:
        """{essential words of a job: its number}. The same words twice in the first launch are two jobs."""
        numbers: dict[Words, list[int]] = {}
        count, swept = 0, self.swept
        for place, launch in enumerate(self.launches):
            for words in (essential(job, swept) for job in launch.jobs()):
                if place == 0 or words not in numbers:
                    numbers.setdefault(words, []).append(count)
                    count += 1
        return numbers

    def number(self, words: Iterable[str], launched: int) -> int:
        """The number of the job with these words, which Hydra counts as `launched` in its own launch."""
        known = self.numbers.get(essential(words, self.swept))
        if known is None:
            return launched + (self.launches[-1].first if self.launches else 0)
        return launched if launched in known else known[0]

    def launched(self) -> list[int]:
        """The numbers of the jobs of the newest launch, in Hydra's order."""
        jobs = self.launches[-1].jobs() if self.launches else []
        return [self.number(words, number) for number, words in enumerate(jobs)]

    def misfits(self, base: Mapping[str, Any], swept: Sequence[str]) -> list[str]:
        """The keys at which another configuration differs from that of the sweep, as `key: old -> new`.

        What either sweeps may differ; where such a key is no part of the configuration, as experiment is, its options
        may change anything, and the jobs themselves tell what they are.
        """
        varied = {*self.swept, *swept, *words_in(base.get("allow_drift"))}
        if any(key.partition(".")[0] not in base for key in {*self.swept} ^ {*swept}):
            return []
        keys = differences(dict(self.base), dict(base))
        wrong = [key for key in keys if not among(key, (*NOT_THE_RUN, *varied))]
        return [f"{key}: {brief(at(self.base, key))} -> {brief(at(base, key))}" for key in wrong]

    def is_foreign(self, project: Path) -> bool:
        """Whether the folder was copied from another project, which is still where it was."""
        here, before = project.resolve(), Path(self.project)
        return bool(self.project) and before != here and (before / SWEEPS / self.folder.name / SWEEP_RECORD).is_file()

    def with_launch(self, launch: Launch) -> "Sweep":
        return replace(self, launches=(*self.launches, launch))

    def write(self) -> None:
        """Writes the record atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        facts = {key: value for key, value in asdict(self).items() if key != "folder"}
        write_text(self.folder / SWEEP_RECORD, json.dumps(facts, indent=1, ensure_ascii=False, default=str) + "\n")


def read_sweep(folder: Path) -> Sweep | None:
    """The record of a sweep, or None where there is none, or none that can be read."""
    facts = mapping(json_of(folder / SWEEP_RECORD))
    if not facts.get("base"):
        return None
    name, option, group = (text(facts.get(key)) for key in ("name", "option", "group"))
    launches = tuple(launch_of(mapping(launch)) for launch in sequence(facts.get("launches")))
    return Sweep(folder, text(facts.get("project")) or "", name, option, group, mapping(facts["base"]), launches)


def launch_of(facts: Mapping[str, Any]) -> Launch:
    """One launch of a record."""
    axes = tuple(words_in(axis) for axis in sequence(facts.get("axes")))
    code = {key: str(value) for key, value in mapping(facts.get("code")).items()}
    return Launch(
        text(facts.get("started")) or "", words_in(facts.get("swept")), axes, whole(facts.get("first")) or 0, code
    )


def words_in(value: Any) -> Words:
    """The texts of a list."""
    return tuple(word for word in sequence(value) if isinstance(word, str))


def brief(value: Any) -> str:
    """A value in a line."""
    shown = value if isinstance(value, str) else json.dumps(value, default=str)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def sweeps_of(project: Path) -> list[Sweep]:
    """The sweeps of a project with a record, newest first."""
    try:
        folders = [Path(entry.path) for entry in os.scandir(project / SWEEPS) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    sweeps = [sweep for folder in folders if (sweep := read_sweep(folder))]
    return sorted(sweeps, key=lambda sweep: sweep.launches[-1].started if sweep.launches else "", reverse=True)
