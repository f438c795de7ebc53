"""The configuration: what its root keys may be, and the names composed from it.

Imports neither torch nor Lightning, so that a mistake is answered at once.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning import options
from vae_lightning.app import hints
from vae_lightning.app.arguments import RENAMED, renamed
from vae_lightning.app.environment import check_environment
from vae_lightning.app.groups import check_groups
from vae_lightning.app.naming import job_name
from vae_lightning.app.places import LATE, check_file_names
from vae_lightning.errors import ConfigError, nearest, shown
from vae_lightning.options import CONF, groups
from vae_lightning.rules import FLAG, PRECISION, REDUCTION, SEED, Rule, is_number, number, one_of, optional, whole
from vae_lightning.runs.configuration import leaves

TEXT = Rule(lambda v: type(v) is str and v.strip() != "", "must not be empty")
FOLDER = Rule(TEXT.holds, lambda v: f"must be a folder{number_as_name(v)}")
NAME_OR_NULL = Rule(
    lambda v: not OmegaConf.is_config(v) and str(v).strip() != "",
    lambda v: f"must {'be a name' if OmegaConf.is_config(v) else 'not be empty'}; null lets it be composed",
)
WORDS = Rule(lambda v: OmegaConf.is_list(v) and all(type(word) is str for word in v), "must be a list, such as [lr]")
FOLDERS_OF_RUNS = Rule(
    lambda v: FOLDER.holds(v) or (WORDS.holds(v) and len(v) > 0 and all(map(FOLDER.holds, v))),
    lambda v: (
        "must be a run folder, a group of runs, a glob such as 'outputs/GROUP/*', or a list of these"
        f"{number_as_name(v)}"
    ),
)
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true", "auto")
RULES: dict[str, Rule] = {
    "seed": SEED,
    "epochs": whole(1),
    "batch_size": whole(1),
    "lr": number(above=0),
    "beta": number(least=0),
    "latent.dim": whole(1),
    "reduction": REDUCTION,
    "date_prefix": FLAG,
    "save_weights": FLAG,
    "report": FLAG,
    "project_dir": FOLDER,
    "save_dir": optional(FOLDER),
    "group": NAME_OR_NULL,
    "name": NAME_OR_NULL,
    "resume": optional(FOLDER),
    "allow_drift": WORDS,
    "allow_targets": WORDS,
    "sweep.name": NAME_OR_NULL,
    "sweep.skip_finished": FLAG,
    "sweep.retry_diverged": FLAG,
    "trainer.max_epochs": whole(1),
    "trainer.accumulate_grad_batches": whole(1),
    "trainer.check_val_every_n_epoch": optional(whole(1)),
    "trainer.val_check_interval": Rule(lambda v: not is_number(v) or v > 0, "must be > 0"),
    "trainer.num_sanity_val_steps": whole(-1),
    "trainer.log_every_n_steps": whole(0),
    "trainer.gradient_clip_val": optional(number(least=0)),
    "trainer.detect_anomaly": FLAG,
    "trainer.benchmark": optional(FLAG),
    "trainer.deterministic": Rule(lambda v: v in (None, True, False, "warn"), "must be true, false, warn or null"),
    "trainer.fast_dev_run": Rule(lambda v: FLAG.holds(v) or whole(0).holds(v), "must be true, false or a whole number"),
    "trainer.precision": Rule(
        lambda v: str(v) in PRECISIONS, lambda v: (one_of(PRECISIONS) if PRECISION.holds(v) else PRECISION).says(v)
    ),
}


def number_as_name(value: Any) -> str:
    """How to say a name that Hydra reads as a number."""
    return f"; quote a name that is a number: \"'{value}'\"" if is_number(value) else ""


def check(cfg: DictConfig) -> None:
    """Raises ConfigError for the first key that breaks its rule, or whose value cannot be known when it is read."""
    values: Any = OmegaConf.to_container(cfg)
    check_groups(values)
    check_environment(cfg, values)
    for key, value in leaves(values):
        if re.search(r"\$\{[^}]*\brun_dir\b", str(value)) and (key.partition(".")[0] not in LATE or key in RULES):
            raise ConfigError(
                f"{key}={shown(value)}: the run folder is not claimed yet when this key is read; only keys of "
                f"{', '.join(LATE)} may name it"
            )
    for key in RENAMED:  # an experiment of the user's may still name it
        if (value := OmegaConf.select(cfg, key)) is not None:
            raise ConfigError(f"{key}={shown(value)}: this key has a new name; here it is {renamed(key, shown(value))}")
    check_keys(cfg, RULES)
    check_file_names(cfg, values)
    if (said := cfg.trainer.get("max_epochs", cfg.epochs)) != cfg.epochs:
        raise ConfigError(
            f"trainer.max_epochs={shown(said)}: the number of epochs is another key, epochs={shown(said)}"
        )


def check_added(overrides: Sequence[str], command: str = "train") -> None:
    """Raises ConfigError for a +key=value that nothing reads, and for run_dir, which the command sets.

    A key below a group of the command is an argument of the class that the group names. The options of `remedy` and
    `experiment` have no keys of their own, and those of `sweep` name no class.
    """
    known = options.command(command).keys
    roots = {key.partition(".")[0] for key in known}
    known_groups = [name for name in (*groups(), "hydra") if command == "train" or name in options.chosen(command)]
    for override in overrides:
        key = override.lstrip("+").partition("=")[0]
        root = key.replace("@", "/").replace(".", "/").partition("/")[0]
        if root == "run_dir":
            raise ConfigError(f"{shown(override)}: the command fills it in; save_dir=DIR names the run folder")
        if not override.startswith("+"):
            continue
        group, dot, below = key.partition(".")
        own = options.of_sweep() if group == "sweep" else set()
        if dot and group in ("remedy", "experiment", "sweep"):
            is_read = below.partition(".")[0] in own
        else:
            is_read = root in known_groups or key in (*roots, *known)
        if not is_read:
            others = [f"{group}.{name}" for name in own]
            near = hints.of_key(override, command) or nearest(key, [*known, *known_groups, *others])
            raise ConfigError(f"{shown(override)}: nothing reads this key; {near}--cfg job shows all")


def check_keys(cfg: DictConfig, rules: Mapping[str, Rule]) -> None:
    """Raises ConfigError for the first key that breaks its rule. An option without the dotted key is passed over."""
    for key, rule in rules.items():
        group, _, name = key.rpartition(".")
        if not group or name in (OmegaConf.select(cfg, group) or ()):
            rule.check(key, OmegaConf.select(cfg, key, throw_on_missing=True))


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration as plain values."""
    values: Any = OmegaConf.to_container(cfg, resolve=True)
    return values


