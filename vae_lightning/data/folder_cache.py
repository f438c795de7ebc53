"""The decoded images of a folder, kept in a hidden file inside it: decoded once, mapped by all who train on them.

`.vae_lightning-SETTINGS-FILES.images` holds bytes [N, C, H, W], and `.json` beside it what was found. SETTINGS is a
digest of how the images are decoded, FILES of the names, sizes and times of the files: a folder that changes is decoded
again. They are no folder, because torchvision's ImageFolder would take that for a class without images.
"""

import hashlib
import json
import re
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

from vae_lightning.data.bar import bar
from vae_lightning.data.decode_all import Colourful, Task, decode_all
from vae_lightning.data.decoding import Broken, Decoder, strict
from vae_lightning.data.kept import Kept, check_room, mapped
from vae_lightning.data.listing import Listing, listed
from vae_lightning.errors import CheckpointError, DataError
from vae_lightning.output import say, warn
from vae_lightning.runs.atomic import atomically, leftovers, write_text
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.regular import json_of

OURS = ".vae_lightning"  # how our names begin
VERSION = 1  # of the decoder and of the two files
NAMES = re.escape(OURS) + r"-[0-9a-f]{8}-[0-9a-f]{16}\.(images|json)"


@dataclass(frozen=True)
class FolderCache:
    """The images of a listing, decoded by `decoder`, in the folder `place`. More than `most` bytes are not kept."""

    root: Path
    listing: Listing
    decoder: Decoder
    place: Path
    most: float
    processes: int

    def obtain(self) -> Kept:
        """The images: those that are there, else decoded now. Other processes wait meanwhile.

        Where `place` cannot be written, the images are decoded for this process alone, and a warning says so. Raises
        DataError for images that do not fit each other or that change meanwhile, FolderError for a disk that is full.
        """
        if kept := self._kept():
            return kept
        lock = self._locked()
        if lock is None:
            warn(
                f"{self.place}: cannot be written, so the images are decoded again at each start; data.cache_dir=DIR "
                "keeps them elsewhere"
            )
            with tempfile.TemporaryDirectory(prefix="vae_lightning-", ignore_cleanup_errors=True) as scratch:
                return replace(self, place=Path(scratch))._made()
        try:
            return self._kept() or self._made()
        finally:
            lock.release()

    @property
    def _settings(self) -> str:
        how = (VERSION, self.decoder.size, self.decoder.crop, self.decoder.channels)
        return hashlib.sha256(repr(how).encode()).hexdigest()[:8]

    def _path(self, suffix: str) -> Path:
        return self.place / f"{OURS}-{self._settings}-{self.listing.key}.{suffix}"

    def _locked(self) -> Lock | None:
        """The lock of `place`, once no other process holds it. None where `place` cannot be written."""
        lock, told = Lock(self.place, f"{OURS}.lock"), False
        while True:
            try:
                self.place.mkdir(parents=True, exist_ok=True)
                lock.take()
                return lock
            except CheckpointError:
                if not told:
                    say(f"another process decodes the images of {self.root}: waiting for it", error=True)
                told = True
                time.sleep(0.1)
            except OSError:
                return None

    def _kept(self) -> Kept | None:
        """What is in `place`; None where something is missing or damaged."""
        found, rows = json_of(self._path("json")), len(self.listing.files)
        try:
            shape = tuple(int(side) for side in found["shape"])
            broken = {int(row): str(why) for row, why in found["broken"]}
            sha256 = str(found["sha256"])
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        if len(shape) != 3 or min(shape) < 1 or shape[0] not in (1, 3) or not all(0 <= row < rows for row in broken):
            return None
        kept = Kept(shape, replace(self.decoder, channels=shape[0]), sha256, broken)
        if rows * prod(shape) > self.most:
            return kept
        images = mapped(self._path("images"), (rows, *shape))
        return None if images is None else replace(kept, images=images)

    def _made(self) -> Kept:
        """Decodes the images, and keeps what it finds in `place`."""
        first = self._first()
        with suppress(Colourful):
            return self._decoded(first, all_grey=self.decoder.channels is None and first.shape[0] == 1)
        decoder = replace(first.decoder, channels=3)
        return self._decoded(replace(first, decoder=decoder, shape=(3, *first.shape[1:])))

    def _first(self) -> Kept:
        """The shape and the colours of the first image that can be read."""
        reasons = []
        for file in self.listing.files:
            try:
                with strict():
                    pixels = self.decoder(self.root / file.name)
            except Broken as error:
                reasons += [] if reasons else [f"{file.name}: {error}"]
                continue
            _, height, width = pixels.array.shape
            channels = self.decoder.channels or (1 if pixels.grey else 3)
            return Kept((channels, height, width), replace(self.decoder, channels=channels), "", {})
        raise DataError(
            f"data.dir={self.root}: none of its {len(self.listing.files):,} images can be read; {reasons[0]}"
        )

    def _decoded(self, first: Kept, all_grey: bool = False) -> Kept:
        """Decodes all images as the first one. Raises Colourful if they are not `all_grey`."""
        rows = len(self.listing.files)
        size = rows * prod(first.shape)
        names = [file.name for file in self.listing.files]
        task = Task(str(self.root), names, first.decoder, first.shape, all_grey)
        for path in leftovers(self.place, NAMES):
            path.unlink(missing_ok=True)
        if size > self.most:
            found = decode_all(task, self.processes, bar(rows, f"checking {self.root}"))
            self._check_unchanged()
        else:
            check_room(self.place, size)
            with atomically(self._path("images"), durable=True) as temporary:
                with temporary.open("wb") as file:
                    file.truncate(size)
                task = replace(task, into=temporary)
                found = decode_all(task, self.processes, bar(rows, f"decoding {self.root}, once"))
                self._check_unchanged()
        if self.decoder.channels is None and first.shape[0] == 3 and found.grey:
            warn(
                f"data.dir={self.root}: {found.grey:,} grey images among those in colour; data.grey=true makes all grey"
            )
        kept = Kept(first.shape, first.decoder, found.sha256, found.broken)
        facts = {"shape": kept.shape, "sha256": kept.sha256, "broken": list(kept.broken.items())}
        write_text(self._path("json"), json.dumps(facts) + "\n")
        self._remove_older()
        return kept if size > self.most else replace(kept, images=mapped(self._path("images"), (rows, *kept.shape)))

    def _check_unchanged(self) -> None:
        if listed(self.root).key != self.listing.key:
            raise DataError(f"data.dir={self.root}: it changed while it was read; start again once it is complete")

    def _remove_older(self) -> None:
        """Removes what was decoded in the same way from the files of before. Who has it mapped keeps it."""
        for path in self.place.glob(f"{OURS}-{self._settings}-*"):
            if path.stem != self._path("json").stem and path.suffix in (".images", ".json"):
                path.unlink(missing_ok=True)
