"""Which sweep a command line means: a new one, or with `sweep.skip_finished=true` the one to go on with.

A sweep is known by `sweep.name`. Without a name it is known by its ready-made option, the group that was said, and the
keys that it varies. Its base configuration must be that of the sweep. Imports neither torch nor Lightning.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hydra.plugins import sweeper
from omegaconf import DictConfig, OmegaConf

from vae_lightning.app.arguments import task_overrides
from vae_lightning.app.config import is_trial
from vae_lightning.app.launch import Batches
from vae_lightning.app.program import changes, program
from vae_lightning.app.words import axes, sweep_overrides
from vae_lightning.errors import ConfigError, shown
from vae_lightning.output import say, warn
from vae_lightning.runs.files import MULTIRUN, SWEEP_RECORD, SWEEPS
from vae_lightning.runs.folder import check_name
from vae_lightning.runs.jobs import read_jobs
from vae_lightning.runs.lock import Lock, is_first_process
from vae_lightning.runs.place import at_home
from vae_lightning.runs.sweep import Launch, Sweep, read_sweep, sweeps_of

MOST_NAMED = 3  # differences in one line
PATIENCE = 10.0  # seconds for another command that writes the record


def folder_name(*, _root_: Any) -> str:
    """The name of the sweep's folder in project_dir/multirun, chosen once: Hydra copies the cache to each job."""
    cache = OmegaConf.get_cache(_root_)["sweep_folder"]
    if () not in cache:
        cache[()] = chosen(_root_)
    return cache[()]


OmegaConf.register_new_resolver("sweep_folder", folder_name, replace=True)


def chosen(config: Any) -> str:
    """`sweep.name`, the name of the sweep to go on with, or the time.

    Reads only. Raises ConfigError for a name that is taken, and for a sweep that is another one.
    """
    new = datetime.now().strftime("%Y%m%d_%H%M%S_%f")
    folder = OmegaConf.select(config, "sweep")
    if folder is None:  # ~sweep
        return new
    if "space" in folder:  # a study, which keeps its own record
        return check_name("sweep.name", str(folder.name))
    asked = sweep_of(config, new)
    if any(key.partition(".")[0].partition("/")[0] == "sweep" for key in asked.swept):
        raise ConfigError("sweep: a sweep cannot vary its own keys; start one sweep after the other")
    if folder.name is not None:
        return check_named(asked, bool(folder.skip_finished))
    if not folder.skip_finished or is_trial(config):
        return new
    return found(asked) or new


def sweep_of(config: DictConfig, name: str) -> Sweep:
    """The sweep that a command line asks for, as if it were new; `config` is composed without the values that vary."""
    base: Any = OmegaConf.to_container(config, resolve=False)
    hydra_values = base.pop("hydra")
    words, declared = task_overrides(config.hydra), hydra_values["sweeper"].get("params")
    swept = tuple(override.key_or_group for override in sweep_overrides(words, declared))
    in_order = str(hydra_values["sweeper"].get("_target_", "")).endswith("BasicSweeper")
    own = config.sweep.name
    said = check_name("sweep.name", str(own)) if own is not None else None
    project = Path(at_home(str(config.project_dir)))
    launch = Launch(
        datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        swept,
        tuple(map(tuple, axes(words, declared))) if in_order else (),
        0,
        program(),
    )
    group, option = base.get("group"), hydra_values["runtime"]["choices"].get("sweep")
    folder = project / SWEEPS / (said or name)
    return Sweep(folder, str(project.resolve()), said, option, group and str(group), base, (launch,))


def check_named(asked: Sweep, goes_on: bool) -> str:
    """The name that was said. Raises ConfigError where its folder holds another sweep, or one that is not meant."""
    known, said = read_sweep(asked.folder), f"sweep.name={asked.name}"
    if known is None:
        with suppress(FileNotFoundError, NotADirectoryError):
            others = {path.name for path in asked.folder.iterdir() if not path.name.startswith(".")}
            if others - {MULTIRUN}:  # which a command leaves that is killed at once
                raise ConfigError(
                    f"{said}: {asked.folder} holds no {SWEEP_RECORD} and other things; choose another name"
                )
    elif not goes_on:
        raise ConfigError(f"{said}: there is a sweep of this name; sweep.skip_finished=true goes on with it")
    else:
        check_fits(known, asked)
    return str(asked.name)


