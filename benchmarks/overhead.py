"""The cost of a step beyond the bare loop, and the share of each part: one part is left out at a time, in one fit.

    python -m benchmarks.overhead [--epochs 10] [--block 12]

The parts take turns every few steps, between steps of the bare loop, so that a machine with a drifting speed slows all
of them alike. The first steps of each block do not count. `trainer=default`, which is Lightning's Trainer, and
`trainer=fast` without a compiler in float32 run beside the bare loop in float32; `trainer=fast` runs beside the
compiled bare loop in bfloat16, or in float32 on a machine without bfloat16. Parts can be left out only of the steps of
`EpochLoop`, which `trainer=fast` has.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import lightning.pytorch as pl
import torch
from torch import Tensor

from benchmarks.contest import arguments, demand, record, table
from benchmarks.peers import BATCH, BareLoop, mnist
from benchmarks.train_step import Ours, without_pictures
from vae_lightning.callbacks import BetaAnnealing, DivergenceGuard
from vae_lightning.trainer.fast import has_bfloat16

SKIPPED = 2
Part = Callable[[pl.Trainer, pl.LightningModule], AbstractContextManager[Any]]


def nothing(trainer: pl.Trainer, module: pl.LightningModule) -> AbstractContextManager[Any]:
    """The whole step."""
    return nullcontext()


def lightnings_layers(trainer: pl.Trainer, module: pl.LightningModule) -> AbstractContextManager[Any]:
    """The step through Lightning's own loop."""
    return patch.object(trainer.fit_loop.epoch_loop, "_plain", False)


def callback(kind: type[pl.Callback]) -> Part:
    """The step without a callback."""

    @contextmanager
    def without(trainer: pl.Trainer, module: pl.LightningModule) -> Iterator[None]:
        hooks: dict[str, list] = trainer.fit_loop.epoch_loop._hooks  # type: ignore[attr-defined]
        left = {
            name: [method for method in found if not isinstance(getattr(method, "func", method).__self__, kind)]
            for name, found in hooks.items()
        }
        with patch.object(trainer.fit_loop.epoch_loop, "_hooks", left):
            yield

    return without


def noise_and_sums(trainer: pl.Trainer, module: Any) -> AbstractContextManager[Any]:
    """The step with plain noise, and without the sums that become the metrics of the epoch."""

    def training_step(batch: Any, batch_idx: int) -> Tensor:
        x = batch[0]
        draw = module.model.draw(x, torch.randn(1, len(x), module.latent.dim))
        return module.bound(draw, module.beta).objective.mean()

    return patch.object(module, "training_step", training_step)


@contextmanager
def loader(trainer: pl.Trainer, module: pl.LightningModule) -> Iterator[None]:
    """The step with a batch that is taken as the bare loop takes it."""
    loop: Any = trainer.fit_loop.epoch_loop
    pixels, advance = trainer.datamodule.pixels, loop.advance  # type: ignore[attr-defined]

    class AtHand:
        """A data fetcher without a data loader."""

        def __init__(self, fetcher: Any) -> None:
            self.fetcher, self.done = fetcher, False

        def __next__(self) -> tuple:
            self.fetcher.fetched += 1
            return (pixels.index_select(0, torch.randint(len(pixels), (BATCH,))), None), 0, 0

    def as_it_is(batch: Any, *_: Any) -> Any:
        return batch

    fetched = patch.object(loop, "advance", lambda fetcher: advance(AtHand(fetcher)))
    with patch.object(loop, "_transfer", [as_it_is] * 3), fetched:
        yield


PARTS: dict[str, Part] = {
    "whole": nothing,
    "with Lightning's layers": lightnings_layers,
    "without DivergenceGuard": callback(DivergenceGuard),
    "without BetaAnnealing": callback(BetaAnnealing),
    "without noise and sums": noise_and_sums,
    "without the data loader": loader,
}


