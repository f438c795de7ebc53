"""Progress of a work that is done once: a bar on a terminal, one line elsewhere."""

import time
from collections.abc import Callable
from math import ceil

from vae_lightning.output import on_terminal, say
from vae_lightning.runs.words import duration

QUICK = 1.0  # seconds: nothing is said of a work that takes no longer


def bar(total: int, what: str) -> Callable[[int], None]:
    """Says what is done to `total` images: on a terminal a bar that grows, elsewhere one line."""
    started, live = time.monotonic(), on_terminal()
    drawn = started + QUICK - 0.1

    def tell(done: int) -> None:
        nonlocal drawn
        now, first = time.monotonic(), drawn < started + QUICK
        if now - drawn < 0.1 and (first or done < total):
            return
        drawn = now
        if live:
            left = duration(ceil((now - started) * (total - done) / done))
            text = f"{what}: {done:,}/{total:,}  {'█' * int(20 * done / total):·<20}  {left}"
            say(f"\r{text:<78}", end="\n" if done == total else "")
        elif first:
            say(f"{what}: {total:,} images", error=True)

    return tell