def found(asked: Sweep) -> str | None:
    """The folder of the newest sweep of the project that is the one asked for; None if there is none.

    Raises ConfigError if the one that could be meant has another base configuration.
    """
    swept = {*asked.launches[0].swept}
    alike = [
        sweep
        for sweep in sweeps_of(asked.folder.parent.parent)
        if sweep.name is None
        and (sweep.option, sweep.group) == (asked.option, asked.group)
        and (swept <= {*sweep.swept} or swept >= {*sweep.swept})
    ]
    for sweep in alike:
        if not sweep.misfits(asked.base, asked.launches[0].swept):
            check_fits(sweep, asked)
            return sweep.folder.name
    if alike:
        check_fits(alike[0], asked)
    return None


def check_fits(known: Sweep, asked: Sweep) -> None:
    """Raises ConfigError unless the sweep on disk is of this project and has the configuration that is asked for."""
    project = asked.folder.parent.parent
    if known.is_foreign(project):
        raise ConfigError(
            f"{known.folder}: a sweep of another project ({shown(known.project)}); say project_dir={known.project}, "
            "or take the folder away"
        )
    if wrong := known.misfits(asked.base, asked.launches[0].swept):
        more = f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
        raise ConfigError(
            f"sweep.skip_finished=true: {known.folder} is a sweep of another configuration "
            f"({', '.join(wrong[:MOST_NAMED])}{more}); say what it was, or sweep.name=NAME for a sweep of its own"
        )


def install() -> None:
    """Has Hydra note each launch once all its jobs are known to compose, and before the first one begins.

    With hydra.sweeper.max_batch_size that holds for all batches, and a job that fails does not end the later ones.
    Hydra's search for plugins loads the module of its sweeper anew, so the class is looked up here.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    def checked(self: Any, batch: Any) -> None:
        if self.batch_index > 1:
            return
        sweeper.Sweeper.validate_batch_is_legal(self, [job for some in self.overrides or [batch] for job in some])
        launched(self.config)
        self.launcher = Batches(self, self.launcher)

    BasicSweeper.validate_batch_is_legal = checked  # type: ignore[method-assign]


def launched(config: DictConfig) -> None:
    """Notes the launch in the record of its sweep, and says which sweep goes on. A trial leaves no record."""
    folder = Path(str(config.hydra.sweep.dir))
    if is_trial(config) or not is_first_process() or "space" in (config.get("sweep") or {"space": None}):
        return
    asked = sweep_of(config, folder.name)
    launch = asked.launches[0]
    folder.mkdir(parents=True, exist_ok=True)
    lock = Lock(folder, f".{SWEEP_RECORD}.lock")
    lock.wait(PATIENCE)
    try:
        known = read_sweep(folder)
        if known is None:
            asked.write()
            return
        jobs = read_jobs(folder)
        first = max((job.number for job in jobs), default=-1) + 1
        known.with_launch(Launch(launch.started, launch.swept, launch.axes, first, launch.code)).write()
    finally:
        lock.release()
    done = sum(job.is_done for job in jobs)
    say(f"going on with the sweep {folder}: {done} of its jobs {'is' if done == 1 else 'are'} completed")
    warn_of(known, launch.code, done)


def warn_of(sweep: Sweep, code: Any, done: int) -> None:
    """Names what changed in the program since the jobs of the sweep were completed."""
    names = list(dict.fromkeys(name for launch in sweep.launches for name in changes(launch.code, code)))
    if names and done:
        warn(f"{sweep.folder}: completed jobs are skipped although {said_of(names)} changed since the sweep began")


def said_of(names: Sequence[str]) -> str:
    """bound.py, torch and 4 more."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
