"""Folders that belong to the user: what is found in them is said, and nothing is written into them."""

from functools import partial
from pathlib import Path

import pytest
from conftest import NO_NETWORK, QUICK
from PIL import Image

from vae_lightning import evaluate, montage, report, train
from vae_lightning.app import fit
from vae_lightning.data import FashionMNISTDataModule, MNISTDataModule
from vae_lightning.data.idx import NAMES
from vae_lightning.data.sources import SUBSET
from vae_lightning.errors import ConfigError, DataError
from vae_lightning.runs.contents import MOST, foreign
from vae_lightning.runs.folder import claim, point_latest


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


PICTURES = [f"{i:03d}.png" for i in range(300)]
FOREIGN = {
    "pictures": (PICTURES, "300 .png"),
    "pictures of classes": ([f"cat/{name}" for name in PICTURES[:3]] + ["dog/a.jpg"], "3 .png, 1 .jpg"),
    "a project": (["train.py", "src/net.py", "Makefile", "a.md", "b.txt"], "2 .py, 1 .txt, 1 Makefile, 1 others"),
    "an archive": (["mnist.npz"], "1 .npz"),
    "another data set": (["cifar-100-python/train", "cifar-100-python/test"], "1 train"),
}


@pytest.mark.parametrize("case", FOREIGN)
@pytest.mark.parametrize("kind", [MNISTDataModule, FashionMNISTDataModule])
def test_a_folder_that_holds_other_things_is_no_data_folder(tmp_path, monkeypatch, kind, case):
    names, found = FOREIGN[case]
    folder = fill(tmp_path / "mine", *names)
    before = snapshot(tmp_path)
    monkeypatch.setattr("vae_lightning.data.mirrors.download", lambda *_: pytest.fail("downloads"))
    with pytest.raises(DataError, match=r"data\.dir=.*mine: it holds other files \(") as refusal:
        kind(str(folder)).prepare_data()
    assert found in str(refusal.value) or case == "a project"
    assert snapshot(tmp_path) == before


HARMLESS = [
    [],
    [".DS_Store", ".gitkeep", ".git/config"],
    ["MNIST/raw/train-images-idx3-ubyte"],  # a part of the files, damaged
    ["FashionMNIST/raw/train-images-idx3-ubyte.gz"],
    ["train-labels.idx1-ubyte", "README.md", "picture.png"],  # the user's folder of MNIST
    ["outputs/g/20260101-001-seed1/run_meta.json", "outputs/g/20260101-001-seed1/report.html", "outputs/g/sweep.html"],
    ["multirun/20260101/jobs/0000.json"],
    ["cifar-10-batches-py/data_batch_1", "frey_face/frey_rawface.mat", "EMNIST/raw/gzip.zip"],  # other known data sets
]


@pytest.mark.parametrize("names", HARMLESS, ids=str)
def test_a_folder_that_is_empty_or_ours_is_a_data_folder(tmp_path, names):
    module = MNISTDataModule(str(fill(tmp_path / "data", *names)), mirrors=[])
    module.prepare_data()
    module.setup()
    assert module.describe()["subset"]


def test_all_four_files_are_read_whatever_lies_beside_them(tmp_path):
    fill(tmp_path, *PICTURES[:3])
    for name in NAMES.values():
        (tmp_path / f"{name}.gz").write_bytes((SUBSET / f"{name}.gz").read_bytes())
    with pytest.raises(DataError, match="SHA-256"):  # they are those of the subset, not of MNIST
        MNISTDataModule(str(tmp_path), mirrors=[], allow_subset=False).prepare_data()


def test_a_link_to_a_folder_is_foreign_and_a_large_folder_is_counted_in_part(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pictures").symlink_to(fill(tmp_path / "elsewhere", "a.png"))
    assert foreign(tmp_path / "mine") == "1 pictures"
    assert foreign(tmp_path / "none") == ""
    monkeypatch.setattr("vae_lightning.runs.contents.MOST", 2)
    assert foreign(fill(tmp_path / "large", *PICTURES)) == "2 .png"
    assert MOST > 300


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit, "fit", lambda job: 0.0)
    return partial(answer, train.main)


