"""docs/without_hydra.md: parts by name and number, `fit`, loaders outside of a trainer, another Hydra application."""

import logging
import subprocess
import sys
import warnings
from pathlib import Path

import hydra
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from conftest import ROOT, config
from documents import blocks, page
from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.utils import instantiate
from omegaconf import OmegaConf
from options import OF_GROUP
from torch.utils.data import DataLoader, TensorDataset

import vae_lightning
from vae_lightning import VAE, MNISTDataModule
from vae_lightning.app import build
from vae_lightning.data import ArraysDataModule
from vae_lightning.errors import ConfigError, DataError
from vae_lightning.network import MLP
from vae_lightning.options import CONF, chosen, groups, options
from vae_lightning.parts import MODULES, describe
from vae_lightning.quiet import RANK_ZERO, quietly

QUIET = {"accelerator": "cpu", "enable_progress_bar": False}
PAGE = page("without_hydra")


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def small(**parts) -> VAE:
    torch.manual_seed(0)
    return VAE(**{"network": [8], "latent": 2, "image_shape": (1, 4, 4), **parts})


# --- names and numbers -----------------------------------------------------------------------------------------------


@pytest.mark.sample(20)
@pytest.mark.parametrize(("group", "name"), [(group, name) for group in MODULES for name in OF_GROUP[group]])
def test_a_name_is_the_part_that_the_command_line_builds(group, name):
    """At 756e4e9: VAE(loss='bce'): must be a likelihood."""
    cfg = config(f"{group}={name}")
    expected = build.vae(cfg, [1, 28, 28])
    assert describe(getattr(VAE(**{group: name}), group)) == describe(getattr(expected, group))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"latent": 7}, ["latent.dim=7"]),
        ({"network": 30}, ["network.hidden=30"]),
        ({"network": [30, 20]}, ["network.hidden=[30,20]"]),
        ({"network": (30, 20)}, ["network.hidden=[30,20]"]),
        ({"bound": 5}, ["bound.num_samples=5"]),
        ({"optimizer": 0.02}, ["lr=0.02"]),
    ],
)
def test_a_number_is_the_key_that_it_is_on_the_command_line(given, words):
    (group,) = given
    expected = build.vae(config(*words), [1, 28, 28])
    assert describe(getattr(VAE(**given), group)) == describe(getattr(expected, group))


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"loss": "bcee"}, r"VAE\(loss='bcee'\): no such option; did you mean bce\? \(bce, "),
        ({"latent": "z3"}, r"VAE\(latent='z3'\): no such option; did you mean z32\? "),
        ({"latent": 0}, "latent.dim=0: must be a whole number >= 1"),
        ({"latent": True}, r"VAE\(latent=True\): must be a latent space"),
        ({"network": []}, r"VAE\(network=\[\]\): must be a torch.nn.Module"),
        ({"network": [0]}, r"network.hidden=\[0\]: must be a whole number"),
        ({"loss": 0.1}, r"VAE\(loss=0.1\): must be a likelihood"),
        ({"optimizer": -1}, "optimizer.lr=-1: must be"),
    ],
)
def test_a_mistake_is_one_line(given, line):
    with pytest.raises(ConfigError, match=line) as refused:
        VAE(**given)
    assert "\n" not in str(refused.value)


def test_the_default_option_of_a_part_is_the_default_of_the_class():
    for group in MODULES:
        assert describe(getattr(VAE(**{group: chosen()[group]}), group)) == describe(getattr(VAE(), group))


