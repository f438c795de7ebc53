"""The command `predict`: its tasks against torch and closed forms, its files, and what it refuses."""

import csv
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import config
from omegaconf import OmegaConf
from PIL import Image

from vae_lightning import VAE, export, linear_gaussian, load
from vae_lightning.app import predicting, restore
from vae_lightning.app.loading import Trained
from vae_lightning.formats import FORMATS
from vae_lightning.latent import Vamp
from vae_lightning.predict import main
from vae_lightning.prediction import OUTPUTS, results
from vae_lightning.prediction.inputs import Images
from vae_lightning.prediction.tasks import TASKS, Predictor, Traverse
from vae_lightning.runs.run import open_run
from vae_lightning.train import train


@pytest.fixture
def ask(answer, finished_run, monkeypatch, tmp_path):
    """The command in an empty folder, on the finished run: words -> (status, output, stderr)."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: answer(main, f"run={finished_run}", *words, "device=cpu")


@pytest.fixture
def vae(finished_run) -> VAE:
    """The finished run, as Lightning loads it."""
    return VAE.load_from_checkpoint(finished_run / "checkpoints" / "best.ckpt", weights_only=True).eval()


def table(path: str) -> tuple[list[str], list[str], np.ndarray]:
    """Columns, names and numbers of a CSV file."""
    with open(path, newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    return head, [row[0] for row in rows], np.array([[float(cell) for cell in row[1:]] for row in rows])


def digits(vae: VAE, n: int) -> torch.Tensor:
    """Some bytes [n, 1, 28, 28]."""
    return (vae.sample(n, seed=9).detach() * 255).round().byte()


def test_every_task_has_a_class():
    assert [*TASKS] == [*OUTPUTS]
    assert {kind for kinds in OUTPUTS.values() for kind in kinds} == {*results.WRITERS}


@pytest.mark.parametrize("kind", ["safetensors", "torch"])
def test_an_exported_model_of_vectors_keeps_their_units(answer, vectors, monkeypatch, tmp_path, kind):
    """The folder said nothing of mean and scale: what `predict` made of it were standardised numbers."""
    run, values = vectors
    monkeypatch.chdir(tmp_path)
    np.save("new.npy", values[:20])
    status, _, err = answer(export.main, f"run={run}", f"format={kind}", "output=model")
    assert status == 0, err
    told = json.loads(Path("model/standard.json").read_text())
    assert "standard.json holds both" in Path("model/README.md").read_text()
    assert np.abs(np.array(told["mean"]) - values.mean(0)).max() < 40
    if kind == "safetensors":
        for place, name in ((run, "run.npy"), ("model", "folder.npy")):
            assert answer(main, f"run={place}", "task=reconstruct", "input=new.npy", f"output={name}")[0] == 0
        np.testing.assert_allclose(np.load("folder.npy"), np.load("run.npy"), rtol=1e-4)
        Path("model/standard.json").write_text('{"mean": [1], "scale": "x"}')
        status, _, err = answer(main, "run=model", "task=reconstruct", "input=new.npy", "output=no.npy")
        assert (status, err.count("\n")) == (3, 1)
        assert "mean and scale of the data are damaged" in err


@pytest.mark.parametrize(("task", "kind"), [(task, kind) for task, kinds in OUTPUTS.items() for kind in kinds])
def test_every_task_writes_every_kind_of_file(ask, tmp_path, task, kind):
    status, out, err = ask(f"task={task}", f"output=a/b{kind}", "num=3", "num_samples=5", "steps=3")
    assert (status, [*(tmp_path / "a").iterdir()]) == (0, [tmp_path / "a" / f"b{kind}"]), err
    assert out.endswith(f"\n-> a/b{kind}\n")
    assert ("of MNIST subset (5,000 + 1,000), grey, test" in out) == (task != "sample")
    if kind in (".png", ".gif"):
        with Image.open(tmp_path / "a" / f"b{kind}") as picture:
            assert getattr(picture, "n_frames", 1) > 1 if kind == ".gif" else picture.format == "PNG"


def test_samples_and_reconstructions_are_those_of_the_module(ask, vae):
    np.save("x.npy", digits(vae, 5).numpy())
    assert ask("task=sample", "num=7", "seed=3", "output=s.npy")[0] == 0
    assert np.load("s.npy") == pytest.approx(vae.sample(7, seed=3).detach().numpy(), abs=1e-6)
    assert ask("task=reconstruct", "input=x.npy", "batch_size=2", "output=r.npy")[0] == 0
    again = vae.reconstruct(digits(vae, 5).float() / 255).detach().numpy()
    assert np.load("r.npy") == pytest.approx(again, abs=1e-5)


def test_codes(ask, vae):
    np.save("x.npy", digits(vae, 4).numpy())
    assert ask("task=encode", "input=x.npy", "output=z.csv")[0] == ask("task=encode", "input=x.npy", "output=z.npy")[0]
    head, names, numbers = table("z.csv")
    assert head == ["image", "mean_1", "mean_2", "log_var_1", "log_var_2"]
    assert names == [f"x.npy[{i}]" for i in range(4)]
    q = vae.encode(digits(vae, 4))
    assert numbers == pytest.approx(torch.cat([q.mean, q.log_var], 1).detach().numpy(), abs=1e-5)
    assert np.load("z.npy").reshape(4, 4) == pytest.approx(numbers, abs=1e-5)


def test_lines_through_latent_space(ask, vae):
    """An interpolation begins and ends at reconstructions, with the middle of the codes in its middle."""
    np.save("x.npy", digits(vae, 3).numpy())
    assert ask("task=interpolate", "input=x.npy", "steps=3", "output=i.npy")[0] == 0
    mean = vae.encode(digits(vae, 3)).mean
    for pair, walk in enumerate(np.load("i.npy")):
        z = torch.stack([mean[pair], (mean[pair] + mean[pair + 1]) / 2, mean[pair + 1]])
        assert walk == pytest.approx(vae.decode(z).detach().numpy(), abs=1e-5)


def test_a_traversal_moves_one_unit(ask, vae):
    np.save("x.npy", digits(vae, 2).numpy())
    assert ask("task=traverse", "input=x.npy", "units=[2,1]", "limit=2", "steps=3", "output=t.npy")[0] == 0
    first = vae.encode(digits(vae, 2)).mean[0].tolist()
    for unit, walk in zip((1, 0), np.load("t.npy"), strict=True):
        z = torch.tensor([[value if i == unit else first[i] for i in range(2)] for value in (-2.0, 0.0, 2.0)])
        assert walk == pytest.approx(vae.decode(z).detach().numpy(), abs=1e-5)


def test_without_a_word_the_unit_with_the_largest_kl_comes_first(ask, finished_run):
    """As the last row of latent_usage.csv says it."""
    last = (finished_run / "curves" / "latent_usage.csv").read_text().splitlines()[-1].split(",")[-2:]
    units = "[1,2]" if float(last[0]) > float(last[1]) else "[2,1]"
    assert ask("task=traverse", "steps=3", "output=a.npy")[0] == 0
    assert ask("task=traverse", "steps=3", f"units={units}", "output=b.npy")[0] == 0
    assert (np.load("a.npy") == np.load("b.npy")).all()


def test_the_units_of_a_traversal_have_the_kl_of_their_own_prior():
    """It was the KL to N(0, 1), also where the prior is learned."""
    vae = VAE(latent=Vamp([1, 4, 4], dim=3, components=5), image_shape=(1, 4, 4)).eval()
    vae.network.encoder[-1].bias.data[:3] += 3  # far from N(0, 1), and so is the prior
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    kl = vae.encode(x).kl()[0].tolist()
    shown = Traverse()(Predictor(vae), Images(x, ("x",)))
    assert sorted(shown.labels) == [f"z{unit + 1}  {kl[unit]:.2f}" for unit in range(3)]


def test_the_nll_is_near_the_closed_form(answer, monkeypatch, tmp_path):
    run = tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    train(
        config(
            "experiment=ppca",
            "data.sizes=[200,50,40]",
            "batch_size=50",
            "epochs=15",
            "lr=0.02",
            "report=false",
            "save_dir=run",
        )
    )
    status, out, err = answer(main, f"run={run}", "task=nll", "num=40", "num_samples=2000", "output=nll.csv")
    assert status == 0, err
    assert "K = 2000, 40 images of probabilistic PCA, 3 latent dims" in out
    module, x = load(run), restore.data_of(open_run(run), None, None).images("test").flatten(1)
    exact = -linear_gaussian.of(module.network, module.loss).log_px(x)[:40].numpy()
    assert table("nll.csv")[2][:, 0] == pytest.approx(exact, abs=0.35)
    assert table("nll.csv")[2].mean() == pytest.approx(exact.mean(), abs=0.05)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory):
    """A run on standardised vectors [N, 30], and the vectors: spectra of one line, in units of their own."""
    folder = tmp_path_factory.mktemp("vectors")
    place = np.random.default_rng(0).uniform(5, 25, size=(400, 1))
    values = (1000 + 300 * np.exp(-((np.arange(30) - place) ** 2) / 8)).astype(np.float32)
    np.save(folder / "spectra.npy", values)
    words = ["data=arrays", f"data.file={folder}/spectra.npy", "data.standardise=true", "loss=gaussian_unbounded"]
    words += ["epochs=20", "batch_size=40", "lr=0.01", "network.hidden=[32]", "latent.dim=2", "report=false"]
    words += ["~callbacks.latent_traversal", "~callbacks.sample_grid", "~callbacks.reconstruction_grid"]
    train(config(*words, f"save_dir={folder}/run"))
    os.environ.pop("VAE_LIGHTNING_RUN_DIR", None)
    return folder / "run", values


def test_standardised_vectors_come_back_in_their_own_units(answer, vectors, monkeypatch, tmp_path):
    run, values = vectors
    monkeypatch.chdir(tmp_path)
    np.save("new.npy", values[:20])
    status, _, err = answer(main, f"run={run}", "task=reconstruct", "input=new.npy", "output=again.npy")
    assert status == 0, err
    again = np.load("again.npy").reshape(20, 30)
    assert np.abs(again - values[:20]).mean() < 0.7 * np.abs(values[:20] - values.mean(0)).mean()
    assert answer(main, f"run={run}", "task=sample", "output=s.npy")[0] == 0
    assert 950 < np.load("s.npy").mean() < 1200


@pytest.mark.parametrize(("task", "kind"), [(task, kind) for task, kinds in OUTPUTS.items() for kind in kinds])
def test_vectors_take_every_task(answer, vectors, monkeypatch, tmp_path, task, kind):
    """Curves in place of pictures."""
    monkeypatch.chdir(tmp_path)
    words = [f"task={task}", f"output=a{kind}", "num=3", "num_samples=5", "steps=3"]
    status, _, err = answer(main, f"run={vectors[0]}", *words)
    assert status == 0, err
    if kind in (".png", ".gif"):
        with Image.open(f"a{kind}") as picture:
            assert min(picture.size) > 60


# --- input ----------------------------------------------------------------------------------------------------------


def test_a_picture_is_read_as_a_person_expects(ask, vae, tmp_path):
    """Grey, RGB, palette, 16 bits, turned by EXIF, lossless, PNM: one and the same x."""
    values = digits(vae, 1)[0, 0].numpy()
    grey = Image.fromarray(values)
    (tmp_path / "in").mkdir()
    grey.save("in/a.png")
    grey.convert("RGB").save("in/b.bmp")
    grey.convert("P").save("in/c.gif")
    Image.fromarray(values.astype(np.uint16) * 257).save("in/d.png")
    turned, exif = grey.transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it 90 degrees clockwise
    turned.save("in/e.tiff", exif=exif)
    opaque = grey.convert("RGBA")
    opaque.save("in/f.webp", lossless=True)
    grey.save("in/g.pgm")
    (tmp_path / "in" / ".hidden.png").write_text("no picture")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    status, _, err = ask("task=encode", "input=in", "output=z.csv")
    assert status == 0, err
    _, names, numbers = table("z.csv")
    assert names == [f"in/{name}" for name in ("a.png", "b.bmp", "c.gif", "d.png", "e.tiff", "f.webp", "g.pgm")]
    assert numbers == pytest.approx(np.repeat(numbers[:1], 7, axis=0), abs=1e-4)
    assert numbers[0, :2] == pytest.approx(vae.encode(digits(vae, 1)).mean[0].detach().numpy(), abs=1e-4)


@pytest.mark.parametrize(
    "shape", [(2, 1, 28, 28), (2, 28, 28), (2, 28, 28, 1), (2, 784)], ids=lambda shape: "x".join(map(str, shape))
)
@pytest.mark.parametrize("kind", [np.uint8, np.float64, np.float16])
def test_an_array_of_every_layout_and_type(ask, vae, shape, kind):
    x = digits(vae, 2).numpy()
    np.save("x.npy", (x if kind is np.uint8 else (x / 255).astype(kind)).reshape(shape))
    status, _, err = ask("task=encode", "input=x.npy", "output=z.csv")
    assert status == 0, err
    mean = vae.encode(digits(vae, 2)).mean.detach().numpy()
    assert table("z.csv")[2][:, :2] == pytest.approx(mean, abs=0.02 if kind is np.float16 else 1e-4)


def test_another_size_is_fitted_when_it_is_asked_for(ask, vae, tmp_path):
    """A picture twice as large, with margins on the left and right, is the same picture."""
    smooth = np.add.outer(np.arange(28) * 4, np.arange(28) * 5).astype(np.uint8)
    large = np.pad(smooth.repeat(2, 0).repeat(2, 1), ((0, 0), (10, 10)))
    np.save("x.npy", smooth[None])
    Image.fromarray(large).save("large.png")
    np.save("large.npy", np.stack([large] * 3, -1)[None] / 255)
    status, _, err = ask("task=encode", "input=large.png", "output=z.csv")
    said = "input=large.png: 56 x 76 pixels (height x width), the model takes 28 x 28; resize=true fits it"
    assert (status, err) == (2, f"error: {said}\n")
    words = "input=[x.npy,large.png,large.npy]"
    assert ask("task=encode", words, "resize=true", "output=z.csv")[0] == 0
    numbers = table("z.csv")[2]
    assert numbers[1:] == pytest.approx(numbers[[0, 0]], abs=0.05)


def test_bytes_get_the_protocol_of_the_run(answer, train, monkeypatch, tmp_path):
    """A model of binary digits sees binary digits; 0 and 1 as floats stay as they are."""
    run = train(
        "data.protocol=threshold", "latent.dim=2", "~callbacks.latent_traversal", "+trainer.limit_train_batches=2"
    )
    monkeypatch.chdir(tmp_path)
    grey = np.linspace(0, 255, 784).astype(np.uint8).reshape(1, 28, 28)
    np.save("bytes.npy", grey)
    np.save("floats.npy", (grey > 127).astype(np.float32))
    assert answer(main, f"run={run}", "task=encode", "input=[bytes.npy,floats.npy]", "output=z.npy")[0] == 0
    first, second = np.load("z.npy")
    assert first == pytest.approx(second, abs=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_numbers_get_the_scale_of_the_run(tmp_path, kind):
    """Of a run, and of a folder that `export` wrote. They stayed as they were, and bytes were divided by 255."""
    values = np.arange(12, dtype=kind).reshape(3, 4)
    np.save(tmp_path / "x.npy", values)
    run: Any = SimpleNamespace(data={"name": "arrays", "protocol": "real"}, record={"image_shape": [1, 1, 4]})
    cfg = OmegaConf.create({"input": str(tmp_path / "x.npy"), "num": None, "resize": False, "seed": 0})
    kept = {"scale": 50.0, "protocol": "real", "image_shape": [1, 1, 4]}
    for where in ({"run": run, "config": {"data": {"scale": 50.0}}}, {"config": kept}):
        source = Trained(VAE(image_shape=(1, 1, 4), latent=2), tmp_path, **where)
        x = predicting.images_of(source, None, None, cfg, 64).x
        assert x.flatten(1).numpy() == pytest.approx(values / 50)


def spoilt(folder):
    """Files that are no images of the model, each with the name and the line that answers it."""
    grey = Image.new("L", (28, 28))
    grey.save(folder / "ok.jpg")
    whole = (folder / "ok.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("no picture")
    moving = [Image.new("L", (28, 28), value) for value in (0, 100, 200)]
    moving[0].save(folder / "moving.gif", save_all=True, append_images=moving[1:])
    os.mkfifo(folder / "pipe.png")
    (folder / "empty").mkdir()
    np.save(folder / "objects.npy", np.array([{}]), allow_pickle=True)
    np.save(folder / "whole.npy", np.zeros((1, 28, 28), np.int64))
    np.save(folder / "nan.npy", np.full((1, 28, 28), np.nan))
    np.save(folder / "unscaled.npy", np.full((1, 28, 28), 200.0))
    np.save(folder / "four.npy", np.zeros((2, 4, 28, 28)))
    (folder / "cut.npy").write_bytes((folder / "nan.npy").read_bytes()[:200])


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ("cut.jpg", 3, "input=cut.jpg: cannot be read ("),
        ("text.png", 3, "input=text.png: cannot be read (no image)"),
        ("moving.gif", 3, "input=moving.gif: cannot be read (several pictures in one file"),
        ("pipe.png", 3, "input=pipe.png: cannot be read (not a regular file)"),
        ("empty", 3, "input=empty: a folder without images"),
        ("nothing.png", 2, "input=nothing.png: no such file"),
        ("nothing", 2, "input=nothing: no such file or folder"),
        ("objects.npy", 3, "input=objects.npy: cannot be read (Object arrays cannot be loaded"),
        ("cut.npy", 3, "input=cut.npy: cannot be read ("),
        ("whole.npy", 2, "input=whole.npy: numbers of int64; save bytes (uint8, 0 to 255) or floats"),
        ("nan.npy", 3, "the batch ranges over [nan, nan]"),
        ("unscaled.npy", 3, "the batch ranges over [200, 200]"),
        ("four.npy", 2, "input=four.npy: an array [2, 4, 28, 28], the model takes [1, 28, 28]"),
    ],
)
def test_bad_input_gets_one_line(ask, tmp_path, name, status, says):
    spoilt(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    given, _, err = ask("task=encode", f"input={name}", "output=z.csv")
    assert (given, says in err, err.count("\n")) == (status, True, 1), err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["task=samples"], "task=samples: did you mean sample?"),
        (["task=sample", "output=a.gif"], "output=a.gif: task=sample writes .png, .npy"),
        (["task=sample", "output=a"], "output=a: task=sample writes .png, .npy"),
        (["task=sample", "input=x.png"], "task=sample draws z from the prior and takes no input"),
        (["task=encode", "output=z.csv", "num=0"], "num=0: must be a whole number >= 1, or null"),
        (["task=encode", "output=z.csv", "num=100000"], "num=100000: the run has 1000 test images"),
        (["task=encode", "output=z.csv", "input=[]"], "must be a file, a folder, or a list of these"),
        (["task=interpolate", "num=1"], "task=interpolate: it takes 2 images or more, the input holds 1"),
        (["task=traverse", "units=[3]"], "units=[3]: the model has 2 latent units, there is no 3"),
        (["task=traverse", "steps=1"], "steps=1: must be a whole number >= 2"),
        (["+colums=3"], "+colums=3: nothing reads this key"),
        (["colums=3"], "colums=3: no such key"),
    ],
)
def test_a_mistake_gets_one_line(ask, tmp_path, words, says):
    words = [*(["task=sample"] if not words[0].startswith("task") else []), *words]
    words += [] if any(word.startswith("output") for word in words) else ["output=a.png"]
    status, _, err = ask(*words)
    assert (status, says in err) == (2, True), err
    assert sum(line.startswith("error") for line in err.splitlines()) == 1
    assert [*tmp_path.iterdir()] == []


def test_a_run_a_task_and_an_output_must_be_named(answer, finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [f"run={finished_run}", "task=sample", "output=a.png"]
    for left_out in range(3):
        given = [word for i, word in enumerate(words) if i != left_out]
        key = words[left_out].partition("=")[0]
        status, _, err = answer(main, *given)
        assert (status, err.startswith(f"error: {key}: it must be given, such as {key}=")) == (2, True), err


@pytest.mark.parametrize(
    ("command", "words"), [(main, [*OUTPUTS, "num_samples"]), (export.main, [*FORMATS, "tolerance"])]
)
def test_help_names_every_choice_and_no_group_of_train(answer, command, words):
    status, out, _ = answer(command, "--help")
    assert (status, [word for word in words if word not in out], "schedule" in out) == (0, [], False)


# --- output ----------------------------------------------------------------------------------------------------------


def test_an_output_is_replaced_only_when_that_is_said(ask, tmp_path):
    (tmp_path / "a.png").write_text("mine")
    (tmp_path / "b.png").mkdir()
    status, _, err = ask("task=sample", "output=a.png")
    assert (status, (tmp_path / "a.png").read_text()) == (2, "mine")
    assert err == "error: output=a.png: is there already; choose another name, or overwrite=true replaces it\n"
    assert ask("task=sample", "output=b.png", "overwrite=true")[0] == 2
    assert ask("task=sample", "output=a.png", "overwrite=true")[0] == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_folder_is_checked_before_the_work(ask, tmp_path, monkeypatch):
    monkeypatch.setattr(predicting, "trained", lambda *arguments: pytest.fail("it works"))
    (tmp_path / "file").write_text("")
    status, _, err = ask("task=sample", "output=file/a.png")
    assert (status, "a file has the name of a folder" in err) == (6, True), err


def test_a_full_disk_leaves_no_part(ask, tmp_path, monkeypatch):
    def full(self, content):
        with open(self, "wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    status, _, err = ask("task=sample", "output=a.png")
    assert (status, err) == (6, "error: a.png: No space left on device; make room, or choose another folder\n")
    assert [*tmp_path.iterdir()] == []


def test_a_name_that_is_a_formula_stays_text(ask, vae):
    os.mkdir("=in")
    Image.fromarray(digits(vae, 1)[0, 0].numpy()).save("=in/a.png")
    assert ask("task=encode", "input='=in'", "output=z.csv")[0] == 0
    assert table("z.csv")[1] == ["'=in/a.png"]


def test_a_checkpoint_alone_is_enough(answer, finished_run, tmp_path, monkeypatch):
    """Moved out of its run: no test images, and the same samples."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.ckpt").write_bytes((finished_run / "checkpoints" / "best.ckpt").read_bytes())
    for place, output in ((finished_run, "a.npy"), ("mine.ckpt", "b.npy")):
        assert answer(main, f"run={place}", "task=sample", f"output={output}")[0] == 0
    assert (np.load("a.npy") == np.load("b.npy")).all()
    status, _, err = answer(main, "run=mine.ckpt", "task=encode", "output=z.csv")
    assert (status, "is no run, so it has no test images; name files or folders" in err) == (2, True), err
