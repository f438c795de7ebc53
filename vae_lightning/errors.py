"""Mistakes a user can make, each with the exit status it ends a command with. One line: the value, then the fix."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Shown without a traceback; the command ends with `status`."""

    status = 1


class ConfigError(UserError):
    """A value, key or option that cannot work; found before any folder is made."""

    status = 2


class DataError(UserError):
    """Data that is missing, damaged, or outside what the likelihood is defined on."""

    status = 3


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, or of another model."""

    status = 4


class Diverged(UserError):
    """A loss or gradient that is no longer a finite number."""

    status = 5


class FolderError(UserError):
    """A folder or disk that cannot take the results."""

    status = 6


class Interrupted(UserError):
    """The run was asked to stop by a signal, and saved what it had."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + signum


def shown(value: object) -> str:
    """A value inside an error line: short, and without the characters that move a terminal's cursor."""
    text = "".join(each if each.isprintable() else repr(each)[1:-1] for each in str(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error line: the nearest of `known`, then all of them."""
    known = list(known)
    return nearest(word, known) + f"({', '.join(known)})"


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean ...? `, or nothing where none of `known` is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}? " if near else ""
