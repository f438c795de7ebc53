"""The command `export` and `vae_lightning.load`: each format against torch, its card, and what is refused."""

import importlib.util
import json
import os
import re
import shutil
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import NO_NETWORK, command, config

import vae_lightning
from vae_lightning import VAE
from vae_lightning.app import exporting
from vae_lightning.app.loading import load
from vae_lightning.checkpoint import WholeCheckpointIO
from vae_lightning.errors import CheckpointError, ConfigError
from vae_lightning.export import main
from vae_lightning.formats import FORMATS, common
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import Gaussian, SharedGaussian
from vae_lightning.network import MLP
from vae_lightning.train import train

FILES = {
    "onnx": {"encoder.onnx", "decoder.onnx"},
    "torch": {"encoder.pt2", "decoder.pt2"},
    "safetensors": {"model.safetensors", "model.safetensors.sha256", "config.json"},
    "hub": {"model.safetensors", "model.safetensors.sha256", "config.json"},
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """format -> a folder with the finished run in it; each is written once."""
    folders: dict[str, Path] = {}

    def folder(name: str, run: Path, answer) -> Path:
        if name not in folders:
            output = tmp_path_factory.mktemp("exported") / name
            status, out, err = answer(main, f"run={run}", f"format={name}", f"output={output}")
            assert status == 0, err
            assert re.match(
                r"Largest difference from torch on 64 test images of MNIST subset \(5,000 \+ 1,000\), grey: enc", out
            )
            folders[name] = output
        return folders[name]

    return folder


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def vae(finished_run) -> VAE:
    """The finished run, as Lightning loads it."""
    return VAE.load_from_checkpoint(finished_run / "checkpoints" / "best.ckpt", weights_only=True).eval()


@pytest.mark.parametrize("name", FORMATS)
def test_a_folder_holds_the_files_and_a_card(exported, finished_run, answer, name):
    folder = exported(name, finished_run, answer)
    assert {path.name for path in folder.iterdir()} == {*FILES[name], "README.md"}
    card = (folder / "README.md").read_text()
    for said in (
        "MNIST, grey",
        "Bernoulli, on logits",
        "test ELBO",
        "validation ELBO",
        "Largest difference",
        "a subset",
    ):
        assert said in card
    assert str(finished_run.parent.parent) not in card  # nor the folder of the data
    assert card.startswith("---\nlibrary_name: vae-lightning" if name == "hub" else "# ")


@pytest.mark.parametrize("name", FORMATS)
def test_the_lines_of_the_card_run(exported, finished_run, answer, monkeypatch, name):
    """In the folder, without a word about this package for ONNX and torch."""
    folder = exported(name, finished_run, answer)
    (lines,) = re.findall(r"^```python\n(.*?)^```", (folder / "README.md").read_text(), re.M | re.S)
    assert len(lines.splitlines()) <= 10
    assert ("vae_lightning" in lines) == (name in ("safetensors", "hub"))
    monkeypatch.chdir(folder)
    names: dict = {}
    exec(lines, names)
    assert names["image"].shape == (1, 1, 28, 28)
    assert names["images"].shape == (16, 1, 28, 28)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_onnx_takes_a_batch_of_any_size(exported, finished_run, answer, vae, x, size):
    import onnxruntime

    folder = exported("onnx", finished_run, answer)
    encoder, decoder = (onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("encoder", "decoder"))
    assert encoder.get_inputs()[0].shape[1:] == [1, 28, 28]
    mean, log_var = encoder.run(None, {"x": x[:size].numpy()})
    q = vae.encode(x[:size])
    assert mean == pytest.approx(q.mean.detach().numpy(), abs=1e-5)
    assert log_var == pytest.approx(q.log_var.detach().numpy(), abs=1e-5)
    (image,) = decoder.run(None, {"z": mean})
    assert image == pytest.approx(vae.decode(q.mean).detach().numpy(), abs=1e-5)


@pytest.mark.parametrize("size", [1, 5])
def test_a_program_of_torch_takes_a_batch_of_any_size(exported, finished_run, answer, vae, x, size):
    folder = exported("torch", finished_run, answer)
    encoder, decoder = (torch.export.load(folder / f"{name}.pt2").module() for name in ("encoder", "decoder"))
    mean, _ = encoder(x[:size])
    torch.testing.assert_close(mean, vae.encode(x[:size]).mean)
    torch.testing.assert_close(decoder(mean), vae.decode(mean))


@pytest.mark.slow
def test_torch_alone_reads_the_program(exported, finished_run, answer, tmp_path):
    """In a process that cannot import this package."""
    folder = exported("torch", finished_run, answer)
    (lines,) = re.findall(r"^```python\n(.*?)^```", (folder / "README.md").read_text(), re.M | re.S)
    barred = "import sys; sys.modules['vae_lightning'] = None\nimport os; os.chdir(sys.argv[1])\n"
    (tmp_path / "plain.py").write_text(barred + lines + "print(images.shape)\n")
    done = command("plain", str(folder), cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.stdout == "torch.Size([16, 1, 28, 28])\n", done.stderr


@pytest.mark.parametrize("place", ["run", "latest", "checkpoint", "moved", "safetensors", "hub"])
def test_load_takes_every_place(exported, finished_run, answer, tmp_path, vae, x, place):
    """One line, the same weights, in evaluation mode."""
    checkpoint = finished_run / "checkpoints" / "best.ckpt"
    shutil.copy(checkpoint, tmp_path / "moved.ckpt")
    places = {"run": finished_run, "latest": finished_run.parent / "latest", "checkpoint": checkpoint}
    places |= {"moved": tmp_path / "moved.ckpt"}
    path = places[place] if place in places else exported(place, finished_run, answer)
    module = vae_lightning.load(path)
    assert not module.training
    assert (vae.reconstruct(x) == module.reconstruct(x)).all()
    assert dict(module.hparams) == dict(vae.hparams)


def test_an_export_of_an_export(exported, finished_run, answer, tmp_path, vae, x):
    """Without a run there are no test images: a warning, and samples of the model in their place."""
    folder = exported("hub", finished_run, answer)
    status, out, err = answer(main, f"run={folder}", "format=safetensors", f"output={tmp_path / 'again'}")
    assert (status, "no test images for the check" in err) == (0, True), err
    assert "on 16 images that the model drew itself" in out
    assert (load(tmp_path / "again").reconstruct(x) == vae.reconstruct(x)).all()


def test_hugging_face_writes_and_reads_the_folder(exported, finished_run, answer, tmp_path, vae, x):
    """Offline, through the methods of the mixin alone."""
    from vae_lightning.formats.hub import HubVAE

    first = HubVAE.from_pretrained(exported("hub", finished_run, answer))
    first.save_pretrained(tmp_path / "second")
    second = HubVAE.from_pretrained(tmp_path / "second")
    assert (second.reconstruct(x) == vae.reconstruct(x)).all()
    assert (load(tmp_path / "second").reconstruct(x) == vae.reconstruct(x)).all()


def test_an_object_becomes_a_description_on_the_hub(tmp_path):
    from vae_lightning.formats.hub import HubVAE

    module = HubVAE(MLP([1, 4, 4], 3, 2, hidden=8), DiagonalGaussian(3), Gaussian())
    module.save_pretrained(tmp_path / "hub")
    assert json.loads((tmp_path / "hub" / "config.json").read_text())["loss"] == {"class": "loss.Gaussian"}
    again = HubVAE.from_pretrained(tmp_path / "hub")
    assert type(again.loss) is Gaussian
    z = torch.zeros(2, 3)
    assert (again.decode(z) == module.eval().decode(z)).all()


# --- a part of one's own ----------------------------------------------------------------------------------------------

NET = '''
from torch import nn


class Net(nn.Module):
    """Keeps none of its arguments."""

    def __init__(self, image_shape, latent_dim, num_parameters, width=6):
        super().__init__()
        self.down = nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.Tanh(), nn.Linear(width, 2 * latent_dim))
        self.up, self.size = nn.Linear(latent_dim, 784 * num_parameters), (num_parameters, *image_shape)

    def encode(self, x):
        return self.down(x)

    def decode(self, z):
        return self.up(z).unflatten(-1, self.size)


class Stubborn(Net):
    """torch.export cannot follow it."""

    def encode(self, x):
        return self.down(x) if float(x.sum()) > 0 else self.down(-x)
'''
ALLOWED = "allow_targets=[my_net.]"


@pytest.fixture
def own(tmp_path, monkeypatch):
    """class -> a run with that network; the package lies outside of the checkout."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "my_net.py").write_text(textwrap.dedent(NET))
    monkeypatch.syspath_prepend(tmp_path / "packages")
    words = ["latent.dim=2", "callbacks.latent_traversal.size=2", "+trainer.limit_train_batches=1", ALLOWED]

    def run(kind: str) -> Path:
        words_of_net = [f"network._target_=my_net.{kind}", "+network.width=5", "epochs=1", "report=false", *NO_NETWORK]
        cfg = config(*words, *words_of_net, f"save_dir={tmp_path / kind}")
        train(cfg)
        return tmp_path / kind

    yield run
    sys.modules.pop("my_net", None)
    os.environ.pop("VAE_LIGHTNING_RUN_DIR", None)


def test_a_part_of_ones_own_is_exported_and_loaded(own, answer, tmp_path, x):
    run = own("Net")
    for name in ("safetensors", "hub", "torch"):
        status, _, err = answer(main, f"run={run}", f"format={name}", f"output={tmp_path / name}", ALLOWED)
        assert status == 0, err
    ours = load(run, allow_targets=["my_net."]).reconstruct(x)
    assert (load(tmp_path / "safetensors", allow_targets=["my_net."]).reconstruct(x) == ours).all()
    with pytest.raises(ConfigError, match=r"network._target_=my_net.Net: not among the packages"):
        load(tmp_path / "safetensors")
    status, _, err = answer(main, f"run={run}", "format=torch", f"output={tmp_path / 'no'}")
    assert (status, "allow_targets=[my_net.]" in err) == (2, True), err


def test_a_network_without_a_graph_is_answered(own, answer, tmp_path):
    status, _, err = answer(main, f"run={own('Stubborn')}", "format=torch", f"output={tmp_path / 'no'}", ALLOWED)
    assert (status, "network=Stubborn: torch.export cannot follow its encoder" in err) == (2, True), err
    assert err.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "no").exists()


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["format=onx"], "format=onx: did you mean onnx?"),
        (["tolerance=-1"], "tolerance=-1: must be a finite number >= 0"),
        (["+opset=17"], "+opset=17: nothing reads this key"),
        (["checkpoint=none.ckpt"], "checkpoint=none.ckpt: no such file"),
        (["run=nowhere"], "run=nowhere: no such folder"),
        (["tolerance=0"], "It must be at most tolerance=0; nothing is written"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_nothing(answer, finished_run, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(common, "largest", lambda values: 1e-9)
    status, _, err = answer(main, f"run={finished_run}", "format=safetensors", "output=out", *words)
    assert (status, says in err) == (2, True), err
    assert sum(line.startswith("error") for line in err.splitlines()) == 1
    assert [*tmp_path.iterdir()] == []


def test_an_output_that_exists_stays(answer, finished_run, tmp_path):
    (tmp_path / "out").mkdir()
    status, _, err = answer(main, f"run={finished_run}", "format=torch", f"output={tmp_path / 'out'}")
    assert (status, "is there already; choose another name, or remove it first" in err) == (2, True), err


def damaged(folder: Path) -> None:
    path = folder / "checkpoints" / "best.ckpt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def not_finite(folder: Path) -> None:
    path = folder / "checkpoints" / "best.ckpt"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["network.encoder.0.bias"][0] = torch.nan
    WholeCheckpointIO().save_checkpoint(content, path)


@pytest.mark.parametrize(
    ("spoil", "status", "says"), [(damaged, 4, "damaged, its SHA-256"), (not_finite, 2, "encoder nan")]
)
def test_a_checkpoint_that_is_no_good_is_not_exported(answer, finished_run, tmp_path, spoil, status, says):
    shutil.copytree(finished_run, tmp_path / "run")
    spoil(tmp_path / "run")
    given, _, err = answer(main, f"run={tmp_path / 'run'}", "format=safetensors", f"output={tmp_path / 'out'}")
    assert (given, says in err) == (status, True), err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_leaves_no_part(answer, finished_run, tmp_path, monkeypatch, name):
    from vae_lightning.formats import safetensors

    def full(*arguments):
        raise OSError(28, "No space left on device")

    def full_in_rust(*arguments):
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    monkeypatch.setattr(safetensors, "save_model", full_in_rust)
    if name == "onnx":
        from vae_lightning.formats import onnx

        monkeypatch.setattr(onnx, "converted", lambda *arguments: b"onnx")
    status, _, err = answer(main, f"run={finished_run}", f"format={name}", f"output={tmp_path / 'out'}")
    assert (status, "No space left on device" in err, "make room" in err) == (6, True, True), err
    assert [*tmp_path.iterdir()] == []


def test_a_missing_extra_is_named(answer, finished_run, tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else found(name))
    status, _, err = answer(main, f"run={finished_run}", "format=onnx", f"output={tmp_path / 'out'}")
    assert (status, err) == (
        2,
        "error: format=onnx: onnxscript not installed; pip install 'vae-lightning[export]'\n",
    )


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_folder_is_not_loaded(exported, finished_run, answer, tmp_path, name):
    folder = shutil.copytree(exported("safetensors", finished_run, answer), tmp_path / "copy")
    (folder / name).write_bytes((folder / name).read_bytes()[:-20])
    with pytest.raises(CheckpointError, match=str(folder)):
        load(folder)


def test_a_folder_for_other_programs_is_no_model_here(exported, finished_run, answer):
    with pytest.raises(ConfigError, match=r"it holds encoder\.pt2, which is for other programs"):
        load(exported("torch", finished_run, answer))


@pytest.mark.parametrize(
    "said",
    [
        {"network": {"class": "os.system"}},
        {"network": {"class": "network.MLP", "hidden": "x"}},
        {"network": 3},
        {"vae_lightning": {"image_shape": [1, 2], "network": {"_target_": "os.system"}}},
        {"vae_lightning": {"image_shape": "x", "network": {"_target_": "vae_lightning.network.MLP"}}},
        {},
    ],
)
def test_a_hostile_configuration_gets_one_line(exported, finished_run, answer, tmp_path, said):
    folder = shutil.copytree(exported("safetensors", finished_run, answer), tmp_path / "copy")
    (folder / "config.json").write_text(json.dumps(said))
    with pytest.raises((CheckpointError, ConfigError)) as refused:
        load(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("loss", [Gaussian(), SharedGaussian()], ids=lambda loss: loss.name)
def test_the_check_sees_a_wrong_decoder(loss, x):
    """A difference of one weight is a difference."""
    torch.manual_seed(0)
    module = VAE(MLP([1, 28, 28], 2, loss.num_parameters, hidden=4), DiagonalGaussian(2), loss).eval()
    encode, decode = common.Encoder(module), common.Decoder(module)
    assert common.differences(module, encode, decode, x) == (0, 0)
    wrong = common.differences(module, lambda x: (encode(x)[0] + 1e-3, encode(x)[1]), lambda z: decode(z)[:1], x)
    assert wrong == (pytest.approx(1e-3, rel=0.01), float("inf"))
    with pytest.raises(ConfigError, match="It must be at most"):
        exporting.compared(
            common.Exported(module, [1, 28, 28]), x, "x", (lambda x: (encode(x)[0] * np.nan, encode(x)[1]), decode), 1
        )
