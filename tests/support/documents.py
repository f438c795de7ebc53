"""The documents taken apart: code blocks, tables, links, and each command line with its kind."""

import re
from collections.abc import Iterator
from pathlib import Path

from conftest import ROOT

ENGLISH, JAPANESE = ROOT / "README.md", ROOT / "README.ja.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
TRANSLATED = sorted((ROOT / "docs" / "ja").glob("*.md"))  # each repeats the blocks of its English page
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *DOCS, *TRANSLATED]
PAGES = [ENGLISH, ROOT / "CONTRIBUTING.md", *DOCS]  # README.ja.md repeats the blocks of README.md
EXTENDING = ROOT / "docs" / "extending.md"  # test_extending.py runs its blocks
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TREE, REMARKS = "outputs/\n", 39  # how a tree of files begins, and the column of its remarks


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def page(name: str) -> Path:
    return ROOT / "docs" / f"{name}.md"


def blocks(path: Path, language: str = "") -> list[str]:
    """The code blocks of a document, in order; all languages unless one is given."""
    return [text for kind, text in FENCE.findall(read(path)) if not language or kind == language]


def without_remarks(block: str) -> str:
    """A block as it is in every language: a tree of files without its remarks, any other block whole."""
    lines = block.splitlines() if block.startswith(TREE) else []
    return "\n".join(line[:REMARKS].rstrip() for line in lines) or block


def prose(path: Path) -> str:
    """A document without its code blocks."""
    return FENCE.sub("", read(path))


def rows(path: Path, heading: str = "") -> list[list[str]]:
    """The cells of the first table below a heading; of the first table of the document without one."""
    text = read(path).split(f"\n## {heading}\n")[1] if heading else read(path)
    table = re.search(r"^\|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert table, f"{path.name}: no table below {heading}"
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table[1].splitlines()]


def code(cell: str) -> str:
    return cell.strip("`")


def links(path: Path) -> list[str]:
    """The targets of all links and pictures of a document."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(path))


def headings(path: Path) -> list[tuple[str, str]]:
    """(level, title) of the headings of a document, such as ("##", "Start")."""
    return re.findall(r"^(#+) (.+)$", prose(path), re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors of the headings of a document, as GitHub makes them."""
    titles = [title for _, title in headings(path)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def transcripts(*paths: Path) -> Iterator[tuple[str, str]]:
    """(command, answer) of each `$ command` in the blocks of output whose answer is an error."""
    for path in paths:
        for text in blocks(path, "text"):
            yield from re.findall(r"^\$ (.+)\n(error: .+)$", text, re.MULTILINE)


COMMANDS = list(
    dict.fromkeys(
        line for path in PAGES if path != EXTENDING for text in blocks(path, "bash") for line in text.splitlines()
    )
)
KINDS = {
    "sweep": r"python -m vae_lightning\.train (-m |sweep=(?!optuna)(?!.* hydra\.mode=RUN))",
    "resume": r"python -m vae_lightning\.train resume=",
    "study": r"python -m vae_lightning\.train sweep=optuna",
    "train": r"python -m vae_lightning\.train(?! -m| resume=|(?! .*hydra\.mode=RUN) sweep=)",
    "evaluate": r"python -m vae_lightning\.(evaluate|compare(?! sweep=)) ",
    "ranking": r"python -m vae_lightning\.compare sweep=",
    "montage": r"python -m vae_lightning\.montage ",
    "predict": r"python -m vae_lightning\.predict ",
    "export": r"python -m vae_lightning\.export ",
    "reproduce": r"python -m vae_lightning\.reproduce ",
    "shard": r"python -m vae_lightning\.shard ",
    "report": r"python -m vae_lightning\.report ",
    "status": r"python -m vae_lightning\.status ",
    "make": r"make [\w-]+$",
    "benchmark": r"python -m benchmarks\.\w+$",
    "pytest": r"\.venv/bin/python -m pytest ",
    "install": r"(\.venv/bin/)?pip (install|wheel) |uv |python -m venv |source |python -c ",
    "ray": r"ray (start|get-auth-token) ",  # test_launchers.py starts two nodes
}


def kinds(line: str) -> list[str]:
    return [kind for kind, pattern in KINDS.items() if re.match(pattern, line)]


def commands(kind: str) -> list[str]:
    """The command lines of one kind, each once."""
    return [line for line in COMMANDS if kind in kinds(line)]


TRAIN, EVALUATE = commands("train"), commands("evaluate")
SNIPPETS = blocks(page("callbacks"), "python")
PREDECESSOR = [(code(old), code(new)) for old, new in rows(page("predecessor"))]