def config_flags(hydra_cfg: Any) -> list[str]:
    """The words of the command line that say where the configurations are: flags, and hydra.searchpath."""
    places = {source.provider: str(source.path) for source in hydra_cfg.runtime.config_sources}
    main, beside, name = places.get("main"), places.get("command-line"), hydra_cfg.job.config_name
    return [
        *([f"--config-path={main}"] if main not in (None, str(CONF)) else []),
        *([f"--config-dir={beside}"] if beside else []),
        *([f"--config-name={name}"] if name != "train" else []),
        *(str(word) for word in hydra_cfg.overrides.hydra if str(word).startswith("hydra.searchpath=")),
    ]


def is_trial(cfg: Any) -> bool:
    """Whether the run only tries its configuration: `trainer.fast_dev_run` is true or a number of batches."""
    trainer = cfg.get("trainer")
    return isinstance(trainer, Mapping) and bool(trainer.get("fast_dev_run"))


def name_run(cfg: DictConfig, choices: Mapping[str, str], swept: Sequence[str] = ()) -> tuple[str, str]:
    """Group and name of the run, composed where they are null: mnist-lat20-bce-beta1-none-mean and seed42.

    The composed name of a sweep's job also says what differs between the jobs: `swept` are the keys that it varies.
    """
    protocol = cfg.data.get("protocol", "grey")  # results of two protocols are never compared
    protocol = "" if protocol == "grey" else f"-{protocol}"
    bound = "" if choices["bound"] == "elbo" else f"-{choices['bound']}"
    bound += f"-{choices['paper']}" if choices.get("paper") else ""
    latent = f"lat{cfg.latent.dim}" if "dim" in cfg.latent else choices["latent"]
    composed = (
        f"{choices['data']}{protocol}-{latent}-{choices['loss']}-beta{cfg.beta:g}-{choices['schedule']}"
        f"-{cfg.reduction}{bound}"
    )
    composed = composed.replace("/", "-")  # an option may lie in a folder: loss=mine/cauchy
    group, name = cfg.group or composed, cfg.name or job_name(cfg, choices, swept)
    return unicodedata.normalize("NFC", str(group)), unicodedata.normalize("NFC", str(name))
