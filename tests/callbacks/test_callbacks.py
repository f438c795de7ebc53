"""Every callback in a LightningModule of another project, with several loggers and without a logger."""

import csv
import json
import signal
from types import SimpleNamespace

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from conftest import ForeignVAE
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from PIL import Image

from vae_lightning import callbacks
from vae_lightning.callbacks import (
    BetaAnnealing,
    CurveLog,
    DivergenceGuard,
    EpochWeights,
    GracefulStop,
    LatentTraversal,
    LatentUsage,
    OutputBias,
    Progress,
    ReconstructionGrid,
    RunRecord,
    SampleGrid,
)
from vae_lightning.errors import ConfigError, Diverged, Interrupted
from vae_lightning.schedule import Linear

PICTURES = {
    "reconstructions": lambda **options: ReconstructionGrid("autoencode", num_images=6, columns=4, **options),
    "samples": lambda **options: SampleGrid("dream", num_images=4, columns=2, **options),
    "traversals": lambda **options: LatentTraversal(2, decode="to_image", size=5, **options),
}
OBSERVERS = [make for make in PICTURES.values()] + [
    CurveLog,
    EpochWeights,
    RunRecord,
    Progress,
    GracefulStop,
    lambda: LatentUsage("to_latent"),
    lambda: DivergenceGuard("to_latent"),
]


