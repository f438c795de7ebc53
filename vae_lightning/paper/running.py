"""Runs the runs of a row: ordinary runs of the main job in folders of their own, and what `evaluate` says of them.

A repeated command goes on where it was: a completed run stays, an interrupted one is resumed, and an evaluation is done
once. Two processes may work on one row: a run that the other one holds is left to it.
"""

import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

from vae_lightning import evaluate, train
from vae_lightning.app.row import Row, last_of_each, matching
from vae_lightning.errors import CheckpointError, DataError, UserError, printable
from vae_lightning.output import say, say_error
from vae_lightning.paper.plan import DONE, Planned, evaluation_of, word
from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.run import COMPLETED, DIVERGED, RUNNING, Run

SIGNALLED = 128  # statuses above it say that a signal ended the command


class Waiting(UserError):
    """Another process works on runs of the row."""


class Held(Waiting):
    """Another process works on this run."""


def complete(row: Row, plan: Sequence[Planned]) -> list[Planned]:
    """The runs with the chosen value of the row's key among their words, trained and evaluated.

    Raises Waiting where another process holds some of them, once everything else is done.
    """
    done, waits = [], []
    for number, one in enumerate(plan, 1):
        say(f"run {number} of {len(plan)}: {one.name}, seed {one.seed}")
        try:
            one = chosen(row, one)
            with held(one):
                trained(one)
                evaluated(one)
            done.append(one)
        except Held:
            waits.append(one.name)
    if waits:
        raise Waiting(f"{len(waits)} runs are in the hands of another process ({waits[0]}, ...); repeat the command")
    return done


def chosen(row: Row, one: Planned) -> Planned:
    """The run with the best value of the key that the row chooses: short trials with its seed decide."""
    if row.choose is None:
        return one
    choice, scores, trials = row.choose, {}, []
    for value in choice.values:
        short = " ".join(matching(choice.words, one.name)).split()
        words = last_of_each([*one.words, *short, f"{choice.key}={value}"])
        trial = Planned(
            f"{choice.key}{value}", one.seed, words, (), one.root / "trials"
        )  # runs of one setting share it
        trials.append(trial)
        with held(trial):
            trained(trial)
        logged = (trial.run.metrics[metric] for metric in choice.metrics if metric in trial.run.metrics)
        scores[value] = -math.inf if trial.run.status == DIVERGED else next(logged, -math.inf)
    best = max(scores, key=scores.__getitem__)
    said = ", ".join(f"{value}: {score:.2f}" for value, score in scores.items())
    say(f"{choice.key}={best} is chosen ({choice.metrics[0]} {said})")
    return replace(one, words=last_of_each([*one.words, f"{choice.key}={best}"]), trials=trials)


@contextmanager
def held(one: Planned) -> Iterator[None]:
    """Holds the run against another process of the same command. Raises Held where that one holds it."""
    one.root.mkdir(parents=True, exist_ok=True)
    lock = Lock(one.root, f".{one.folder.name}.lock")
    try:
        lock.take()
    except CheckpointError as error:
        raise Held(str(error)) from None
    try:
        yield
    finally:
        lock.release()


def trained(one: Planned) -> None:
    """Trains the run to its end, or goes on with it. A run that diverged stays: its numbers are missing."""
    run = one.run
    if run.status in (COMPLETED, DIVERGED) and run.record:
        return
    if os.path.isdir(one.folder) and not one.folder.is_symlink() and not run.last.is_file() and run.status != RUNNING:
        shutil.rmtree(one.folder)  # it was killed before its first checkpoint
    status = called(train.main, [*one.words, word("save_dir", one.folder), "resume=auto"])
    if status and one.run.status != DIVERGED:
        ended(one, status)


def evaluated(one: Planned) -> None:
    """Evaluates the run once, and keeps its numbers and the seconds that they took."""
    if not one.evaluation or one.run.status != COMPLETED or evaluation_of(one):
        return
    begun, words = time.monotonic(), [word("run", one.folder), *one.data_dir, *one.evaluation]
    if status := called(evaluate.main, words):
        ended(one, status)
    rows = {str(row.get("name")): row.get("value") for row in Run(one.folder).evaluation}
    errors = {str(row.get("name")): row.get("standard_error") for row in Run(one.folder).evaluation}
    kept = {"words": list(one.evaluation), "seconds": time.monotonic() - begun, "numbers": rows, "errors": errors}
    write_text(one.folder / DONE, json.dumps(kept, indent=1) + "\n")


def ended(one: Planned, status: int) -> NoReturn:
    """Ends with the status of a command, and says what its message does not know."""
    if status > SIGNALLED:
        say(f"{printable(one.folder)}: stopped; the same command goes on from here")
    if status == DataError.status:
        say_error("this command takes the folder of the data as data=DIR")
    sys.exit(status)


def called(main: Callable[[], None], words: Sequence[str]) -> int:
    """A command in this process: its exit status."""
    before = sys.argv
    sys.argv = [main.__module__, *words]
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    return 0
