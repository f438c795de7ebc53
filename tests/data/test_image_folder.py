"""A folder of images: splits, labels, the cache, batch by batch, and what cannot be read."""

import io
import json
import multiprocessing
import os
import shutil
import signal
import stat
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from vae_lightning.data import ImageFolderDataModule, bar, decode_all, folder_cache
from vae_lightning.data.decode_all import Task
from vae_lightning.data.decoding import Decoder
from vae_lightning.data.folder_cache import OURS
from vae_lightning.data.protocol import OF_BYTES
from vae_lightning.errors import ConfigError, DataError, FolderError

SMALL = {"batch_size": 4}


def picture(number: int, size: tuple[int, int] = (6, 8), mode: str = "RGB") -> Image.Image:
    """An image of noise that is a function of its number."""
    shape = (*size, 3) if mode == "RGB" else size
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8))


def fill(folder: Path, count: int = 20, first: int = 0, suffix: str = ".png", **options) -> Path:
    """Images `first` to `first + count` in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        picture(number, **options).save(folder / f"{number:04d}{suffix}")
    return folder


def opened(folder: Path, **options) -> ImageFolderDataModule:
    data = ImageFolderDataModule(str(folder), **{**SMALL, **options})
    data.prepare_data()
    data.setup()
    return data


def pixels(number: int, **options) -> torch.Tensor:
    array = torch.from_numpy(np.array(picture(number, **options)))
    return array[None] if array.ndim == 2 else array.permute(2, 0, 1)


def all_images(data: ImageFolderDataModule) -> set[bytes]:
    """The images of all splits, as bytes."""
    return {bytes((x * 255).round().byte().flatten().tolist()) for s in data._splits for x in data.images(s)}


def as_bytes(*numbers: int, **options) -> set[bytes]:
    return {bytes(pixels(number, **options).flatten().tolist()) for number in numbers}


# --- splits, labels, order -------------------------------------------------------------------------------------------


def test_a_flat_folder_is_split_by_seed(tmp_path):
    data = opened(fill(tmp_path / "mine"))
    assert data.image_shape == (3, 6, 8)
    assert data.class_names == ()
    assert data.describe() == {
        "name": "image_folder", "title": "images of a folder", "protocol": "grey", "source": str(tmp_path / "mine"),
        "subset": False, "sizes": {"train": 16, "val": 2, "test": 2}, "split_seed": 0, "sha256": data._facts.sha256,
    }  # fmt: skip
    assert data.description == "images of mine, grey"
    assert data.val_size == 2
    assert all_images(data) == as_bytes(*range(20))
    again, other = opened(tmp_path / "mine"), opened(tmp_path / "mine", split_seed=1)
    for split in ("val", "test"):
        assert torch.equal(data.images(split), again.images(split))
        assert not torch.equal(data.images(split), other.images(split))


def test_a_folder_a_class_gives_the_labels_at_any_depth(tmp_path):
    for number, place in enumerate(["cat", "ant/deep/er", "bee"]):
        fill(tmp_path / place, 5, first=100 * number)
    data = opened(tmp_path)
    assert data.class_names == ("ant", "bee", "cat")
    label_of = {as_bytes(number).pop(): label for number, label in ((0, 2), (100, 0), (200, 1))}
    seen = {}
    for split in ("train", "val", "test"):
        for x, label in zip(data.images(split), data.labels(split).tolist(), strict=True):
            seen[bytes((x * 255).round().byte().flatten().tolist())] = label
    assert {content: seen[content] for content in label_of} == label_of
    assert len(set(data.labels("train")[:6].tolist())) > 1  # the first images stand for all classes


def test_train_val_and_test_are_taken_as_they_are(tmp_path):
    for number, split in enumerate(("train", "valid", "test")):
        fill(tmp_path / split / "a", 4, first=100 * number)
        fill(tmp_path / split / "b", 3, first=100 * number + 50)
    data = opened(tmp_path)
    assert data.describe()["sizes"] == {"train": 7, "val": 7, "test": 7}
    assert "split_seed" not in data.describe()
    assert data.val_size == 7
    got = {bytes((x * 255).round().byte().flatten().tolist()) for x in data.images("val")}
    assert got == as_bytes(*range(100, 104), *range(150, 153))
    assert sorted(data.labels("test").tolist()) == [0] * 4 + [1] * 3


def test_only_a_missing_split_is_held_out(tmp_path):
    fill(tmp_path / "train", 20)
    fill(tmp_path / "test", 5, first=50)
    data = opened(tmp_path, val_size=3)
    assert data.describe()["sizes"] == {"train": 17, "val": 3, "test": 5}
    assert data.describe()["split_seed"] == 0
    assert opened(tmp_path, val_size=0).val_dataloader() == []


@pytest.mark.parametrize("options", [{"size": 4}, {"grey": True}, {"protocol": "static"}, {"protocol": "dynamic"}])
def test_batch_by_batch_everything_is_the_same(tmp_path, capsys, options):
    fill(tmp_path / "a", 12)
    fill(tmp_path / "b", 12, first=50)
    (tmp_path / "a" / "0003.png").write_bytes(b"")
    kept, lazy = (opened(tmp_path, skip_broken=True, cache_gib=gib, **options) for gib in (1.0, 0.0))
    assert "decoded batch by batch" in capsys.readouterr().err
    assert kept.describe() == lazy.describe()
    for split in ("train", "val", "test"):
        assert torch.equal(kept.images(split), lazy.images(split))
        assert torch.equal(kept.images(split, 2), kept.images(split)[:2])
        assert torch.equal(kept.labels(split), lazy.labels(split))
    for one, other in zip(kept.train_dataloader(), lazy.train_dataloader(), strict=True):
        assert all(map(torch.equal, one, other))
    assert len(list(tmp_path.glob(".*.images"))) == 1


def test_a_long_decoding_is_said_once_and_drawn_on_a_terminal(monkeypatch, capsys):
    clock = iter(np.arange(0, 10, 0.5))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    for live in (False, True):
        monkeypatch.setattr(bar, "on_terminal", lambda live=live: live)
        tell = bar.bar(40, "decoding mine, once")
        for done in (10, 20, 30, 40):
            tell(done)
    out, err = capsys.readouterr()
    assert err == "decoding mine, once: 40 images\n"
    assert [line.split()[3] for line in out.split("\r")[1:]] == ["20/40", "30/40", "40/40"]
    assert out.endswith("\n")


@pytest.mark.parametrize("protocol", OF_BYTES)
def test_a_protocol_is_the_same_at_every_visit(tmp_path, protocol):
    data = opened(fill(tmp_path), protocol=protocol)
    first, second = ([x for x, _ in data.test_dataloader()] for _ in range(2))
    assert all(map(torch.equal, first, second))
    assert (set(first[0].unique().tolist()) <= {0.0, 1.0}) == (protocol != "grey")


def test_workers_give_the_same_batches_also_without_a_cache(tmp_path):
    fill(tmp_path)
    here, there = ([*opened(tmp_path, num_workers=n, cache_gib=0.0).train_dataloader()] for n in (0, 1))
    assert all(torch.equal(one[0], other[0]) for one, other in zip(here, there, strict=True))


def test_on_the_device_they_are_in_memory(tmp_path):
    data = opened(fill(tmp_path), on_device=True, cache_gib=0.0)
    data.trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    batch = next(iter(data.test_dataloader()))[0]
    assert torch.equal(batch / 255, data.images("test")[:4])


# --- the cache -------------------------------------------------------------------------------------------------------


@pytest.fixture
def decodings(monkeypatch) -> list[int]:
    """The sizes of the tasks that are decoded."""
    counted: list[int] = []

    def counting(task, *arguments):
        counted.append(len(task.names))
        return decode_all.decode_all(task, *arguments)

    monkeypatch.setattr(folder_cache, "decode_all", counting)
    return counted


def test_images_are_decoded_once_and_mapped_without_copies(tmp_path, decodings):
    fill(tmp_path)
    opened(tmp_path)
    data = opened(tmp_path, batch_size=2, split_seed=3)
    assert decodings == [20]
    (file,) = tmp_path.glob(".*.images")
    assert file.stat().st_size == 20 * 3 * 6 * 8
    assert str(file) in Path("/proc/self/maps").read_text()
    storages = {split._images.untyped_storage().data_ptr() for split in data._splits.values()}
    assert len(storages) == 1


def test_a_folder_a_class_stays_one_for_torchvision(tmp_path):
    """A hidden folder would be a class without images there."""
    for number, place in enumerate(("a", "b")):
        fill(tmp_path / place, 5, first=10 * number)
    data = opened(tmp_path)
    theirs = ImageFolder(str(tmp_path))
    assert (tuple(theirs.classes), len(theirs)) == (data.class_names, 10)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: picture(99).save(folder / "new.png"),
        lambda folder: (folder / "0007.png").unlink(),
        lambda folder: (folder / "0007.png").rename(folder / "other.png"),
        lambda folder: picture(99).save(folder / "0007.png"),
        lambda folder: os.utime(folder / "0007.png", ns=(1, 1)),
    ],
    ids=["added", "removed", "renamed", "other content", "touched"],
)
def test_a_folder_that_changes_is_decoded_again(tmp_path, decodings, change):
    opened(fill(tmp_path))
    change(tmp_path)
    data = opened(tmp_path)
    assert len(decodings) == 2
    assert len(list(tmp_path.glob(f"{OURS}-*"))) == 2  # the older ones are gone
    assert all_images(data) == {bytes(np.asarray(Image.open(p)).transpose(2, 0, 1)) for p in tmp_path.glob("*.png")}


def test_each_way_to_decode_has_a_cache_of_its_own(tmp_path, decodings):
    fill(tmp_path)
    for _ in range(2):
        for options in ({}, {"size": 4}, {"size": 4, "crop": False}, {"grey": True}):
            opened(tmp_path, **options)
    assert len(decodings) == 4


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: next(folder.glob(".*.images")).write_bytes(b"short"),
        lambda folder: next(folder.glob(".*.images")).unlink(),
        lambda folder: next(folder.glob(".*.json")).write_text("{}"),
        lambda folder: next(folder.glob(".*.json")).write_text('{"shape": [9, 9, 9], "sha256": "", "broken": []}'),
        lambda folder: next(folder.glob(".*.json")).write_text(
            '{"shape": [3, 6, 8], "sha256": "", "broken": [[99, ""]]}'
        ),
    ],
    ids=["short", "no images", "empty index", "another shape", "row"],
)
def test_a_damaged_cache_is_made_again(tmp_path, decodings, damage):
    before = opened(fill(tmp_path)).images("train")
    damage(tmp_path)
    assert torch.equal(opened(tmp_path).images("train"), before)
    assert len(decodings) == 2


def test_the_checksum_is_of_names_and_contents_wherever_they_are(tmp_path):
    first = opened(fill(tmp_path / "here")).describe()["sha256"]
    other = opened(tmp_path / "here", split_seed=1).describe()["sha256"]
    assert (other["files"], other["test"] == first["test"]) == (first["files"], False)
    shutil.copytree(tmp_path / "here", tmp_path / "there", ignore=shutil.ignore_patterns(f"{OURS}*"))
    assert opened(tmp_path / "there", size=4).describe()["sha256"] == first
    picture(99).save(tmp_path / "there" / "0001.png")
    assert opened(tmp_path / "there").describe()["sha256"] != first


def test_processes_give_the_bytes_of_one(tmp_path):
    names = [path.name for path in sorted(fill(tmp_path, 300).iterdir())]
    (tmp_path / names[77]).write_bytes(b"no image")
    made = []
    for processes in (1, 2, 3):
        into = tmp_path / f"{processes}.bytes"
        into.write_bytes(bytes(300 * 3 * 48))
        task = Task(str(tmp_path), names, Decoder(channels=3), (3, 6, 8), into=into)
        told: list[int] = []
        found = decode_all.decode_all(task, processes, told.append)
        assert told[-1] == 300
        made.append((found, into.read_bytes()))
    assert made[0] == made[1] == made[2]
    assert list(made[0][0].broken) == [77]


def forks() -> Any:
    """Processes that are forks of a fresh one: a fork of this one may wait for a lock of one of its threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def together(folder: Path, gate, results) -> None:
    gate.wait()
    counted = []
    original = folder_cache.decode_all
    folder_cache.decode_all = lambda *arguments: counted.append(1) or original(*arguments)
    data = opened(folder)
    results.put((len(counted), data.images("train").sum().item()))


