"""The mistakes of a user. Each has one line, the value and then the fix, and the exit status of the command."""

import difflib
from collections.abc import Iterable
from unicodedata import category


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


class FolderError(UserError):
    """A folder or disk that cannot take the results."""

    status = 6


class Interrupted(UserError):
    """A signal stopped the run, which saved its state. The status is 128 + the number of the signal."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + signum


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
    return nearest(word, known) + f"({', '.join(known)})"


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean WORD? `, or an empty text where no word of `known` is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}? " if near else ""
