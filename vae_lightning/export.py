"""A trained model for other programs: `python -m vae_lightning.export run=DIR format=onnx output=DIR`."""

from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.app import command
from vae_lightning.app.config import FOLDER, TEXT, WORDS, check_keys
from vae_lightning.errors import printable
from vae_lightning.formats import FORMATS, check_installed
from vae_lightning.output import say
from vae_lightning.quiet import quiet
from vae_lightning.rules import number, one_of, optional
from vae_lightning.runs.place import check_output

RULES = {"run": FOLDER, "format": one_of(FORMATS), "output": FOLDER, "tolerance": number(least=0)}
RULES |= {"checkpoint": optional(TEXT), "data_dir": optional(TEXT), "allow_targets": WORDS}


def export(cfg: DictConfig) -> None:
    """Writes the folder of the format, and prints its files and how far they are from torch."""
    check_keys(cfg, RULES)
    output = Path(cfg.output)
    check_installed(cfg.format)
    check_output(output)
    from vae_lightning.app import exporting

    quiet()
    options = {key: cfg[key] for key in ("checkpoint", "data_dir", "tolerance", "allow_targets")}
    check = exporting.export(cfg.run, cfg.format, output, **options)
    files = sorted(path.name for path in output.iterdir())
    say(f"{check}\nin {printable(output)}: {', '.join(files)}")


def main() -> None:
    command.run("export", export)


if __name__ == "__main__":
    main()
