"""Callbacks that look at data: loaders, stages, encoders, precisions, memory and folders of other projects."""

import itertools
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from conftest import ForeignVAE
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from vae_lightning.callbacks import (
    CurveLog,
    DivergenceGuard,
    EpochWeights,
    GracefulStop,
    LatentTraversal,
    LatentUsage,
    OutputBias,
    ReconstructionGrid,
    RunRecord,
    SampleGrid,
)
from vae_lightning.callbacks.held_out import encoded, in_parts
from vae_lightning.errors import ConfigError

X = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Reading(ForeignVAE):
    """A module that takes batches of any structure."""

    def __init__(self, latent: int = 3) -> None:
        super().__init__(latent)
        self.net = nn.ModuleDict({"inner": nn.Identity()})
        self.net.encode = self.to_latent
        self.net.inner.decode = self.to_image

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.encoder.weight.square().sum() + self.decoder[0].weight.square().sum()

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        pass


LOOKING: dict[str, Callable[..., pl.Callback]] = {
    "ReconstructionGrid": lambda **o: ReconstructionGrid("autoencode", **o),
    "LatentTraversal": lambda **o: LatentTraversal(3, "to_image", "to_latent", rows=1, **o),
    "LatentUsage": lambda **o: LatentUsage("to_latent", **o),
    "OutputBias": lambda **o: OutputBias("decoder.0.bias", **o),
    "DivergenceGuard": lambda **o: DivergenceGuard("to_latent", **o),
}
HOLDING = ("ReconstructionGrid", "LatentTraversal", "LatentUsage")  # those that hold images for the whole fit


class Stream(IterableDataset):
    """Images without an end, or as many as `images`; without a length."""

    def __init__(self, batch: Callable[[Tensor], Any] = lambda x: x, end: int | None = None) -> None:
        self.batch, self.end = batch, end

    def __iter__(self) -> Iterator[Any]:
        return (self.batch(X[i % 20]) for i in itertools.islice(itertools.count(), self.end))


class Once(IterableDataset):
    """Images that can be read only once."""

    def __init__(self) -> None:
        self.images = iter(X.repeat(5, 1, 1, 1))

    def __iter__(self) -> Iterator[Tensor]:
        return self.images


def loader(batch: Callable[[Tensor], Any] = lambda x: x, **options: Any) -> DataLoader:
    dataset: Any = [batch(x) for x in X]
    return DataLoader(dataset, batch_size=4, **options)


@pytest.fixture
def fit(tmp_path):
    """Trains a module for two steps with one callback, on any loaders."""

    def run(
        callback: pl.Callback, train: Any, val: Any = None, module: pl.LightningModule | None = None, **options: Any
    ) -> pl.LightningModule:
        pl.seed_everything(0, verbose=False)
        module = module or Reading()
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        given = {"max_steps": 2, "accelerator": "cpu", "default_root_dir": tmp_path, "enable_checkpointing": False}
        trainer = pl.Trainer(callbacks=[callback], **{**quiet, **given, **options})
        data = {"datamodule": train} if isinstance(train, pl.LightningDataModule) else {"train_dataloaders": train}
        trainer.fit(module, val_dataloaders=val, **data)
        return module

    return run


# --- loaders ---------------------------------------------------------------------------------------------------------

LOADERS: dict[str, Callable[[], Any]] = {
    "dicts": lambda: loader(lambda x: {"path": "a.png", "image": x}),
    "a text first": lambda: loader(lambda x: ("a.png", x)),
    "ids and masks first": lambda: loader(lambda x: {"id": 1, "mask": torch.ones(4, 4).bool(), "pixel_values": x}),
    "a dict of loaders": lambda: {"a": loader(lambda x: (0, x)), "b": loader()},
    "a list of loaders": lambda: [loader(), loader()],
    "a CombinedLoader": lambda: CombinedLoader({"a": loader(), "b": [loader()]}, "max_size_cycle"),
    "without an end": lambda: DataLoader(Stream(lambda x: {"path": "a", "x": x}), batch_size=4),
    "without a length": lambda: DataLoader(Stream(end=12), batch_size=4),
}


