"""The READMEs taken apart: code blocks, tables, commands."""

import re
from pathlib import Path

from conftest import ROOT

ENGLISH, JAPANESE = (ROOT / name for name in ("README.md", "README.ja.md"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path: Path, language: str = "") -> list[str]:
    return [text for kind, text in FENCE.findall(path.read_text(encoding="utf-8")) if not language or kind == language]


def rows(path: Path, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    text = path.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def code(cell: str) -> str:
    return cell.strip("`")


COMMANDS = [line for text in blocks(ENGLISH, "bash") for line in text.splitlines()]
TRAIN = [line for line in COMMANDS if re.match(r"python -m vae_lightning\.train (?!-m|resume)", f"{line} ")]
EVALUATE = [
    line
    for line in COMMANDS
    if line.startswith(("python -m vae_lightning.evaluate", "python -m vae_lightning.compare"))
]
PREDECESSOR = [(code(old), code(new)) for old, new in rows(ENGLISH, "Coming from the predecessor")]
