"""One epoch of training through Lightning, beside bare loops of the same model and a loop in the style of the example.

    python -m benchmarks.train_step [--images 60000] [--rounds 7]

784-400-20, batches of 128, grey MNIST, all cores. `default` and `fast` are trainer=default and trainer=fast with all
that the main job does but pictures, curves and checkpoints; `complete` is trainer=default with those, for five epochs;
`stock loop` is `default` with Lightning's Trainer in place of ours. The finer comparison with the bare loops is that of
benchmarks.overhead.
"""

import gc
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl

from benchmarks.contest import arguments, demand, ratio, record, seconds, table, take_turns
from benchmarks.peers import BATCH, BareLoop, ExampleStyle, data_dir, mnist, pythae
from vae_lightning.app import build
from vae_lightning.app.command import quiet
from vae_lightning.app.config import CONF

PICTURES = ["reconstruction_grid", "sample_grid", "latent_traversal", "curve_log", "latent_usage", "run_record", "last"]


class Stopwatch(pl.Callback):
    """Seconds of an epoch: from before the first batch to the end of everything that follows the last one."""

    taken = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.current_epoch == 0:
            self._start = time.perf_counter()

    def on_fit_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.taken = (time.perf_counter() - self._start) / trainer.current_epoch


class Ours:
    """The main job's module and trainer; every call is a fit of its own, of which only the epochs are timed."""

    def __init__(self, images: int, *overrides: str, epochs: int = 1) -> None:
        from hydra import compose, initialize_config_dir

        words = [f"epochs={epochs}", "~callbacks.best", "~callbacks.progress", "+trainer.enable_progress_bar=false"]
        words += [f"data.dir={data_dir()}", f"data.val_size={60_000 - images}", "data.allow_subset=false"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            self.cfg = compose("train", [*words, *overrides])
        self.cfg.run_dir = tempfile.mkdtemp()
        quiet()
        self.data = build.data_module(self.cfg.data)
        self.module = build.vae(self.cfg, self.data.image_shape)

    def __call__(self) -> float:
        """Seconds of an epoch; with `trainer=fast` what was compiled for the first call is used again."""
        watch = Stopwatch()
        self.fit(watch)
        return watch.taken

    def fit(self, watch: pl.Callback) -> None:
        """Trains without validation; `watch` is called before every other callback."""
        trainer = build.make_trainer(self.cfg, self.data)
        trainer.callbacks.insert(0, watch)  # type: ignore[attr-defined]
        trainer.limit_val_batches = 0
        gc.collect()
        trainer.fit(self.module, self.data)


def without_pictures() -> list[str]:
    """The overrides that leave only training and its numbers."""
    return [*(f"~callbacks.{each}" for each in PICTURES), "+trainer.enable_checkpointing=false"]


def contestants(images: int) -> dict[str, Callable[[], float]]:
    """Each trains and returns the seconds of an epoch."""
    pixels = mnist().images("train")[:images]
    loops = {
        "example style": ExampleStyle(images),
        "bare": BareLoop(pixels),
        "bare compiled": BareLoop(pixels, compiled=True),
        "bare bf16": BareLoop(pixels, bf16=True),
        "bare compiled bf16": BareLoop(pixels, bf16=True, compiled=True),
        **pythae(pixels),
    }
    timed: dict[str, Callable[[], float]] = {name: partial(seconds, loop.epoch) for name, loop in loops.items()}
    timed["default"] = Ours(images, *without_pictures())
    timed["fast"] = Ours(images, *without_pictures(), "trainer=fast")
    timed["stock loop"] = Ours(images, *without_pictures(), "trainer._target_=lightning.pytorch.Trainer")
    timed["complete"] = Ours(images, epochs=5)
    return timed


def main() -> None:
    asked = arguments(__doc__, images=60_000, rounds=7)
    steps = -(-asked.images // BATCH)
    found = take_turns(contestants(asked.images), asked.rounds)
    print(f"{asked.images:,} images, {steps} steps, {asked.rounds} rounds")
    print(table(found, "ms/step", 1000 / steps, "bare"))
    demands = [
        demand("default / example style", ratio(found, "default", "example style"), 0.65),
        demand("fast / example style", ratio(found, "fast", "example style"), 0.40),
    ]
    record("train_step", images=asked.images, batch_size=BATCH, seconds_per_epoch=found, demands=demands)


if __name__ == "__main__":
    main()
