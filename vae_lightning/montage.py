"""The pictures of every epoch on one sheet: `python -m vae_lightning.montage run=DIR`."""

import os
from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.app import command
from vae_lightning.app.config import FOLDER, TEXT, check_keys
from vae_lightning.app.sheet import check_output, save, sheet
from vae_lightning.errors import ConfigError, printable
from vae_lightning.options import in_order
from vae_lightning.output import say
from vae_lightning.rules import FLAG, Rule, optional, whole
from vae_lightning.runs.folder import resolved
from vae_lightning.runs.readings import thinned

WITHIN = Rule(
    lambda v: TEXT.holds(v) and not Path(v).is_absolute() and ".." not in Path(v).parts,
    "must be a name in the run folder, such as samples or epoch_*.png",
)
RULES = {"columns": whole(1, 1000), "stride": whole(1), "font_size": whole(1, 1000), "maximum": optional(whole(1))}
RULES |= {"labels": FLAG, "run": FOLDER, "folder": WITHIN, "pattern": WITHIN}
RULES |= {"output": optional(TEXT)}


def montage(cfg: DictConfig) -> None:
    """Writes the sheet and prints where it is."""
    check_keys(cfg, RULES)
    run = resolved(cfg.run)
    folder = run / cfg.folder
    if not os.path.isdir(folder):
        raise ConfigError(f"run={cfg.run}: there is no folder {folder}; name a run folder, or a group's latest")
    try:
        paths = choose(sorted(folder.glob(cfg.pattern), key=lambda path: in_order(path.stem)), cfg.stride, cfg.maximum)
    except (ValueError, NotImplementedError) as error:
        raise ConfigError(f"pattern={cfg.pattern}: {error}; such as epoch_*.png") from error
    if not paths:
        raise ConfigError(f"pattern={cfg.pattern}: {folder} holds no such picture")
    output = Path(cfg.output or run / f"{folder.name}_montage.png")
    if cfg.output:
        check_output(output)
    save(sheet(paths, cfg.columns, cfg.labels, cfg.font_size), output)
    say(f"{len(paths)} pictures -> {printable(output)}")


def choose(paths: list[Path], stride: int, maximum: int | None) -> list[Path]:
    """Every `stride`-th picture, then at most `maximum` of them, evenly spread. The last picture is always kept."""
    kept = paths[::-stride][::-1]
    if maximum is None:
        return kept
    return kept[-1:] if maximum == 1 else thinned(kept, maximum)


def main() -> None:
    command.run("montage", montage)


if __name__ == "__main__":
    main()
