"""The contract of all data sets: what every option of conf/data keeps, on a small copy of it (tests/support/datasets).

A new option fails here until it has a small copy.
"""

import json
import os
from dataclasses import dataclass

import lightning.pytorch as pl
import pytest
import torch
from conftest import config
from datasets import BATCH, MAKERS, Made
from hydra.utils import get_class

from vae_lightning.app.config import CONF
from vae_lightning.data import ImageDataModule
from vae_lightning.data.in_memory import EpochShuffle
from vae_lightning.data.protocol import OF_BYTES, PROTOCOLS
from vae_lightning.errors import ConfigError, DataError

OPTIONS = sorted(path.stem for path in CONF.glob("data/*.yaml"))
SPLITS = ("train", "val", "test")


@dataclass
class Case:
    option: str
    made: Made

    def make(self, **options) -> ImageDataModule:
        data = self.made.make(**options)
        data.prepare_data()
        data.setup("fit")
        return data


@pytest.fixture(params=OPTIONS)
def case(request, tmp_path) -> Case:
    assert request.param in MAKERS, (
        f"data={request.param} has no small copy: add it to MAKERS of tests/support/datasets"
    )
    return Case(request.param, MAKERS[request.param](tmp_path / "data"))


@pytest.fixture
def of_files(case) -> Case:
    if not case.made.files:
        pytest.skip("it reads no files")
    return case


@pytest.fixture
def by_seed(case) -> Case:
    if "split_seed" not in config(f"data={case.option}").data:
        pytest.skip("its splits are its own")
    return case


def rows(images: torch.Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in images]


def loaders(data: ImageDataModule) -> dict:
    return {split: getattr(data, f"{split}_dataloader")() for split in SPLITS}


def batches(data: ImageDataModule) -> list:
    return [batch for loader in loaders(data).values() for batch in loader]


