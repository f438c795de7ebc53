"""Beta within the epochs: in the log, its picture and the terminal; and the panels of the picture."""

import csv
from contextlib import suppress
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageFont

from vae_lightning import VAE
from vae_lightning.bound import Elbo
from vae_lightning.callbacks import BetaAnnealing, CurveLog, LatentTraversal
from vae_lightning.callbacks.panels import beta_panel, draw, panels
from vae_lightning.callbacks.pictures import captioned, spread
from vae_lightning.callbacks.progress import BETA_WIDTH, beta_of
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import Bernoulli
from vae_lightning.network import MLP
from vae_lightning.optimizer import Adam
from vae_lightning.schedule import Cyclic
from vae_lightning.sums import BETA

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
STEPS, EPOCHS = 4, 3


def module() -> VAE:
    torch.manual_seed(0)
    return VAE(MLP([1, 4, 4], 2, hidden=8), DiagonalGaussian(2), Bernoulli(), Elbo(), optimizer=Adam(0.01))


def batches() -> torch.utils.data.DataLoader:
    images = torch.rand(4 * STEPS, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=4)


class Stop(pl.Callback):
    """Saves a checkpoint and stops within the second epoch, as a killed run leaves it."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step == STEPS + 2:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "within.ckpt")
            raise KeyboardInterrupt


def fit(folder: Path, *more: pl.Callback, **options) -> Path:
    """The log of a run whose beta has one cycle in each epoch: over half of it from 0 to 1, then level."""
    parts = [BetaAnnealing(Cyclic(cycles=EPOCHS, ratio=0.5)), CurveLog(), *more]
    trainer = pl.Trainer(
        max_epochs=EPOCHS, default_root_dir=folder, callbacks=parts, enable_checkpointing=False, **QUIET
    )
    with suppress(KeyboardInterrupt, SystemExit):
        trainer.fit(module(), batches(), **options)
    return folder / "curves" / "train_log.csv"


def rows_of(log: Path) -> list[dict[str, str]]:
    with log.open() as file:
        return list(csv.DictReader(file))


def test_a_cycle_in_each_epoch_does_not_look_flat(tmp_path):
    rows = rows_of(fit(tmp_path))
    within = [[float(row[name]) for name in ("beta_first", "beta_mean", "beta")] for row in rows]
    assert within == [pytest.approx([0, (0 + 0.5 + 1 + 1) / STEPS, 1])] * EPOCHS
    axes = Figure().subplots()
    beta_panel(axes, rows)
    first_to_last, mean = (line.get_xydata().tolist() for line in axes.lines)
    assert first_to_last == [[0, 0], [1, 1], [1, 0], [2, 1], [2, 0], [3, 1]]
    assert mean[:2] == [[0, 0.625], [1, 0.625]]


def test_a_run_resumed_within_an_epoch_has_the_same_betas(tmp_path):
    fit(tmp_path / "part", Stop())
    again = fit(tmp_path / "part", ckpt_path=tmp_path / "part" / "within.ckpt", weights_only=True)
    whole = fit(tmp_path / "whole")
    names = ("epoch", *BETA)
    assert [[row[name] for name in names] for row in rows_of(again)] == [
        [row[name] for name in names] for row in rows_of(whole)
    ]


def test_a_checkpoint_of_an_older_version_knows_only_the_last_beta(tmp_path):
    fit(tmp_path, Stop())
    saved = torch.load(tmp_path / "within.ckpt", weights_only=True)
    assert saved.pop("epoch_betas") == [0.0, 0.5]
    torch.save(saved, tmp_path / "older.ckpt")
    rows = rows_of(fit(tmp_path, ckpt_path=tmp_path / "older.ckpt", weights_only=True))
    assert [(row["beta_first"], row["beta_mean"], row["beta"]) for row in rows[1:]] == [
        ("", "", "1"),
        ("0", "0.625", "1"),
    ]


def test_a_log_of_an_older_version_is_drawn_and_continued(tmp_path):
    log = tmp_path / "curves" / "train_log.csv"
    log.parent.mkdir()
    log.write_text("epoch,beta,kl,elbo\n1,0.5,3,-9\n")
    draw(rows_of(log), "old", tmp_path / "old.png")
    assert (tmp_path / "old.png").stat().st_size > 1000
    fit(tmp_path, Stop())  # a new run begins a new log
    assert list(rows_of(log)[0]) == ["epoch", *CurveLog().columns]


def test_beta_in_a_line_is_its_way_through_the_epoch():
    assert beta_of({"beta": 1.0}) == "1.000"
    assert beta_of({"beta": 1.0, "beta_first": 1.0, "beta_mean": 1.0}) == "1.000"
    assert beta_of({"beta": 0.984, "beta_first": 0.0, "beta_mean": 0.7}) == "0-0.984"
    assert beta_of({"beta": 0.0, "beta_first": 0.0, "beta_mean": 0.5}) == "0.500"  # up and down within the epoch
    assert beta_of({}) == "-"
    for first, last in ((0.123456, 0.654321), (1e-5, 3e-4), (12345.6, 99999.9), (0.33333, 0.33334)):
        assert len(beta_of({"beta": last, "beta_first": first, "beta_mean": first})) <= BETA_WIDTH


def test_each_number_has_a_panel_of_its_own():
    ours = {name for name in CurveLog().columns}
    assert panels(ours) == ["elbo", "recon", "kl", "beta"]
    assert panels({"elbo", "val_elbo", "active", "val_active", "speed"}) == ["elbo", "active", "speed"]
    assert panels({"total", "val_total"}) == ["total"]


def test_columns_of_ones_own_are_drawn_beside_ours(tmp_path, monkeypatch):
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: drawn.append(figure) or save(figure, *a, **k))
    rows = [{"epoch": str(i), "elbo": "-9", "kl": "3", "mine": str(i), "val_mine": "2"} for i in (1, 2)]
    draw(rows, "title", tmp_path / "a.png")
    assert [(axes.get_title(), len(axes.lines)) for axes in drawn[0].axes] == [
        ("ELBO = -(recon + KL)", 1),
        ("KL", 1),
        ("mine", 2),
    ]


def test_columns_of_a_traversal_carry_their_values():
    walk = LatentTraversal(2, size=5, span="linear", limit=3.0)._plane()
    assert walk.column_labels == ("-3.0", "-1.5", "0.0", "1.5", "3.0")
    assert walk.row_labels == walk.column_labels[::-1]
    canvas = torch.zeros(60, 300, 3, dtype=torch.uint8).numpy()
    plain, labelled = captioned(canvas, "text"), captioned(canvas, "text", column_labels=walk.column_labels)
    assert labelled.height > plain.height
    strip = labelled.convert("L").crop((0, 60, 300, 60 + labelled.height - plain.height))
    for i in range(5):  # ink below the middle of each column
        assert strip.crop((60 * i + 15, 0, 60 * i + 45, strip.height)).getextrema()[0] < 128


def test_labels_that_do_not_fit_are_thinned_evenly():
    labels = [str(i) for i in range(11)]
    font = ImageFont.load_default(10)
    assert [place for place, _ in spread(labels, 1000, font.getlength)] == list(range(11))
    assert [place for place, _ in spread(labels, 60, lambda _: 10)] == [0, 2, 4, 6, 8, 10]
    assert [place for place, _ in spread(labels, 20, lambda _: 10)] == [0, 10]
    assert isinstance(captioned(torch.zeros(9, 9, 3, dtype=torch.uint8).numpy(), "x", labels), Image.Image)
