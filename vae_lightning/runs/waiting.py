"""The claim of another machine on a lock: its process lives if it renews the claim, and is dead if it does not.

A container that is started again has another host name, so it finds the claim of the killed one as that of a stranger.
"""

import os
import socket
import time
from contextlib import suppress

from vae_lightning.runs import lock as locks
from vae_lightning.runs.lock import Lock, claim_in

LOOK = 0.5  # seconds between two looks


def outlived(lock: Lock) -> bool:
    """Waits until the claim of another machine is renewed, or is older than SILENCE. True: its process is dead.

    False at once for a claim of this machine: the system knows whether its process lives.
    """
    first = claim_of(lock)
    if first is None or first[1] == socket.gethostname():
        return False
    end = time.monotonic() + locks.SILENCE + locks.BEAT  # also if the clocks disagree
    while lock.held and claim_of(lock) == first and time.monotonic() < end:
        time.sleep(LOOK)
    return not lock.held


def claim_of(lock: Lock) -> tuple[str, str, float] | None:
    """(PID, HOST, time of the last renewal) of the claim in a lock file, or None."""
    with suppress(OSError):
        descriptor = os.open(lock.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            claim = claim_in(descriptor)
            return claim and (*claim, os.fstat(descriptor).st_mtime)
        finally:
            os.close(descriptor)
    return None
