"""The images of a data set in shards, each image a PNG: without loss, and one shard at a time in memory."""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vae_lightning.data.bar import bar
from vae_lightning.data.images import ImageDataModule
from vae_lightning.data.shard_index import COLUMNS, INDEX, Index, Part, Shard
from vae_lightning.data.splits import SPLITS, Images
from vae_lightning.errors import ConfigError
from vae_lightning.runs.atomic import folder_atomically, write_text
from vae_lightning.runs.digest import sha256

AT_ONCE = 512  # images that are encoded together
MIB = 2**20


def write_shards(data: ImageDataModule, output: Path, shard_mib: float) -> Index:
    """Writes the splits of a data set into shards of about `shard_mib` MiB, atomically. Returns what was written.

    Raises ConfigError for images that are no bytes, or that a protocol has changed.
    """
    data.prepare_data()
    data.setup()
    if data.protocol != "grey" or data.stored("train").dtype != torch.uint8:
        raise ConfigError(
            f"data.protocol={data.protocol}: shards hold the values themselves, as bytes; say data.protocol=grey here, "
            "and the protocol when you train: data=shards data.protocol=..."
        )
    splits = [split for split in SPLITS if len(data.stored(split))]
    tell = bar(sum(len(data.stored(split)) for split in splits), "writing shards")
    done, parts = 0, {}
    with folder_atomically(output) as folder:
        for split in splits:
            parts[split] = Writer(folder, split, shard_mib * MIB).write(
                data.stored(split), lambda n, d=done: tell(d + n)
            )
            done += parts[split].images
        index = Index(tuple(data.image_shape), tuple(data.class_names), data.description, parts)
        write_text(folder / INDEX, index.text())
    return index


class Writer:
    """Writes a split into tar files of about `most` bytes."""

    def __init__(self, folder: Path, split: str, most: float) -> None:
        self.folder, self.split, self.most = folder, split, most
        self.shards: list[Shard] = []

    def write(self, images: Images, tell: Callable[[int], None]) -> Part:
        """Writes all images, and where each of them is."""
        table = self.folder / f"{self.split}.npy"
        places = np.lib.format.open_memmap(table, "w+", np.int64, (len(images), len(COLUMNS)))
        pngs, row = encoded(images), 0
        while row < len(images):
            row = self._shard(pngs, row, places, tell)
        places.flush()
        return Part(tuple(self.shards), sha256(table))

    def _shard(
        self, pngs: Iterator[tuple[bytes, int]], first: int, places: np.ndarray, tell: Callable[[int], None]
    ) -> int:
        """Writes one shard from image `first` on, and returns the first one of the next shard."""
        path, row = self.folder / f"{self.split}-{len(self.shards):06d}.tar", first
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            while row < len(places) and tar.offset < self.most:
                content, label = next(pngs)
                places[row] = len(self.shards), added(tar, f"{row:09d}.png", content), len(content), label
                added(tar, f"{row:09d}.cls", str(label).encode())
                row += 1
                tell(row)
        self.shards.append(Shard(path.name, row - first, path.stat().st_size, sha256(path)))
        return row


def added(tar: tarfile.TarFile, name: str, content: bytes) -> int:
    """Adds a file to a tar file, and returns where its content begins."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
    return tar.offset - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def encoded(images: Images) -> Iterator[tuple[bytes, int]]:
    """Each image as a PNG, and its label."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for rows in torch.arange(len(images)).split(AT_ONCE):
            batch, labels = images.__getitems__(rows)
            yield from zip(threads.map(png, batch.numpy()), labels.tolist(), strict=True)


def png(image: np.ndarray) -> bytes:
    """Bytes [C, H, W], of one or three channels, as a PNG."""
    file = io.BytesIO()
    Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(file, "PNG", compress_level=3)
    return file.getvalue()