def same(some: list, others: list) -> bool:
    return len(some) == len(others) and all(
        torch.equal(a, b) for one, other in zip(some, others, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_a_small_copy_is_of_the_class_that_the_option_names(case):
    assert isinstance(case.made.make(), get_class(config(f"data={case.option}").data._target_))


def test_splits_have_the_sizes_that_are_said_and_share_no_image(case):
    data = case.make()
    assert data.describe()["sizes"] == dict(zip(SPLITS, case.made.sizes, strict=True))
    images = {split: data.images(split) for split in SPLITS}
    assert tuple(map(len, images.values())) == case.made.sizes
    assert tuple(len(data.labels(split)) for split in SPLITS) == case.made.sizes
    seen = [row for split in SPLITS for row in rows(images[split])]
    assert len(set(seen)) == len(seen)


def test_every_image_is_seen_once_an_epoch_beside_its_label(case):
    data = case.make()
    for split, loader in loaders(data).items():
        known = {row: int(label) for row, label in zip(rows(data.images(split)), data.labels(split), strict=True)}
        seen = [data.on_after_batch_transfer(batch, 0) for batch in loader]
        assert sorted(row for x, _ in seen for row in rows(x)) == sorted(known)
        assert all(known[row] == int(label) for x, labels in seen for row, label in zip(rows(x), labels, strict=True))


def test_a_batch_is_x_and_labels(case):
    data = case.make()
    x, labels = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert tuple(x.shape) == (BATCH, *data.image_shape)
    assert (x.dtype, labels.dtype, tuple(labels.shape)) == (torch.float32, torch.int64, (BATCH,))
    assert labels.min() >= 0
    assert not data.class_names or labels.max() < len(data.class_names)


def test_each_protocol_is_kept_and_named(case):
    for protocol in OF_BYTES if case.option == "arrays" else case.made.make().protocols:  # arrays: here of bytes
        data = case.make(protocol=protocol)
        assert data.describe()["protocol"] == protocol
        assert protocol in data.description or protocol == "real"
        values = torch.cat([data.images(split).unique() for split in SPLITS])
        if protocol in ("threshold", "static", "dynamic"):
            assert set(values.tolist()) == {0.0, 1.0}
        elif protocol == "grey":
            assert 0 <= values.min() < values.max() <= 1
            assert len(values.unique()) > 2
        first = next(iter(data.train_dataloader()))[0]
        assert (len(first.unique()) > 2) == (protocol in ("grey", "real") or PROTOCOLS[protocol].resample)
    with pytest.raises(ConfigError, match=r"data\.protocol=gray: "):
        case.made.make(protocol="gray")


def test_the_same_seeds_give_the_same_batches_in_every_run(case):
    assert same(batches(case.make(seed=1)), batches(case.make(seed=1)))


def test_the_seed_of_a_run_changes_the_order_and_nothing_else(case):
    one, other = case.make(seed=1), case.make(seed=2)
    for split in SPLITS:
        assert torch.equal(one.images(split), other.images(split))
    assert not torch.equal(next(iter(one.train_dataloader()))[0], next(iter(other.train_dataloader()))[0])


def test_the_seed_of_the_split_draws_other_images_and_is_said(by_seed):
    one, other = by_seed.make(split_seed=1), by_seed.make(split_seed=2)
    assert set(rows(one.images("val"))) != set(rows(other.images("val")))
    assert (one.describe()["split_seed"], other.describe()["split_seed"]) == (1, 2)


def test_a_run_knows_that_its_test_images_are_others(by_seed):
    """Results on other test images are never compared: checksums or source differ."""
    one, other = by_seed.make(split_seed=1), by_seed.make(split_seed=2)
    known = [(data.describe()["sha256"], data.describe()["source"]) for data in (one, other)]
    assert torch.equal(one.images("test"), other.images("test")) == (known[0] == known[1])


def test_val_size_zero_trains_on_all_others(by_seed):
    data = by_seed.make(val_size=0)
    assert len(data.images("train")) == by_seed.made.sizes[0] + by_seed.made.sizes[1]
    assert data.val_dataloader() == []
    for size in (len(data.images("train")), -1):
        with pytest.raises(ConfigError, match=rf"data\.val_size={size}: must be "):
            by_seed.make(val_size=size)


def test_a_resumed_run_goes_on_with_the_order_of_its_epoch(case):
    data = case.make(seed=3)
    data.trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    data.trainer.fit_loop.epoch_progress.current.processed = 3
    sampler = data.order(0)
    sampler.set_epoch(3)
    if case.option != "shards":
        assert list(sampler) == list(EpochShuffle(case.made.sizes[0], data.seed, epoch=3))
    resumed = torch.cat([data.labels("train")[list(sampler)[:BATCH]], torch.empty(0, dtype=torch.long)])
    images, labels = next(iter(data.train_dataloader()))
    assert torch.equal(labels, resumed)
    data.trainer = None
    assert torch.equal(
        data.on_after_batch_transfer((images, labels), 0)[0], data.images("train")[list(sampler)[:BATCH]]
    )


def test_workers_give_the_same_batches_as_none(case):
    assert same(batches(case.make()), batches(case.make(num_workers=1)))


def test_training_and_validation_share_one_memory(by_seed):
    data = by_seed.make()
    assert data._splits["train"]._images.data_ptr() == data._splits["val"]._images.data_ptr()


def test_what_it_says_of_itself_is_complete(case):
    facts = case.make().describe()
    assert facts.keys() - {"split_seed"} == {"name", "title", "protocol", "source", "subset", "sizes", "sha256"}
    assert facts["name"] == case.option
    assert all((facts["title"], facts["source"], facts["subset"] is False))
    assert facts["sha256"] or not case.made.files
    assert json.loads(json.dumps(facts)) == facts


def test_a_setup_says_nothing_and_is_done_once(case, capsys):
    data = case.make()
    before = data.stored("train")
    data.setup("test")
    assert data.stored("train") is before
    assert "".join(capsys.readouterr()) == ""


# --- data sets of files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["a bit", "shorter", "longer", "empty", "a web page"])
def test_a_changed_file_is_refused_by_name(of_files, damage):
    for path in of_files.made.files:
        content = path.read_bytes()
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        cut = {"a bit": flipped, "shorter": content[:-9], "longer": content + b"\0" * 9, "empty": b""}
        path.write_bytes(cut.get(damage, b"<html>no</html>"))
        if damage != "longer" or of_files.option != "frey_face":  # bytes after the array change no image
            with pytest.raises(DataError, match=path.name):
                of_files.make()
        path.write_bytes(content)
    of_files.make()


def test_a_pipe_is_no_file(of_files, tmp_path):
    path = of_files.made.files[0]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match=f"{of_files.option} was not found"):
        of_files.make()


def test_a_missing_file_is_named(of_files):
    path = of_files.made.files[-1]
    path.unlink()
    with pytest.raises(DataError, match=path.name):
        of_files.make()


def from_mirror(case: Case, root, mirror: dict[str, bytes], monkeypatch) -> tuple[ImageDataModule, list[str]]:
    asked: list[str] = []

    def download(url: str, deadline: float, most: int) -> bytes:
        asked.append(url)
        content = mirror[url.rpartition("/")[2]]
        assert len(content) <= most
        return content

    monkeypatch.setattr("vae_lightning.data.mirrors.download", download)
    return case.made.make(dir=str(root), mirrors=["http://example.org/files/"]), asked


def test_a_download_is_kept_and_not_asked_for_twice(of_files, tmp_path, monkeypatch):
    data, asked = from_mirror(of_files, tmp_path / "cache", of_files.made.mirror, monkeypatch)
    data.prepare_data()
    assert asked == [f"http://example.org/files/{name}" for name in of_files.made.mirror]
    again = of_files.make(dir=str(tmp_path / "cache"))
    assert len(asked) == len(of_files.made.mirror)
    assert torch.equal(again.images("train"), of_files.make().images("train"))


def test_a_download_with_other_content_leaves_nothing_behind(of_files, tmp_path, monkeypatch):
    for name in of_files.made.mirror:
        data, _ = from_mirror(of_files, tmp_path / name, {**of_files.made.mirror, name: b"<html>"}, monkeypatch)
        with pytest.raises(DataError, match=r"example\.org/files"):
            data.prepare_data()
        left = [path.name for path in (tmp_path / name).rglob("*") if path.is_file()]
        assert name not in left
        assert not [each for each in left if each.endswith(".tmp")]


def test_one_folder_holds_several_data_sets_and_no_others(of_files, tmp_path, monkeypatch):
    root = tmp_path / "all"
    for option, maker in MAKERS.items():
        made = maker(root / "elsewhere" / option)
        if option != of_files.option and made.mirror:
            from_mirror(Case(option, made), root / "cache", made.mirror, monkeypatch)[0].prepare_data()
    data, _ = from_mirror(of_files, root / "cache", of_files.made.mirror, monkeypatch)
    data.prepare_data()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    data, asked = from_mirror(of_files, tmp_path / "mine", of_files.made.mirror, monkeypatch)
    with pytest.raises(DataError, match=r"data\.dir=.*it holds other files \(1 \.txt\)"):
        data.prepare_data()
    assert not asked