@pytest.mark.parametrize("name", LOOKING)
@pytest.mark.parametrize("loaders", LOADERS)
def test_images_of_any_loader(fit, name, loaders):
    callback = LOOKING[name]()
    module = fit(callback, LOADERS[loaders]())
    if name == "ReconstructionGrid":
        n = 12 if loaders == "without a length" else 20
        found = callback._images
        assert found.shape == (n, 1, 4, 4)
        assert all(any(torch.equal(x, known) for known in X) for x in found)
    if name == "OutputBias":
        n = 8 if loaders == "without an end" else 12 if loaders == "without a length" else 20  # max_steps=2
        expected = X[:n].mean(0).flatten()
        assert (module.decoder[0].bias.sigmoid() - expected).abs().max() < 0.2
    if loaders != "a CombinedLoader" and name in HOLDING:  # validation reads its loaders one after another
        fit(LOOKING[name](), loader(lambda x: "no image"), LOADERS[loaders](), limit_val_batches=2)


@pytest.mark.parametrize("name", LOOKING)
def test_a_batch_without_images_is_answered_in_one_line(fit, name):
    if name == "DivergenceGuard":  # only its message looks
        return fit(LOOKING[name](), loader(lambda x: "a.png"))
    with pytest.raises(ConfigError, match=f"^{name}: .*the batch is a list that holds no tensor") as error:
        fit(LOOKING[name](), loader(lambda x: "a.png"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", HOLDING)
@pytest.mark.parametrize("loaders", [[], None], ids=["empty", "none"])
def test_a_validation_set_without_batches_is_passed_over(fit, name, loaders):
    fit(LOOKING[name](), loader(), loaders)


@pytest.mark.parametrize("place", ["clean", lambda batch: batch["clean"]], ids=["key", "function"])
def test_batch_says_where_the_images_are(fit, place):
    batches = lambda: loader(lambda x: {"noisy": x * 0, "clean": x})  # noqa: E731
    callback = ReconstructionGrid("autoencode", batch=place)
    fit(callback, batches())
    assert torch.equal(callback._images, X)
    bias = fit(OutputBias("decoder.0.bias", batch=place), batches(), max_steps=1).decoder[0].bias
    torch.testing.assert_close(bias.sigmoid(), X.mean(0).flatten(), atol=0.1, rtol=0)
    for name in ("LatentTraversal", "LatentUsage"):
        callback = LOOKING[name](batch=place)
        fit(callback, batches())
        assert torch.equal(torch.cat(callback._images), X)


def test_an_index_says_where_the_images_are(fit):
    callback = ReconstructionGrid("autoencode", batch=1)
    fit(callback, loader(lambda x: (x * 0, x)))
    assert torch.equal(callback._images, X)


@pytest.mark.parametrize("name", [*HOLDING, "OutputBias"])
def test_a_wrong_key_is_answered_with_the_right_ones(fit, name):
    with pytest.raises(ConfigError, match=rf"^{name}: .*batch=img: .*that holds image float32 \[4, 1, 4, 4\]"):
        fit(LOOKING[name](batch="img"), loader(lambda x: {"image": x}))


@pytest.mark.parametrize("name", [*HOLDING, "OutputBias"])
def test_data_that_can_be_read_only_once_are_left_to_the_training(fit, name):
    with pytest.raises(ConfigError, match=r"^.*: .*can be read only once"):
        fit(LOOKING[name](), DataLoader(Once(), batch_size=4))
    with pytest.raises(ConfigError, match=r"^.*: .*can be read only once"):
        fit(LOOKING[name](), (x for x in X.split(4)))
    if name in HOLDING:
        fit(LOOKING[name](), DataLoader(Once(), batch_size=4), loader())


@pytest.mark.parametrize("images", [X * 2 - 1, X * 255])
def test_the_log_odds_of_images_outside_the_unit_interval_are_refused(fit, images):
    with pytest.raises(ConfigError, match=r"OutputBias: the images range over \[.*scale the images to \[0, 1\]"):
        fit(OutputBias("decoder.0.bias"), DataLoader(TensorDataset(images), batch_size=4))


def test_bytes_are_shown_as_numbers(fit):
    images = X.mul(255).byte()
    module = fit(OutputBias("decoder.0.bias"), DataLoader(TensorDataset(images), batch_size=4), max_steps=1)
    torch.testing.assert_close(module.decoder[0].bias.sigmoid(), images.div(255).mean(0).flatten(), atol=0.1, rtol=0)


@pytest.mark.parametrize("name", HOLDING)
def test_a_loader_with_a_generator_of_its_own_keeps_its_order(fit, name):
    """The callback reads the training set, and the training is the same as without it."""

    class Order(Reading):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            seen.append(batch[0][0, 0, 0, 0].item())

    orders = []
    for callback in (pl.Callback(), LOOKING[name]()):
        seen: list[float] = []
        shuffled = DataLoader(TensorDataset(X), 4, shuffle=True, generator=torch.Generator().manual_seed(1))
        fit(callback, shuffled, module=Order(), max_steps=7)
        orders.append(seen)
    assert orders[0] == orders[1]


# --- stages and hooks ------------------------------------------------------------------------------------------------


class Augmenting(pl.LightningDataModule):
    """Darkens training batches on the device, as Lightning's documents show it."""

    def __init__(self, with_test: bool) -> None:
        super().__init__()
        self.with_test = with_test

    def train_dataloader(self) -> DataLoader:
        return loader(lambda x: {"pixels": x})

    def test_dataloader(self) -> DataLoader:
        assert self.with_test
        return loader(lambda x: {"pixels": x})

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return {"image": batch["pixels"]}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        dark = self.trainer is not None and self.trainer.training
        return {"image": batch["image"] * 0 if dark else batch["image"]}


@pytest.mark.parametrize("with_test", [True, False])
@pytest.mark.parametrize("name", HOLDING)
def test_held_out_images_are_not_augmented_as_training_images(fit, name, with_test):
    callback, stages = LOOKING[name](), []

    class Stage(Reading):
        def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
            stages.append(self.trainer.training and not batch["image"].any())

    fit(callback, Augmenting(with_test), module=Stage())
    images = callback._images
    assert torch.equal(images if isinstance(images, Tensor) else torch.cat(images), X)
    assert all(stages)


@pytest.mark.parametrize("name", HOLDING)
def test_a_test_set_that_is_not_ready_is_passed_over(fit, name):
    """Many data modules read their test set in `setup("test")`, and have None until then."""

    class NotReady(Augmenting):
        def test_dataloader(self) -> DataLoader:
            return DataLoader(None)  # type: ignore[arg-type]

    callback = LOOKING[name]()
    fit(callback, NotReady(with_test=True))
    images: Any = callback._images  # type: ignore[attr-defined]
    assert torch.equal(images if isinstance(images, Tensor) else torch.cat(images), X)


# --- encoders and names ----------------------------------------------------------------------------------------------

MEAN, LOG_VAR = torch.randn(20, 3), torch.randn(20, 3)


@pytest.mark.parametrize(
    "posterior",
    [
        (MEAN, LOG_VAR),
        [MEAN, LOG_VAR],
        SimpleNamespace(mean=MEAN, log_var=LOG_VAR, z=MEAN),
        Normal(MEAN, (0.5 * LOG_VAR).exp()),
        Independent(Normal(MEAN, (0.5 * LOG_VAR).exp()), 1),
        (MEAN.double(), LOG_VAR.double()),
    ],
)
def test_encoders_may_return_two_tensors_an_object_or_a_normal(fit, posterior):
    for callback in (LatentUsage(lambda x: posterior), LatentTraversal(3, "to_image", lambda x: posterior)):
        fit(callback, loader())
    mean, log_var, kl = encoded(lambda x: posterior, [X], torch.device("cpu"), "LatentUsage")
    torch.testing.assert_close(mean.float(), MEAN)
    torch.testing.assert_close(log_var.float(), LOG_VAR)
    torch.testing.assert_close(kl.float(), kl_divergence(Normal(MEAN, (0.5 * LOG_VAR).exp()), Normal(0.0, 1.0)))


@pytest.mark.parametrize(
    ("encode", "says"),
    [
        (lambda x: MEAN, r"it returns a tensor \[20, 3\]; it must return mean and log_var"),
        (lambda x: MEAN[:2], r"it returns a tensor \[2, 3\]"),
        (lambda x: (MEAN, LOG_VAR, MEAN), r"it returns \(a tensor \[20, 3\], a tensor \[20, 3\], a tensor \[20, 3\]\)"),
        (lambda x: (MEAN, LOG_VAR[:, :2]), r"a tensor \[20, 2\]"),
        (lambda x: (MEAN.view(20, 3, 1, 1), LOG_VAR.view(20, 3, 1, 1)), r"a tensor \[20, 3, 1, 1\]"),
        (lambda x: {"mu": MEAN}, "it returns a dict"),
        (lambda x: None, "it returns a NoneType"),
        (lambda x, y: (MEAN, LOG_VAR), r"cannot be called with x alone \(missing a required argument: 'y'\)"),
        (lambda: (MEAN, LOG_VAR), r"cannot be called with x alone"),
        ("net.encod", "Reading has no such method"),
        ("net.inner.weight", "Reading has no such method"),
    ],
)
def test_other_encoders_are_answered_in_one_line(fit, encode, says):
    for callback in (LatentUsage(encode), LatentTraversal(3, "to_image", encode)):
        with pytest.raises(ConfigError, match=rf"^{type(callback).__name__}\(encode=.*{says}") as error:
            fit(callback, loader())
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda f: ReconstructionGrid(f),
        lambda f: SampleGrid(f),
        lambda f: LatentTraversal(2, f),
    ],
)
def test_conditional_functions_are_answered_in_one_line(fit, make):
    with pytest.raises(ConfigError, match=r"cannot be called with . alone \(missing a required argument: 'y'\)"):
        fit(make(lambda x, y: x), loader())


