"""The mistakes of a user. Each has one line, the value and then the fix, and the exit status of the command."""

import difflib
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unicodedata import category

LIBRARIES = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
NOT_THEIRS = (str(Path(__file__).parent), *LIBRARIES, "<")  # where the file names of code that is not the user's begin


class UserError(ValueError):
    """A mistake that is shown without a traceback. The command exits with `status`."""

    status = 1


class ConfigError(UserError):
    """A value, key or option that cannot work. It is found before a folder is made."""

    status = 2


class DataError(UserError):
    """Data that are missing, damaged, or outside the support of the likelihood."""

    status = 3


class CheckpointError(UserError):
    """A checkpoint that is missing or damaged, that belongs to another model, or that cannot hold a value."""

    status = 4


class Diverged(UserError):
    """A loss or a gradient that is not finite."""

    status = 5


class Pruned(UserError):
    """A trial that the pruner of its study gives up: other trials were better after as many validations."""


class FolderError(UserError):
    """A folder or disk that cannot take the results."""

    status = 6


class Interrupted(UserError):
    """A signal stopped the command. The status is 128 + the number of the signal."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + signum

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status - 128, str(self)), self.__dict__  # a worker sends it to its parent


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, its cause or context, and so on, each once: a cause may be the context of its own context."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        yield error
        seen.append(error)
        error = error.__cause__ or error.__context__


def reason_of(error: BaseException) -> BaseException:
    """The signal behind an error, else the error itself.

    OmegaConf builds a new error from a signal that reaches its code, and a check may take it for a mistake. An error
    of the folder or disk while a stopped run is saved is its own reason.
    """
    if isinstance(error, OSError | FolderError):
        return error
    return next((link for link in chain(error) if isinstance(link, Interrupted)), error)


def shown(value: object) -> str:
    """A value inside a line: at most 60 characters, each of them printable."""
    text = printable(str(value)[:61])
    return text if len(text) <= 60 else f"{text[:57]}..."


def printable(text: object, keep: str = "") -> str:
    """A text as one line that cannot move the cursor, or look like several lines: ESC becomes \\x1b.

    The characters in `keep` stay, and so do the spaces of all scripts.
    """
    return "".join(
        letter if letter.isprintable() or letter in keep or category(letter) == "Zs" else repr(letter)[1:-1]
        for letter in str(text)
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error line: the nearest word of `known`, then all of them."""
    known = list(known)
    return choices(nearest(word, known), known)


def choices(near: str, known: Iterable[str]) -> str:
    """`did you mean WORD? (all of them)`, or `use one of` them where `near` is empty."""
    return f"{near}({', '.join(known)})" if near else f"use one of {', '.join(known)}"


def nearest(word: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """`did you mean WORD? `, or an empty text where no word of `known` is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=likeness)
    return f"did you mean {near[0]}? " if near else ""


def with_place(error: BaseException) -> str:
    """An error that a module or class of the user's raised: its type, its text, and the last line of their code."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [place for place in frames if not place[0].startswith(NOT_THEIRS)]
    place = (error.filename, error.lineno) if isinstance(error, SyntaxError) else (own or frames)[-1]
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{text}; {place[0]}, line {place[1]}; HYDRA_FULL_ERROR=1 shows the traceback"
