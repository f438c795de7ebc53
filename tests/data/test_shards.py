"""Images in shards: what is written, in which order it is read, and what is not complete."""

import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import BATCH, image_folder, shards
from PIL import Image

from vae_lightning import shard
from vae_lightning.data import ArraysDataModule, ImageFolderDataModule, MNISTDataModule, ShardsDataModule
from vae_lightning.data.shard_files import ShardReader, ShardShuffle
from vae_lightning.data.shard_index import INDEX, read_index
from vae_lightning.data.write_shards import write_shards
from vae_lightning.errors import ConfigError, DataError

SPLITS = ("train", "val", "test")


@pytest.fixture
def folder(tmp_path) -> Path:
    """80 images of noise in ten classes, in shards of about four images."""
    shards(tmp_path / "data")
    return tmp_path / "data" / "shards"


def opened(folder: Path, **options) -> ShardsDataModule:
    data = ShardsDataModule(str(folder), **{"batch_size": BATCH, **options})
    data.prepare_data()
    data.setup()
    return data


def of_folder(folder: Path) -> ImageFolderDataModule:
    """The data module that the shards were written from."""
    data = image_folder(folder.parent / "images").make()
    data.setup()
    return data


# --- what is written --------------------------------------------------------------------------------------------------


def test_shards_hold_the_images_of_the_folder(folder):
    data, source = opened(folder), of_folder(folder)
    for split in SPLITS:
        assert torch.equal(data.images(split), source.images(split))
        assert torch.equal(data.labels(split), source.labels(split))
    assert data.class_names == source.class_names
    assert data.describe()["sizes"] == source.describe()["sizes"]
    assert str(source.description) in data.describe()["source"]


def test_any_program_reads_the_tar_files(folder):
    """In the order of the split: a PNG and its class beside each other."""
    source, seen = of_folder(folder), []
    for path in sorted(folder.glob("train-*.tar")):
        with tarfile.open(path) as tar:
            names = tar.getnames()
            assert [name.partition(".")[2] for name in names] == ["png", "cls"] * (len(names) // 2)
            for image, label in zip(names[::2], names[1::2], strict=True):
                content, number = tar.extractfile(image), tar.extractfile(label)
                assert content is not None
                assert number is not None
                seen.append((np.asarray(Image.open(content)), int(number.read())))
    x = torch.from_numpy(np.stack([image for image, _ in seen])).permute(0, 3, 1, 2) / 255
    torch.testing.assert_close(x, source.images("train"))
    assert [label for _, label in seen] == source.labels("train").tolist()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves its files open
def test_webdataset_reads_them(folder):
    webdataset = pytest.importorskip("webdataset")
    files = sorted(map(str, folder.glob("train-*.tar")))
    samples = list(webdataset.WebDataset(files, shardshuffle=False).decode("pil").to_tuple("png", "cls"))
    assert [label for _, label in samples] == of_folder(folder).labels("train").tolist()
    assert samples[0][0].size == (7, 9)


def test_a_shard_is_full_before_the_next_one_begins(folder):
    sizes = [shard.bytes for shard in read_index(folder).splits["train"].shards]
    assert len(sizes) > 8
    assert min(sizes[:-1]) >= 0.005 * 2**20


@pytest.mark.parametrize("colour", [True, False], ids=["colour", "grey"])
def test_any_data_set_of_bytes_can_be_written(tmp_path, colour):
    images = np.random.default_rng(0).integers(0, 256, (30, 3 if colour else 1, 5, 4), dtype=np.uint8)
    np.save(tmp_path / "own.npy", images)
    source = ArraysDataModule("own.npy", dir=str(tmp_path), batch_size=1, val_size=0, test_size=5)
    write_shards(source, tmp_path / "shards", 1)
    data = opened(tmp_path / "shards", batch_size=4)
    assert torch.equal(data.images("train"), source.images("train"))
    assert data.val_dataloader() == []


@pytest.mark.parametrize("protocol", ["static", "dynamic", "threshold"])
def test_protocols_belong_to_the_training(tmp_path, protocol):
    source = MNISTDataModule(dir=str(tmp_path), mirrors=(), protocol=protocol)
    with pytest.raises(ConfigError, match=rf"data\.protocol={protocol}: .*data=shards data\.protocol="):
        write_shards(source, tmp_path / "shards", 1)
    assert not (tmp_path / "shards").exists()


# --- the order --------------------------------------------------------------------------------------------------------

SIZES = [7, 5, 1, 9, 3, 7, 2]


@pytest.mark.parametrize("mix", [1, 2, 3, 7, 20])
def test_every_image_comes_once_and_few_shards_at_a_time(mix):
    order = ShardShuffle(SIZES, mix, seed=1)
    shard_of = torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))
    pieces = list(order.pieces())
    assert sorted(torch.cat(pieces).tolist()) == list(range(sum(SIZES)))
    groups = [set(shard_of[piece].tolist()) for piece in pieces]
    assert sum(map(len, groups)) == len(SIZES)  # no shard is in two groups
    assert {len(group) for group in groups[:-1]} <= {mix}


