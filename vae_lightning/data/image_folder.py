"""Any folder of images. <-> conf/data/"""

import hashlib
import os
from collections.abc import Collection, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor

from vae_lightning.data.decoding import Decoder
from vae_lightning.data.folder_cache import FolderCache
from vae_lightning.data.from_files import FOLDER
from vae_lightning.data.images import ImageDataModule
from vae_lightning.data.in_memory import ImagesInMemory
from vae_lightning.data.kept import GIB, Kept
from vae_lightning.data.lazy import LazyImages, decoded
from vae_lightning.data.listing import Listing, listed
from vae_lightning.data.splits import Splits, apart
from vae_lightning.errors import ConfigError, DataError
from vae_lightning.noise import generator
from vae_lightning.output import say
from vae_lightning.rules import FLAG, NonNegative, Rule, check, whole

SIDE = whole(1, 2**14)


def is_sides(value: Any) -> bool:
    """Whether a value is a side in pixels, or [H, W]."""
    return SIDE.holds(value) or (isinstance(value, list | tuple) and len(value) == 2 and all(map(SIDE.holds, value)))


SIZE = Rule(is_sides, "must be a number of pixels, or [H, W]")
CROP = Rule(lambda v: type(v) is bool or is_sides(v), "must be true, false, a number of pixels, or [H, W]")


def share(above: bool = False) -> Rule:
    """A number of images, or a share of them below 1; larger than 0 if `above`."""
    least = " above 0" if above else ""
    return Rule(
        lambda v: (type(v) is int or (type(v) is float and v < 1)) and v >= 0 and bool(v or not above),
        f"must be a number of images{least}, or a share of them below 1",
    )


