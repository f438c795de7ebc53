"""The mistake behind an exception, in one line: Hydra's and Lightning's words, a full disk, a killed worker."""

import re
from errno import EACCES, EDQUOT, EEXIST, EFBIG, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOSPC, ENOTDIR, EPERM, EROFS
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from vae_lightning.app import hints
from vae_lightning.app.arguments import RENAMED, renamed
from vae_lightning.app.groups import SETS
from vae_lightning.errors import (
    ConfigError,
    FolderError,
    Interrupted,
    UserError,
    chain,
    choices,
    did_you_mean,
    nearest,
    shown,
)
from vae_lightning.options import chosen, groups, options
from vae_lightning.runs.configuration import key_of
from vae_lightning.signals import reason_of

EXTRAS = {
    "joblib": "'vae-lightning[sweep]'",
    "optuna": "'vae-lightning[optuna]', and say sweep=optuna",
    "ax": "hydra-ax-sweeper",
    "nevergrad": "hydra-nevergrad-sweeper",
    "ray": "'vae-lightning[ray]'",
    "ray_aws": "'vae-lightning[ray]'",
    "rq": "hydra-rq-launcher",
    "slurm": "'vae-lightning[slurm]'",
    "submitit_local": "'vae-lightning[slurm]'",
    "submitit_slurm": "'vae-lightning[slurm]'",
}  # the packages that bring the options of hydra/launcher and hydra/sweeper
EXAMPLES = {"run": "outputs/GROUP/latest", "runs": "[outputs/GROUP/latest]"}  # of keys that must be given
EXAMPLES |= {"task": "reconstruct", "format": "onnx", "output": "NAME"}
KILLED_WORKERS = ("TerminatedWorkerError", "BrokenProcessPool", "UncompletedJobError", "WorkerCrashedError")
KILLED_WORKERS += ("LocalRayletDiedError", "NodeDiedError", "OutOfMemoryError")  # of joblib, submitit and Ray
LAUNCHERS = ("submitit", "ray", "hydra_plugins")
LOST = r"(?i)\bgloo\b|connection (closed|reset) by peer"  # what torch says of a process that is gone
PARSERS = ("hydra", "omegaconf", "antlr4", "yaml")
FOLDER_ERRORS = (EACCES, EDQUOT, EEXIST, EFBIG, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOSPC, ENOTDIR, EPERM, EROFS)


def is_stop(returned: Any) -> bool:
    """Whether what a job returned is the signal that stopped it."""
    return isinstance(returned, BaseException) and isinstance(as_user_error(returned, []), Interrupted)


def as_user_error(error: BaseException, overrides: list[str], command: str = "train") -> UserError | None:
    """The user's mistake behind an exception, in one line. None where the error is not the user's."""
    error = reason_of(error)
    if isinstance(error, UserError):
        return error
    if isinstance(error.__cause__, UserError):
        return error.__cause__
    if isinstance(error, HydraException | OmegaConfBaseException):
        return ConfigError(explain(error, overrides, command))
    if type(error).__name__ == "MisconfigurationException":  # Lightning's; importing it here would cost seconds
        return ConfigError(" ".join(str(error).split()))
    if isinstance(error, ValueError | TypeError | AssertionError) and raised_in(error) in PARSERS:
        return ConfigError(
            f"{explain(error, overrides, command)}; the command line is made of key=value and group=option"
        )
    text = str(error)
    if type(error).__module__.startswith("wandb."):
        return UserError(f"W&B: {' '.join(text.split())}; logger.mode=offline needs no server")
    if any(isinstance(link, RuntimeError) and "DataLoader worker" in str(link) for link in chain(error)):
        return UserError(
            "a data worker was killed, often by the system because memory ran out; lower data.num_workers or "
            "batch_size, and go on with resume=auto"
        )
    if any(type(link).__name__ in KILLED_WORKERS for link in chain(error)):
        return UserError(
            "a worker of the launcher was killed, often by the system because memory ran out; run fewer jobs at once, "
            "and go on with sweep.skip_finished=true"
        )
    if raised_in(error) in LAUNCHERS:
        return UserError(f"the launcher cannot start the jobs ({' '.join(text.split())[:200]}); see docs/clusters.md")
    if isinstance(error, RuntimeError) and (type(error).__name__.startswith("Dist") or re.search(LOST, text)):
        return UserError(f"another process of this run ended ({shown(text)}); go on with resume=auto")
    if isinstance(error, MemoryError | RuntimeError) and re.search(r"(?i)out of memory|allocate memory", text):
        return UserError(f"not enough memory ({shown(text)}); lower batch_size, or make the model smaller")
    for link in chain(error):
        if isinstance(link, OSError) and link.errno in FOLDER_ERRORS:
            place = link.filename or "the run folder"
            return FolderError(f"{place}: {link.strerror}; make room, or choose another folder")
    return None