def test_a_part_that_was_named_is_in_the_checkpoint(tmp_path):
    module = small(loss="gaussian_fixed", bound="iwae").fit(noise(16, 4, 4), max_epochs=1, **QUIET)
    module.trainer.save_checkpoint(tmp_path / "vae.ckpt")
    again = vae_lightning.load(tmp_path / "vae.ckpt")
    assert dict(again.hparams) == dict(module.hparams)
    x = noise(3, 1, 4, 4)
    torch.testing.assert_close(again.reconstruct(x), module.reconstruct(x))


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda vae: vae.sample(0), "n=0: must be a whole number >= 1"),
        (lambda vae: vae.sample("4"), "n='?4'?: must be a whole number >= 1"),
        (lambda vae: vae.encode(noise(2, 1, 5, 5)), r"x is \[2, 1, 5, 5\], but the network takes \[B, 1, 4, 4\]"),
        (lambda vae: vae(noise(4, 4)), r"x is \[4, 1, 1, 4\], but the network takes \[B, 1, 4, 4\]"),
        (lambda vae: vae.reconstruct(noise(2, 3, 4, 4)), r"x is \[2, 3, 4, 4\], but the network takes"),
    ],
)
def test_a_mistake_in_a_call_is_one_line(call, line):
    """At 4bfe977: mat1 and mat2 shapes cannot be multiplied; Trying to create tensor with negative dimension."""
    with pytest.raises((ConfigError, DataError), match=line) as refused:
        call(small())
    assert "\n" not in str(refused.value)


# --- fit -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "images",
    [
        noise(40, 1, 4, 4),
        noise(40, 4, 4),
        noise(40, 4, 4).numpy(),
        (noise(40, 4, 4).numpy() * 255).astype(np.uint8),
        noise(40, 4, 4).double(),
        DataLoader(TensorDataset(noise(40, 1, 4, 4)), batch_size=8),
        ArraysDataModule(noise(40, 4, 4), batch_size=8),
    ],
    ids=lambda images: f"{type(images).__name__}-{getattr(images, 'dtype', '')}",
)
def test_fit_trains_on_images_of_any_kind_and_writes_nothing(tmp_path, monkeypatch, images):
    monkeypatch.chdir(tmp_path)
    module = small(optimizer=0.01)
    before = module.network.encoder[0].weight.detach().clone()
    assert module.fit(images, max_epochs=2, batch_size=8, **QUIET) is module
    assert not module.training
    assert module.trainer.current_epoch == 2
    assert not torch.equal(before, module.network.encoder[0].weight)
    assert module.sample(16).shape == (16, 1, 4, 4)
    assert list(tmp_path.iterdir()) == []


def test_fit_prints_one_line_per_epoch_and_nothing_of_lightning(capsys, caplog):
    """docs/without_hydra.md. At 4bfe977: GPU available, tips, and that there is no val_dataloader."""
    lightning_log = logging.getLogger("lightning.pytorch")
    lightning_log.addHandler(caplog.handler)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            small().fit(noise(40, 4, 4), max_epochs=2, accelerator="cpu")
    finally:
        lightning_log.removeHandler(caplog.handler)
    assert [str(warning.message) for warning in warned] == []
    assert caplog.messages == []
    printed = capsys.readouterr()
    assert len((printed.out + printed.err).strip().splitlines()) == 3  # the names of the columns, and two epochs


def test_a_silence_within_another_does_not_end_it():
    with quietly():
        before = list(RANK_ZERO.filters)
        with quietly():
            pass
        assert RANK_ZERO.filters == before
    assert len(RANK_ZERO.filters) == len(before) - 1


def test_fit_is_what_a_trainer_does_with_the_same_images():
    """Every image once an epoch, in the order of the seed."""
    images = noise(40, 1, 4, 4)
    one = small(seed=3).fit(images, max_epochs=2, batch_size=16, **QUIET)
    data = ArraysDataModule({"train": images, "val": images[:4], "test": images[:4]}, batch_size=16, seed=3)
    other = small(seed=3)
    options = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False, **QUIET}
    pl.Trainer(max_epochs=2, **options).fit(other, data)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_fit_says_one_line_per_epoch_and_validates(capsys):
    module = small().fit(noise(40, 4, 4), max_epochs=2, val_images=noise(8, 4, 4), accelerator="cpu")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "/2 " in line] == ["1/2", "2/2"]
    assert module.trainer.callback_metrics["val/elbo"].isfinite()


