"""SHA-256 digests of files. NAME.sha256 stands beside NAME and is what `sha256sum --check` reads."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from vae_lightning.runs.atomic import atomically
from vae_lightning.runs.regular import content_of

BLOCK, MOST = 2**20, 2**16  # bytes that are hashed at once, and of a file of digests


def sha256(content: Path | bytes | memoryview) -> str:
    """The digest of a file's content, or of bytes."""
    if not isinstance(content, Path):
        return hashlib.sha256(content).hexdigest()
    digest = hashlib.sha256()
    with content.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def digest_file(path: Path) -> Path:
    """last.ckpt -> last.ckpt.sha256."""
    return path.with_name(f"{path.name}.sha256")


def read_digests(path: Path) -> list[str] | None:
    """The digests that the file may have: none of them where NAME.sha256 cannot be read; None where it is not there."""
    try:
        lines = content_of(digest_file(path), MOST).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return None
    except OSError:
        return []
    return [line.split()[0] for line in lines if line.strip()]


def write_digests(path: Path, digests: Sequence[str]) -> None:
    """Writes NAME.sha256 atomically and durably."""
    text = "".join(f"{digest}  {path.name}\n" for digest in dict.fromkeys(digests))
    with atomically(digest_file(path), durable=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