def raised_in(error: BaseException) -> str:
    """The package whose code raised the exception."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return str(step.tb_frame.f_globals.get("__name__", "")).partition(".")[0] if step else ""


def explain(error: BaseException, overrides: list[str], command: str) -> str:
    """The messages of Hydra and OmegaConf in one line, with the option or key that was meant."""
    missing = str(getattr(error, "missing_cfg_file", None) or "")
    if missing and (line := no_option(missing, list(getattr(error, "options", None) or []), overrides)):
        return line
    if override := getattr(error, "override", None):  # it could not be parsed
        key, _, value = str(override).partition("=")
        if not value:
            return f"{shown(override)}: neither key=value nor group=option; --cfg job shows all keys"
        return f"{shown(override)}: cannot be read; quote the value for Hydra and the shell: \"{key}='VALUE'\""
    if type(error).__name__ == "MissingMandatoryValue":
        key = str(error).rpartition(": ")[2].split()[0]
        example = EXAMPLES.get(key, "VALUE")
        return f"{key}: it must be given, such as {key}={example}"
    lines = [str(error), str(error.__cause__ or "")]
    text = " ".join(line.strip() for part in lines for line in part.splitlines() if line.strip())
    if "Config group override must be" in text:
        return no_text(overrides)
    if "is not in struct" in text:
        key = text.partition("Key '")[2].partition("'")[0]
        parent = getattr(getattr(error, "__cause__", None) or error, "parent_node", None)
        return no_key(key, [str(name) for name in parent] if parent is not None else [], overrides, command)
    if gone := re.search(r"Could not delete from config. '([\w.]+)' does not exist", text):
        group, _, name = gone[1].partition(".")
        near = nearest(f"~{gone[1]}", [f"~{group}.{name}" for name in options(group)] if group in SETS else [])
        return f"~{shown(gone[1])}: there is no {shown(name or group)} to leave out; {near}--cfg job shows all"
    if isinstance(error, TypeError) and (line := number_as_option(pairs_of(overrides))):  # a list of numbers
        return line
    if added := re.search(r"BasicLauncher.*'(\w+)'|'(\w+)' not in 'BasicLauncherConf'", text):
        key = f"hydra.launcher.{added[1] or added[2]}"
        return f"{key}: jobs that run one after the other have no such key; add hydra/launcher=joblib before it"
    text = text.partition(" full_key:")[0]
    return text.removeprefix("ConfigError raised while resolving interpolation: ") or type(error).__name__


def no_option(missing: str, found: list[str], overrides: list[str]) -> str | None:
    """The answer to GROUP=OPTION without such a file; `found` are the options that Hydra found."""
    group, _, option = missing.rpartition("/")
    if group.startswith("hydra/") and option in EXTRAS:
        others = f" (others: {', '.join(found)})" if found else ""
        said = next((word.partition("=")[2] for word in overrides if key_of(word) == group), option)
        return f"{group}={shown(said)}: not installed; pip install {EXTRAS[option]}{others}"
    root = missing.partition("/")[0]
    ours = options(root) if root in groups() else {}
    if ours and (not found or ours.keys() & set(found)):  # else an option of a folder in the group
        known = [name for name in found or ours if name not in ours or not hints.is_part(root, ours[name])]
        option = missing.removeprefix(f"{root}/")
        return f"{root}={shown(option)}: no such option; {choices(hints.of_option(root, option, known), known)}"
    return f"{group}={shown(option)}: no such option; {did_you_mean(option, found)}" if found and group else None


def pairs_of(overrides: list[str]) -> list[tuple[str, str, str]]:
    """(word, key, value) of the words KEY=VALUE."""
    return [(word, key_of(word), word.partition("=")[2]) for word in overrides if "=" in word]


def no_text(overrides: list[str]) -> str:
    """The answer to a group whose value is no text: loss=null, latent=20, remedy=2."""
    pairs = pairs_of(overrides)
    if line := number_as_option(pairs):
        return line
    used, group = next(((w, g) for w, g, said in pairs if g in groups() and said not in options(g)), ("null", ""))
    known = f" ({', '.join(options(group))})" if group and group not in SETS else ""
    leaves_out = f"; ~{group} leaves the group out" if group in SETS else ""
    if group and chosen().get(group, group) is None and used.endswith("=null"):
        leaves_out = "; to have none, leave it out"
    return f"{shown(used)}: not an option; say group=option{known}{leaves_out}"


def number_as_option(pairs: list[tuple[str, str, str]]) -> str | None:
    """The answer to a number, or a list of numbers, in place of an option; None where there is none."""
    for word, group, value in pairs:
        if group in groups() and (hint := next(iter(hints.as_number(group, value)), None)):
            return f"{shown(word)}: no such option; {hints.asked([hint])}({', '.join(options(group))})"
    return None


def no_key(key: str, siblings: list[str], overrides: list[str], command: str) -> str:
    """The answer to KEY=VALUE whose part `key` is not among its `siblings` in the configuration."""
    words = sorted(overrides, key=lambda word: key_of(word).split(".")[-1] != key)
    used = next((word for word in words if key in key_of(word).split(".")), key)
    if key in RENAMED:
        return f"{shown(used)}: this key has a new name; here it is {renamed(key, 'VALUE')}"
    near = hints.of_key(used, command, overrides) or nearest(key, siblings, 0.75)
    group, dot, _ = key_of(used).partition(".")
    added = f", and +{shown(used)} adds one that its class takes" if dot and group in groups() else ""
    has = f"{group}={hints.option_of(group, overrides)} has " if added and group not in SETS else ""
    has = "" if any(key_of(word) == f"{group}._target_" for word in overrides) else has
    return f"{shown(used)}: {has}no such key; {near}--cfg job shows all{added}"
