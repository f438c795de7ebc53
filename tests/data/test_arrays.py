"""Arrays of one's own: layouts, types, files, names, splits, standardised vectors, and what is refused in one line."""

import os
import zipfile
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch

from vae_lightning import VAE
from vae_lightning.checkpoint import load
from vae_lightning.data import ArraysDataModule
from vae_lightning.data import array_files as files
from vae_lightning.data.standard import Standard
from vae_lightning.errors import ConfigError, DataError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import UnboundedGaussian
from vae_lightning.network import MLP

RANDOM = np.random.default_rng(0)
BYTES = RANDOM.integers(0, 256, (60, 6, 5), dtype=np.uint8)
UNIT = RANDOM.random((60, 6, 5), dtype=np.float32)
VECTORS = RANDOM.normal(5, [1, 10, 100], (60, 3))
SPLITS = ("train", "val", "test")


def made(file, **options) -> ArraysDataModule:
    data = ArraysDataModule(file, **{"batch_size": 16, **options})
    data.prepare_data()
    data.setup("fit")
    return data


def everything(data: ArraysDataModule) -> torch.Tensor:
    """All x, in an order that does not depend on the splits."""
    return ordered(torch.cat([data.images(split) for split in SPLITS]))


def ordered(x) -> torch.Tensor:
    x = torch.as_tensor(np.ascontiguousarray(x), dtype=torch.float32)
    return x[np.lexsort(x.flatten(1).numpy().T.round(3))]


def expected(images: np.ndarray) -> torch.Tensor:
    return ordered(images.reshape(len(images), -1, *images.shape[-2:]))


# --- what becomes x --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "x", "protocol"),
    [
        (BYTES, BYTES / 255, "grey"),
        (torch.from_numpy(BYTES), BYTES / 255, "grey"),
        (BYTES.astype(np.int64), BYTES / 255, "grey"),
        (BYTES.astype(">i4"), BYTES / 255, "grey"),
        (np.asfortranarray(BYTES), BYTES / 255, "grey"),
        (BYTES[::-1, ::-1], BYTES[:, ::-1] / 255, "grey"),
        (BYTES > 99, BYTES > 99, "grey"),
        (UNIT, UNIT, "real"),
        (UNIT.astype(np.float64), UNIT, "real"),
        (UNIT.astype(np.float16), UNIT.astype(np.float16), "real"),
        (torch.from_numpy(UNIT).bfloat16(), torch.from_numpy(UNIT).bfloat16().float(), "real"),
        (torch.from_numpy(UNIT).requires_grad_(), UNIT, "real"),
        (UNIT[:, None].repeat(3, 1), UNIT[:, None].repeat(3, 1), "real"),
        (UNIT[:, None].repeat(2, 1), UNIT[:, None].repeat(2, 1), "real"),
        (BYTES.tolist(), BYTES / 255, "grey"),
    ],
)  # fmt: skip
def test_images_of_any_layout_and_type(given, x, protocol):
    data = made(given)
    assert data.protocol == protocol
    x = np.asarray(x, dtype=np.float32)
    assert data.image_shape == (1, 6, 5) if x.ndim == 3 else tuple(x.shape[1:])
    torch.testing.assert_close(everything(data), expected(x))


def test_channels_that_come_last_are_moved_and_that_is_said(capsys):
    colours = RANDOM.integers(0, 256, (60, 6, 5, 3), dtype=np.uint8)
    data = made(colours)
    assert data.image_shape == (3, 6, 5)
    torch.testing.assert_close(everything(data), expected(colours.transpose(0, 3, 1, 2) / 255))
    assert "[60, 6, 5, 3] is read as [N, H, W, C]" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
def test_whole_numbers_0_and_1_are_black_and_white_and_that_is_said(kind, capsys):
    torch.testing.assert_close(everything(made((BYTES > 99).astype(kind))), expected(BYTES > 99))
    assert "1 is read as white; data.scale=255" in capsys.readouterr().err


