"""Frey Face, CIFAR-10, EMNIST and Kuzushiji-MNIST: what each has that the others have not."""

import gzip
import hashlib
import io
import pickle
import zlib

import numpy as np
import pytest
import torch
from conftest import SHARED
from datasets import MAKERS, TEST, TRAIN, noise, old_pickle
from scipy.io import loadmat, savemat

from vae_lightning.data import CIFAR10DataModule, EMNISTDataModule, FreyFaceDataModule, KMNISTDataModule
from vae_lightning.data.cifar10 import ARCHIVE, BATCHES, arrays_in, cifar10_sums
from vae_lightning.data.emnist import CLASSES
from vae_lightning.data.frey_face import FreyFile, pixels_in
from vae_lightning.data.idx import NAMES, kmnist_sums
from vae_lightning.errors import ConfigError, DataError

# --- Frey Face --------------------------------------------------------------------------------------------------------


@pytest.fixture
def real_faces():
    folder = SHARED / "frey_face"
    if not folder.is_dir():
        pytest.skip("Frey Face is not beside this checkout (../shared/data/frey_face)")
    return folder


def test_the_real_faces_are_1965_upright_images(real_faces):
    data = FreyFaceDataModule(str(real_faces), mirrors=[])
    data.setup()
    assert data.describe()["sizes"] == {"train": 1400, "val": 200, "test": 365}
    images = torch.cat([data._splits[split].images for split in ("train", "val", "test")])
    columns = loadmat(real_faces / "frey_rawface.mat")["ff"]
    rows = {image.numpy().tobytes() for image in images}
    assert rows == {np.ascontiguousarray(column).tobytes() for column in columns.T}
    x = images.float()
    along, across = (x.diff(dim=dim).abs().mean() for dim in (2, 3))
    shuffled = x.view(-1, 20, 28)  # the same bytes, read with another width
    assert max(along, across) < 0.6 * shuffled.diff(dim=1).abs().mean()


def test_all_1600_others_are_trained_on_without_validation(real_faces):
    data = FreyFaceDataModule(str(real_faces), mirrors=[], val_size=0, split_seed=7)
    sizes = data.describe()
    assert (sizes["sizes"], sizes["split_seed"]) == ({"train": 1600, "val": 0, "test": 365}, 7)


def test_the_validation_images_do_not_move_the_test_images(tmp_path):
    make = MAKERS["frey_face"](tmp_path).make
    few, many = make(val_size=2), make(val_size=30)
    few.setup()
    many.setup()
    assert torch.equal(few.images("test"), many.images("test"))
    assert few.describe()["sha256"] == many.describe()["sha256"]


@pytest.mark.parametrize("size", [0, 1965, "x"])
def test_a_number_of_test_images_that_cannot_be_is_named(size):
    with pytest.raises(ConfigError, match=rf"data\.test_size={size}: must be a whole number >= 1 and <= 1964"):
        FreyFaceDataModule(test_size=size)


def mat(**arrays) -> bytes:
    file = io.BytesIO()
    savemat(file, arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda: b"", "cannot be read"),
        (lambda: mat(gg=np.zeros((560, 3), np.uint8)), r"ff is nothing \[\], not uint8 \[560, N\]"),
        (lambda: mat(ff=np.zeros((560, 3))), "ff is double"),
        (lambda: mat(ff=np.zeros((28, 3), np.uint8)), r"ff is uint8 \[28, 3\]"),
        (lambda: mat(ff={"a": np.zeros(3)}), "ff is struct"),
        (lambda: mat(ff=np.zeros((560, 3), np.uint8))[:200], "cannot be read"),
    ],
)
def test_a_file_without_the_faces_is_named(tmp_path, content, says):
    with pytest.raises(DataError, match=says) as refusal:
        pixels_in(content(), tmp_path / "frey_rawface.mat")
    assert "frey_rawface.mat" in str(refusal.value)


def test_a_packed_array_is_not_unpacked(tmp_path):
    """A few kB may unpack to any size."""
    file = io.BytesIO()
    savemat(file, {"ff": np.zeros((560, 1965), np.uint8)}, do_compression=True)
    with pytest.raises(DataError, match="its array is packed"):
        pixels_in(file.getvalue(), tmp_path / "frey_rawface.mat")


def test_a_large_file_is_not_read(tmp_path):
    with (tmp_path / "frey_rawface.mat").open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(DataError, match="more than 1,200,000 bytes"):
        FreyFile().find(tmp_path)


# --- CIFAR-10 ---------------------------------------------------------------------------------------------------------


def test_a_batch_holds_what_pickle_reads_in_it(tmp_path):
    pixels = noise(5, 3072).numpy()
    content = old_pickle(pixels, [3, 1, 4, 1, 9])
    batch = pickle.loads(content, encoding="latin1")  # as torchvision does
    assert np.array_equal(batch["data"], pixels)
    images, labels = arrays_in(content, tmp_path)
    assert torch.equal(images, torch.from_numpy(batch["data"].reshape(-1, 3, 32, 32)))
    assert labels.tolist() == batch["labels"]


