"""Which setting of a sweep is better: its runs grouped by some keys, and compared pair by pair over everything else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vae_lightning.errors import ConfigError, nearest, shown
from vae_lightning.pages.sweep.folds import Section, Sweep
from vae_lightning.pages.sweep.metrics import Metric, metric
from vae_lightning.pages.sweep.runs import SweptRun
from vae_lightning.runs import keys as swept_keys
from vae_lightning.runs.configuration import among
from vae_lightning.runs.folds import order
from vae_lightning.runs.ranking import LEVEL, Place, ranked

Values = tuple[str, ...]
Pair = tuple[int, Values]  # the seed, and the values of the keys that are held fixed


@dataclass(frozen=True)
class Comparison:
    """The settings of a sweep, best first. `numbers` is {setting: {pair: number}}, in the order of the values."""

    folder: Path
    label: str
    by: tuple[str, ...]
    metric: Metric
    level: float
    numbers: Mapping[Values, Mapping[Pair, float]]
    places: Sequence[Place[Values]]
    held: tuple[str, ...]  # keys that differ, too: they are the same in both runs of a pair
    along: tuple[str, ...]  # keys that change together with `by`
    left_out: Sequence[tuple[str, str]]  # (run, why)

    def name(self, setting: Values) -> str:
        """beta=2, latent.dim=20."""
        return ", ".join(f"{key}={value}" for key, value in zip(self.by, setting, strict=True))

    @property
    def is_even(self) -> bool:
        """Whether all settings have the same runs, and all their seeds too."""
        pairs = {frozenset(self.numbers[place.setting]) for place in self.places}
        seeds, values = (len({pair[i] for some in pairs for pair in some}) for i in (0, 1))
        return all(len(some) == seeds * values for some in pairs)

    def is_ahead(self, place: Place[Values]) -> bool:
        """Whether the best setting is the better one of the two over their pairs: with unequal runs it need not be."""
        return place.to_best is not None and (place.to_best.mean > 0) == (self.metric.higher_is_better is not False)


def compared(sweep: Sweep, by: Sequence[str], name: str = "elbo", level: float = LEVEL) -> Comparison:
    """The comparison of the completed runs of a sweep by the values of some keys.

    Two runs are a pair where they have the same seed and the same values of all keys that `by` does not decide. Raises
    ConfigError for runs that cannot be compared, for keys that do not vary, and for a metric that no run logged.
    """
    part = only_section(sweep)
    configs = [swept_keys.flat(run) for run in part.runs]
    columns = {key: column_of(part.runs, configs, key) for key in (*part.keys, *by)}
    differing = swept_keys.told_apart(configs)
    settings = settings_of(part, by, columns, differing)
    free = [column for column in differing.values() if not decided(settings, column)]
    places = {id(run): (settings[i], tuple(column[i] for column in free)) for i, run in enumerate(part.runs)}
    counted = [run for fold in part.folds for run in fold.counted]
    chosen = metric(name, counted, list(differing))
    numbers: dict[Values, dict[Pair, float]] = {setting: {} for setting in sorted(settings, key=in_order)}
    for run in counted:
        if run.seed is not None and id(run) in chosen.values:
            setting, values = places[id(run)]
            numbers[setting][run.seed, values] = chosen.values[id(run)]
    ranking = ranked(numbers, chosen.higher_is_better is not False, level)
    if not ranking:
        raise ConfigError(f"sweep={sweep.folder}: no run with a seed has {name}; choose another metric")
    held = tuple(key for key in part.keys if key not in by and not decided(settings, columns[key]))
    along = tuple(key for key in part.keys if key not in (*held, *by))
    out = left_out(sweep, part, chosen)
    return Comparison(sweep.folder, part.label, tuple(by), chosen, level, numbers, ranking, held, along, out)


def left_out(sweep: Sweep, part: Section, chosen: Metric) -> list[tuple[str, str]]:
    """(run, why) of the runs that have no part in a comparison."""
    out = [(run.name, run.status) for run in sweep.runs if not run.ended_well]
    out += [(run.name, "a newer run has the same seed") for run in part.repeated]
    for run in (run for fold in part.folds for run in fold.counted):
        if run.seed is None:
            out.append((run.name, "its seed is not known"))
        elif id(run) not in chosen.values:
            out.append((run.name, f"it has no {chosen.title}"))
    return out


def only_section(sweep: Sweep) -> Section:
    """The section that has completed runs. Raises ConfigError if there is none, or more than one."""
    done = [section for section in sweep.sections if any(run.ended_well for run in section.runs)]
    if not done:
        counts = ", ".join(f"{count} {status}" for status, count in sweep.counts.items())
        raise ConfigError(f"sweep={sweep.folder}: none of its runs is completed ({counts})")
    if len(done) > 1:
        labels = " and ".join(section.label for section in done)
        raise ConfigError(
            f"sweep={sweep.folder}: its runs are of {labels}, and results of different data, protocols or kinds of "
            "likelihood are never compared; name a folder with runs of one of them"
        )
    return done[0]


def settings_of(
    section: Section, by: Sequence[str], columns: Mapping[str, Sequence[str]], differing: swept_keys.Columns
) -> list[Values]:
    """The setting of each run. Raises ConfigError for a key that is not in the sweep, or has one value in it."""
    vary = f"these vary: {', '.join(section.keys)}" if section.keys else "nothing varies but the seed"
    for key in by:
        if key.rpartition(".")[2] == swept_keys.SEED and key not in differing:
            raise ConfigError(f"by={key}: the means and the differences are taken over the seeds; {vary}")
        if among(key, swept_keys.ASIDE):
            raise ConfigError(f"by={key}: says where a run is, and not what it is; {vary}")
        if set(columns[key]) == {swept_keys.ABSENT}:
            raise ConfigError(f"by={key}: no run has this key; {nearest(key, section.keys)}{vary}")
        if len(set(columns[key])) == 1:
            raise ConfigError(f"by={key}: is {shown(columns[key][0])} in all runs; {vary}")
    return list(zip(*(columns[key] for key in by), strict=True))


def column_of(runs: Sequence[SweptRun], configs: Sequence[Mapping[str, str]], key: str) -> list[str]:
    """The value of a key in each run."""
    return [swept_keys.value_of(run, config, key) for run, config in zip(runs, configs, strict=True)]


def decided(settings: Sequence[Values], column: Sequence[str]) -> bool:
    """Whether runs of the same setting have the same value."""
    return len(set(zip(settings, column, strict=True))) == len(set(settings))


def in_order(setting: Values) -> list[tuple[int, float, str]]:
    """The place of a setting by its values: numbers by size, before texts."""
    return [order(value) for value in setting]
