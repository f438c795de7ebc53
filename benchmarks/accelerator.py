"""Steps per second on an accelerator (CUDA or MPS), beside the bare loop and a script in the style of the example.

    python -m benchmarks.accelerator [--images 60000] [--rounds 7]

784-400-20, batches of 128, grey MNIST. `resident` keeps the images in the memory of the device, `graphs` are CUDA
graphs. The same module must give the CPU's loss and gradients there, and a step must wait for nothing (CUDA). On a
machine without an accelerator it says so, measures nothing and ends with status 0.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch

from benchmarks.contest import arguments, demand, ratio, record, seconds, table, take_turns
from benchmarks.peers import BATCH, BareLoop, ExampleStyle, mnist
from benchmarks.train_step import Ours, without_pictures
from vae_lightning import VAE

NONE = "no accelerator here (neither CUDA nor MPS): nothing was measured, and the results are as they were"
STEPS = 20  # of the comparison with the CPU
RESIDENT = "data.on_device=true"
GRAPHS = ["trainer=fast", "trainer.compile_mode=reduce-overhead"]


def accelerator() -> str | None:
    """cuda, mps or None."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def name_of(device: str) -> str:
    """The name of the card."""
    return torch.cuda.get_device_name() if device == "cuda" else "Apple GPU (MPS)"


def finished(device: str, function: Callable[[], Any]) -> None:
    """Calls a function and waits until the device has done its work."""
    function()
    if device != "cpu":
        getattr(torch, device).synchronize()


def contestants(images: int, device: str) -> dict[str, Callable[[], float]]:
    """A call trains for an epoch and returns its seconds, until the device has done all of it."""
    pixels, words = mnist().images("train")[:images], [*without_pictures(), f"trainer.accelerator={device}"]
    loops: dict[str, BareLoop | ExampleStyle] = {
        "example style": ExampleStyle(images, device),
        "bare": BareLoop(pixels, device=device),
        "bare compiled": BareLoop(pixels, compiled=True, device=device),
    }
    timed: dict[str, Callable[[], float]] = {
        name: partial(seconds, partial(finished, device, loop.epoch)) for name, loop in loops.items()
    }
    timed["default"] = Ours(images, *words)
    timed["default, resident"] = Ours(images, *words, RESIDENT)
    timed["fast"] = Ours(images, *words, "trainer=fast")
    timed["fast, resident"] = Ours(images, *words, "trainer=fast", RESIDENT)
    if device == "cuda":
        timed["fast, graphs, resident"] = Ours(images, *words, *GRAPHS, RESIDENT)
    return timed


def trained(device: str, x: torch.Tensor, eps: torch.Tensor) -> tuple[list[float], list[torch.Tensor]]:
    """The loss before each of some steps with the same images and noise, and the last gradients, on the CPU."""
    torch.manual_seed(0)
    module = VAE().to(device)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    losses = []
    for images, noise in zip(x.to(device), eps.to(device), strict=True):
        optimizer.zero_grad()
        loss, _ = module.objective(images, noise, 1.0)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    gradients = [weight.grad.cpu() for weight in module.parameters() if weight.grad is not None]
    return torch.stack(losses).tolist(), gradients


def apart(device: str, other: str = "cpu", steps: int = STEPS) -> float:
    """The largest relative difference of the losses, and of the norms of the differences of gradients."""
    noise = torch.Generator().manual_seed(0)
    x, eps = torch.rand(steps, BATCH, 1, 28, 28, generator=noise), torch.randn(steps, 1, BATCH, 20, generator=noise)
    (losses, gradients), (losses_there, gradients_there) = trained(other, x, eps), trained(device, x, eps)
    of_losses = [abs(a - b) / abs(a) for a, b in zip(losses, losses_there, strict=True)]
    pairs = zip(gradients, gradients_there, strict=True)
    return max(*of_losses, *(float((a - b).norm() / a.norm()) for a, b in pairs))


class Waits(pl.Callback):
    """Raises where a step waits for the device: not in the first steps, which compile, nor in the last of an epoch."""

    def __init__(self, warm_up: int = 5) -> None:
        self.warm_up, self.steps, self.watches = warm_up, 0, False

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Any, batch_idx: int) -> None:
        self.watches = self.warm_up <= batch_idx < trainer.num_training_batches - 1
        watch(self.watches)

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        watch(False)
        self.steps += self.watches

    def on_exception(self, trainer: pl.Trainer, module: Any, exception: BaseException) -> None:
        watch(False)


def watch(watches: bool) -> None:
    """Turns an answer that torch waits for into an error, where the device is one of CUDA."""
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode("error" if watches else "default")


def without_waiting(made: Ours) -> int:
    """Trains an epoch in which a step must not wait. Returns the number of steps that were watched."""
    waits = Waits()
    made.cfg.callbacks.divergence_guard.every_n_steps = 10**6  # it waits on purpose
    made.fit(waits)
    return waits.steps


def main() -> None:
    asked = arguments(__doc__, images=60_000, rounds=7)
    device = accelerator()
    if device is None:
        print(NONE)
        return
    print(name_of(device), flush=True)
    demands = [demand(f"{device} and CPU, float32, relative difference after {STEPS} steps", apart(device), 1e-3)]
    if device == "cuda":
        steps = without_waiting(Ours(BATCH * 40, *without_pictures(), RESIDENT))
        print(f"{steps} steps waited for nothing", flush=True)
    found = take_turns(contestants(asked.images, device), asked.rounds)
    steps = -(-asked.images // BATCH)
    print(table(found, "ms/step", 1000 / steps, "bare"))
    print(table({name: [1 / taken for taken in values] for name, values in found.items()}, "steps/s", steps, "bare"))
    demands.append(demand("default / example style", ratio(found, "default", "example style"), 1.0))
    facts = {"images": asked.images, "batch_size": BATCH, "seconds_per_epoch": found, "demands": demands}
    record("accelerator", device=name_of(device), **facts)


if __name__ == "__main__":
    main()