class PictureLogger(CSVLogger):
    """A logger that takes images, like the logger for W&B."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.pictures: dict[str, list] = {}

    def log_image(self, key, images, step=None):
        self.pictures.setdefault(key, []).extend(images)


def weights(module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def test_every_callback_is_tested_here():
    assert set(callbacks.__all__) == {each.__name__ for each in OBSERVERS if isinstance(each, type)} | {
        "BetaAnnealing",
        "CompileStep",  # test_fast.py
        "DivergenceGuard",
        "EarlyStopping",  # test_early_stopping.py
        "LatentTraversal",
        "LatentUsage",
        "OutputBias",
        "Pruning",  # test_pruning.py
        "ReconstructionGrid",
        "SampleGrid",
    }


@pytest.mark.parametrize("make", OBSERVERS)
def test_observers_change_neither_weights_nor_mode_nor_random_state(foreign_fit, make):
    plain, _ = foreign_fit()
    watched, _ = foreign_fit(make())
    assert torch.equal(weights(plain), weights(watched))
    assert watched.training == plain.training


def test_modes_are_restored_part_by_part(foreign_fit):
    module = ForeignVAE()
    modes = []

    class Spy(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            pl_module.decoder.eval()

        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            modes.append((pl_module.training, pl_module.encoder.training, pl_module.decoder.training))

    foreign_fit(PICTURES["samples"](), Spy(), module=module)
    assert set(modes) == {(True, True, False)}


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", PICTURES)
def test_pictures_for_every_epoch_with_several_loggers(foreign_fit, tmp_path, folder):
    taking = PictureLogger(tmp_path, "taking")
    loggers = [taking, TensorBoardLogger(tmp_path, "board"), CSVLogger(tmp_path, "plain")]
    foreign_fit(PICTURES[folder](), logger=loggers)
    names = sorted(path.name for path in (tmp_path / folder).iterdir())
    assert names == ["epoch_0000.png", "epoch_0001.png", "epoch_0002.png"]
    for path in (tmp_path / folder).iterdir():
        assert np.asarray(Image.open(path)).std() > 0
    (pictures,) = taking.pictures.values()
    assert len(pictures) == 3
    loggers[1].experiment.flush()
    assert any(b"image" in path.read_bytes() or path.stat().st_size > 1000 for path in tmp_path.rglob("events*"))


@pytest.mark.parametrize("folder", PICTURES)
def test_every_n_epochs_and_a_folder_of_ones_own(foreign_fit, tmp_path, folder):
    foreign_fit(PICTURES[folder](every_n_epochs=2, dirpath=tmp_path / "own"), epochs=4)
    names = sorted(path.name for path in (tmp_path / "own" / folder).iterdir())
    assert names == ["epoch_0000.png", "epoch_0002.png", "epoch_0004.png"]
    assert not (tmp_path / folder).exists()


@pytest.mark.parametrize("folder", PICTURES)
def test_the_same_weights_give_the_same_picture_in_every_epoch_and_run(foreign_fit, tmp_path, folder, monkeypatch):
    monkeypatch.setattr(ForeignVAE, "configure_optimizers", lambda self: torch.optim.SGD(self.parameters(), lr=0.0))
    monkeypatch.setattr(callbacks.pictures, "caption", lambda *_: "")
    foreign_fit(PICTURES[folder](dirpath=tmp_path / "a"))
    torch.manual_seed(77)
    foreign_fit(PICTURES[folder](dirpath=tmp_path / "b"))
    pictures = [np.asarray(Image.open(path)) for path in sorted(tmp_path.glob(f"[ab]/{folder}/*.png"))]
    assert len(pictures) == 6
    assert all(np.array_equal(pictures[0], picture) for picture in pictures)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: ReconstructionGrid(),
            r"ReconstructionGrid\(reconstruct='reconstruct'\): ForeignVAE has no such method",
        ),
        (lambda: SampleGrid("sampl"), r"SampleGrid\(sample='sampl'\)"),
        (lambda: LatentTraversal(2), r"LatentTraversal\(decode='decode'\)"),
        (lambda: LatentTraversal(3, decode="to_image"), r"LatentTraversal\(encode='encode'\)"),
        (lambda: LatentTraversal(2, span="icfd"), "did you mean icdf"),
        (lambda: SampleGrid(every_n_epochs=0), "every_n_epochs=0"),
        (lambda: SampleGrid(columns=0), "columns=0"),
        (lambda: ReconstructionGrid(num_images="abc"), "num_images=abc"),
        (lambda: LatentTraversal(2, size=0), "size=0"),
    ],
)
def test_a_wrong_name_is_answered_with_the_fix(foreign_fit, make, says):
    with pytest.raises(ConfigError, match=says):
        foreign_fit(make())


def test_reconstructions_stand_below_their_originals(foreign_fit, tmp_path, monkeypatch):
    monkeypatch.setattr(callbacks.pictures, "caption", lambda *_: "")
    images = torch.rand(3, 1, 4, 4)
    foreign_fit(ReconstructionGrid(lambda x: 1 - x, images=images, columns=3), epochs=1)
    picture = np.asarray(Image.open(tmp_path / "reconstructions" / "epoch_0001.png").convert("L")).astype(float)
    margin = picture.shape[1] - (3 * (4 * 2 + 2) + 2)  # the row labels
    first = picture[2:10, margin + 2 : margin + 10]
    below = picture[12:20, margin + 2 : margin + 10]
    expected = images[0, 0].mul(255).round().repeat_interleave(2, 0).repeat_interleave(2, 1).numpy()
    assert np.abs(first - expected).max() <= 1
    assert np.abs(below - (255 - expected)).max() <= 1


@pytest.mark.parametrize("make", [lambda x: (1 - x, x, x), lambda x: (1 - x).flatten(1)], ids=["tuple", "flat"])
def test_reconstructions_may_come_in_a_tuple_or_flat(foreign_fit, tmp_path, make):
    foreign_fit(ReconstructionGrid(make), epochs=1)
    assert (tmp_path / "reconstructions" / "epoch_0001.png").is_file()


def test_reconstructions_of_another_size_are_refused(foreign_fit):
    with pytest.raises(ConfigError, match=r"\[20, 1, 4, 4\] -> \[20, 2\]; it must keep the shape"):
        foreign_fit(ReconstructionGrid(lambda x: x.flatten(1)[:, :2]), epochs=1)


def test_the_plane_is_the_inverse_gaussian_cdf_or_linear():
    icdf, linear = LatentTraversal(2, size=5).axis(), LatentTraversal(2, size=5, span="linear", limit=3).axis()
    torch.testing.assert_close(icdf, torch.distributions.Normal(0, 1).icdf(torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])))
    assert linear.tolist() == [-3.0, -1.5, 0.0, 1.5, 3.0]


def test_the_plane_has_z1_to_the_right_and_z2_upwards():
    z = LatentTraversal(2, size=3, span="linear", limit=1)._plane().z
    assert z[0].tolist() == [-1.0, 1.0]
    assert z[2].tolist() == [1.0, 1.0]
    assert z[-1].tolist() == [1.0, -1.0]


def test_more_dimensions_are_rows_ordered_by_kl(foreign_fit, tmp_path):
    module = ForeignVAE(latent=4)
    module.encoder.weight.data.zero_()
    module.encoder.bias.data = torch.tensor([0.0, 3.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0])
    seen = []
    decode = lambda z: seen.append(z) or module.to_image(z)  # noqa: E731
    foreign_fit(LatentTraversal(4, decode=decode, encode="to_latent", rows=3), module=module, epochs=1)
    rows = seen[0].view(3, 11, 4)
    moving = [(row.max(0).values - row.min(0).values).argmax().item() for row in rows]
    assert moving == [1, 3, 2]
    assert rows[0, :, 1].tolist() == pytest.approx(torch.linspace(-3, 3, 11).tolist())
    assert (tmp_path / "traversals" / "epoch_0001.png").is_file()


# --- annealing -------------------------------------------------------------------------------------------------------


def test_annealing_sets_the_attribute_before_every_step(foreign_fit):
    module, _ = foreign_fit(BetaAnnealing(Linear(length=1.0), attribute="kl_weight"), epochs=2)
    assert module.weights_seen == pytest.approx([step / 10 for step in range(10)])


def test_annealing_takes_any_function_and_a_dotted_attribute(foreign_fit):
    module = ForeignVAE()
    module.decoder[1].p = 0.5
    module, _ = foreign_fit(BetaAnnealing(lambda t: 0.1 + t / 10, attribute="decoder.1.p"), module=module)
    assert module.decoder[1].p == pytest.approx(0.19)


def test_annealing_fills_a_tensor_in_place(foreign_fit):
    module = ForeignVAE()
    module.register_buffer("gamma", torch.tensor(0.0))
    buffer = module.gamma
    foreign_fit(BetaAnnealing(lambda t: t, attribute="gamma"), module=module)
    assert module.gamma is buffer
    assert buffer.item() == pytest.approx(0.9)


def test_a_wrong_attribute_is_answered_with_the_numeric_ones(foreign_fit):
    with pytest.raises(ConfigError, match=r"attribute='beta'\): ForeignVAE has no number.*kl_weight, latent_size"):
        foreign_fit(BetaAnnealing(Linear()))


@pytest.mark.parametrize(("unit", "length"), [("epochs", 1), ("steps", 5), ("fraction", 0.5)])
def test_annealing_in_epochs_of_a_run_that_max_steps_ends(foreign_fit, unit, length):
    annealing = BetaAnnealing(Linear(length=length, unit=unit), attribute="kl_weight")
    module, _ = foreign_fit(annealing, epochs=5, max_steps=10)
    assert module.weights_seen == pytest.approx([min(1.0, step / 5) for step in range(10)])


def test_annealing_finds_class_attributes_too(foreign_fit):
    class WithDefault(ForeignVAE):
        gamma = 0.0

    module, _ = foreign_fit(BetaAnnealing(lambda t: t, attribute="gamma"), module=WithDefault())
    assert module.gamma == pytest.approx(0.9)


def test_annealing_longer_than_the_run_is_refused(foreign_fit):
    with pytest.raises(ConfigError, match=r"length=3 epochs.*has 2"):
        foreign_fit(BetaAnnealing(Linear(length=3, unit="epochs"), attribute="kl_weight"))


# --- files -----------------------------------------------------------------------------------------------------------


def test_curve_log_writes_one_whole_row_per_epoch_of_any_metrics(foreign_fit, tmp_path):
    foreign_fit(CurveLog({"loss": "foreign_loss", "val_loss": "foreign_val_loss", "nothing": "nope"}), epochs=3)
    with (tmp_path / "curves" / "train_log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(float(row["loss"]) > 0 and float(row["val_loss"]) > 0 and row["nothing"] == "" for row in rows)
    with Image.open(tmp_path / "curves" / "losses.png") as picture:
        assert picture.size[0] > 500


def test_curves_are_drawn_seldom_in_short_epochs_and_at_the_end_however_it_comes(foreign_fit, monkeypatch):
    """A drawing takes a second, so it may happen every 100 seconds; here each reading of the clock adds a second."""
    from vae_lightning.callbacks import curve_log

    class Interrupts(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 29:
                raise KeyError

    seconds, drawn = iter(range(10_000)), []
    monkeypatch.setattr(curve_log, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    monkeypatch.setattr(curve_log, "draw", lambda rows, title, path: drawn.append(len(rows)))
    foreign_fit(CurveLog({"loss": "foreign_loss"}), epochs=120)
    assert drawn == [1, 100, 120]
    drawn.clear()
    with pytest.raises(KeyError):
        foreign_fit(CurveLog({"loss": "foreign_loss"}), Interrupts(), epochs=120)
    assert drawn == [1, 29]


def test_curve_log_leaves_what_was_not_logged_in_an_epoch_empty(foreign_fit, tmp_path):
    columns = {"loss": "foreign_loss", "val_loss": "foreign_val_loss"}
    foreign_fit(CurveLog(columns), epochs=3, check_val_every_n_epoch=2)
    with (tmp_path / "curves" / "train_log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["val_loss"]) for row in rows] == [False, True, False]
    assert len({row["loss"] for row in rows}) == 3


def test_curve_log_keeps_the_rows_before_a_resume_and_drops_torn_ones(foreign_fit, tmp_path):
    log = tmp_path / "curves" / "train_log.csv"
    _, trainer = foreign_fit(CurveLog({"loss": "foreign_loss"}), epochs=2)
    trainer.save_checkpoint(tmp_path / "two.ckpt")
    before = log.read_text()
    log.write_text(before + "3,0.5\n4,0.")
    resumed = pl.Trainer(max_epochs=3, accelerator="cpu", callbacks=[CurveLog({"loss": "foreign_loss"})], logger=False,
                         default_root_dir=tmp_path, enable_progress_bar=False, enable_checkpointing=False,
                         enable_model_summary=False)  # fmt: skip
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.rand(20, 1, 4, 4)), batch_size=4)
    resumed.fit(ForeignVAE(), loader, ckpt_path=tmp_path / "two.ckpt", weights_only=True)
    assert log.read_text().startswith(before)
    assert [line.split(",")[0] for line in log.read_text().splitlines()] == ["epoch", "1", "2", "3"]


def test_epoch_weights_hold_the_weights_of_that_epoch(foreign_fit, tmp_path):
    module, _ = foreign_fit(EpochWeights(prefix="mine"), epochs=2)
    assert sorted(path.name for path in tmp_path.glob("*.pt")) == [f"mine_epoch_000{i}.pt" for i in range(3)]
    last = torch.load(tmp_path / "mine_epoch_0002.pt", weights_only=True)
    assert all(torch.equal(value, last[name]) for name, value in module.state_dict().items())
    first = torch.load(tmp_path / "mine_epoch_0000.pt", weights_only=True)
    assert not torch.equal(first["encoder.weight"], last["encoder.weight"])


def test_epoch_weights_can_be_switched_off(foreign_fit, tmp_path):
    foreign_fit(EpochWeights(enabled=False))
    assert not list(tmp_path.glob("*.pt"))


def test_run_record_of_a_foreign_run(foreign_fit, tmp_path):
    record = RunRecord()
    record.add(config={"lr": 0.1})
    foreign_fit(record)
    meta = json.loads((tmp_path / "run_meta.json").read_text())
    assert meta["status"] == "completed"
    assert meta["config"] == {"lr": 0.1}
    assert meta["epochs_done"] == 2
    assert meta["device"]["accelerator"] == "cpu"
    assert (
        meta["versions"]["torch"] == torch.__version__.split("+")[0] or meta["versions"]["torch"] == torch.__version__
    )
    assert meta["seed"] == 0
    assert meta["seconds"] > 0
    assert "foreign_loss" in meta["metrics"]


def test_run_record_of_a_second_fit_starts_anew(foreign_fit, tmp_path):
    record = RunRecord()
    record.add(note=torch.tensor(1.0))  # whatever is no plain value is written as text
    foreign_fit(record)
    first = json.loads((tmp_path / "run_meta.json").read_text())

    class Look(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            self.seen = json.loads((tmp_path / "run_meta.json").read_text())

    look = Look()
    foreign_fit(record, look)
    assert look.seen["status"] == "running"
    assert look.seen["started"] > first["started"]


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("boom"), "failed"), (KeyboardInterrupt(), "interrupted")])
def test_run_record_says_how_a_run_ended(foreign_fit, tmp_path, error, status):
    class Broken(ForeignVAE):
        def training_step(self, batch, batch_idx):
            raise error

    with pytest.raises((RuntimeError, SystemExit)):
        foreign_fit(RunRecord(), module=Broken())
    meta = json.loads((tmp_path / "run_meta.json").read_text())
    assert meta["status"] == status
    assert meta["error"].startswith(type(error).__name__)


def test_progress_is_one_line_per_epoch_within_80_columns(foreign_fit, capsys):
    foreign_fit(Progress(), epochs=3)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines if not line.startswith("run folder"))
    assert [line.split()[0] for line in lines if "/3" in line] == ["1/3", "2/3", "3/3"]
    assert "\r" not in "".join(lines)


def test_progress_on_a_terminal_draws_over_one_line(foreign_fit, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    foreign_fit(Progress(), epochs=1)
    out = capsys.readouterr().out
    assert "\r" in out
    assert "%" in out
    assert all(len(part) <= 80 for line in out.splitlines() for part in line.split("\r") if "folder" not in part)


# --- latent usage ----------------------------------------------------------------------------------------------------


class FadingVAE(ForeignVAE):
    """Unit 2 is used in the first `until` epochs; unit 3 is never used."""

    def __init__(self, until: int = 2) -> None:
        super().__init__(latent=3)
        self.until = until

    def to_latent(self, x):
        mean, log_var = super().to_latent(x)
        used = torch.tensor([1.0, float(self.current_epoch < self.until), 0.0])
        return mean * used * 5, log_var * 0


def read_csv(path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_dead_units_are_named_with_when_and_what_to_try(foreign_fit, tmp_path, capsys):
    foreign_fit(LatentUsage("to_latent"), module=FadingVAE(), epochs=4, logger=CSVLogger(tmp_path, "log"))
    said = [line for line in capsys.readouterr().out.splitlines() if "died" in line or "not in use" in line]
    assert said[0].startswith("epoch 3: z2 died, active until epoch 2;")
    assert said[1].startswith("2 of 3 latent units are not in use (z3 never; z2 since epoch 3);")
    assert len(said) == 2
    rows = read_csv(tmp_path / "curves" / "latent_usage.csv")
    assert [row["active_units"] for row in rows] == ["2", "2", "1", "1"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[3]["kl_z3"]) == 0 < float(rows[3]["kl_z1"])
    logged = [row["active_units"] for row in read_csv(tmp_path / "log/version_0/metrics.csv")]
    assert [float(value) for value in logged if value] == [2, 2, 1, 1]


def test_a_model_that_uses_every_unit_is_left_in_peace(foreign_fit, capsys):
    _, trainer = foreign_fit(LatentUsage("to_latent"), module=FadingVAE(until=99), epochs=1)
    assert trainer.callback_metrics["active_units"] == 2
    again = LatentUsage("to_latent")
    again.load_state_dict({"last_active": [1, 1, 0]})
    assert again.state_dict() == {"last_active": [1, 1, 0]}


def test_many_units_are_listed_shortly():
    from vae_lightning.callbacks.latent_usage import listed

    assert listed([0]) == "z1"
    assert listed([0, 4, 2]) == "z1, z5 and z3"
    assert listed(range(30)) == "z1, z2, z3, z4, z5, z6 and 24 more"


# --- output bias -----------------------------------------------------------------------------------------------------


class BiasedVAE(ForeignVAE):
    """The bias is not trained, so it stays as the callback set it."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder[0].bias.requires_grad_(False)