def test_the_order_is_a_function_of_seed_and_epoch():
    orders = {(seed, epoch): tuple(ShardShuffle(SIZES, 2, seed, epoch)) for seed in range(2) for epoch in range(2)}
    assert len(set(orders.values())) == 4
    order = ShardShuffle(SIZES, 2, seed=1)
    order.set_epoch(1)
    assert tuple(order) == orders[1, 1]
    assert list(ShardShuffle(SIZES, 2, 0, shuffle=False)) == list(range(sum(SIZES)))


@pytest.mark.parametrize("skip", [0, 1, 6, 7, 12, 13, 33, 34])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_resumed_epoch_leaves_out_what_it_has_seen(skip, shuffle):
    whole = list(ShardShuffle(SIZES, 2, seed=3, epoch=5, shuffle=shuffle))
    assert list(ShardShuffle(SIZES, 2, seed=3, epoch=5, skip=skip, shuffle=shuffle)) == whole[skip:]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_span_the_shards(folder, num_workers):
    data = opened(folder, mix=2, num_workers=num_workers)
    labels = [batch[1] for batch in data.train_dataloader()]
    assert [len(label) for label in labels] == [BATCH] * 3 + [4]
    assert torch.cat(labels).tolist() == data.labels("train")[list(data.order(0))].tolist()


def test_a_reader_goes_to_another_process_without_the_index(folder):
    index = read_index(folder)
    reader = ShardReader(folder, "train", index.splits["train"], index.image_shape)
    rows = torch.tensor([3, 50, 0])
    content = pickle.dumps(reader)
    assert len(content) < 4000
    assert torch.equal(pickle.loads(content)(rows), reader(rows))


def test_few_shards_are_open_at_a_time(folder, monkeypatch):
    monkeypatch.setattr("vae_lightning.data.shard_files.MOST_OPEN", 2)
    index = read_index(folder)
    reader = ShardReader(folder, "train", index.splits["train"], index.image_shape)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else None
    images = reader(torch.arange(len(reader.labels)))
    assert torch.equal(images / 255, of_folder(folder).images("train"))
    assert len(reader._open) == 2
    if before is not None:
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2


# --- what is not complete ---------------------------------------------------------------------------------------------


def test_a_missing_or_shorter_shard_is_named(folder):
    path = folder / "train-000002.tar"
    content = path.read_bytes()
    path.write_bytes(content[:-512])
    with pytest.raises(DataError, match=rf"1 of \d+ shards are not complete, first {path.name}, which has [\d,]+ of"):
        opened(folder)
    path.unlink()
    with pytest.raises(DataError, match=f"{path.name}, which is not there; copy them again"):
        opened(folder)