@pytest.mark.parametrize(
    ("images", "options", "kind", "line"),
    [
        (
            noise(8, 6, 6),
            {},
            DataError,
            r"an image is \[1, 6, 6\], but .* \[1, 4, 4\]; say VAE\(image_shape=\[1, 6, 6\]\)",
        ),
        (noise(8, 16), {}, DataError, r"say VAE\(image_shape=\[1, 1, 16\]\)"),
        (ArraysDataModule(noise(40, 6, 6), batch_size=8), {}, DataError, r"say VAE\(image_shape=\[1, 6, 6\]\)"),
        (noise(8, 4, 4) * 3, {}, DataError, r"loss=bce: the batch ranges over .* divide by 255"),
        (None, {}, DataError, r"fit\(images=None\): must be images"),
        ("digits", {}, DataError, r"fit\(images=...\): "),
        (noise(8), {}, DataError, r"is no set of images"),
        (noise(8, 4, 4), {"max_epochs": 0}, ConfigError, "max_epochs=0: must be a whole number >= 1"),
        (noise(8, 4, 4), {"batch_size": 0}, ConfigError, "batch_size=0: must be a whole number >= 1"),
        (noise(8, 4, 4), {"epochs": 3}, ConfigError, r"fit\(epochs=3\): neither .* did you mean max_epochs\?"),
        (noise(8, 4, 4), {"devises": 3}, ConfigError, r"did you mean devices\?"),
        (ArraysDataModule(noise(40, 4, 4)), {"val_images": noise(4, 4, 4)}, ConfigError, "leave one of them out"),
    ],
)
def test_a_mistake_in_fit_is_one_line(images, options, kind, line):
    with pytest.raises(kind, match=line) as refused:
        small().fit(images, **{"max_epochs": 1, **QUIET, **options})
    assert "\n" not in str(refused.value)


def test_a_network_object_keeps_its_shape():
    module = VAE(MLP([1, 1, 16], 3, hidden=8), latent=3).fit(noise(20, 16), max_epochs=1, **QUIET)
    assert module.sample(2).shape == (2, 1, 1, 16)


# --- loaders outside of a trainer ------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("protocol", ["grey", "dynamic"])
def test_a_loader_yields_what_the_model_takes(tmp_path, protocol, workers):
    """At 756e4e9 it yielded bytes."""
    data = MNISTDataModule(tmp_path, mirrors=[], protocol=protocol, num_workers=workers)
    data.setup()
    for split, loader in (
        ("train", data.train_dataloader()),
        ("val", data.val_dataloader()),
        ("test", data.test_dataloader()),
    ):
        x, _ = next(iter(loader))
        assert x.dtype == torch.float32
        assert 0 <= x.min() < x.max() <= 1
        if split != "train":
            assert torch.equal(x, data.images(split)[: len(x)])
            VAE().model.check(x)


