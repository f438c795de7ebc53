"""Decoded images on disk: what is known of them, their bytes as a tensor, and the room that they take."""

import mmap
import os
import shutil
import warnings
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from vae_lightning.data.decoding import Decoder
from vae_lightning.errors import FolderError
from vae_lightning.runs.regular import opened

GIB = 2**30
SPARE = 2**26  # bytes of a disk that stay free


@dataclass(frozen=True)
class Kept:
    """What was found in a folder: the shape [C, H, W], the SHA-256 of the files, and the broken rows.

    `images` [N, C, H, W] are mapped, with zeros in place of broken ones; None where they are not kept.
    """

    shape: tuple[int, int, int]
    decoder: Decoder
    sha256: str
    broken: dict[int, str]
    images: Tensor | None = None


def mapped(path: Path, shape: tuple[int, ...]) -> Tensor | None:
    """The bytes of a file as a tensor that must not be written; None unless it is a regular file of that size."""
    try:
        with opened(path) as file:
            if os.fstat(file.fileno()).st_size != prod(shape):
                return None
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: the buffer is not writable
        return torch.frombuffer(content, dtype=torch.uint8).view(shape)


def check_room(folder: Path, size: int) -> None:
    """Raises FolderError where a folder has no room for a file of `size` bytes."""
    if (free := shutil.disk_usage(folder).free) < size + SPARE:
        raise FolderError(
            f"{folder}: the decoded images take {size / GIB:.1f} GiB, and {free / GIB:.1f} are free; "
            "data.cache_dir=DIR keeps them elsewhere, data.cache_gib=0 decodes each batch anew"
        )
