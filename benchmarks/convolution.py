"""The cost of an epoch of `network=conv` beyond the bare loop of the same network.

    python -m benchmarks.convolution [--images 20000] [--epochs 3] [--block 6]

The default network on grey MNIST, in batches of 128, on all cores. The steps of the main job and those of the bare
loop take turns, as in benchmarks.overhead. `trainer=default` runs beside the bare loop in float32. `trainer=fast` runs
beside the compiled bare loop in bfloat16, or in float32 on a machine without bfloat16.
"""

from benchmarks.contest import arguments, demand, record
from benchmarks.overhead import beside_bare, measured, nothing
from benchmarks.peers import BareLoop, mnist
from benchmarks.train_step import without_pictures
from vae_lightning.network import Conv
from vae_lightning.trainer.fast import has_bfloat16


def main() -> None:
    asked = arguments(__doc__, images=20_000, epochs=3, block=6)
    pixels, size = mnist().images("train")[: asked.images], (asked.epochs, asked.block)
    words, whole = [*without_pictures(), "network=conv"], {"whole": nothing}
    default = measured("trainer=default", [*words, "trainer=default"], BareLoop(pixels, network=Conv), whole, *size)
    bf16 = has_bfloat16("auto")  # else trainer=fast trains in float32
    compiled = BareLoop(pixels, bf16=bf16, compiled=True, network=Conv)
    fast = measured("trainer=fast", [*words, "trainer=fast"], compiled, whole, *size)
    precision = "bf16" if bf16 else "float32"
    demands = [
        demand("a convolutional epoch with trainer=default / bare", beside_bare(default, len(pixels)), 1.10),
        demand(f"a convolutional epoch with trainer=fast / bare compiled {precision}",
               beside_bare(fast, len(pixels)), 1.15),
    ]  # fmt: skip
    found = {"trainer=default": default.found, "trainer=fast": fast.found}
    between = {"default": default.between, "fast": fast.between}
    record("convolution", seconds_per_step=found, seconds_between_epochs=between, demands=demands)


if __name__ == "__main__":
    main()
