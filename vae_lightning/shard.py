"""Images in shards, for more of them than memory holds: `python -m vae_lightning.shard data.dir=IMAGES output=DIR`."""

from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.app import command
from vae_lightning.app.config import FOLDER, check_keys
from vae_lightning.errors import ConfigError, printable
from vae_lightning.output import say
from vae_lightning.quiet import quiet
from vae_lightning.rules import number
from vae_lightning.runs.place import check_output

RULES = {"output": FOLDER, "shard_mib": number(above=0)}


def shard(cfg: DictConfig) -> None:
    """Writes the images of a data set into a folder of shards, and prints what it holds."""
    check_keys(cfg, RULES)
    output = Path(cfg.output)
    check_output(output)
    from vae_lightning.app import build
    from vae_lightning.data.images import ImageDataModule
    from vae_lightning.data.write_shards import write_shards

    quiet()
    data = build.check_kind("data", build.build(cfg.data))
    if not isinstance(data, ImageDataModule):
        raise ConfigError(f"data._target_={cfg.data._target_}: only the data sets of conf/data/ can be written")
    index = write_shards(data, output, cfg.shard_mib)
    sizes = ", ".join(f"{split} {part.images:,} in {len(part.shards):,}" for split, part in index.splits.items())
    say(f"{index.images_of}, {list(index.image_shape)}: images in shards: {sizes}\n-> {printable(output)}")


def main() -> None:
    command.run("shard", shard)


if __name__ == "__main__":
    main()