class ImageFolderDataModule(ImageDataModule):
    """Images of a folder `dir`: x [B, C, H, W] in [0, 1] and labels [B].

    The folder holds images, or one folder a class, or such folders in `train/`, `val/` and `test/`. Without `val/` or
    `test/`, `val_size` and `test_size` training images are held out by `split_seed`: a number of images, or a share.
    The images are scaled to `size`, a side or [H, W]; None takes them as they are. `crop` is what is kept before: the
    largest window of the shape of `size` in the middle (True), everything (False), or a window of so many pixels.
    C is 1 if all images are grey, else 3; `grey` says which it is to be. `skip_broken` leaves out files that cannot be
    read, and the record counts them. The images are decoded once, into `cache_dir` or a hidden file in `dir`, and
    mapped; if they would take more than `cache_gib` GiB, each batch is decoded anew, with the same values and order.
    Raises ConfigError for values that cannot work, DataError for a folder or an image that cannot be read.
    """

    name = "image_folder"
    title = "images of a folder"

    def __init__(
        self,
        dir: Annotated[str, FOLDER] | None = None,
        size: Annotated[int | Sequence[int], SIZE] | None = None,
        crop: Annotated[bool | int | Sequence[int], CROP] = True,
        grey: Annotated[bool, FLAG] | None = None,
        val_size: Annotated[int | float, share()] = 0.1,
        test_size: Annotated[int | float, share(above=True)] = 0.1,
        skip_broken: Annotated[bool, FLAG] = False,
        cache_gib: NonNegative = 16.0,
        cache_dir: Annotated[str, FOLDER] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(val_size=0, **options)
        self.dir, self.size, self.crop, self.grey = dir, size, crop, grey
        self.val_size, self.test_size, self.skip_broken = val_size, test_size, skip_broken  # type: ignore[assignment]
        self.cache_gib, self.cache_dir, self._val_share = cache_gib, cache_dir, val_size
        check(self, "data")
        if dir is None:
            raise ConfigError("data.dir=null: must be a folder of images, such as data.dir=my_images")
        self.root = Path(dir).expanduser()
        self._obtained: tuple[Listing, Kept] | None = None
        self._held_out: list[str] = []  # the splits that have no folder of their own
        self._skipped = 0

    def prepare_data(self) -> None:
        """Decodes the images, unless that was done before."""
        if not self._splits:
            self._obtain()

    def read(self) -> Splits:
        """The three splits, each in an order that mixes the classes. They are rows of one file: nothing is copied."""
        listing, kept = self._obtain()
        self._obtained = None  # the names take memory
        self.class_names, self._skipped = listing.classes, len(kept.broken)
        images = self._all(listing, kept)
        rows = {split: mixed(sound(part, kept.broken), split) for split, part in listing.splits.items()}
        self._held_out = [split for split in ("val", "test") if split not in rows]
        self.val_size = len(rows["val"]) if "val" in rows else count_of(self._val_share, len(rows["train"]))
        if "test" not in rows:
            left, held_out = apart(len(rows["train"]), self._test_count(len(rows["train"])), self.split_seed)
            rows["train"], rows["test"] = rows["train"][left], rows["train"][held_out]
        tested = hashlib.sha256(kept.sha256.encode() + rows["test"].numpy().tobytes()).hexdigest()
        splits = {split: images.only(chosen) for split, chosen in rows.items()}
        return Splits(splits, source=str(self.root), sha256={"files": kept.sha256, "test": tested})

    @property
    def description(self) -> str:
        """The folder and the protocol in one line, for figures and results."""
        skipped = f", {self._skipped:,} broken files left out" if self._skipped else ""
        return f"images of {self.root.resolve().name}{skipped}, {self.protocol}"

    def describe(self) -> dict[str, Any]:
        """What a result must say of its data; `skipped` counts the broken files that were left out."""
        facts = super().describe()
        facts |= {"split_seed": self.split_seed} if self._held_out else {}
        return {**facts, **({"skipped": self._skipped} if self.skip_broken else {})}

    def _obtain(self) -> tuple[Listing, Kept]:
        if self._obtained is None:
            listing = listed(self.root)
            kept = self._cache(listing).obtain()
            if kept.broken and not self.skip_broken:
                row, why = next(iter(kept.broken.items()))
                raise DataError(
                    f"data.dir={self.root}: {len(kept.broken):,} of {len(listing.files):,} images cannot be read, "
                    f"first {listing.files[row].name} ({why}); mend them, or leave them out: data.skip_broken=true"
                )
            self._obtained = listing, kept
        return self._obtained

    def _cache(self, listing: Listing) -> FolderCache:
        crop = self.crop if isinstance(self.crop, bool) else sides(self.crop) or False
        decoder = Decoder(sides(self.size), crop, None if self.grey is None else 1 if self.grey else 3)
        place = self.root
        if self.cache_dir is not None:
            whole = self.root.resolve()
            mark = hashlib.sha256(os.fsencode(whole)).hexdigest()[:8]
            place = Path(self.cache_dir).expanduser() / f"{whole.name}-{mark}"
        return FolderCache(self.root, listing, decoder, place, self.cache_gib * GIB, processes())

    def _all(self, listing: Listing, kept: Kept) -> ImagesInMemory | LazyImages:
        """All images, those that are broken too: mapped as they are, or made for each batch."""
        labels = torch.tensor(listing.labels, dtype=torch.long)
        if kept.images is None:
            names = [file.name for file in listing.files]
            say(
                f"data.cache_gib={self.cache_gib:g}: the decoded images would take "
                f"{len(names) * prod(kept.shape) / GIB:.2g} GiB, so they are decoded batch by batch; "
                "data.num_workers=N does so in N processes",
                error=True,
            )
            return LazyImages(partial(decoded, self.root, names, kept.decoder, kept.shape), kept.shape, labels)
        if self.protocol == "grey":
            return ImagesInMemory(kept.images, labels)
        return LazyImages(partial(kept.images.index_select, 0), kept.shape, labels)

    def _test_count(self, size: int) -> int:
        """How many of `size` images are held out for the test."""
        if (count := count_of(self.test_size, size)) >= size:
            raise ConfigError(f"data.test_size={self.test_size}: must be less than the {size} images; add images")
        return count


def sides(value: int | Sequence[int] | None) -> tuple[int, int] | None:
    """[H, W] of a side or of [H, W]."""
    if value is None or isinstance(value, int):
        return None if value is None else (value, value)
    return value[0], value[1]


def count_of(share: float, size: int) -> int:
    """The number of images that a share of `size` images is, at least 1 unless it is 0; a whole number is itself."""
    return share if isinstance(share, int) else max(1, round(share * size)) if share else 0


def sound(part: range, broken: Collection[int]) -> Tensor:
    """The rows of a split that are not broken."""
    rows = torch.arange(part.start, part.stop)
    return rows[~torch.isin(rows, torch.tensor(list(broken), dtype=torch.long))] if broken else rows


def mixed(rows: Tensor, split: str) -> Tensor:
    """The same rows in an order of their own: files are sorted by class, and the first images stand for all."""
    return rows[torch.randperm(len(rows), generator=generator("cpu", "folder", split))]


def processes() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