@pytest.mark.parametrize("damage", ["a bit", "gone", "empty"])
def test_a_changed_table_is_named(folder, damage):
    path = folder / "train.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content if damage == "a bit" else b"")
    if damage == "gone":
        path.unlink()
    with pytest.raises(DataError, match=r"train\.npy: not there, or damaged"):
        opened(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda index: "no JSON", "cannot be read"),
        (lambda index: json.dumps([1]), "no an index"),
        (lambda index: json.dumps({**index, "version": 2}), "version 2, not 1"),
        (lambda index: json.dumps({**index, "splits": {"train": index["splits"]["train"]}}), "splits train, not"),
        (lambda index: json.dumps({**index, "splits": [1]}), "no splits"),
        (lambda index: json.dumps({**index, "image_shape": "3"}), "no image_shape"),
        (lambda index: json.dumps({**index, "classes": [1]}), "no classes"),
        (lambda index: json.dumps(index).replace("train-000000.tar", "../train.tar"), "not a name in the same folder"),
        (lambda index: json.dumps(index).replace('"bytes": ', '"bytes": 0.5, "was": '), "no bytes"),
    ],
)
def test_a_damaged_index_is_named(folder, change, says):
    path = folder / INDEX
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(DataError, match=rf"index\.json: cannot be read.*{says}|{says}.*; write the shards again"):
        opened(folder)


def test_a_damaged_image_is_named_when_it_is_read(folder):
    path = folder / "train-000000.tar"
    content = bytearray(path.read_bytes())
    content[600:700] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"train-000000\.tar: the image at byte 512 cannot be read"):
        opened(folder).images("train")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_line_is_the_same_out_of_a_worker(folder, num_workers):
    path = folder / "test-000000.tar"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(DataError) as caught:
        list(opened(folder, num_workers=num_workers).test_dataloader())
    assert str(caught.value).startswith(f"{path}: the image at byte 512 cannot be read")
    assert "\n" not in str(caught.value)


def test_a_folder_without_shards_is_told_how_to_write_them(tmp_path):
    with pytest.raises(DataError, match=r"no shards, .*python -m vae_lightning\.shard data\.dir=IMAGES output=DIR"):
        opened(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.dir=null: must be a folder of shards"):
        ShardsDataModule()
    with pytest.raises(ConfigError, match=r"data\.mix=0: must be "):
        ShardsDataModule(str(tmp_path), mix=0)


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_command_writes_and_says_what(answer, folder, tmp_path):
    words = [f"data.dir={folder.parent / 'images'}", "data.val_size=8", "data.test_size=20"]
    status, out, err = answer(shard.main, *words, f"output={tmp_path / 'new'}", "shard_mib=0.005")
    assert status == 0, err
    assert "train 52 in" in out
    assert "test 20 in" in out
    assert torch.equal(opened(tmp_path / "new").images("test"), opened(folder).images("test"))
    status, _, err = answer(shard.main, *words, f"output={tmp_path / 'new'}")
    assert (status, err.count("\n")) == (2, 1)
    assert "is there already" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["output=new"], "data.dir=null"),
        (["data.dir=images"], "output"),
        (["data.dir=images", "output=new", "shard_mib=0"], "shard_mib=0"),
        (["data=ppca", "output=new"], "data.protocol=real"),
        (["data=shards", "data.dir=images", "output=new"], "no shards"),
        (["data.dir=nowhere", "output=new"], "data.dir=nowhere"),
    ],
    ids=" ".join,
)
def test_a_mistake_is_one_line_and_leaves_nothing(answer, folder, monkeypatch, words, says):
    monkeypatch.chdir(folder.parent)
    before = sorted(folder.parent.iterdir())
    status, _, err = answer(shard.main, *words)
    assert status not in (0, 1), err
    assert says in err
    assert "Traceback" not in err
    assert sorted(folder.parent.iterdir()) == before