class Conditional(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x


def test_conditional_networks_are_answered_in_one_line(fit):
    module = Reading()
    module.conditional = Conditional()
    with pytest.raises(ConfigError, match=r"^LatentUsage\(encode='conditional'\): it cannot be called with x alone"):
        fit(LatentUsage("conditional"), loader(), module=module)


def test_names_of_methods_may_be_dotted(fit, tmp_path):
    fit(LatentUsage("net.encode"), loader())
    fit(LatentTraversal(3, "net.inner.decode", "net.encode"), loader())
    fit(ReconstructionGrid("net.inner.forward"), loader())
    fit(ReconstructionGrid("net.inner"), loader())

    class Sampling(Reading):
        def __init__(self) -> None:
            super().__init__()
            self.net.inner.sample = self.dream

    fit(SampleGrid("net.inner.sample"), loader(), module=Sampling())
    assert {path.name for path in tmp_path.iterdir()} >= {"curves", "traversals", "reconstructions", "samples"}


# --- precision -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["bf16-true", "64-true", "bf16-mixed"])
@pytest.mark.parametrize("name", [*LOOKING, "SampleGrid"])
def test_every_looking_callback_under_every_precision(fit, tmp_path, name, precision):
    callback = SampleGrid("dream", num_images=4) if name == "SampleGrid" else LOOKING[name]()
    fit(callback, DataLoader(TensorDataset(X), batch_size=4), module=ForeignVAE(3), precision=precision)
    assert torch.get_default_dtype() is torch.float32
    if name == "LatentTraversal":
        fit(LatentTraversal(2, "to_image", size=3), loader(), module=Reading(2), precision=precision)
    if name == "ReconstructionGrid":
        fit(ReconstructionGrid("autoencode", images=X), loader(), precision=precision)


# --- memory ----------------------------------------------------------------------------------------------------------


class Large(Dataset):
    """64 images of 256 x 256."""

    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> Tensor:
        return torch.full((1, 256, 256), index / 64)


def test_an_encoder_sees_few_large_images_at_once(fit):
    sizes = []

    def encode(x: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append(len(x))
        mean = x.mean((1, 2, 3)).unsqueeze(1).repeat(1, 3)
        return mean, torch.zeros_like(mean)

    large = DataLoader(Large(), batch_size=5)
    decode = lambda z: torch.rand(len(z), 1, 4, 4)  # noqa: E731
    for callback in (LatentUsage(encode), LatentTraversal(3, decode, encode)):
        sizes.clear()
        fit(callback, large, max_steps=-1, max_epochs=1, limit_train_batches=1)
        assert max(sizes) <= 16
        assert sum(sizes) >= 64
        assert sum(map(len, callback._images)) == 64


def test_a_decoder_makes_few_large_images_at_once(fit):
    sizes = []

    def decode(z: Tensor) -> Tensor:
        sizes.append(len(z))
        return z[:, :1, None, None].sigmoid().repeat(1, 1, 256, 256)

    callback = LatentTraversal(2, decode, size=9)
    fit(callback, loader(), max_steps=1)
    assert max(sizes) == 16
    assert sum(sizes) == 2 * (1 + 81)


def test_the_parts_are_the_images_and_small_ones_are_one_part():
    batches = [torch.rand(7, 1, 2, 2) for _ in range(5)]
    whole = torch.cat(batches)
    (part,) = in_parts(batches)
    assert torch.equal(part, whole)
    parts = in_parts(batches, numbers=40)
    assert torch.equal(torch.cat(parts), whole)
    assert max(map(len, parts)) == 10 or max(map(len, parts)) == 7
    assert [len(part) for part in in_parts(batches, numbers=1)] == [1] * 35


def test_codes_in_parts_are_the_codes():
    module = Reading()
    whole = encoded(module.to_latent, [X], torch.device("cpu"), "LatentUsage")
    parts = encoded(module.to_latent, X.split(3), torch.device("cpu"), "LatentUsage")
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other)


# --- folders ---------------------------------------------------------------------------------------------------------

WRITING = {
    "ReconstructionGrid": lambda **o: ReconstructionGrid("autoencode", **o),
    "SampleGrid": lambda **o: SampleGrid("dream", **o),
    "LatentTraversal": lambda **o: LatentTraversal(2, "to_image", size=3, **o),
    "LatentUsage": lambda **o: LatentUsage("to_latent", **o),
    "CurveLog": lambda **o: CurveLog({"loss": "foreign_loss"}, **o),
    "EpochWeights": EpochWeights,
    "RunRecord": RunRecord,
    "GracefulStop": GracefulStop,
}


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.parametrize("url", ["s3://bucket/run", "gs://bucket", "memory://run", "hdfs:/run"])
def test_a_url_is_no_folder(foreign_fit, tmp_path, monkeypatch, name, url):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=f"^dirpath={url}: the files go into a folder of this machine"):
        foreign_fit(WRITING[name](dirpath=url))
    assert not list(tmp_path.iterdir())


def test_every_callback_with_a_folder_is_tested():
    from inspect import signature

    from vae_lightning import callbacks

    assert {name for name in callbacks.__all__ if "dirpath" in signature(getattr(callbacks, name)).parameters} == {
        *WRITING
    }


def test_a_remote_root_needs_a_folder_for_the_callback(foreign_fit, fit, tmp_path):
    with pytest.raises(ConfigError, match=r"^default_root_dir=memory://run: .*give the callback a dirpath"):
        fit(CurveLog({"loss": "foreign_loss"}), loader(), default_root_dir="memory://run")
    fit(CurveLog({"loss": "foreign_loss"}, dirpath=tmp_path), loader(), default_root_dir="memory://run")
    assert (tmp_path / "curves" / "train_log.csv").is_file()
