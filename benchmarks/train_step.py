"""One epoch of training with Lightning, beside bare loops of the same model and a loop in the style of the example.

    python -m benchmarks.train_step [--images 60000] [--rounds 7]

784-400-20, batches of 128, grey MNIST, all cores. `default` and `fast` are the main job with trainer=default, which is
Lightning's Trainer, and with trainer=fast, both without pictures, curves and checkpoints. `complete` is trainer=default
with these, for five epochs. benchmarks.overhead compares more finely with the bare loops.
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
from vae_lightning.app.config import CONF
from vae_lightning.quiet import quiet

PICTURES = ["reconstruction_grid", "sample_grid", "latent_traversal", "curve_log", "latent_usage", "run_record", "last"]


class Stopwatch(pl.Callback):
    """The seconds of an epoch, from before its first batch to the end of the work after its last batch."""

    taken = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.current_epoch == 0:
            self._start = time.perf_counter()

    def on_fit_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.taken = (time.perf_counter() - self._start) / trainer.current_epoch


class Ours:
    """The module and the trainer of the main job. Every call is a fit; only its epochs are timed."""

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
        """The seconds of an epoch. With `trainer=fast` the first call compiles, and later calls use the result."""
        watch = Stopwatch()
        self.fit(watch)
        return watch.taken

    def fit(self, watch: pl.Callback) -> None:
        """Trains without validation. `watch` is the first of the callbacks."""
        trainer = build.make_trainer(self.cfg, self.data)
        trainer.callbacks.insert(0, watch)  # type: ignore[attr-defined]
        trainer.limit_val_batches = 0
        gc.collect()
        trainer.fit(self.module, self.data)


def without_pictures() -> list[str]:
    """The overrides that leave only the training and its metrics."""
    return [*(f"~callbacks.{name}" for name in PICTURES), "+trainer.enable_checkpointing=false"]


def contestants(images: int) -> dict[str, Callable[[], float]]:
    """The contestants. A call trains for an epoch and returns its seconds."""
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