def test_the_decoder_starts_at_the_log_odds_of_the_mean_image(foreign_fit):
    module, trainer = foreign_fit(OutputBias("decoder.0.bias"), module=BiasedVAE())
    images = torch.cat([batch[0] for batch in trainer.val_dataloaders])  # the same images
    torch.testing.assert_close(module.decoder[0].bias.sigmoid(), images.mean(0).flatten())


def test_a_bias_of_channels_starts_at_the_log_odds_of_their_means(foreign_fit):
    class Strided(ForeignVAE):
        def __init__(self) -> None:
            super().__init__()
            last = torch.nn.ConvTranspose2d(1, 1, 1)
            last.bias.requires_grad_(False)
            self.decoder = torch.nn.Sequential(
                torch.nn.Linear(2, 16), torch.nn.Unflatten(1, (1, 4, 4)), last, torch.nn.Sigmoid()
            )

    module, trainer = foreign_fit(OutputBias("decoder.2.bias"), module=Strided())
    images = torch.cat([batch[0] for batch in trainer.val_dataloaders])
    torch.testing.assert_close(module.decoder[2].bias.sigmoid(), images.mean((0, 2, 3)))


def test_a_resumed_run_keeps_its_bias(foreign_fit):
    callback, module = OutputBias("decoder.0.bias"), BiasedVAE()

    class Resumed:
        global_step = 3

    before = module.decoder[0].bias.clone()
    callback.on_train_start(Resumed(), module)
    assert torch.equal(module.decoder[0].bias, before)


