"""What a signal does: an `Answer` takes the place of the handlers. `signals` says which answer it is."""

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from vae_lightning.errors import Interrupted

HANGUP = getattr(signal, "SIGHUP", None)  # Windows has none
AGAIN = 0.02  # seconds until a signal comes again whose error Python could not raise
SIGNALS = (signal.SIGTERM, signal.SIGINT, *([HANGUP] if HANGUP else []))

active: list["Answer"] = []  # from the outermost to the innermost block of `answering`
heard: list[int] = []  # the signals of the innermost block, whichever answer received them


class Answer:
    """Answers the three signals from `begin` to `end`.

    The first signal raises Interrupted at once, or is only noted while the answer `waits`; `check` then raises it.
    `message` makes the line of the error from the name of the signal. A second SIGTERM or SIGINT ends the process. A
    closing terminal may send SIGHUP twice, so a second one does nothing; under `nohup` SIGHUP stays ignored. Only the
    main thread receives signals: in other threads there is nothing to answer. Python prints and drops an error in a
    destructor or in the callback of a weak reference: a signal there is answered a moment later. After a signal such
    errors are not printed, nor are those of other threads: they are of work that it left half done.
    """

    def __init__(self, message: Callable[[str], str], waits: bool = False) -> None:
        self.message, self.waits = message, waits
        self.received: int | None = None
        self.on_first: Callable[[int], None] | None = None
        self._raised = self._closed = self._dropped = False
        self._before: dict[int, Any] = {}

    def begin(self) -> None:
        """Takes the place of the handlers that are installed now."""
        if threading.current_thread() is threading.main_thread():
            answered = [number for number in SIGNALS if number != HANGUP or signal.getsignal(number) != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._receive) for number in answered}
            self._process = os.getpid()
            self._hooks = sys.unraisablehook, sys.excepthook, threading.excepthook
            sys.unraisablehook = self._drop
            sys.excepthook, threading.excepthook = map(self._of_threads, self._hooks[1:])

    def begin_again(self) -> None:
        """Takes the place of the handlers that other code installed since `begin`."""
        for number in self._before:
            signal.signal(number, self._receive)

    def end(self) -> None:
        """Restores the handlers from before. They receive a signal that was noted here and never raised.

        One that came after `close` is for another answer, if there is one: the program has done what it was to do.
        """
        before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler)
        if before:
            sys.unraisablehook, sys.excepthook, threading.excepthook = self._hooks
        if before and self.received is not None and not self._raised and (active or not self._closed):
            self._raised = True
            signal.raise_signal(self.received)

    def hold(self) -> None:
        """From here on a signal is only noted."""
        self.waits = True

    def go(self) -> None:
        """From here on a signal is raised at once, and one that was noted is raised now."""
        self.waits = False
        self.check()

    def close(self) -> None:
        """From here on a signal changes nothing: everything is done."""
        self.waits = self._closed = True

    def settle(self) -> None:
        """The signal that was noted is answered: by another error than its own."""
        self._raised = True

    def check(self) -> None:
        """Raises Interrupted if a signal was received, even if that error was raised before and caught by mistake."""
        if error := self._error():
            self._raised = True
            raise error

    def stop(self) -> Interrupted | None:
        """The error of a signal that was raised, if one was."""
        return None if self.waits else self._error()

    def _error(self) -> Interrupted | None:
        """The error of the signal that was received; None without one, and after `close`."""
        if self.received is None or self._closed:
            return None
        return Interrupted(self.received, self.message(signal.Signals(self.received).name))

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if is_dropped(frame):
            later(number, lambda: bool(active) or not self._closed)
        elif self.received is None or self._dropped:
            again, self._dropped = self._dropped, False
            if not again:
                heard.append(number)
                self.received = number
                if self.on_first is not None:
                    self.on_first(number)
            if not self.waits:
                self.check()
        elif number != HANGUP and not self._closed:
            os._exit(128 + number)

    def _drop(self, unraisable: Any) -> None:
        """Stands for `sys.unraisablehook`: the signal whose error is lost here comes again."""
        if isinstance(unraisable.exc_value, Interrupted) and self.received is not None:
            self._raised, self._dropped = False, True
            later(self.received, lambda: bool(self._before) and self._dropped and not self._raised)
        elif self.received is None:
            self._hooks[0](unraisable)

    def _of_threads(self, report: Callable[..., Any]) -> Callable[..., Any]:
        """A hook that reports an error, but after a signal none of another thread.

        In a data worker, a fork of this process, a connection that breaks off means that this process stopped.
        """

        def hook(*error: Any) -> None:
            value = error[1] if len(error) == 3 else error[0].exc_value
            left = os.getpid() != self._process and isinstance(value, ConnectionError | EOFError)
            if threading.current_thread() is threading.main_thread() or (self.received is None and not left):
                report(*error)

        return hook


def later(number: int, still: Callable[[], bool]) -> None:
    """Sends the signal again in a moment, if it is `still` to be sent. A `Thread` is waited for until it has begun."""

    def send() -> None:
        time.sleep(AGAIN)
        if still():
            os.kill(os.getpid(), number)

    _thread.start_new_thread(send, ())


def is_dropped(frame: FrameType | None) -> bool:
    """Whether Python would drop an error that is raised in a frame: one of its callers is a destructor or our hook."""
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code is Answer._drop.__code__:
            return True
        frame = frame.f_back
    return False