def test_batches_are_joined_in_their_order(tmp_path):
    data = MAKERS["cifar10"](tmp_path).make(val_size=0)
    data.setup()
    expected = torch.cat([noise(TRAIN // 5, 3, 32, 32, seed=seed) for seed in range(5)])
    assert torch.equal(data.images("train"), expected / 255)
    assert torch.equal(data.images("test"), noise(TEST, 3, 32, 32, seed=5) / 255)
    assert data.labels("train").tolist() == [*range(10), 0, 1] * 5


class Command:
    """What a pickle of a stranger may hold."""

    def __reduce__(self):
        return print, ("was run",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Command()),
        pickle.dumps({"data": np.zeros(3072), "labels": [Command()]}),
        old_pickle(noise(2, 3072).numpy(), [0, 1], array=b"cos\nsystem\n"),
        old_pickle(noise(2, 3072).numpy(), [0, 1], array=b"cnumpy\nload\n"),
        old_pickle(noise(2, 3072).numpy(), [0, 1], array=b"cnumpy.testing\nmeasure\n"),
        old_pickle(noise(2, 3072).numpy(), [0, 1]).replace(b"u1", b"O8"),
        old_pickle(noise(2, 3071).numpy(), [0, 1]),
        pickle.dumps({"data": 3}),
        pickle.dumps([1]),
        b"",
    ],
)
def test_no_code_of_a_batch_runs_even_with_the_right_checksum(tmp_path, capsys, content):
    with pytest.raises(DataError, match="data_batch_1: not a batch of CIFAR-10"):
        arrays_in(content, tmp_path / "data_batch_1")
    assert capsys.readouterr().out == ""


def test_a_batch_with_another_checksum_is_not_unpickled(tmp_path, monkeypatch):
    made = MAKERS["cifar10"](tmp_path)
    made.files[0].write_bytes(pickle.dumps(Command()))
    monkeypatch.setattr("vae_lightning.data.cifar10.OneArray", lambda *_, **__: pytest.fail("unpickles"))
    with pytest.raises(DataError, match=r"data_batch_1: .* bytes with MD5"):
        made.make().setup()


def test_the_checksums_are_those_of_torchvision():
    assert cifar10_sums().keys() == {ARCHIVE, *BATCHES}
    assert {len(digest) for digest in (*cifar10_sums().values(), *kmnist_sums().values())} == {32}
    assert kmnist_sums().keys() == {f"{name}.gz" for name in NAMES.values()}
    assert CIFAR10DataModule.files.known is cifar10_sums
    assert KMNISTDataModule.files.known is kmnist_sums


# --- EMNIST and Kuzushiji-MNIST ---------------------------------------------------------------------------------------


def test_classes_are_those_of_torchvision():
    from torchvision import datasets

    for split, classes in CLASSES.items():
        assert list(classes) == [name for name in datasets.EMNIST.classes_split_dict[split] if name != "N/A"]
    assert CLASSES.keys() == {*datasets.EMNIST.splits}
    assert list(KMNISTDataModule.class_names) == datasets.KMNIST.classes


@pytest.mark.parametrize(("split", "classes", "first"), [("balanced", 47, 0), ("letters", 26, 1), ("digits", 10, 0)])
def test_images_stand_upright_and_labels_begin_with_0(tmp_path, split, classes, first):
    data = MAKERS["emnist"](tmp_path).make(split=split, val_size=0)
    data.setup()
    assert torch.equal(data.images("train")[:, 0], noise(TRAIN, 28, 28).transpose(1, 2) / 255)
    assert torch.equal(data.labels("test"), torch.arange(TEST) % classes)
    assert len(data.class_names) == classes
    assert (data.title, split in data.describe()["source"]) == (f"EMNIST {split}", True)


def test_two_splits_of_emnist_are_two_data_sets(tmp_path):
    one, other = (MAKERS["emnist"](tmp_path).make(split=split) for split in ("balanced", "digits"))
    assert one.describe()["sha256"] != other.describe()["sha256"]
    assert EMNISTDataModule.files.split == "balanced"


def test_a_split_that_is_none_or_not_in_the_archive_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.split=letter: did you mean letters\?"):
        EMNISTDataModule(split="letter")
    with pytest.raises(DataError, match=r"gzip\.zip: There is no item named 'gzip/emnist-mnist-train-images"):
        MAKERS["emnist"](tmp_path).make(split="mnist").prepare_data()


def test_an_archive_that_unpacks_to_more_than_it_can_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("vae_lightning.data.emnist.EmnistFiles.largest", 10_000)
    with pytest.raises(DataError, match="unpacks to more than 10,000 bytes"):
        MAKERS["emnist"](tmp_path).make().prepare_data()


def test_kuzushiji_mnist_is_read_packed_only(tmp_path):
    made = MAKERS["kmnist"](tmp_path)
    for path in made.files:
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    with pytest.raises(DataError, match=r"Put the four files train-images-idx3-ubyte\.gz"):
        made.make().prepare_data()


def test_a_checksum_of_what_was_read_is_said(tmp_path):
    made = MAKERS["kmnist"](tmp_path)
    data = made.make()
    unpacked = [zlib.decompress(path.read_bytes(), 31) for path in made.files]
    expected = dict(zip(NAMES, (hashlib.sha256(content).hexdigest() for content in unpacked), strict=True))
    assert data.describe()["sha256"] == expected