class TakingTurns(pl.Callback):
    """Leaves out another part every `block` steps; once a round the bare loop takes as many steps."""

    def __init__(self, bare: BareLoop, parts: dict[str, Part], block: int) -> None:
        self.bare, self.parts, self.block = bare, parts, block
        self.found: dict[str, list[float]] = {"bare": [], **{name: [] for name in parts}}
        self.turns: Iterator[str] = iter(())
        self.count, self.left = 0, nullcontext()
        self.name: str | None = None
        self.begun: float | None = None
        self.between: list[float] = []  # seconds from the last step of an epoch to the first of the next

    def on_train_epoch_start(self, *_: Any) -> None:
        if self.begun:
            self.between.append(time.perf_counter() - self.begun)
        self.begun = None

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if self.name and self.begun and self.count >= SKIPPED:
            self.found[self.name].append(time.perf_counter() - self.begun)
        self.count += 1
        if not self.name or self.count >= SKIPPED + self.block:
            self.left.__exit__(None, None, None)
            self.name, self.count = next(self.turns, None), 0
            if not self.name:
                self.found["bare"] += bare_steps(self.bare, self.block)
                self.turns = iter(self.parts)
                self.name = next(self.turns)
            self.left = self.parts[self.name](trainer, module)
            self.left.__enter__()
        self.begun = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.left.__exit__(None, None, None)  # the next epoch finds its hooks anew
        self.left, self.name = nullcontext(), None


def bare_steps(bare: BareLoop, steps: int) -> list[float]:
    """The seconds of some steps of the bare loop, on random images."""
    taken = []
    for _ in range(SKIPPED + steps):
        begun = time.perf_counter()
        bare.step(torch.randint(len(bare.images), (BATCH,)))
        taken.append(time.perf_counter() - begun)
    return taken[SKIPPED:]


def measured(
    name: str, words: list[str], bare: BareLoop, parts: dict[str, Part], epochs: int, block: int
) -> TakingTurns:
    """A fit with these overrides, beside the bare loop; the parts are left out in turn."""
    ours = Ours(len(bare.images), *words, epochs=epochs)
    ours.data.pixels = bare.images  # type: ignore[attr-defined]
    turns = TakingTurns(bare, parts, block)
    ours.fit(turns)
    print(f"{name}\n{table(turns.found, 'ms', 1000, 'bare')}")
    print(f"between epochs, mean: {1000 * statistics.mean(turns.between):.1f} ms\n", flush=True)
    return turns


def epoch(steps: list[float], images: int, between: list[float]) -> float:
    """The seconds of an epoch, from those of its steps and those between two epochs."""
    return -(-images // BATCH) * statistics.median(steps) + statistics.mean(between)


UNCOMPILED = ["trainer=fast", "trainer.compile_mode=null", "trainer.precision=32-true"]


def main() -> None:
    asked = arguments(__doc__, epochs=10, block=12)
    pixels, size = mnist().images("train"), (asked.epochs, asked.block)
    n, plain, whole = len(pixels), without_pictures(), {"whole": nothing}
    default = measured("trainer=default", [*plain, "trainer=default"], BareLoop(pixels), whole, *size)
    parts = measured("trainer=fast, float32, not compiled", [*plain, *UNCOMPILED], BareLoop(pixels), PARTS, *size)
    some = {name: PARTS[name] for name in ("whole", "with Lightning's layers", "without DivergenceGuard")}
    bf16 = has_bfloat16("auto")  # else trainer=fast trains in float32
    compiled = BareLoop(pixels, bf16=bf16, compiled=True)
    fast = measured("trainer=fast", [*plain, "trainer=fast"], compiled, some, *size)
    complete = measured("complete", ["latent=z20"], BareLoop(pixels), whole, *size)  # the main job with its defaults
    default_ratio, parts_ratio, fast_ratio = (beside_bare(turns, n) for turns in (default, parts, fast))
    steps = complete.found["whole"]
    pictures = epoch(steps, n, complete.between) / epoch(steps, n, default.between)
    ratios = {
        "an epoch with trainer=default / bare": default_ratio,
        "an epoch with trainer=fast, float32, not compiled / bare": parts_ratio,
    }
    for what, value in ratios.items():
        print(f"{what}: {value:.2f}")
    demands = [
        demand(f"an epoch with trainer=fast / bare compiled {'bf16' if bf16 else 'float32'}", fast_ratio, 1.15),
        demand("an epoch with pictures, curves, checkpoints / without", pictures, 1.05),
    ]
    found = {
        "trainer=default": default.found,
        "trainer=fast, float32, not compiled": parts.found,
        "trainer=fast": fast.found,
    }
    between = {"default": default.between, "fast": fast.between, "complete": complete.between}
    record("overhead", seconds_per_step=found, seconds_between_epochs=between, ratios=ratios, demands=demands)


def beside_bare(turns: TakingTurns, images: int) -> float:
    """The seconds of an epoch, as a share of those of the bare loop."""
    return epoch(turns.found["whole"], images, turns.between) / epoch(turns.found["bare"], images, [0.0])


if __name__ == "__main__":
    main()
