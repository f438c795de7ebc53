"""Going on with a run: which one, with which configuration, from which checkpoint.

`python -m vae_lightning.train resume=DIR` takes the configuration the run was started with. Whatever is said beside it
must not change the run, unless its key is named in `allow_drift`.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.config import check
from vae_lightning.errors import CheckpointError, ConfigError
from vae_lightning.run_folder import Run, open_run
from vae_lightning.targets import ALLOWED, check_targets

AUTO = "auto"
NOT_THE_RUN = ("run_dir", "resume", "allow_drift", "allow_targets", "project_dir", "group", "name")
NOT_THE_RUN += ("date_prefix", "save_dir", "report")
NOT_THE_RUN += ("data.dir", "data.mirrors", "data.num_workers", "data.on_device")  # data are known by their checksums


def find(cfg: DictConfig) -> Run | None:
    """The run that `resume` names; with `auto` the group's newest that is not completed. None: a new run."""
    if cfg.resume is None:
        return None
    if cfg.resume != AUTO:
        try:
            return open_run(cfg.resume, key="resume")
        except ConfigError as error:
            raise CheckpointError(str(error)) from None
    folders = sorted((Path(cfg.project_dir) / cfg.group).glob("*/run_meta.json"), key=lambda path: path.parent.name)
    for path in reversed(folders):
        try:
            run = open_run(path.parent)
        except ConfigError:
            continue  # a record that was never finished: there is nothing to go on with
        if run.meta.get("status") != "completed" and (run.path / "checkpoints" / "last.ckpt").is_file():
            return run
    return None


def configuration(run: Run, said: Sequence[str], asked: DictConfig) -> DictConfig:
    """The run's own configuration, changed where the command line (`said`, composed: `asked`) says so and may.

    Raises CheckpointError for a change that was not allowed by name and for a run of a newer version, ConfigError for
    values that cannot work.
    """
    import importlib.metadata

    from hydra import compose

    made_by = run.meta.get("versions", {}).get("vae-lightning")
    here = importlib.metadata.version("vae-lightning")
    if made_by and version(made_by) > version(here):
        raise CheckpointError(f"resume={run.path}: made by version {made_by}, this is {here}; update first")
    saved = run.meta["config"]
    allowed = [each for each in said if key_of(each) in (*asked.allow_drift, *NOT_THE_RUN)]

    def composed(more: Sequence[str]) -> DictConfig:
        cfg = compose("train", overrides(run, more))
        cfg.run_dir, cfg.group, cfg.name = str(run.path), saved["group"], saved["name"]
        check(cfg)
        check_targets(OmegaConf.to_container(cfg), [*ALLOWED, *asked.allow_targets])
        return cfg

    cfg, may_be = composed(said), plain(composed(allowed))
    changed = {key: (at(may_be, key), at(plain(cfg), key)) for key in differences(may_be, plain(cfg))}
    if not allowed:  # then the program's own defaults must be those of the run, too
        changed |= {key: (at(saved, key), at(may_be, key)) for key in differences(saved, may_be)}
    changed = {key: values for key, values in changed.items() if not ignored(key, saved)}
    if changed:
        shown = ", ".join(f"{key}: {old} -> {new}" for key, (old, new) in list(changed.items())[:3])
        named = ",".join(key_of(each) for each in said if each not in allowed) or ",".join(changed)
        raise CheckpointError(
            f"resume={run.path}: it would not be the same run ({shown}); leave that away, or allow it by name: "
            f"allow_drift=[{named}]"
        )
    if cfg.epochs < run.meta.get("epochs_done", 0):
        raise ConfigError(f"epochs={cfg.epochs}: {run.path} has done {run.meta['epochs_done']} already; ask for more")
    return cfg


def key_of(override: str) -> str:
    """+loss.variance=0.1 -> loss.variance."""
    return override.lstrip("+~").partition("=")[0]


def plain(cfg: DictConfig) -> Any:
    """Its resolved values."""
    return OmegaConf.to_container(cfg, resolve=True)


def overrides(run: Run, said: Sequence[str]) -> list[str]:
    """What the run was started with and what is said now, each once, where it was said last."""
    return list(dict.fromkeys(reversed([*run.meta.get("overrides", []), *said])))[::-1]


def check_data(run: Run, data: Any) -> None:
    """Raises CheckpointError where the data are not those of the run, such as the bundled subset in place of MNIST."""
    before, now = ((found or {}).get("sha256") for found in (run.meta.get("data"), data.describe()))
    if before != now:
        raise CheckpointError(
            f"resume={run.path}: its data were {run.meta['data'].get('source')}, those found now are "
            f"{data.describe().get('source')}, with other checksums; put the run's data where data.dir points"
        )


def ignored(key: str, saved: Any) -> bool:
    """Where the run and its data are, rather than what they are: folders may move."""
    named = any(key == each or key.startswith(f"{each}.") for each in NOT_THE_RUN)
    return named or saved["run_dir"] in str(at(saved, key))


def finished(run: Run, cfg: DictConfig) -> bool:
    """Whether there is nothing left to do."""
    return run.meta.get("status") == "completed" and run.meta.get("epochs_done", 0) >= cfg.epochs


def history(run: Run) -> dict[str, Any]:
    """What the record of a resumed run keeps of the attempts before."""
    attempt = {key: run.meta.get(key) for key in ("started", "ended", "status", "epochs_done", "seconds")}
    return {"attempts": [*run.meta.get("attempts", []), attempt], "metrics": run.meta.get("metrics", {})}


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Dotted keys at which two trees of plain values differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from differences(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif json.dumps(old) != json.dumps(new):
        yield path


def at(tree: Any, path: str) -> Any:
    """The value at a dotted key; None where there is none."""
    for key in path.split("."):
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def version(text: str) -> tuple[int, ...]:
    """1.10.2 -> (1, 10, 2)."""
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def sound_checkpoint(run: Run, module: Any, fall_back: bool) -> Path:
    """The last checkpoint, once its SHA-256 is right; where it is damaged the one before it, if `fall_back`.

    Raises CheckpointError where there is none, or where its tensors are not the module's.
    """
    import sys

    from vae_lightning import checkpoint

    last = run.path / "checkpoints" / "last.ckpt"
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
        print(f"warning: {error}; going on from the one before it", file=sys.stderr, flush=True)
        last, content = previous, checkpoint.load(previous)
    checkpoint.check_fits(content, module, last)
    return last
