"""The pictures and files of a run folder, for its page. Imports no torch."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from vae_lightning.pages.base.pictures import MOST_BYTES, is_grey, layout_of, on_a_page, opened, png_of, png_uri
from vae_lightning.runs.files import PAGE, RECONSTRUCTIONS, SAMPLES, TRAVERSALS
from vae_lightning.runs.readings import thinned
from vae_lightning.runs.regular import content_of

PICTURES = (RECONSTRUCTIONS, SAMPLES)
PLANE = (RECONSTRUCTIONS, TRAVERSALS, SAMPLES)  # of a model with two latent units: Fig. 4 of the paper
Frame = tuple[str, str | None]  # a data URI, and notes on the picture; None where an older version drew it
MOST_EPOCHS = 60  # pictures on the page; more are thinned evenly, with the first and the last
MOST_FILES = 60  # in the list of one folder


@dataclass(frozen=True)
class Film:
    """The pictures of some epochs: frames[kind][i] belongs to epochs[i], or is None. `total`: on disk."""

    epochs: list[int]
    frames: dict[str, list[Frame | None]]
    total: int


@dataclass(frozen=True)
class Folder:
    """A folder of the run: some of its files as (name, link, bytes), and the number and size of all."""

    name: str
    files: list[tuple[str, str, int]]
    count: int
    size: int


def film(run: Path, most_bytes: int, kinds: Sequence[str] = PICTURES) -> Film:
    """The pictures of at most MOST_EPOCHS epochs, and of fewer if they are larger than `most_bytes`."""
    paths = {kind: {int(path.stem[6:]): path for path in epoch_files(run / kind)} for kind in kinds}
    every = sorted({epoch for of_kind in paths.values() for epoch in of_kind})
    epochs, frames = thinned(every, MOST_EPOCHS), {kind: {} for kind in kinds}
    for kind, epoch in ((kind, epoch) for kind in kinds for epoch in epochs):
        frames[kind][epoch] = picture_uri(paths[kind][epoch]) if epoch in paths[kind] else None
    while len(epochs) > 2 and sum(len((kept[e] or [""])[0]) for kept in frames.values() for e in epochs) > most_bytes:
        epochs = thinned(epochs, max(2, len(epochs) * 2 // 3))
    shown = {kind: [kept[e] for e in epochs] for kind, kept in frames.items() if any(kept[e] for e in epochs)}
    return Film(epochs, shown, len(every))


def epoch_files(folder: Path) -> Iterator[Path]:
    """The files epoch_0001.png, epoch_0002.png, ... of a folder."""
    return (path for path in folder.glob("epoch_*.png") if re.fullmatch(r"epoch_\d+", path.stem))


def picture_uri(path: Path) -> Frame | None:
    """A PNG as a data URI, stored as grey if it is grey, and its notes. None for a file that is no picture."""
    try:
        content = content_of(path, MOST_BYTES)
        picture = opened(content)
    except OSError:
        return None
    if where := layout_of(picture):
        return png_uri(png_of(on_a_page(picture, where))), where.notes
    picture = picture.convert("RGB")
    if is_grey(picture):
        content = min(content, png_of(picture.getchannel("R")), key=len)
    return png_uri(content), None


def folders(run: Path) -> list[Folder]:
    """The files in the run folder itself, then its folders, with links relative to the page."""
    children = sorted(path for path in run.iterdir() if not path.name.startswith(".") and path.name != PAGE)
    listings = [Folder("", *listed(run, [path for path in children if os.path.isfile(path)]))]
    for folder in (path for path in children if os.path.isdir(path) and not path.is_symlink()):
        inside = sorted(path for path in folder.rglob("*") if os.path.isfile(path) and not path.name.startswith("."))
        listings.append(Folder(folder.name, *listed(run, inside)))
    return [listing for listing in listings if listing.count]


def listed(run: Path, files: Sequence[Path]) -> tuple[list[tuple[str, str, int]], int, int]:
    """(name, link, bytes) of at most MOST_FILES files, the number of files, and their bytes."""
    named = [(str(path.relative_to(run)), path.stat().st_size) for path in files]
    kept = thinned(range(len(named)), MOST_FILES)
    rows = [(named[i][0], quote(Path(named[i][0]).as_posix(), errors="surrogateescape"), named[i][1]) for i in kept]
    return rows, len(named), sum(size for _, size in named)