@pytest.mark.parametrize("bias", ["decoder.9.bias", "encoder.bias", "kl_weight"])
def test_a_bias_that_is_not_there_is_named_beside_those_that_are(foreign_fit, bias):
    with pytest.raises(ConfigError, match=r"no parameter of 16 or 1 numbers; it has: decoder\.0\.bias"):
        foreign_fit(OutputBias(bias))


# --- stopping --------------------------------------------------------------------------------------------------------


class Signals(pl.Callback):
    """Sends a signal to this process in a given step."""

    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            signal.raise_signal(self.number)


@pytest.fixture
def _terminal():
    """As in a terminal: SIGHUP is not ignored, even if these tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_terminal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize(("step", "ends"), [(2, 2), (5, 5), (10, 10)])  # within an epoch, at its end, at the run's end
def test_a_signal_ends_the_run_after_the_batch(foreign_fit, tmp_path, number, step, ends):
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    module, before = ForeignVAE(), [signal.getsignal(each) for each in numbers]
    with pytest.raises(Interrupted, match=f"stopped by {signal.Signals(number).name} after step {ends}") as stop:
        foreign_fit(Signals(step, number), GracefulStop(), module=module)
    assert stop.value.status == 128 + number
    assert len(module.weights_seen) == ends
    assert [signal.getsignal(each) for each in numbers] == before
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file() == (step == 2)


@pytest.mark.usefixtures("_terminal")
def test_a_closing_terminal_may_send_its_signal_twice(foreign_fit):
    """A second SIGTERM ends the process at once; the shell and the system both send SIGHUP, and nobody is in haste."""
    with pytest.raises(Interrupted, match="stopped by SIGHUP after step 2"):
        foreign_fit(Signals(2, signal.SIGHUP), Signals(2, signal.SIGHUP), GracefulStop())


def test_nohup_is_heeded(foreign_fit):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        module, _ = foreign_fit(Signals(2, signal.SIGHUP), GracefulStop())
        assert module.global_step == 10
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_trial_that_is_stopped_saves_nothing_and_says_so(foreign_fit, tmp_path):
    with pytest.raises(Interrupted) as stop:
        foreign_fit(Signals(1, signal.SIGTERM), GracefulStop(), fast_dev_run=3)
    assert "resume" not in str(stop.value)
    assert not list(tmp_path.rglob("*.ckpt"))


class Poisoned(ForeignVAE):
    """The loss or a gradient is not finite in the fourth step."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.beta = what, 0.5

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss * float("nan") if self.what == "loss" and self.global_step == 3 else loss

    def on_after_backward(self):
        if self.what == "gradient" and self.global_step == 3:
            self.encoder.bias.grad[0] = float("inf")


