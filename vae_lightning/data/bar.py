"""Progress of a work that is done once: a bar on a terminal, one line elsewhere."""

import time
from collections.abc import Callable
from math import ceil

from vae_lightning.output import on_terminal, say
from vae_lightning.runs.words import duration


def bar(total: int, what: str) -> Callable[[int], None]:
    """Says what is done to `total` images: on a terminal a bar that grows, elsewhere one line."""
    started, drawn = time.monotonic(), 0.0
    live = on_terminal()
    if not live:
        say(f"{what}: {total:,} images", error=True)

    def tell(done: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        if live and (now - drawn > 0.1 or done == total):
            drawn = now
            left = duration(ceil((now - started) * (total - done) / done))
            text = f"{what}: {done:,}/{total:,}  {'█' * int(20 * done / total):·<20}  {left}"
            say(f"\r{text:<78}", end="\n" if done == total else "")

    return tell
