"""Going on with a run: with which configuration, from which checkpoint.

`python -m vae_lightning.train resume=DIR` takes the configuration that the run was started with. A word beside it must
not change the run, unless `allow_drift` names its key.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from vae_lightning import checkpoint
from vae_lightning.app import older
from vae_lightning.app.build import described, settle_targets
from vae_lightning.app.config import check, plain
from vae_lightning.app.places import check_said, settled
from vae_lightning.app.same import has_data, is_place, other_sources
from vae_lightning.app.trust import ALLOWED, check_targets
from vae_lightning.errors import CheckpointError, ConfigError
from vae_lightning.output import warn
from vae_lightning.runs.configuration import NOT_THE_RUN, among, at, differences, key_of
from vae_lightning.runs.files import PAGE
from vae_lightning.runs.run import COMPLETED, Run
from vae_lightning.version import __version__


def configuration(run: Run, said: Sequence[str], asked: DictConfig) -> DictConfig:
    """The run's own configuration, changed where the command line (`said`, composed: `asked`) says so and may.

    Raises CheckpointError for a change that is not allowed by name and for a run of a newer version, ConfigError for
    values that cannot work.
    """
    check_version(run)
    saved = older.config_of(run)
    harmless = {*asked.allow_drift, *NOT_THE_RUN} - {"sweep"}  # whose options may say anything
    allowed = [word for word in said if key_of(word) in harmless]

    def composed(words: Sequence[str]) -> DictConfig:
        cfg = settled(composed_with(saved, overrides(run, words)))
        cfg.run_dir, cfg.group, cfg.name = str(run.path), saved["group"], saved["name"]
        check(cfg)
        check_targets(OmegaConf.to_container(cfg), [*ALLOWED, *asked.allow_targets])
        settle_targets(cfg, overrides(run, words))
        return cfg

    cfg, may_be = composed(said), plain(composed(allowed))
    changed = {key: (at(may_be, key), at(plain(cfg), key)) for key in differences(may_be, plain(cfg))}
    if not allowed:  # then the program's own defaults must be those of the run, too
        changed |= {key: (at(saved, key), at(may_be, key)) for key in differences(saved, may_be)}
    changed = {key: values for key, values in changed.items() if not is_place(key, saved)}
    if changed:
        shown = ", ".join(f"{key}: {old} -> {new}" for key, (old, new) in list(changed.items())[:3])
        named = ",".join(key_of(word) for word in said if word not in allowed) or ",".join(changed)
        raise CheckpointError(
            f"resume={run.path}: it would not be the same run ({shown}); leave that out, or allow it by name: "
            f"allow_drift=[{named}]"
        )
    mine = asked.copy()
    mine.run_dir = cfg.run_dir
    check_said(plain(cfg), plain(mine))
    if cfg.epochs < run.epochs_done:
        raise ConfigError(f"epochs={cfg.epochs}: {run.path} has already done {run.epochs_done}; ask for more")
    return cfg


def composed_with(saved: Mapping[str, Any], words: Sequence[str]) -> DictConfig:
    """The configuration of the words. An option that is gone, with its --config-dir, is taken as the run saved it."""
    gone = {place: at(saved, place) for place in filter(None, map(place_without_option, words))}
    if unknown := [word for word in words if gone.get(place_without_option(word) or "", "known") is None]:
        raise ConfigError(f"{unknown[0]}: no such option; name its folder again with --config-dir")
    beside = [word for word in words if place_without_option(word) is None]
    cfg = compose(HydraConfig.get().job.config_name, [word for word in beside if not among(key_of(word), list(gone))])
    for place, value in gone.items():
        OmegaConf.update(cfg, place, value, merge=False, force_add=True)
    for word in (word for word in beside if among(key_of(word), list(gone))):
        value = OverridesParser.create().parse_override(word).value()
        OmegaConf.update(cfg, key_of(word), value, force_add=True)
    return cfg


def place_without_option(word: str) -> str | None:
    """The place of an option that is not there: GROUP of GROUP=OPTION, PLACE of GROUP@PLACE=OPTION. Else None."""
    key, _, option = word.lstrip("+~").partition("=")
    group, _, place = key.partition("@")
    loader = GlobalHydra.instance().config_loader()
    if group not in loader.get_group_options("", ObjectType.GROUP) or not re.fullmatch(r"\w+", option):
        return None
    return None if option in (*loader.get_group_options(group), "null") else place or group


def check_version(run: Run) -> None:
    """Raises CheckpointError for a run of a newer version of this package."""
    made_by = at(run.record, "versions.vae-lightning")
    if made_by and version(str(made_by)) > version(__version__):
        raise CheckpointError(f"resume={run.path}: made by version {made_by}, this is {__version__}; update first")


def version(text: str) -> tuple[int, ...]:
    """1.10.2 -> (1, 10, 2)."""
    return tuple(int(part) for part in text.split(".") if part.isdecimal() and len(part) < 9)


def overrides(run: Run, said: Sequence[str]) -> list[str]:
    """The words that the run was started with and the words said now, each once, where it was said last."""
    return list(dict.fromkeys(reversed([*older.upgraded_words(run.overrides, run.config), *said])))[::-1]


def check_data(run: Run, data: Any) -> None:
    """Raises CheckpointError where the data are not those of the run, such as the bundled subset in place of MNIST."""
    before, now = run.data, described(data)
    if before.get("sha256") != now.get("sha256"):
        raise CheckpointError(
            f"resume={run.path}: its data were {before.get('source')}, those found now are {now.get('source')}, with "
            "other checksums; put the run's data where data.dir points"
        )


def check_place(run: Run, cfg: DictConfig) -> None:
    """Raises CheckpointError where other data are asked for than those of a run that is done."""
    if not has_data(run, cfg):
        raise CheckpointError(
            f"resume={run.path}: it had other data than {other_sources(run, cfg)}; leave that out, or start a new run"
        )


def compare_processes(run: Run, world: int) -> None:
    """Warns where the run had another number of processes: the same run within rounding, not bit for bit."""
    devices, nodes = (at(run.record, f"device.{key}") for key in ("devices", "nodes"))
    if type(devices) is int and type(nodes) is int and devices * nodes != world:
        had = f"{devices} devices on each of {nodes} nodes" if nodes > 1 else f"{devices} devices"
        warn(
            f"resume={run.path}: it had {had}, now there are {world} processes; equal within rounding, not bit for bit"
        )


def finished(run: Run, cfg: DictConfig) -> bool:
    """Whether nothing is left to do, or nothing can be done any more: test and report need the checkpoint.

    A run that was stopped early is done, unless more epochs are asked for than it had.
    """
    epochs = run.epochs_done if run.record.get("stopped_early") and cfg.epochs <= (run.epochs or 0) else cfg.epochs
    trained = run.status == COMPLETED and run.epochs_done >= epochs
    reported = (run.path / PAGE).is_file() or not cfg.report
    return trained and ((was_tested(run) and reported) or not run.last.is_file())


def was_tested(run: Run) -> bool:
    """Whether the record of a run has a test, which may have no metrics: that of a module without an encoder."""
    return "tested" in run.record or any(key.startswith("test") for key in run.metrics)


def history(run: Run) -> dict[str, Any]:
    """The facts of earlier attempts that the record of a resumed run keeps."""
    attempt = {key: run.record.get(key) for key in ("started", "ended", "status", "epochs_done", "seconds")}
    return {"attempts": [*run.attempts, attempt], "metrics": run.record.get("metrics", {})}


def sound_checkpoint(run: Run, module: torch.nn.Module, fall_back: bool) -> Path:
    """The last checkpoint once its SHA-256 is right; with `fall_back`, the one before it where the last is damaged.

    Raises CheckpointError where there is no sound checkpoint, or where its tensors are not the module's.
    """
    last = run.last
    if not last.is_file():
        raise CheckpointError(f"resume={run.path}: it ended before its first checkpoint; start a new run")
    try:
        content = checkpoint.load(last)
    except CheckpointError as error:
        previous = checkpoint.previous_of(last)
        if not previous.is_file():
            raise
        if not fall_back:
            raise CheckpointError(f"{error}; resume=auto goes on from {previous.name}") from error
        warn(f"{error}; going on from the checkpoint before it")
        last, content = previous, checkpoint.load(previous)
    checkpoint.check_fits(content, module, last)
    return last
