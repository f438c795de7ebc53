"""A trained model at work: `python -m vae_lightning.predict run=DIR task=reconstruct input=IMAGES output=FILE`."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vae_lightning.app import command
from vae_lightning.app.config import FOLDER, TEXT, WORDS, check_keys
from vae_lightning.errors import ConfigError, printable, shown
from vae_lightning.output import say
from vae_lightning.prediction import OUTPUTS
from vae_lightning.quiet import quiet
from vae_lightning.rules import FLAG, SEED, Rule, number, one_of, optional, whole
from vae_lightning.runs.place import check_output

INPUT = Rule(
    lambda v: TEXT.holds(v) or (OmegaConf.is_list(v) and len(v) > 0 and all(map(TEXT.holds, v))),
    "must be a file, a folder, or a list of these; quote a name that is a number",
)
UNITS = Rule(
    lambda v: whole(1).holds(v) or (OmegaConf.is_list(v) and len(v) > 0 and all(map(whole(1).holds, v))),
    "must be a unit, counted from 1, or a list of units",
)
RULES = {"run": FOLDER, "task": one_of(OUTPUTS), "input": optional(INPUT), "output": TEXT}
RULES |= {"overwrite": FLAG, "resize": FLAG, "num": optional(whole(1)), "seed": SEED}
RULES |= {"steps": whole(2, 10_000), "limit": number(above=0), "units": optional(UNITS)}
RULES |= {name: whole(1) for name in ("num_samples", "batch_size")}
RULES |= {"device": TEXT, "allow_targets": WORDS} | {name: optional(TEXT) for name in ("checkpoint", "data_dir")}


def predict(cfg: DictConfig) -> None:
    """Runs one task, writes its output, and prints what it is."""
    check_keys(cfg, RULES)
    output, kinds = Path(cfg.output), OUTPUTS[cfg.task]
    if output.suffix.lower() not in kinds:
        raise ConfigError(f"output={shown(output)}: task={cfg.task} writes {', '.join(kinds)}; end the name in one")
    if cfg.task == "sample" and cfg.input is not None:
        raise ConfigError(f"input={shown(cfg.input)}: task=sample draws z from the prior and takes no input")
    check_output(output, cfg.overwrite)
    from vae_lightning.app import predicting

    quiet()
    what = predicting.predict(cfg)
    say(f"{what}\n-> {printable(output)}")


def main() -> None:
    command.run("predict", predict)


if __name__ == "__main__":
    main()
