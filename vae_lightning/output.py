"""Everything that is printed goes through here: output that cannot be written is given up, and the run goes on.

A closed pipe (`| head`), a closed terminal, a full disk, a stream that does not exist (`>&-`) and a character outside
the encoding of the terminal raise no error.
"""

import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EPIPE
from typing import Any

from vae_lightning.errors import printable


class Unfailing:
    """A text stream whose `write` and `flush` never raise. `stream` may be None.

    A character that the encoding lacks becomes "?". After the first error of the system the rest is given up: the
    descriptor of the stream then points at os.devnull, also for its buffer and for code in C.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        if self._stream is not None:
            try:
                self._stream.write(text)
            except UnicodeError:
                encoding = getattr(self._stream, "encoding", None) or "ascii"
                self.write(text.encode(encoding, "replace").decode(encoding))
            except (OSError, ValueError) as error:
                self._give_up(error)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._give_up(error)

    def isatty(self) -> bool:
        try:
            return self._stream.isatty()
        except (AttributeError, OSError, ValueError):
            return False

    def _give_up(self, error: Exception) -> None:
        if isinstance(error, BlockingIOError):  # the reader is slow: only this text is lost
            return
        with suppress(AttributeError, OSError, ValueError):  # the stream has no descriptor
            descriptor, null = self._stream.fileno(), os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)
            if descriptor == 1 and getattr(error, "errno", None) != EPIPE:  # `| head` closes the pipe on purpose
                say(f"warning: the output cannot be written ({error}); going on without it", error=True)


_first = True  # whether this process speaks for the others of its run


def leave_to_the_first() -> None:
    """From here on this process prints only errors that end it: the first process of its run says the rest."""
    global _first
    _first = False


def say(text: str, end: str = "\n", error: bool = False) -> None:
    """Prints a text at once on standard output, or on standard error.

    It may have several lines, and begin with "\\r"; any other character that is not printable is escaped.
    """
    if _first:
        written(text, end, sys.stderr if error else sys.stdout)


def say_error(text: str, end: str = "\n") -> None:
    """Prints an error that ends this process on standard error, whichever process of a run it is."""
    written(text, end, sys.stderr)


def written(text: str, end: str, stream: Any) -> None:
    """Writes a text as `say` does."""
    start = "\r" if text.startswith("\r") else ""
    stream = Unfailing(stream)
    stream.write(start + printable(text.removeprefix("\r"), keep="\n") + end)
    stream.flush()


def warn(text: object) -> None:
    """Prints one line on standard error: warning: TEXT."""
    say(f"warning: {printable(text)}", error=True)


def wrapped(text: str) -> list[str]:
    """A text in lines of 80 columns; those after the first one are indented."""
    return textwrap.wrap(printable(text), 80, subsequent_indent="   ", break_on_hyphens=False)


def on_terminal() -> bool:
    """Whether standard output is a terminal."""
    return Unfailing(sys.stdout).isatty()


@contextmanager
def unfailing() -> Iterator[None]:
    """Makes standard output and standard error unfailing, for all code in the block."""
    fill_descriptors()
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as null:
        streams = [Unfailing(stream or null) for stream in before]
        sys.stdout, sys.stderr = streams  # type: ignore[assignment]
        try:
            yield
        finally:
            for stream in streams:
                stream.flush()
            sys.stdout, sys.stderr = before


def fill_descriptors() -> None:
    """Opens os.devnull in place of a closed standard descriptor: the next file that is opened would get its number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
