"""Vectors as curves and bars."""

import numpy as np
import pytest
import torch
from PIL import Image

from vae_lightning.callbacks import LatentTraversal, ReconstructionGrid, SampleGrid, pictures
from vae_lightning.callbacks.curves import CELL, FEW, limits, plots, thinned, vectors
from vae_lightning.callbacks.sheet import pairs, sheet


def inked(canvas: np.ndarray) -> np.ndarray:
    """[H, W]: where a picture is blue."""
    return canvas[..., 2].astype(int) - canvas[..., 0] > 40


@pytest.mark.parametrize(
    ("shape", "numbers"),
    [
        ((5, 1, 1, 30), 30), ((5, 1, 1, 36), 36), ((5, 1, 30), 30), ((5, 30), 30), ((5, 36), None), ((5, 27), None),
        ((5, 6, 6), None), ((5, 1, 6, 6), None), ((5, 3, 1, 6), None), ((0, 1, 1, 6), None), ((5,), None),
    ],
)  # fmt: skip
def test_what_is_a_vector(shape, numbers):
    found = vectors(torch.rand(shape))
    assert (None if found is None else tuple(found.shape)) == (None if numbers is None else (shape[0], numbers))


def test_a_curve_follows_its_numbers():
    x = torch.linspace(-1, 1, 200).repeat(1, 1)
    canvas, notes = plots([x], 1)
    rows = [np.flatnonzero(column).mean() for column in inked(canvas)[:, 6:-6].T]
    assert notes == ["from -1 to 1"]
    assert np.corrcoef(rows, np.arange(len(rows)))[0, 1] < -0.999
    np.testing.assert_allclose([rows[0], rows[-1]], [canvas.shape[0] - 6, 5], atol=4)


def test_bars_begin_at_zero():
    canvas, notes = plots([torch.tensor([[-1.0, 0.0, 2.0]])], 1)
    ink = inked(canvas)
    heights = [int(part.any(1).sum()) for part in np.array_split(ink[:, 5:-5], 3, axis=1)]
    assert notes == ["from -1 to 2"]
    assert heights[2] == pytest.approx(2 * heights[0], abs=3)
    assert heights[1] <= 2


def test_the_geometry_is_that_of_a_grid_of_images():
    images = pictures.grid(torch.zeros(7, 1, CELL[1], CELL[0]), columns=3, scale=1)
    canvas, _ = plots([torch.rand(7, 50)], 3)
    assert canvas.shape == images.shape


def test_a_single_peak_among_many_numbers_is_drawn():
    x = torch.zeros(1, 100_000)
    x[0, 77_777] = 1
    canvas, _ = plots([x], 1)
    assert inked(canvas)[:20].any()
    values = np.sin(np.arange(10_007) / 50)
    kept = thinned(values, 100)
    assert len(kept) <= 202
    assert (kept.min(), kept.max()) == (values.min(), values.max())
    assert np.array_equal(thinned(values[:200], 100), values[:200])


def test_values_outside_of_the_reference_are_cut_off_and_said():
    x = torch.rand(3, 40)
    _, notes = plots([x, 3 * x], 3, reference=x)
    assert notes == [f"from {x.min():.4g} to {x.max():.4g}", f"cut off: {x.min():.4g} to {3 * x.max():.4g}"]


@pytest.mark.parametrize("numbers", [5, 60])
def test_values_that_are_not_finite_are_left_out(numbers):
    x = torch.rand(2, numbers)
    x[0, 3], x[1] = float("nan"), float("inf")
    canvas, notes = plots([x], 2)
    assert "values that are not finite are left out" in notes
    assert inked(canvas)[:, : CELL[0]].any()
    assert not inked(canvas)[:, CELL[0] + 6 :].any()


def test_a_range_is_never_empty():
    assert limits(torch.full((2, 40), 7.0)) == (6.5, 7.5)
    assert limits(torch.full((2, FEW), 7.0)) == (0.0, 7.0)
    assert limits(torch.full((2, 40), float("nan"))) == (0.0, 1.0)


def test_curves_are_drawn_in_the_units_of_the_data_and_bars_as_they_are():
    for numbers, said in ((FEW + 1, "from 100 to 101"), (FEW, "from 0 to 1")):
        x = torch.linspace(0, 1, numbers).repeat(2, 1)
        _, notes = sheet(x[:, None, None], 2, "", undo=lambda rows: rows + 100)
        assert notes == [said]
        _, notes = pairs(x[:, None, None], x, 2, "", undo=lambda rows: rows + 100)
        assert notes == [said]


@pytest.mark.parametrize("shape", [(7,), (50,), (1, 1, 49)])
def test_a_strangers_vectors_are_drawn(foreign_fit, tmp_path, monkeypatch, shape):
    said = []
    monkeypatch.setattr(pictures, "caption", lambda trainer, what, epoch: said.append(what) or what)
    make = {
        "samples": SampleGrid(lambda n: torch.randn(n, *shape), num_images=4, columns=2),
        "reconstructions": ReconstructionGrid(lambda x: x / 2, images=torch.randn(6, *shape), columns=3),
        "traversals": LatentTraversal(
            2, decode=lambda z: z.sum(1).view(-1, *[1] * len(shape)) * torch.ones(shape), size=3
        ),
    }
    foreign_fit(*make.values(), epochs=1)
    for folder in make:
        canvas = np.asarray(Image.open(tmp_path / folder / "epoch_0001.png"))
        assert inked(canvas).any()
    assert any("x grey, E[x|z] blue · from" in what for what in said)