@pytest.mark.parametrize(("what", "says"), [("loss", "the loss is nan"), ("gradient", "the gradient of encoder.bias")])
def test_a_number_that_is_not_finite_stops_before_the_step(foreign_fit, what, says):
    module, after = Poisoned(what), {}

    class Remember(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            after[trainer.global_step] = weights(pl_module).clone()

    with pytest.raises(Diverged, match=f"diverged at step 3 \\(epoch 1, beta 0.5\\): {says}") as stop:
        foreign_fit(Remember(), DivergenceGuard("to_latent"), module=module)
    assert "log variances in [" in str(stop.value)
    assert torch.equal(weights(module), after[3])
    assert module.global_step == 3


class PoisonedFused(Poisoned):
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), fused=True)


@pytest.mark.parametrize("what", ["loss", "gradient"])
@pytest.mark.parametrize("every_n_steps", [2, 3, 4, 50])
def test_an_answer_that_is_waited_for_later_still_saves_the_weights(foreign_fit, what, every_n_steps):
    """As on an accelerator: from the bad step on the optimiser does not move the weights, and the run stops at the next
    answer, at the end of the epoch at the latest."""
    module, after = PoisonedFused(what), {}

    class Remember(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, *_):
            after[trainer.global_step] = weights(pl_module).clone()

    with pytest.raises(Diverged, match=r"diverged at step 3 \(epoch 1, beta 0.5\): "):
        foreign_fit(Remember(), DivergenceGuard("to_latent", every_n_steps), module=module)
    assert torch.equal(weights(module), after[3])
    assert module.global_step == {2: 3, 3: 4, 4: 3, 50: 4}[every_n_steps]


def test_a_healthy_run_is_the_same_however_often_the_guard_waits(foreign_fit):
    ends = []
    for n in (1, 3):
        torch.manual_seed(0)
        module, _ = foreign_fit(DivergenceGuard("to_latent", n), module=PoisonedFused("nothing"))
        ends.append(weights(module))
    assert torch.equal(*ends)


def test_an_optimiser_that_is_not_fused_is_waited_for_at_every_step(foreign_fit):
    module = Poisoned("gradient")
    with pytest.raises(Diverged, match="diverged at step 3"):
        foreign_fit(DivergenceGuard("to_latent", every_n_steps=50), module=module)
    assert module.global_step == 3


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_without_the_guard_the_weights_are_lost(foreign_fit, what):
    """The negative control: without the guard Lightning completes the run, with weights that are not finite."""
    module, trainer = foreign_fit(module=Poisoned(what))
    assert trainer.state.finished
    assert not weights(module).isfinite().all()