@pytest.mark.slow
def test_processes_that_start_together_decode_once(tmp_path):
    fill(tmp_path, 60)
    context = forks()
    gate, results = context.Barrier(3), context.Queue()
    processes = [context.Process(target=together, args=(tmp_path, gate, results)) for _ in range(3)]
    for process in processes:
        process.start()
    got = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(count for count, _ in got) == [0, 0, 1]
    assert len({total for _, total in got}) == 1


def decode_slowly(folder: Path) -> None:
    original = Decoder.__call__

    def slowly(self, path):
        time.sleep(0.05)
        return original(self, path)

    Decoder.__call__ = slowly
    opened(folder)


@pytest.mark.slow
def test_a_killed_process_leaves_no_part_and_no_process(tmp_path):
    fill(tmp_path, 300)
    process = forks().Process(target=decode_slowly, args=(tmp_path,))
    process.start()
    while not list(tmp_path.glob(".*.tmp")):
        time.sleep(0.02)
    time.sleep(0.2)
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not list(tmp_path.glob(".*.images"))
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/cmdline").exists() and running(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(all_images(opened(tmp_path))) == 300
    assert not list(tmp_path.glob(".*.tmp"))


def running(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_folder_that_cannot_be_written_is_decoded_for_one_process(tmp_path, capsys):
    fill(tmp_path / "mine")
    (tmp_path / "mine" / f"{OURS}.lock").mkdir()
    data = opened(tmp_path / "mine")
    assert all_images(data) == as_bytes(*range(20))
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert "data.cache_dir=DIR keeps them elsewhere" in warning
    opened(tmp_path / "mine", cache_dir=str(tmp_path / "cache"))
    assert len(list((tmp_path / "cache").glob("mine-*/.*.images"))) == 1
    assert "warning" not in capsys.readouterr().err


def test_a_disk_without_room_is_said_before(tmp_path, monkeypatch):
    fill(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(FolderError, match=r"and 0.0 are free; data\.cache_dir=DIR .* data\.cache_gib=0"):
        opened(tmp_path)
    assert not list(tmp_path.glob(f"{OURS}-*"))


def test_a_folder_that_changes_while_it_is_read(tmp_path, monkeypatch):
    fill(tmp_path)
    original = decode_all.decode_all

    def meanwhile(task, *arguments):
        picture(99).save(tmp_path / "late.png")
        return original(task, *arguments)

    monkeypatch.setattr(folder_cache, "decode_all", meanwhile)
    with pytest.raises(DataError, match=r"it changed while it was read; start again once it is complete"):
        opened(tmp_path)
    assert [path.name for path in tmp_path.glob(".*")] == [f"{OURS}.lock"]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_image_that_is_lost_between_two_batches_is_one_line(tmp_path, num_workers):
    data = opened(fill(tmp_path), cache_gib=0.0, num_workers=num_workers)
    for path in tmp_path.glob("*.png"):
        path.unlink()
    batches = iter(data.test_dataloader())
    with pytest.raises(DataError) as refusal:
        next(batches)
    assert str(refusal.value).endswith(
        "it changed after it was checked (No such file or directory); start again: resume=auto"
    )
    assert "\n" not in str(refusal.value)
    getattr(batches, "_shutdown_workers", lambda: None)()  # else the test waits for the worker when memory is cleaned


# --- mistakes --------------------------------------------------------------------------------------------------------


def classes(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        fill(folder / name, 4, first=10 * number)
    return folder


def nested(folder: Path) -> None:
    place = folder
    for _ in range(40):
        place = place / "d"
    fill(place, 1)


def loop(folder: Path) -> None:
    fill(folder / "a", 4)
    (folder / "a" / "again").symlink_to(folder)


LAYOUTS = {
    "nothing": (lambda d: None, r"holds nothing; PNG, JPEG"),
    "no image": (lambda d: (d / "notes.txt").write_text("x"), r"holds no image \(1 .txt\)"),
    "a file": (lambda d: (d.rmdir(), d.write_text("x")), r"is a file; name the folder"),
    "missing": (lambda d: d.rmdir(), r"no such folder"),
    "val alone": (lambda d: classes(d, "val", "other"), r"it holds val/ but no train/"),
    "val and valid": (lambda d: classes(d, "train", "val", "valid"), r"it holds val and valid, which are one split"),
    "empty split": (lambda d: (classes(d, "train"), (d / "test").mkdir()), r"test holds nothing"),
    "empty class": (lambda d: (classes(d, "a", "b"), (d / "c").mkdir()), r"c: this class folder holds no image"),
    "deep": (nested, r"more than 32 folders in one another"),
    "loop": (loop, r"again: a link back to a folder that holds it"),
    "mixed sizes": (
        lambda d: (fill(d, 4), fill(d, 2, 50, size=(8, 6))),
        r"0050.png: 8 x 6 pixels, others have 6 x 8; say one size",
    ),
    "one image": (lambda d: fill(d, 1), r"data.test_size=0.1: must be less than the 1 images; add images"),
    "text": (
        lambda d: (fill(d), (d / "a.png").write_text("hello")),
        r"1 of 21 images cannot be read, first a.png \(no image\)",
    ),
    "all text": (lambda d: (d / "a.png").write_text("hello"), r"none of its 1 images can be read; a.png: no image"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_that_cannot_be_taken_is_one_line(tmp_path, layout):
    make, says = LAYOUTS[layout]
    folder = tmp_path / "mine"
    folder.mkdir()
    make(folder)
    with pytest.raises((DataError, ConfigError), match=says) as refusal:
        opened(folder)
    assert "\n" not in str(refusal.value)
    assert not list(folder.glob(".*.tmp")) if folder.is_dir() else True


def test_what_lies_beside_images_is_ignored(tmp_path, capsys):
    fill(tmp_path / "a", 10)
    fill(tmp_path / "b", 10, first=50)
    for name in ("README.txt", "a/.DS_Store", "a/Thumbs.db", "a/._0001.png", "labels.csv"):
        (tmp_path / name).write_bytes(b"x")
    fill(tmp_path / ".hidden", 3, first=90)
    fill(tmp_path / "__MACOSX", 3, first=90)
    data = opened(tmp_path)
    assert all_images(data) == as_bytes(*range(10), *range(50, 60))
    assert data.class_names == ("a", "b")
    assert "warning" not in capsys.readouterr().err


def test_images_beside_class_folders_have_no_classes_and_a_line_says_so(tmp_path, capsys):
    fill(fill(tmp_path, 10) / "more", 10, first=50)
    data = opened(tmp_path)
    assert data.class_names == ()
    assert len(all_images(data)) == 20
    assert "its folders are no classes" in capsys.readouterr().err


def test_what_lies_beside_train_is_said(tmp_path, capsys):
    classes(tmp_path, "train", "test", "unlabelled")
    picture(0).save(tmp_path / "cover.png")
    opened(tmp_path, val_size=1, batch_size=2)
    assert "cover.png and 1 more beside train/ is not read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("pipe.png", os.mkfifo),
        ("zero.png", lambda path: path.symlink_to("/dev/zero")),
        ("nothing.png", lambda path: path.symlink_to("/nowhere")),
        ("itself.png", lambda path: path.symlink_to(path)),
        ("empty.png", lambda path: path.write_bytes(b"")),
        ("page.jpg", lambda path: path.write_text("<html>")),
        ("half.jpg", lambda path: path.write_bytes(jpeg()[:900])),
        ("huge.png", lambda path: path.write_bytes(huge())),
    ],
)
def test_a_broken_file_is_named_and_left_out_on_request(tmp_path, name, make):
    make(fill(tmp_path) / name)
    for _ in range(2):  # the second answer comes from the cache
        with pytest.raises(DataError, match=rf"1 of 21 images cannot be read, first {name} \(.+\); mend them"):
            opened(tmp_path)
    data = opened(tmp_path, skip_broken=True)
    assert all_images(data) == as_bytes(*range(20))
    assert data.describe()["skipped"] == 1
    assert data.description == "images of " + tmp_path.name + ", 1 broken files left out, grey"


def test_an_unreadable_file_is_named(tmp_path):
    path = fill(tmp_path) / "0003.png"
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(DataError, match=r"first 0003.png \(Permission denied\)"):
        opened(tmp_path)
    path.chmod(stat.S_IRWXU)


def jpeg() -> bytes:
    file = io.BytesIO()
    picture(0, size=(64, 64)).save(file, "JPEG", quality=95)
    return file.getvalue()


def huge() -> bytes:
    """A PNG of a few bytes that says it has 60,000 x 60,000 pixels."""
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG")
    content = bytearray(file.getvalue())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    return bytes(content)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dir": None}, r"data\.dir=null: must be a folder of images"),
        ({"size": 0}, r"data\.size=0: must be a number of pixels, or \[H, W\]"),
        ({"size": [4, 4, 4]}, r"data\.size=\[4, 4, 4\]: must be"),
        ({"crop": "centre"}, r"data\.crop=centre: must be true, false, a number of pixels"),
        ({"grey": "yes"}, r"data\.grey=yes: must be true or false"),
        ({"val_size": 1.5}, r"data\.val_size=1\.5: must be a number of images, or a share"),
        ({"test_size": 0}, r"data\.test_size=0: must be a number of images above 0"),
        ({"cache_gib": -1.0}, r"data\.cache_gib=-1\.0: must be"),
        ({"test_size": 20}, r"data\.test_size=20: must be less than the 20 images"),
        ({"val_size": 18}, r"data\.val_size=18: must be less than the 18 images"),
        ({"batch_size": 17}, r"data\.batch_size=17: more than the 16 training images"),
        ({"crop": 7}, r"6 x 8 pixels, smaller than data\.crop=\[7, 7\]"),
    ],
    ids=str,
)
def test_values_that_cannot_work_are_named(tmp_path, options, says):
    fill(tmp_path)
    with pytest.raises((ConfigError, DataError), match=says):
        opened(**{"folder": tmp_path, **options}) if "dir" not in options else ImageFolderDataModule(**options)


def test_a_folder_of_pictures_is_no_folder_of_mnist_but_of_this(tmp_path, answer, monkeypatch):
    from vae_lightning.train import main

    fill(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    status, _, err = answer(main, "data=mnist", f"data.dir={tmp_path / 'mine'}", "data.mirrors=[]")
    assert status == 3
    assert err.splitlines()[-1].endswith(f"images of your own are data=image_folder data.dir={tmp_path / 'mine'}")


# --- the main job ----------------------------------------------------------------------------------------------------


def test_a_training_on_a_folder_is_recorded_and_resumed_elsewhere(tmp_path, train, monkeypatch):
    fill(tmp_path / "mine", 40, mode="L")
    (tmp_path / "mine" / "bad.png").write_bytes(b"")
    words = ["data=image_folder", "data.skip_broken=true", "batch_size=8", "callbacks.latent_traversal.size=3"]
    monkeypatch.setattr("conftest.QUICK", ["epochs=1", "network.hidden=[16]", "report=false"])
    run = train(*words, f"data.dir={tmp_path / 'mine'}")
    record = json.loads((run / "run_meta.json").read_text())
    assert record["data"]["skipped"] == 1
    assert record["data"]["sizes"] == {"train": 32, "val": 4, "test": 4}
    assert record["image_shape"] == [1, 6, 8]