def test_scale_divides():
    sixteen = BYTES.astype(np.uint16) * 257
    for given, scale in ((sixteen, 65535), (UNIT * 16, 16), (BYTES, 255), (UNIT, 0.5)):
        data = made(given, scale=scale)
        torch.testing.assert_close(everything(data), expected(given / scale))
        assert (data.protocol, data.value_range is None) == ("real", False)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int32, np.uint16])
def test_vectors_keep_their_numbers(kind):
    vectors = VECTORS.astype(kind)
    data = made(vectors)
    assert data.image_shape == (1, 1, 3)
    assert data.protocol == "real"
    torch.testing.assert_close(everything(data), ordered(vectors)[:, None, None])


def test_vectors_of_bytes_are_pixels():
    data = made(BYTES.reshape(60, 30), protocol="threshold")
    assert data.image_shape == (1, 1, 30)
    torch.testing.assert_close(everything(data), ordered(BYTES.reshape(60, 30) > 127)[:, None, None])


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [BYTES, UNIT, np.asfortranarray(UNIT), VECTORS])
def test_a_file_is_the_same_as_its_array(tmp_path, given):
    np.save(tmp_path / "a.npy", given)
    np.savez(tmp_path / "a.npz", given)
    np.savez_compressed(tmp_path / "c.npz", faces=given)
    for name in ("a.npy", "a.npz", "c.npz"):
        data = made(name, dir=str(tmp_path))
        assert torch.equal(everything(data), everything(made(given)))
        assert (data.title, data.describe()["source"]) == (name, str(tmp_path / name))
        assert set(data.describe()["sha256"]) == {name, "test rows"}


@pytest.mark.parametrize("given", [BYTES, UNIT])
def test_a_npy_is_mapped_and_its_splits_share_the_map(tmp_path, given):
    np.save(tmp_path / "a.npy", given)
    splits = made(tmp_path / "a.npy")._splits
    assert len({split._images.data_ptr() for split in splits.values()}) == 1
    maps = Path("/proc/self/maps")
    if maps.is_file():
        places = [line.split()[0].split("-") for line in maps.read_text().splitlines() if "a.npy" in line]
        at = splits["train"]._images.data_ptr()
        assert any(int(first, 16) <= at < int(last, 16) for first, last in places)


NAMES = [
    ("train", "val", "test", "train_labels", "val_labels", "test_labels"),
    ("train_images", "val_images", "test_images", "train_labels", "val_labels", "test_labels"),
    ("x_train", "x_val", "x_test", "y_train", "y_val", "y_test"),
]


@pytest.mark.parametrize("names", NAMES)
def test_splits_of_their_own_are_known_by_their_names(tmp_path, names):
    kinds = np.arange(60)[:, None] % 3
    parts = [BYTES[:40], BYTES[40:50], BYTES[50:], kinds[:40], kinds[40:50], kinds[50:]]
    np.savez(tmp_path / "a.npz", **dict(zip(names, parts, strict=True)), more=np.array([{"x": 1}]))
    for i, part in enumerate(parts):
        np.save(tmp_path / f"{i}.npy", part)
    mapping = {name: f"{i}.npy" for i, name in enumerate(names)}
    memory = dict(zip(names, parts, strict=True))
    for file in ("a.npz", mapping, memory):
        data = made(file, dir=str(tmp_path))
        assert data.describe()["sizes"] == {"train": 40, "val": 10, "test": 10}
        assert "split_seed" not in data.describe()
        for split, x, labels in zip(SPLITS, parts, parts[3:], strict=False):
            torch.testing.assert_close(data.images(split)[:, 0], torch.from_numpy(x / 255).float())
            assert data.labels(split).tolist() == labels[:, 0].tolist()
        assert len(data.val_dataloader()) == 1


def test_labels_of_a_single_array_and_their_names(tmp_path):
    kinds = np.array(["cat", "dog", "ant"])[np.arange(60) % 3]
    np.save(tmp_path / "x.npy", UNIT)
    np.save(tmp_path / "y.npy", kinds)
    for data in (made(UNIT, labels=kinds), made("x.npy", labels="y.npy", dir=str(tmp_path))):
        assert data.class_names == ("ant", "cat", "dog")
        for split in SPLITS:
            rows = [int((data.images(split)[i, 0] - torch.from_numpy(UNIT)).abs().sum((1, 2)).argmin()) for i in (0, 1)]
            assert [data.class_names[int(label)] for label in data.labels(split)[:2]] == kinds[rows].tolist()
    assert made(UNIT, labels=torch.arange(60) % 3).class_names == ("0", "1", "2")
    assert made(UNIT, labels=np.arange(60.0) * 7).class_names == ()


