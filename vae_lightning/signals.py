"""How SIGTERM, SIGINT (Ctrl-C) and SIGHUP (a closed terminal) are answered: with one error, `Interrupted`."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vae_lightning import errors
from vae_lightning.answer import HANGUP, SIGNALS, Answer, active
from vae_lightning.answer import heard as received
from vae_lightning.errors import FolderError, Interrupted

__all__ = ["HANGUP", "SIGNALS", "Answer", "answering", "current", "heard", "ignore", "reason_of"]


def heard() -> bool:
    """Whether this process received a signal since the innermost `answering` began."""
    return bool(received)


def current() -> Answer:
    """The answer of the command that runs. Without a command it is one that receives no signal."""
    return active[-1] if active else Answer(str)


def reason_of(error: BaseException) -> BaseException:
    """The signal behind an error, else the error itself.

    A signal may come to nothing in other people's code, and leave another error there: a codec that is half imported.
    So after a signal any error is of it, but for one of the folder or disk.
    """
    reason = errors.reason_of(error)
    stop = current().stop()
    return reason if stop is None or isinstance(reason, OSError | FolderError | Interrupted) else stop


@contextmanager
def answering(message: Callable[[str], str], waits: bool = False) -> Iterator[Answer]:
    """Answers the signals until the block ends. A signal that the block caught by mistake is raised at its end."""
    answer = Answer(message, waits)
    active.append(answer)
    received.clear()
    answer.begin()
    try:
        yield answer
        if not answer.waits:
            answer.check()
    finally:
        active.remove(answer)
        answer.end()


def ignore() -> None:
    """Ignores the three signals, while a process ends that has said and written everything."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
