"""Images in shards: their rate beside other ways to read the same images, how soon a run goes on, and memory.

    python -m benchmarks.shards [--images 20000] [--small 5000] [--rounds 5]

The images are MNIST's digits, JPEG files in a folder and PNG in the shards. All decode in this process, into batches of
bytes. `image_folder` maps its decoded images, or decodes each batch. WebDataset reads the same shards in turn, with a
buffer of 1,000 images to shuffle them. litdata, if it is installed, reads the same PNGs from chunks of its own.
"Going on" is the time until the first batch of a loader that has seen nine tenths of an epoch; WebDataset has no other
way than to read them again. Memory is what a process does not share, at the most, in an epoch.
"""

import io
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.contest import RESULTS, arguments, demand, ratio, record, seconds, table, take_turns
from benchmarks.image_folder import digits, ours, own_pages, peak
from benchmarks.peers import BATCH
from vae_lightning.data import ShardsDataModule
from vae_lightning.data.write_shards import png, write_shards

MIB = 1.0  # of a shard and of a chunk: the digits are small
MIX = 4


def shards(count: int) -> Path:
    """The digits in shards, written once."""
    folder = RESULTS / "shards" / f"digits-{count}"
    if not folder.is_dir():
        write_shards(ours(digits(count)), folder, MIB)
    return folder


def chunks(count: int) -> Path:
    """The same PNGs in chunks of litdata, written once."""
    import litdata

    folder = RESULTS / "shards" / f"litdata-{count}"
    if not folder.is_dir():
        data = ours(digits(count)).stored("train")
        rows = [{"png": png(x.numpy()), "label": int(label)} for x, label in (data[i] for i in range(len(data)))]
        litdata.optimize(dict, rows, str(folder), chunk_bytes=f"{MIB:g}MB", num_workers=1)  # type: ignore[arg-type]
    return folder


def opened(folder: Path) -> ShardsDataModule:
    data = ShardsDataModule(str(folder), mix=MIX, batch_size=BATCH)
    data.setup()
    return data


def of_shards(folder: Path, seen: int = 0) -> Iterable[Any]:
    """The batches of data=shards."""
    data = opened(folder)
    return data._loader("train", data.order(0, seen))


def of_webdataset(folder: Path, seen: int = 0) -> Iterable[Any]:
    """The batches of a pipeline of WebDataset, which reads what was seen again."""
    import webdataset

    files = sorted(map(str, folder.glob("train-*.tar")))
    images = webdataset.WebDataset(files, shardshuffle=100, detshuffle=True, empty_check=False)
    return islice(
        images.shuffle(1000).to_tuple("png", "cls").batched(BATCH, collation_fn=together), seen // BATCH, None
    )


def of_litdata(folder: Path, seen: int = 0) -> Iterable[Any]:
    """The batches of a loader of litdata."""
    import litdata

    data = litdata.StreamingDataset(str(folder), shuffle=True, seed=1)
    loader = litdata.StreamingDataLoader(data, batch_size=BATCH, num_workers=0, collate_fn=together)  # type: ignore
    if seen:
        state = {"num_samples_yielded": seen, "latest_worker_idx": 0, "current_epoch": 1}
        loader.load_state_dict({**state, "dataset": data.state_dict(seen, 0, BATCH)})
    return loader


def together(samples: list[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of PNGs and labels."""
    pairs = [(each["png"], each["label"]) if isinstance(each, dict) else each for each in samples]
    images = np.stack([np.asarray(Image.open(io.BytesIO(content), formats=["PNG"])) for content, _ in pairs])
    return torch.from_numpy(images)[:, None], torch.tensor([int(label) for _, label in pairs])


def through(batches: Callable[[], Iterable[Any]]) -> None:
    """One epoch."""
    for _ in batches():
        pass


def first(batches: Callable[[], Iterable[Any]]) -> None:
    """The first batch."""
    next(iter(batches()))


def most_in_an_epoch(folder: str) -> float:
    """MiB of its own that a process has at the most while it goes through the shards of a folder."""
    pages = [own_pages() for _ in of_shards(Path(folder))]
    return max(pages)


def main() -> None:
    asked = arguments(__doc__, images=20_000, small=5_000, rounds=5)
    folder, seen = shards(asked.images), asked.images * 9 // 10 // BATCH * BATCH
    readers = {"shards": partial(of_shards, folder)}
    if find_spec("webdataset"):
        readers["WebDataset"] = partial(of_webdataset, folder)
    if find_spec("litdata"):
        readers["litdata"] = partial(of_litdata, chunks(asked.images))
    folders = {"image_folder, mapped": {}, "image_folder, decoded anew": {"cache_gib": 0}}
    others = {name: ours(digits(asked.images), **options).train_dataloader for name, options in folders.items()}
    whole = {name: partial(seconds, partial(through, each)) for name, each in {**readers, **others}.items()}
    epochs = take_turns(whole, asked.rounds)
    print(table(epochs, "s", 1, "shards"))
    later = {name: partial(seconds, partial(first, partial(each, seen))) for name, each in readers.items()}
    resumed = take_turns(later, asked.rounds)
    print(table(resumed, "s", 1, "shards"))
    memory = {f"{times} x": peak(shards(times * asked.small), "shards") for times in (1, 4, 16)}
    print(", ".join(f"{name}: {mib:.0f} MiB of its own" for name, mib in memory.items()))
    one, four, sixteen = memory.values()
    demands = [
        demand(
            "an epoch of shards / of image_folder, decoded anew",
            ratio(epochs, "shards", "image_folder, decoded anew"),
            1,
        ),
        demand("own memory, 4 x the images / 1 x", four / one, 1.05),
        demand("own memory, 16 x the images / 1 x", sixteen / one, 1.05),
    ]
    record("shards", images=asked.images, seconds=epochs, going_on=resumed, own_mib=memory, demands=demands)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
