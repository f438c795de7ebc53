"""The sweeper of sweep=optuna: asks an Optuna study for trials, runs them as jobs of a sweep, and tells how they ended.

Hydra's own plugin for Optuna needs Optuna 2, so this is a sweeper of its own behind the same command. What a trial came
to is read from the record of its job and of its run, whichever process ran it. Imports neither torch nor Lightning.
"""

import os
import time
import traceback
from collections.abc import Sequence
from itertools import count, groupby
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from vae_lightning.app import outcomes
from vae_lightning.app.config import check, is_trial
from vae_lightning.app.journal import library
from vae_lightning.app.mistakes import as_user_error, is_stop
from vae_lightning.app.places import settled
from vae_lightning.app.space import space_of, worded
from vae_lightning.app.stopping import SweepStopped
from vae_lightning.app.study import Study, opened, settings_of
from vae_lightning.app.trials import Trials
from vae_lightning.errors import ConfigError, Interrupted, UserError, shown
from vae_lightning.output import say
from vae_lightning.runs.atomic import write_text
from vae_lightning.runs.configuration import DATA_SOURCES, among, key_of
from vae_lightning.runs.files import JOBS, JOURNAL, MULTIRUN, STOPPED


def install() -> None:
    """Has Hydra run the configurations whose node `sweep` has a search space with `StudySweeper`."""
    plugins = Plugins.instance()
    usual = type(plugins).instantiate_sweeper.__get__(plugins)

    def chosen(*, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> Sweeper:
        sweeper = StudySweeper() if "space" in (config.get("sweep") or {}) else None
        if sweeper is None:
            return usual(hydra_context=hydra_context, task_function=task_function, config=config)
        sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)
        return sweeper

    plugins.instantiate_sweeper = chosen  # type: ignore[method-assign]