def test_in_a_trainer_bytes_are_converted_on_the_device_and_after_it_they_are_numbers_again(tmp_path):
    seen = []

    class Looks(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(next(iter(trainer.datamodule.test_dataloader()))[0].dtype)

    data = MNISTDataModule(tmp_path, mirrors=[])
    VAE(network=[8]).fit(data, max_epochs=1, limit_train_batches=1, limit_val_batches=1, callbacks=[Looks()], **QUIET)
    assert seen == [torch.uint8]
    assert next(iter(data.test_dataloader()))[0].dtype == torch.float32


# --- the package -----------------------------------------------------------------------------------------------------


def test_dir_is_complete_and_every_name_in_it_is_there():
    names = dir(vae_lightning)
    assert {"VAE", "load", "MNISTDataModule", "callbacks", "data", "loss", "__version__"} <= set(names)
    assert set(vae_lightning.__all__) <= set(names)
    for name in names:
        assert getattr(vae_lightning, name) is not None or name.startswith("__"), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vae_lightning.nothing  # noqa: B018


def test_every_name_is_found_when_nothing_is_imported_yet():
    for name in set(vae_lightning.__all__) - {"__version__"}:
        assert vae_lightning.__getattr__(name) is getattr(vae_lightning, name)


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_blocks_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    images, faces = noise(64, 28, 28), noise(128, 1, 12, 12)
    names = {"images": images, "faces": faces}
    for block in blocks(PAGE, "python"):
        exec(block.replace("MNISTDataModule()", "MNISTDataModule(mirrors=[])"), names)
    assert names["samples"].shape == (16, 1, 28, 28)
    assert names["x"].shape == names["again"].shape
    assert "VAE(loss='bcee'): no such option; did you mean bce? (" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["vae.ckpt"]


# --- another Hydra application ---------------------------------------------------------------------------------------


def composed(folder: Path, text: str, *words: str):
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    with initialize_config_dir(str(folder), version_base="1.3"):
        return compose("config", [*words])


def application(*entries: str) -> str:
    rows = [f"  - {entry}" for entry in (*entries, "_self_")]
    return "\n".join(["defaults:", *rows, "hydra:", "  searchpath: [pkg://vae_lightning.conf]", ""])


@pytest.fixture(autouse=True)
def _hydra_as_it_is(monkeypatch):
    """Other tests in this process run commands of ours, which have Hydra compose with checks of their own."""
    monkeypatch.setattr(hydra._internal.hydra, "ConfigLoaderImpl", ConfigLoaderImpl)


def test_the_application_of_the_page_trains(tmp_path, recwarn):
    (text,) = blocks(PAGE, "yaml")
    cfg = composed(
        tmp_path, text, "lr=0.5" if "lr" in text else "+lr=0.5", "network.hidden=[8]", f"data.dir={tmp_path / 'none'}"
    )
    module, data = (instantiate(node, _convert_="all") for node in (cfg.module, cfg.data))
    assert module.lr == 0.5  # their root key
    assert (data.batch_size, data.seed) == (128, 0)  # our defaults
    data.mirrors = []
    pl.Trainer(
        max_epochs=1, limit_train_batches=1, limit_val_batches=1, logger=False, enable_checkpointing=False, **QUIET
    ).fit(module, data)
    assert not [warning for warning in recwarn if "is not available" in str(warning.message)]


REFERS = {
    "beta_annealing": "schedule",
    "latent_traversal": "latent",
    "capacity_annealing": "bound",
    "default": "schedule",
}


@pytest.mark.parametrize(
    ("group", "option"),
    [(group, name) for group in groups() if group not in ("experiment", "remedy", "sweep") for name in options(group)],
)
def test_every_option_resolves_without_our_root_keys(tmp_path, group, option):
    """At 756e4e9: Interpolation key 'batch_size' not found."""
    beside = ["schedule: linear", "latent: z2", "bound: capacity"] if group == "callbacks" and option in REFERS else []
    cfg = composed(tmp_path, application(*beside, f"{group}: {option}"))
    OmegaConf.to_container(cfg, resolve=True)


def test_the_defaults_without_root_keys_are_those_of_the_classes(tmp_path):
    words = (
        "data: mnist",
        "optimizer: adam",
        "schedule: linear",
        "trainer: default",
        "callbacks/epoch_weights@weights: null",
    )
    cfg = composed(tmp_path, application(*words[:4]))
    assert (cfg.data.batch_size, cfg.data.seed, cfg.optimizer.lr, cfg.schedule.beta) == (128, 0, 0.001, 1.0)
    assert cfg.trainer.max_epochs == 20


def test_the_package_of_options_is_the_folder_from_a_checkout():
    from importlib import resources

    files = resources.files("vae_lightning.conf")
    assert {path.name for path in files.iterdir()} >= {"train.yaml", "loss", "data", "__init__.py"}
    assert Path(str(files)) == CONF


@pytest.mark.slow
def test_a_wheel_has_types_and_the_package_of_options(tmp_path):
    """What a user installs: py.typed, and pkg://vae_lightning.conf from another folder."""
    import zipfile

    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    assert (tmp_path / "site" / "vae_lightning" / "py.typed").is_file()
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "config.yaml").write_text(application("data: mnist", "loss: bce"), encoding="utf-8")
    code = (
        "import hydra, vae_lightning\n"
        "@hydra.main(version_base='1.3', config_path='.', config_name='config')\n"
        "def main(cfg): print(vae_lightning.__file__, cfg.loss._target_, cfg.data.batch_size)\n"
        "main()\n"
    )
    (tmp_path / "app" / "main.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "main.py", "hydra.run.dir=.", "hydra.output_subdir=null"],
        cwd=tmp_path / "app",
        env={"PYTHONPATH": str(tmp_path / "site"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [
        str(tmp_path / "site/vae_lightning/__init__.py"),
        "vae_lightning.loss.Bernoulli",
        "128",
    ]
    assert "not available" not in done.stderr


# --- types -----------------------------------------------------------------------------------------------------------

CONSUMER = """
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader

import vae_lightning
from vae_lightning import VAE, ArraysDataModule, MNISTDataModule, load
from vae_lightning.bound import Elbo, Iwae
from vae_lightning.callbacks import BetaAnnealing, CurveLog, LatentTraversal, ReconstructionGrid, SampleGrid
from vae_lightning.errors import ConfigError, DataError, UserError
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import Bernoulli, FixedGaussian
from vae_lightning.network import MLP
from vae_lightning.optimizer import Adam
from vae_lightning.schedule import Cyclic, Linear


def trained(images: Tensor) -> VAE:
    vae = VAE(latent=20, loss="bce", network=[400], bound="iwae", optimizer=1e-3, seed=1)
    return vae.fit(images, max_epochs=5, val_images=images[:10], callbacks=[BetaAnnealing(Linear())])


def of_objects(shape: Sequence[int]) -> VAE:
    return VAE(MLP(shape, 8, hidden=[64]), DiagonalGaussian(8), FixedGaussian(0.1), Iwae(5), Adam(lr=3e-4), beta=4.0)


def used(vae: VAE) -> tuple[Tensor, Tensor, Tensor, float]:
    samples: Tensor = vae.sample(16, seed=0)
    posterior = vae.encode(samples)
    mean: Tensor = posterior.mean
    kl: Tensor = posterior.kl()
    again: Tensor = vae.reconstruct(samples) + vae.decode(mean) + vae(samples)
    return again, kl, mean, vae.lr


def looked(data: MNISTDataModule) -> Tensor:
    loader: DataLoader[tuple[Tensor, Tensor]] = data.test_dataloader()
    x, labels = next(iter(loader))
    shape: tuple[int, ...] = data.image_shape
    return x + labels.sum() + data.images("test", 3).sum() + len(shape) + data.labels("val").sum()


def parts() -> list[object]:
    schedule = Cyclic(cycles=4, ratio=0.5)
    return [schedule(0.3), Elbo(), Bernoulli(), CurveLog(), SampleGrid(), ReconstructionGrid(), LatentTraversal(2)]


def guarded(path: str) -> VAE | None:
    try:
        return load(path, device="cpu")
    except (ConfigError, DataError, UserError) as error:
        print(error.status, vae_lightning.__version__, error)
        return None


if __name__ == "__main__":
    arrays = ArraysDataModule(torch.rand(50, 8, 8))
    of_objects([1, 8, 8]).fit(arrays)
"""


@pytest.mark.slow
def test_a_consumer_package_is_clean_under_strict_types(tmp_path):
    """pyright --strict of a small package that uses ours; at 756e4e9 there was no py.typed, and parts were Any."""
    pyright = pytest.importorskip("pyright", reason="pyright is not installed")
    assert pyright
    (tmp_path / "consumer.py").write_text(CONSUMER, encoding="utf-8")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "vae_lightning").symlink_to(ROOT / "vae_lightning")
    (tmp_path / "pyrightconfig.json").write_text(
        '{"typeCheckingMode": "strict", "extraPaths": ["site"], "include": ["consumer.py"]}'
    )
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
