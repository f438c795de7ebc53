"""Images in shards: more than memory holds. `python -m vae_lightning.shard` writes them. <-> conf/data/"""

from pathlib import Path
from typing import Annotated, Any

from vae_lightning.data.from_files import FOLDER
from vae_lightning.data.images import ImageDataModule
from vae_lightning.data.lazy import LazyImages
from vae_lightning.data.shard_files import ShardReader, ShardShuffle
from vae_lightning.data.shard_index import INDEX, Index, read_index
from vae_lightning.data.splits import Splits
from vae_lightning.errors import ConfigError
from vae_lightning.rules import Count, check
from vae_lightning.runs.digest import sha256


class ShardsDataModule(ImageDataModule):
    """Images of a folder `dir` of shards: x [B, C, H, W] in [0, 1] and labels [B].

    The splits are those that the shards were written with. An epoch reads `mix` shards at a time, in an order of its
    own, and shuffles the images of each `mix`; all other shards stay on the disk. `num_workers` processes decode.
    Raises ConfigError for values that cannot work, DataError for a folder that is no complete set of shards.
    """

    name = "shards"
    title = "images in shards"

    def __init__(self, dir: Annotated[str, FOLDER] | None = None, mix: Count = 8, **options: Any) -> None:
        super().__init__(val_size=0, **options)
        self.dir, self.mix = dir, mix
        check(self, "data")
        if dir is None:
            raise ConfigError("data.dir=null: must be a folder of shards, such as data.dir=my_shards")
        self.root = Path(dir).expanduser()
        self._index: Index | None = None

    def read(self) -> Splits:
        """The splits, as lazy images."""
        index = self._index = read_index(self.root)
        self.class_names = index.classes
        self.val_size = index.splits["val"].images if "val" in index.splits else 0
        readers = {
            split: ShardReader(self.root, split, part, index.image_shape) for split, part in index.splits.items()
        }
        images = {split: LazyImages(read, index.image_shape, read.labels) for split, read in readers.items()}
        sums = {"index": sha256(self.root / INDEX), "test": index.splits["test"].sha256}
        return Splits(images, source=f"{self.root}, shards of {index.images_of}", sha256=sums)

    def order(self, epoch: int, seen: int = 0, shuffle: bool = True) -> ShardShuffle:
        assert self._index is not None
        sizes = [shard.images for shard in self._index.splits["train"].shards]
        return ShardShuffle(sizes, self.mix, self.seed, epoch, seen, shuffle)