@pytest.mark.parametrize("variable", [True, False])
def test_the_command_says_what_it_found(ask, monkeypatch, tmp_path, variable):
    fill(tmp_path / "my_pngs", *PICTURES)
    if variable:
        monkeypatch.setenv("VAE_LIGHTNING_DATA", "my_pngs")
    status, _, err = ask(*NO_NETWORK, *([] if variable else ["data.dir=my_pngs"]))
    assert (status, err.count("\n")) == (3, 1)
    assert err.startswith("error: data.dir=my_pngs: it holds other files (300 .png) and no idx file of mnist")
    assert [path.name for path in tmp_path.iterdir()] == ["my_pngs"]


def test_a_folder_that_holds_other_things_is_no_run_folder(ask, tmp_path):
    fill(tmp_path / "my_pngs", *PICTURES)
    fill(tmp_path / "outputs" / "g" / "n", "notes.txt")
    before = snapshot(tmp_path)
    for words, found in ((["save_dir=my_pngs"], "300 .png"), (["save_dir=."], ""), (["save_dir=outputs"], "1 .txt"),
                         (["group=g", "name=n", "date_prefix=false"], "1 .txt")):  # fmt: skip
        status, _, err = ask(*QUICK, *words)
        assert (status, err.count("error: ")) == (2, 1), err
        assert f"holds other things ({found}" in err
    assert snapshot(tmp_path) == before


def test_an_empty_folder_is_a_run_folder_and_a_run_is_not_replaced(tmp_path):
    (tmp_path / "here").mkdir()
    fill(tmp_path / "here", ".DS_Store")
    claim(str(tmp_path), "g", "n", save_dir=str(tmp_path / "here"))
    with pytest.raises(ConfigError, match="already holds a run"):
        claim(str(tmp_path), "g", "n", save_dir=str(tmp_path / "here"))
    (tmp_path / "outputs" / "g").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"holds other things \(g\)"):  # a project is no run
        claim(str(tmp_path), "g", "n", save_dir=str(tmp_path / "outputs"))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_file_of_the_users_called_latest_stays(tmp_path, kind):
    fill(tmp_path, "latest" if kind == "file" else "latest/mine")
    before = snapshot(tmp_path)
    point_latest(tmp_path, "20260101-001-a")
    assert (tmp_path / "latest.txt").read_text() == "20260101-001-a\n"
    assert before.items() <= snapshot(tmp_path).items()


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_a_montage_replaces_a_montage_and_no_other_picture(answer, tmp_path, suffix):
    (tmp_path / "run" / "samples").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "run" / "samples" / "epoch_0001.png")
    output, words = tmp_path / f"sheet.{suffix}", [f"run={tmp_path / 'run'}", f"output={tmp_path}/sheet.{suffix}"]
    assert answer(montage.main, *words)[0] == 0
    assert answer(montage.main, *words)[0] == 0
    Image.new("RGB", (8, 8)).save(output)
    before = output.read_bytes()
    status, _, err = answer(montage.main, *words)
    assert (status, "is there already and no montage" in err) == (2, True), err
    assert output.read_bytes() == before


def test_a_montage_of_files_that_are_no_pictures_is_one_line(answer, tmp_path):
    fill(tmp_path / "run" / "samples", "epoch_0001.png")
    for words, says in (([], "cannot be read as a picture"), (["pattern=/a"], "pattern=/a: must be a name in"),
                        (["pattern=''"], "pattern=: must be a name in"), (["folder=null"], "folder=None: must be"),
                        (["output=3"], "output=3: must not be empty")):  # fmt: skip
        status, _, err = answer(montage.main, f"run={tmp_path / 'run'}", *words)
        assert (status, err.count("\n"), says in err) == (2, 1, True), err
    assert answer(montage.main, "run=2026")[2].startswith("error: run=2026: must be a folder; quote a name")
    assert "quote a name that is a number: \"'2026'\"" in answer(evaluate.main, "run=2026")[2]


@pytest.mark.parametrize("name", ["sweep.html", "sweep.csv", "sweep.md"])
def test_a_report_replaces_no_file_of_the_users(answer, tmp_path, name):
    fill(tmp_path / "g" / "run", "run_meta.json")
    fill(tmp_path / "g", name)
    status, _, err = answer(report.main, tmp_path / "g")
    assert (status, f"{name}: was not written by vae_lightning" in err) == (2, True), err
    assert (tmp_path / "g" / name).read_text() == "mine"
    (tmp_path / "g" / name).unlink()
    assert answer(report.main, tmp_path / "g")[0] == answer(report.main, tmp_path / "g")[0] == 0
