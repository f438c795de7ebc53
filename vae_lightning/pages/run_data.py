"""What a run folder says of itself: record, learning curves, pictures, files. Imports neither torch nor Lightning."""

import base64
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from vae_lightning.runs.readings import thinned

PICTURES = ("reconstructions", "samples")
MOST_EPOCHS = 60  # of the pictures; more are thinned evenly, first and last stay
MOST_FILES = 60  # listed of one folder


@dataclass(frozen=True)
class Film:
    """The pictures of some epochs, as data URIs: frames[kind][i] is that of epochs[i], or None. `total`: on disk."""

    epochs: list[int]
    frames: dict[str, list[str | None]]
    total: int


@dataclass(frozen=True)
class Folder:
    """A folder in the run's folder: its own files as (name, link, bytes), and how many there are below it."""

    name: str
    files: list[tuple[str, str, int]]
    count: int
    size: int


def film(run: Path, most_bytes: int) -> Film:
    """The pictures of every epoch, of at most `MOST_EPOCHS`, and fewer where they would be more than `most_bytes`."""
    found = {kind: {int(each.stem[6:]): each for each in epoch_files(run / kind)} for kind in PICTURES}
    every = sorted({epoch for each in found.values() for epoch in each})
    epochs, frames = thinned(every, MOST_EPOCHS), {kind: {} for kind in PICTURES}
    for kind, epoch in ((kind, epoch) for kind in PICTURES for epoch in epochs):
        frames[kind][epoch] = data_uri(found[kind][epoch]) if epoch in found[kind] else None
    while len(epochs) > 2 and sum(len(each[e] or "") for each in frames.values() for e in epochs) > most_bytes:
        epochs = thinned(epochs, max(2, len(epochs) * 2 // 3))
    shown = {kind: [each[e] for e in epochs] for kind, each in frames.items() if any(each[e] for e in epochs)}
    return Film(epochs, shown, len(every))


def epoch_files(folder: Path) -> Iterator[Path]:
    """epoch_0001.png and its kind."""
    return (each for each in folder.glob("epoch_*.png") if re.fullmatch(r"epoch_\d+", each.stem))


def data_uri(path: Path) -> str | None:
    """A PNG as data URI, grey where it is grey: that is a third smaller. None for a file that is no picture."""
    from PIL import Image

    try:
        content = path.read_bytes()
        picture = Image.open(io.BytesIO(content)).convert("RGB")
    except (OSError, ValueError, SyntaxError):
        return None
    red, green, blue = picture.split()
    if red.tobytes() == green.tobytes() == blue.tobytes():
        smaller = io.BytesIO()
        red.save(smaller, format="PNG", compress_level=6)
        content = min(content, smaller.getvalue(), key=len)
    return as_uri(content)


def as_uri(png: bytes) -> str:
    """The bytes of a PNG as data URI."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def folders(run: Path) -> list[Folder]:
    """The run's own files first, then its folders, each with links relative to the page."""
    children = sorted(each for each in run.iterdir() if not each.name.startswith(".") and each.name != "report.html")
    found = [Folder("", *listed(run, [each for each in children if each.is_file()]))]
    for folder in (each for each in children if each.is_dir()):
        inside = sorted(each for each in folder.rglob("*") if each.is_file() and not each.name.startswith("."))
        found.append(Folder(folder.name, *listed(run, inside)))
    return [each for each in found if each.count]


def listed(run: Path, files: Sequence[Path]) -> tuple[list[tuple[str, str, int]], int, int]:
    """(name, link, bytes) of the first and last files, how many there are, and their bytes."""
    named = [(str(each.relative_to(run)), each.stat().st_size) for each in files]
    kept = thinned(range(len(named)), MOST_FILES)
    shown = [(named[i][0], quote(Path(named[i][0]).as_posix()), named[i][1]) for i in kept]
    return shown, len(named), sum(size for _, size in named)