# --- splits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "options", "sizes"),
    [
        (60, {}, (49, 5, 6)),
        (300, {}, (243, 27, 30)),
        (120_000, {}, (105_000, 5_000, 10_000)),
        (60, {"val_size": 0}, (54, 0, 6)),
        (60, {"val_size": 10, "test_size": 20}, (30, 10, 20)),
        (3, {"batch_size": 1}, (1, 1, 1)),
    ],
)
def test_a_tenth_is_held_out_unless_a_size_is_said(n, options, sizes):
    data = made(np.arange(n, dtype=np.float32)[:, None], **options)
    assert data.describe()["sizes"] == dict(zip(SPLITS, sizes, strict=True))
    assert torch.equal(everything(data).flatten(), torch.arange(n).float())


def test_a_split_is_a_function_of_its_seed_and_another_test_set_is_other_data():
    one, same, other = (made(UNIT, split_seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(one.images(split), same.images(split)) for split in SPLITS)
    assert not torch.equal(one.images("test"), other.images("test"))
    assert one.describe()["sha256"] == same.describe()["sha256"] != other.describe()["sha256"]
    assert one.describe()["split_seed"] == 0


# --- standardised vectors --------------------------------------------------------------------------------------------


def test_vectors_are_standardised_by_the_training_split_and_undone():
    plain, data = made(VECTORS), made(VECTORS, standardise=True)
    train = plain.images("train").double().numpy()[:, 0, 0]
    for split in SPLITS:
        mine = (plain.images(split).double().numpy()[:, 0, 0] - train.mean(0)) / train.std(0)
        np.testing.assert_allclose(data.images(split)[:, 0, 0].numpy(), mine, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(data.undo(data.images(split)), plain.images(split), rtol=1e-5, atol=1e-4)
    assert data.description == "arrays, standardised"
    assert data.describe()["log_scale"] == pytest.approx(np.log(train.std(0)).sum(), abs=1e-4)


def test_log_p_of_the_data_is_that_of_standardised_data_less_the_log_scale():
    standard = Standard.of(torch.from_numpy(VECTORS))
    x, unit = torch.from_numpy(VECTORS[:1]), torch.distributions.Normal(0.0, 1.0)
    own = torch.distributions.Normal(standard.mean, standard.scale).log_prob(x).sum()
    assert float(unit.log_prob(standard.apply(x)).sum() - standard.log_scale) == pytest.approx(float(own), abs=1e-3)


def test_a_number_that_never_changes_is_not_scaled():
    vectors = np.concatenate([VECTORS, np.full((60, 1), 1e9), np.zeros((60, 1))], 1)
    data = made(vectors, standardise=True)
    assert data.images("train")[:, 0, 0, 3:].abs().max() == 0
    assert data.standard
    assert data.standard.scale[3:].tolist() == [1, 1]


def test_numbers_far_from_0_keep_their_digits():
    vectors = 1.7e9 + RANDOM.normal(0, 3, (60, 2))
    assert made(vectors, standardise=True).images("train").std(0).flatten().tolist() == pytest.approx([1, 1], rel=0.02)


def test_a_checkpoint_keeps_mean_and_scale_and_other_data_take_them(tmp_path):
    data = made(VECTORS, standardise=True)
    module = VAE(MLP([1, 1, 3], 2, hidden=4), DiagonalGaussian(2), UnboundedGaussian())
    trainer = pl.Trainer(
        max_steps=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    kept = Standard.in_checkpoint(load(tmp_path / "a.ckpt"))
    assert kept
    assert kept == data.standard
    other = made(VECTORS * 2 + 1, standardise=True)
    before = other.undo(other.images("test"))
    other.load_state_dict(load(tmp_path / "a.ckpt")["ArraysDataModule"])
    torch.testing.assert_close(other.images("test"), kept.apply(before), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other.undo(other.images("test")), before, rtol=1e-4, atol=1e-4)
    assert Standard.in_checkpoint({"state_dict": {}, "MNISTDataModule": {"mean": 1}}) is None


def test_a_loader_of_plain_vectors_trains_the_module_too(tmp_path):
    module = VAE(MLP([1, 1, 3], 2, hidden=4), DiagonalGaussian(2), UnboundedGaussian())
    loader = torch.utils.data.DataLoader(list(torch.randn(32, 3)), batch_size=16)  # type: ignore[arg-type]
    trainer = pl.Trainer(
        max_steps=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, loader)
    assert module.reconstruct(torch.randn(5, 3)).shape == (5, 1, 1, 3)


# --- what is refused -------------------------------------------------------------------------------------------------


def with_one(value: float) -> np.ndarray:
    x = UNIT.copy()
    x[41, 2, 3] = value
    return x


REFUSED = [
    (None, {}, ConfigError, "data.file=null: must be a .npy or .npz"),
    (with_one(np.nan), {}, DataError, "arrays: row 41 holds NaN or an infinite number"),
    (with_one(-np.inf), {}, DataError, "arrays: row 41 holds NaN"),
    (np.full((60, 2), 1e300), {}, DataError, "row 0 holds NaN or an infinite number"),
    (BYTES.astype(np.int64) - 1, {}, DataError, "whole numbers from -1 to 254"),
    (BYTES.astype(np.int64) * 9, {}, DataError, "divide them: data.scale="),
    (UNIT[0, 0], {}, DataError, "[5] is no set of images [N, H, W]"),
    (UNIT[None, None, None], {}, DataError, "[1, 1, 1, 60, 6, 5] is no set of images"),
    (UNIT[:0], {}, DataError, "[0, 6, 5] is no set of images"),
    (UNIT[:, :0], {}, DataError, "[60, 0, 5] is no set of images"),
    (np.array([{"a": 1}]), {}, DataError, "it holds Python objects, not numbers"),
    ([[1.0, 2.0], [3.0]], {}, DataError, "is no array"),
    (UNIT.astype(complex), {}, DataError, "its type is complex128"),
    (UNIT.astype(str), {}, DataError, "its type is <U"),
    (UNIT, {"labels": np.arange(59)}, DataError, "59 labels for 60 train images"),
    (UNIT, {"labels": np.eye(60)}, DataError, "labels are [60, 60], must be [N]"),
    (UNIT, {"labels": np.arange(60) - 1}, DataError, "range over [-1, 58]; classes are whole numbers >= 0"),
    (UNIT, {"labels": np.arange(60) / 7}, DataError, "classes are whole numbers >= 0"),
    (UNIT, {"labels": {"a": np.arange(60)}}, ConfigError, "data.labels: goes with one array"),
    ({"train": BYTES, "test": BYTES, "y": 1}, {"labels": np.arange(60)}, ConfigError, "data.labels: goes with one"),
    ({"train": BYTES, "test": UNIT}, {}, DataError, "its test images are torch.float32"),
    ({"train": BYTES, "test": BYTES[:, 1:]}, {}, DataError, "its test images are [60, 1, 5, 5], must be [N, 1, 6, 5]"),
    ({"cats": BYTES, "dogs": BYTES}, {}, DataError, "holds cats, dogs; name its arrays train, val and test"),
    ({"test": BYTES}, {}, DataError, "name its arrays train"),
    ({}, {}, DataError, "holds nothing"),
    ({"train": BYTES, "test": BYTES}, {"test_size": 5}, ConfigError, "data.test_size=5: arrays holds a test split"),
    ({"train": BYTES, "val": BYTES}, {"val_size": 5}, ConfigError, "data.val_size=5: arrays holds a val split"),
    (UNIT, {"test_size": 60}, ConfigError, "data.test_size=60: must be less than the 60 rows"),
    (UNIT, {"test_size": 0}, ConfigError, "data.test_size=0: must be a whole number >= 1"),
    (UNIT, {"val_size": 54}, ConfigError, "data.val_size=54: must be less than the 54 images"),
    (UNIT, {"scale": 0}, ConfigError, "data.scale=0: must be a finite number > 0"),
    (UNIT, {"standardise": True}, ConfigError, "data.standardise=true: is for vectors"),
    (UNIT, {"protocol": "dynamic"}, ConfigError, "data.protocol=dynamic: arrays holds floats; choose real"),
    (BYTES, {"protocol": "real"}, ConfigError, "data.protocol=real: arrays holds bytes; choose grey or"),
    (BYTES, {"protocol": "gray"}, ConfigError, "data.protocol=gray: did you mean grey"),
    (VECTORS, {"protocol": "standardised"}, ConfigError, "arrays holds floats; choose real"),
    (UNIT, {"batch_size": 64}, ConfigError, "data.batch_size=64: more than the 49 training images"),
    ("a.npy", {"dir": " "}, ConfigError, "data.dir= : must be a folder"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "options", "kind", "says"), REFUSED, ids=[row[3][:40] for row in REFUSED])
def test_what_cannot_be_x_is_refused_in_one_line(given, options, kind, says):
    with pytest.raises(kind) as refusal:
        made(given, **options)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def saved(save, *arrays, **named) -> bytes:
    import io

    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def archive(name: str, content: bytes) -> bytes:
    import io

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(name, content)
    return file.getvalue()


NPY, NPZ = saved(np.save, UNIT), saved(np.savez_compressed, images=UNIT)
OBJECTS = saved(np.save, np.array([{"a": 1}]), allow_pickle=True)
HUGE = NPY[:10] + NPY[10:128].replace(b"(60, 6, 5), }", b"(60000000, 6, 5), }".ljust(13))[:118] + NPY[128:]
BROKEN = [
    ("cut.npy", NPY[:-5], "its header says [60, 6, 5] of float32, 7,200 bytes, and 7,195 are there"),
    ("head.npy", NPY[:40], "cannot be read"),
    ("huge.npy", HUGE, "7,200,000,000 bytes"),
    ("version.npy", NPY[:6] + b"\x09\x00" + NPY[8:], "cannot be read (a header of another version)"),
    ("objects.npy", OBJECTS, "it holds Python objects, which are not read"),
    ("fields.npy", saved(np.save, np.zeros(60, [("a", "f4"), ("b", "f4")])), "save numbers of one type"),
    ("text.npy", b"1,2,3\n4,5,6\n", "neither a .npy nor a .npz, it starts with b'1,2,3\\n'"),
    ("empty.npy", b"", "neither a .npy nor a .npz"),
    ("cut.npz", NPZ[:-30], "cannot be read"),
    ("bit.npz", NPZ[:400] + bytes([NPZ[400] ^ 255]) + NPZ[401:], "cannot be read"),
    ("objects.npz", archive("images.npy", OBJECTS), "images: cannot be read (it holds Python objects"),
    ("short.npz", archive("images.npy", NPY[:-5]), "7,195 are there"),
    ("none.npz", archive("notes.txt", b"notes"), "holds nothing"),
]


@pytest.mark.parametrize(("name", "content", "says"), BROKEN, ids=[row[0] for row in BROKEN])
def test_a_broken_file_is_named_with_the_reason(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as refusal:
        made(name, dir=str(tmp_path))
    assert says in str(refusal.value)
    assert name in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_is_no_regular_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "folder.npy").mkdir()
    for name, says in (
        ("pipe.npy", "not a regular file"),
        ("folder.npy", "cannot be read"),
        ("no.npy", "no such file"),
    ):
        with pytest.raises(DataError, match=says) as refusal:
            made(name, dir=str(tmp_path))
        assert name in str(refusal.value)


def test_an_archive_larger_than_half_of_the_memory_is_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", images=np.zeros((1000, 10, 10), np.uint8))
    monkeypatch.setattr(files, "most_bytes", lambda: 50_000)
    with pytest.raises(DataError, match=r"images is 0\.0 GiB unpacked.*save it with np\.save"):
        made("a.npz", dir=str(tmp_path))
