"""A folder of images: its rate beside MNIST's, its first decoding beside torchvision's ImageFolder, its memory.

    python -m benchmarks.image_folder [--images 20000] [--photos 400] [--rounds 5]

The folder holds MNIST's digits as JPEG files, one folder a class; the photos are 640 x 480 and scaled to 64 x 64. All
decode with as many processes as this machine has cores. A decoding of ours lists the files, hashes them, writes all
pixels to the disk and syncs them; torchvision's goes through its loader once. Memory is what a process does not share:
its own pages, at the most, in an epoch. The pages of the mapped file are not its own.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import v2 as transforms

from benchmarks.contest import RESULTS, ROOT, arguments, demand, ratio, record, seconds, table, take_turns
from benchmarks.peers import BATCH, mnist
from vae_lightning.data import ImageFolderDataModule
from vae_lightning.data.folder_cache import OURS
from vae_lightning.data.image_folder import processes

PHOTO = {"size": 64}


def digits(count: int) -> Path:
    """MNIST's first digits as JPEG files, written once. The first digit is there again where there are too few."""
    folder = RESULTS / "image_folder" / f"digits-{count}"
    if not folder.is_dir():
        data = mnist()
        images = (data.images("train") * 255).byte().numpy()
        for row in range(count):
            label = int(data.labels("train")[row % len(images)])
            path = folder / str(label) / f"{row:06d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[row % len(images), 0]).save(path, quality=90)
    return folder


def photos(count: int) -> Path:
    """Smooth noise of 640 x 480 as JPEG files, written once."""
    folder = RESULTS / "image_folder" / f"photos-{count}"
    if not folder.is_dir():
        (folder / "all").mkdir(parents=True)
        for row in range(count):
            noise = np.random.default_rng(row).integers(0, 256, (15, 20, 3), dtype=np.uint8)
            Image.fromarray(noise).resize((640, 480), Image.Resampling.BICUBIC).save(folder / "all" / f"{row:06d}.jpg")
    return folder


def ours(folder: Path, **options: object) -> ImageFolderDataModule:
    data = ImageFolderDataModule(str(folder), batch_size=BATCH, val_size=0, test_size=1, **options)  # type: ignore
    data.prepare_data()
    data.setup()
    return data


def decode(folder: Path, **options: object) -> None:
    """The first decoding."""
    for path in folder.glob(f"{OURS}-*"):
        path.unlink()
    ours(folder, **options)


def torchvisions(folder: Path, *scaled: object) -> None:
    """One pass through torchvision's ImageFolder."""
    data = datasets.ImageFolder(str(folder), transforms.Compose([*scaled, transforms.PILToTensor()]))  # type: ignore
    for _ in DataLoader(data, batch_size=BATCH, num_workers=processes()):
        pass


def epoch(data: object) -> None:
    """One pass through the loader, with the bytes made numbers."""
    for batch in data.train_dataloader():  # type: ignore[attr-defined]
        data.on_after_batch_transfer(batch, 0)  # type: ignore[attr-defined]


def own_pages() -> float:
    """MiB of this process that no other process can share."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 2**10


def most_in_an_epoch(folder: str) -> float:
    """MiB of its own that a process has at the most while it goes through the images of a folder."""
    data = ours(Path(folder))
    pages = [own_pages()]
    for batch in data.train_dataloader():
        data.on_after_batch_transfer(batch, 0)  # type: ignore[arg-type]
        pages.append(own_pages())
    return max(pages)


def peak(folder: Path, benchmark: str = "image_folder") -> float:
    """`most_in_an_epoch` of a benchmark in a process of its own."""
    probe = f"from benchmarks import {benchmark}; print({benchmark}.most_in_an_epoch({str(folder)!r}))"
    words = [sys.executable, "-c", probe]
    return float(subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def main() -> None:
    asked = arguments(__doc__, images=20_000, photos=400, rounds=5)
    small, large = digits(asked.images), photos(asked.photos)
    scaled = (transforms.Resize(64), transforms.CenterCrop(64))
    decoding = {
        "torchvision": partial(seconds, partial(torchvisions, small)),
        "image_folder": partial(seconds, partial(decode, small)),
        "torchvision, photos": partial(seconds, partial(torchvisions, large, *scaled)),
        "image_folder, photos": partial(seconds, partial(decode, large, **PHOTO)),
    }
    decoded = take_turns(decoding, asked.rounds)
    print(table(decoded, "s", 1, "torchvision"))
    data = ours(small)
    as_many = mnist(val_size=60_000 - len(data._splits["train"]))
    rates = take_turns(
        {name: partial(seconds, partial(epoch, each)) for name, each in (("mnist", as_many), ("image_folder", data))},
        4 * asked.rounds,
    )
    print(table(rates, "s", 1, "mnist"))
    memory = {f"{asked.images} images": peak(small), f"{4 * asked.images} images": peak(digits(4 * asked.images))}
    one, four = memory.values()
    print(", ".join(f"{name}: {mib:.0f} MiB of its own" for name, mib in memory.items()))
    demands = [
        demand("a byte of image_folder / a byte of mnist", ratio(rates, "image_folder", "mnist"), 1.05),
        demand("first decoding / torchvision's ImageFolder", ratio(decoded, "image_folder", "torchvision"), 1.00),
        demand("the same, photos", ratio(decoded, "image_folder, photos", "torchvision, photos"), 1.00),
        demand("own memory, 4 x the images / 1 x", four / one, 1.05),
    ]
    record("image_folder", images=asked.images, workers=processes(), seconds=decoded, rates=rates, demands=demands)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
