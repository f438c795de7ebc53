"""Which run `resume` goes on with: the one that it names, or with `resume=auto` one of the job's group."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.app import older
from vae_lightning.app.same import has_data, is_same
from vae_lightning.errors import CheckpointError, ConfigError
from vae_lightning.runs.configuration import key_of
from vae_lightning.runs.folder import resolved
from vae_lightning.runs.folds import age
from vae_lightning.runs.lock import is_first_process
from vae_lightning.runs.run import COMPLETED, Run, open_run

AUTO = "auto"
RESUMED = "VAE_LIGHTNING_RESUMED"  # tells the other processes of a distributed run what the first one goes on with


def find(cfg: DictConfig, is_named: bool = False, swept: Sequence[str] | None = None) -> Run | None:
    """The run to go on with, as `look_for` finds it. The other processes of a run take that of the first process."""
    if not is_first_process() and (told := os.environ.get(RESUMED)) is not None:
        return Run(Path(told)) if told else None
    run = look_for(cfg, is_named, swept)
    os.environ[RESUMED] = str(run.path.resolve()) if run else ""
    return run


def look_for(cfg: DictConfig, is_named: bool, swept: Sequence[str] | None) -> Run | None:
    """The run that `resume` names, or the one that `resume=auto` finds in the group or in `save_dir`. None: a new run.

    `auto` takes a run with the job's own configuration and data, and its name where the user gave one: the newest of
    those that are not completed and have a checkpoint. In a sweep, which varies the keys `swept`, or in a `save_dir` a
    completed run of that configuration comes first: the job is done. Without a sweep any newest run that is not
    completed will do: `configuration` says how it differs.
    """
    in_sweep = swept is not None
    if cfg.resume is None:
        return None
    if cfg.resume != AUTO:
        try:
            return open_run(cfg.resume, key="resume")
        except ConfigError as error:
            raise CheckpointError(str(error)) from None
    folders = [resolved(cfg.save_dir)] if cfg.save_dir else (Path(cfg.project_dir) / cfg.group).glob("*")
    runs = [run for run in newest_first(folders) if not is_named or run.config.get("name") == cfg.name]
    unfinished = [run for run in runs if run.status != COMPLETED and run.last.is_file()]
    done = [run for run in runs if (in_sweep or cfg.save_dir) and run.status == COMPLETED]
    found = next((run for run in (*done, *unfinished) if is_same(run, cfg, swept or ()) and has_data(run, cfg)), None)
    return found if found or in_sweep else next(iter(unfinished), None)


def check_stays(run: Run, said: Sequence[str], asked: DictConfig) -> None:
    """Raises ConfigError where a word beside resume=DIR names another place than that of the run."""
    keys, here = [key_of(word) for word in said], run.path.resolve()
    if "resume" not in keys or asked.resume == AUTO:
        return
    saved = older.config_of(run)
    stays = {
        "save_dir": lambda folder: resolved(folder).resolve() == here,
        "project_dir": lambda folder: saved.get("save_dir") or resolved(folder).resolve() in here.parents,
        "group": lambda group: group == saved["group"],
        "name": lambda name: name == saved["name"],
    }
    for key in filter(stays.__contains__, keys):
        if asked[key] is not None and not stays[key](asked[key]):
            raise ConfigError(f"{key}={asked[key]}: resume={run.path} goes on in the run's own folder; leave {key} out")


def newest_first(folders: Iterable[Path]) -> list[Run]:
    """The runs in some folders, as far as they have a whole configuration, newest first. Links are left out."""
    runs = [Run(folder) for folder in folders if os.path.isdir(folder) and not folder.is_symlink()]
    return sorted((run for run in runs if not run.lacks), key=age, reverse=True)