class StudySweeper(Sweeper):
    """Runs the trials of a study until there are as many as asked for, some at once where the launcher can."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        library()
        self.master, self.loader = config, hydra_context.config_loader
        node: Any = OmegaConf.to_container(config.sweep, resolve=True)
        self.settings, self.space = settings_of(node), space_of(node["space"])
        self.folder = Path(str(config.hydra.sweep.dir))
        task = Trials(task_function, tuple(self.space), self.settings.metric, self.settings.pruning)
        self.engine = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Checks everything, then runs the trials that are left. Raises UserError where some of them failed."""
        self.fixed = [word for word in arguments if not among(key_of(word), ["sweep"])]
        self.check_words()
        probes = self.probes()
        if not (self.folder / JOURNAL).exists() and any((self.folder / name).exists() for name in (JOBS, MULTIRUN)):
            raise ConfigError(
                f"sweep.name={self.settings.name}: {self.folder} holds another sweep; choose another name"
            )
        from vae_lightning.app.objective import Objective

        objective = Objective(self.settings.metric, self.settings.direction)
        objective.check(self.composed([]))
        for key, cfgs in probes.items():
            objective.check_key(key, cfgs)
        with opened(self.folder, self.settings, self.space) as study:
            study.begin(self.plain(), list(self.master.allow_drift), self.first())
            if not any(among(key, DATA_SOURCES) for key in self.space):
                outcomes.check_data(study, self.composed([]))
            (self.folder / STOPPED).unlink(missing_ok=True)  # of an attempt that was killed
            write_text(self.folder / MULTIRUN, OmegaConf.to_yaml(self.master))
            outcomes.write(study)
            try:
                failed = self.run(study)
            except (SweepStopped, Interrupted):
                done = f"{study.finished} of {self.settings.trials} trials are done"
                say(f"{done}; the same command goes on with the study")
                raise
            say(outcomes.summary(study))
        if failed:
            raise UserError(f"{len(failed)} of the trials failed: {'; '.join(failed[:3])}")

    def run(self, study: Study) -> list[str]:
        """Runs trials until there are enough, or the time is over. Returns what is to be said of those that failed."""
        end = time.monotonic() + (self.settings.timeout or float("inf"))
        failed: list[str] = []
        begun = [number for number in study.in_flight if not outcomes.settle(study, number)]
        while (left := self.settings.trials - study.finished) > 0 and time.monotonic() < end:
            numbers = begun[: self.at_once] or [study.ask() for _ in range(min(self.at_once, left))]
            for group in consecutive(numbers):
                failed += self.launched(study, group, goes_on=bool(begun))
            begun = begun[len(numbers) :] if begun else []
            outcomes.write(study)
        outcomes.write(study)
        return failed

    def launched(self, study: Study, numbers: Sequence[int], goes_on: bool) -> list[str]:
        """Runs some trials with consecutive numbers as jobs of these numbers."""
        jobs = [self.words(study, number, goes_on) for number in numbers]
        returns = self.engine.launch(jobs, initial_job_idx=numbers[0])
        failed = []
        for number, returned in zip(numbers, returns, strict=True):
            error = returned._return_value
            if is_stop(error):
                raise error
            if isinstance(error, Exception) and not getattr(error, "was_told", False):
                say("".join(traceback.format_exception(error)), end="", error=True)
            outcomes.settle(study, number, or_fail=True)
            failed += outcomes.failure(study, number)
        return failed

    def words(self, study: Study, number: int, goes_on: bool) -> list[str]:
        """The words of a trial's job. A trial that was in flight goes on with its run, or begins it anew."""
        run = outcomes.left_run(study, number) if goes_on else None
        own = [*study.words(number), *([f"resume={worded(str(run))}"] if run else [])]
        return [*self.fixed, *own, f"sweep.name={worded(self.settings.name)}", "hydra.mode=MULTIRUN"]

    @property
    def at_once(self) -> int:
        """How many trials run at once: one by one, or as many as the launcher has jobs."""
        if self.master.hydra.runtime.choices.get("hydra/launcher") == "basic":
            return 1
        jobs = self.master.hydra.launcher.get("n_jobs")
        return jobs if isinstance(jobs, int) and jobs > 0 else os.cpu_count() or 1

    def check_words(self) -> None:
        """Raises ConfigError for a word beside sweep=optuna that sweeps itself, or that the study chooses."""
        for override in OverridesParser.create().parse_overrides(self.fixed):
            word, key = shown(override.input_line), override.key_or_group
            if override.is_sweep_override():
                raise ConfigError(
                    f"{word}: sweep=optuna takes its values from sweep.space; say one value, or a range there"
                )
            if key in self.space:
                raise ConfigError(f"{word}: the study chooses it; leave it out, or take it out with ~sweep.space.{key}")
            if key == "resume":
                raise ConfigError(f"{word}: leave it out; a study goes on by itself, under the same sweep.name")
        if self.master.hydra.sweeper.get("params"):
            raise ConfigError("sweep=optuna: the configuration also has hydra.sweeper.params; leave out its experiment")
        if is_trial(self.master):
            raise ConfigError("trainer.fast_dev_run: it keeps nothing, so a study learns nothing from it; leave it out")

    def probes(self) -> dict[str, list[DictConfig]]:
        """{key: configurations with the ends of its range, or with its choices}.

        Raises ConfigError, with the key, for one that is not valid.
        """
        probes: dict[str, list[DictConfig]] = {key: [] for key in self.space}
        for key, part in self.space.items():
            for word in (f"{key}={probe}" for probe in part.probes):
                try:
                    probes[key].append(self.composed([word]))
                    check(probes[key][-1])
                except Exception as error:
                    mistake = as_user_error(error, [word])
                    if mistake is None or isinstance(mistake, Interrupted):
                        raise
                    raise ConfigError(f"sweep.space.{key}: {mistake}") from error
        return probes

    def composed(self, words: Sequence[str]) -> DictConfig:
        """The configuration of a job with some words of its own."""
        cfg = self.loader.load_sweep_config(self.master, [*self.fixed, *words])
        OmegaConf.set_struct(cfg, False)
        cfg.pop("hydra")
        OmegaConf.set_struct(cfg, True)
        return settled(cfg)

    def plain(self) -> dict[str, Any]:
        """The configuration that all trials share, as plain values."""
        values: Any = OmegaConf.to_container(self.composed([]))
        return values

    def first(self) -> dict[str, Any]:
        """The configuration's own values of the space, for the first trial; empty where one lies outside."""
        options, values = self.master.hydra.runtime.choices, {}
        for key, part in self.space.items():
            values[key] = part.value_of(options[key] if key in options else OmegaConf.select(self.master, key))
        return {} if None in values.values() else values


def consecutive(numbers: Sequence[int]) -> list[list[int]]:
    """[3, 5, 6] -> [[3], [5, 6]]."""
    counter = count()
    return [list(group) for _, group in groupby(numbers, key=lambda number: number - next(counter))]
