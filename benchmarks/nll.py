"""The importance-weighted NLL with K = 5000, 784-200-200-50: time beside its bare arithmetic, and memory.

    python -m benchmarks.nll [--threads 1] [--images 4] [--repeats 7]

Every repeat times all contestants one after the other, so that a busy machine slows them alike; printed are medians and
the medians of the ratios within a repeat. Memory is the peak of a process that evaluates 10,000 images.
"""

import argparse
import resource
import statistics
import subprocess
import sys
from functools import partial

import torch
from torch.nn.functional import softplus

from benchmarks.contest import seconds
from vae_lightning.bound import importance_weighted_bound
from vae_lightning.evaluation import importance_weighted
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import BernoulliLogits
from vae_lightning.model import Model
from vae_lightning.network import MLP

K, CURVE, ROWS, SAMPLES_OF_THE_PLAIN_LOOP = 5000, (1, 10, 100, 1000), 512, 200


def model() -> Model:
    torch.manual_seed(0)
    return Model(MLP([1, 28, 28], 50, 1, [200, 200], "tanh", "glorot"), DiagonalGaussian(50), BernoulliLogits())


def digits(n: int) -> torch.Tensor:
    return torch.bernoulli(torch.full((n, 1, 28, 28), 0.13), generator=torch.Generator().manual_seed(1))


def ours(parts: Model, x: torch.Tensor) -> None:
    importance_weighted(parts, x, K, CURVE, rows=ROWS)


@torch.no_grad()
def bare(parts: Model, x: torch.Tensor) -> None:
    """The decoder's matrix products with their tanh, and one fused elementwise pass over the pixels; nothing else."""
    first, second, third = (layer for layer in parts.network.decoder if isinstance(layer, torch.nn.Linear))
    z = torch.randn(ROWS, 50)
    for _ in range(-(-len(x) * K // ROWS)):
        hidden = torch.addmm(first.bias, z, first.weight.T).tanh_()
        hidden = torch.addmm(second.bias, hidden, second.weight.T).tanh_()
        softplus(torch.addmm(third.bias, hidden, third.weight.T))


@torch.no_grad()
def tiled(parts: Model, x: torch.Tensor) -> None:
    """Image by image, repeated K times through encoder and decoder: vectorised, but in one large piece."""
    for image in x:
        repeated = image.expand(K, 1, 28, 28)
        draw = parts.draw(repeated, torch.randn(1, K, 50))
        log_w = draw.log_px_z + draw.log_pz - draw.posterior.log_qz_x(draw.z)
        importance_weighted_bound(log_w.T)


@torch.no_grad()
def plain(parts: Model, x: torch.Tensor) -> None:
    """Image by image and sample by sample: encode once, then draw, decode and weigh one z at a time."""
    for image in x:
        log_w = []
        posterior = parts.latent.posterior(parts.network.encode(image.unsqueeze(0)))
        for _ in range(SAMPLES_OF_THE_PLAIN_LOOP):
            z = posterior.rsample(torch.randn(1, 1, 50))
            log_w.append(parts.log_px_z(image.unsqueeze(0), z) + parts.latent.log_pz(z) - posterior.log_qz_x(z))
        importance_weighted_bound(torch.cat(log_w))


def peak(num_samples: int, images: int) -> float:
    """GiB at most in a process of its own."""
    probe = (
        "from benchmarks import nll; import resource\n"
        f"nll.importance_weighted(nll.model(), nll.digits({images}), {num_samples}, nll.CURVE)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    kib = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout
    return int(kib) / 2**20


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("threads", 1), ("images", 4), ("repeats", 7)):
        arguments.add_argument(f"--{name}", type=int, default=default)
    asked = arguments.parse_args()
    torch.set_num_threads(asked.threads)
    parts, x = model(), digits(asked.images)
    pairs = {"ours": K, "bare": K, "tiled": K, "plain": SAMPLES_OF_THE_PLAIN_LOOP}
    times: dict[str, list[float]] = {name: [] for name in pairs}
    for _ in range(asked.repeats):
        for name in pairs:
            times[name].append(seconds(partial(globals()[name], parts, x)))
    print(
        f"torch {torch.__version__}, {asked.threads} thread(s), K = {K}, {asked.images} images, {asked.repeats} repeats"
    )
    each = {name: [value / (asked.images * pairs[name]) for value in values] for name, values in times.items()}
    for name, values in each.items():
        ratio = statistics.median(value / own for value, own in zip(values, each["ours"], strict=True))
        rate = 1 / statistics.median(values)
        print(f"{name:<6} {rate:>10,.0f} images x samples per second, {ratio:6.2f} of the time of ours")
    print(f"ours / bare: {statistics.median(a / b for a, b in zip(each['ours'], each['bare'], strict=True)):.2f}")
    for num_samples, images in ((K, 200), (20 * K, 4)):
        print(f"peak memory, K = {num_samples:,}, {images} images: {peak(num_samples, images):.2f} GiB")
    print(
        f"of which this process with torch alone: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
    )


if __name__ == "__main__":
    main()
