"""All images of a folder are decoded once, by several processes, into one file of bytes, or only to check them.

Each process takes every n-th piece of the list, so the same images go to the same place whatever n is. A process ends
when its parent does.
"""

import hashlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vae_lightning.data.decoding import Broken, Decoder, Misfit, Pixels, strict
from vae_lightning.errors import DataError

PIECE = 32  # images
FEWEST = 128  # images for a process: starting one costs as much as decoding some


class Colourful(Exception):
    """A colour image among those that were taken for grey."""


@dataclass(frozen=True)
class Task:
    """The files `names` below `root`, the shape [C, H, W] of each image, and the file that takes their bytes, if any.

    `channels` of the decoder are known here; with `all_grey` a colour image raises Colourful.
    """

    root: str
    names: Sequence[str]
    decoder: Decoder
    shape: tuple[int, int, int]
    all_grey: bool = False
    into: Path | None = None


@dataclass(frozen=True)
class Piece:
    """What was found from row `start` on: digests of the files, rows that are broken with the reason, grey images."""

    start: int
    digests: bytes
    broken: dict[int, str]
    grey: int


@dataclass
class Decoded:
    """What was found in all files; `sha256` is that of their names and contents."""

    sha256: str = ""
    broken: dict[int, str] = field(default_factory=dict)
    grey: int = 0


def decode_all(task: Task, processes: int, tell: Callable[[int], None]) -> Decoded:
    """Decodes all images; `tell` hears how many are done.

    Raises Misfit for an image that does not fit the others, Colourful, OSError for a disk that is full.
    """
    size, found = len(task.names), Decoded()
    digests, done = bytearray(32 * size), 0
    for piece in pieces(task, max(1, min(processes, size // FEWEST))):
        digests[32 * piece.start : 32 * piece.start + len(piece.digests)] = piece.digests
        found.broken |= piece.broken
        found.grey += piece.grey
        done += len(piece.digests) // 32
        tell(done)
    if done < size:
        raise DataError("a process that decodes images was killed, often because memory ran out; start again")
    found.broken = dict(sorted(found.broken.items()))
    found.sha256 = digest_of(task.names, digests)
    return found


def digest_of(names: Sequence[str], digests: bytes | bytearray) -> str:
    """The SHA-256 of files: of each name and the SHA-256 of each content."""
    digest = hashlib.sha256()
    for row, name in enumerate(names):
        digest.update(os.fsencode(name) + b"\0" + digests[32 * row : 32 * row + 32])
    return digest.hexdigest()


def pieces(task: Task, processes: int) -> Iterator[Piece]:
    """The pieces of a task, in any order."""
    if processes == 1 or multiprocessing.current_process().daemon:  # a daemon has no children
        yield from own_pieces(task, 0, 1)
        return
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    workers, pipes = [], []
    try:
        for number in range(processes):
            pipe, end = context.Pipe(duplex=False)
            worker = context.Process(target=work, args=(task, number, processes, end, os.getpid()), daemon=True)
            worker.start()
            end.close()
            workers.append(worker)
            pipes.append(pipe)
        yield from received(pipes)
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
            worker.close()
        for pipe in pipes:
            pipe.close()


def received(pipes: Sequence[Connection]) -> Iterator[Piece]:
    """What the workers send, until all have ended. Raises the error that one of them sends."""
    open_ones = list(pipes)
    while open_ones:
        for pipe in wait(open_ones):
            try:
                sent = pipe.recv()  # type: ignore[union-attr]
            except EOFError:
                open_ones.remove(pipe)  # type: ignore[arg-type]
                continue
            if isinstance(sent, Exception):
                raise sent
            yield sent


def work(task: Task, number: int, processes: int, pipe: Connection, parent: int) -> None:
    """A worker: sends its pieces, or the error that ends it. Its parent answers the signals."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        for piece in own_pieces(task, number, processes):
            if os.getppid() != parent:
                return
            pipe.send(piece)
    except (OSError, Misfit, Colourful, MemoryError) as error:
        if os.getppid() == parent:
            pipe.send(error)


def own_pieces(task: Task, number: int, processes: int) -> Iterator[Piece]:
    """The pieces of one process, each written before it is returned."""
    starts = range(number * PIECE, len(task.names), processes * PIECE)
    if task.into is None:
        yield from (piece_of(task, start, None) for start in starts)
        return
    with task.into.open("r+b") as file:
        for start in starts:
            file.seek(start * prod(task.shape))
            piece = piece_of(task, start, file)
            file.flush()
            yield piece


def piece_of(task: Task, start: int, file: BinaryIO | None) -> Piece:
    """Decodes the images from row `start` on, and writes them to `file`; a broken one as zeros."""
    digests, broken, grey = bytearray(), {}, 0
    with strict():
        for row in range(start, min(start + PIECE, len(task.names))):
            path = f"{task.root}/{task.names[row]}"
            try:
                pixels = task.decoder(path)
            except Broken as error:
                broken[row] = str(error)
                pixels = Pixels(np.zeros(task.shape, np.uint8), True, bytes(32))
            if task.all_grey and not pixels.grey:
                raise Colourful
            check_fits(path, pixels.array.shape, task)
            if file is not None:
                file.write(np.ascontiguousarray(pixels.array).data)
            digests += pixels.digest
            grey += pixels.grey and row not in broken
    return Piece(start, bytes(digests), broken, grey)


def check_fits(path: str, shape: Sequence[int], task: Task) -> None:
    """Raises Misfit unless an image has the height and width of the others."""
    if tuple(shape) != task.shape:
        (height, width), (tall, wide) = shape[1:], task.shape[1:]
        raise Misfit(
            f"{path}: {height} x {width} pixels, others have {tall} x {wide}; say one size for all, such as "
            "data.size=64 or data.size=[48,64]"
        )
