"""Pictures of images of any kind: other ranges, other channels, volumes, flat vectors."""

import numpy as np
import pytest
import torch
from PIL import Image

from vae_lightning.callbacks import ReconstructionGrid, SampleGrid, pictures
from vae_lightning.callbacks.pixels import pixels
from vae_lightning.errors import ConfigError

X = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("images", "shape", "notes"),
    [
        (X, (4, 1, 6, 6), []),
        (X.expand(4, 3, 6, 6), (4, 3, 6, 6), []),
        (X.expand(4, 2, 6, 6), (4, 1, 6, 12), ["2 of 2 channels, side by side"]),
        (X.expand(4, 4, 6, 6), (4, 1, 6, 24), ["4 of 4 channels, side by side"]),
        (X.expand(4, 100, 6, 6), (4, 1, 6, 48), ["8 of 100 channels, side by side"]),
        (X[:, 0], (4, 1, 6, 6), []),
        (X.unsqueeze(2).expand(4, 1, 5, 6, 6), (4, 1, 6, 6), ["slice 3 of 5"]),
        (X.flatten(1), (4, 1, 6, 6), []),
        (torch.rand(4, 108), (4, 3, 6, 6), []),
        (X.movedim(1, 3).expand(4, 6, 6, 3), (4, 3, 6, 6), []),
        (X * 2 - 1, (4, 1, 6, 6), ["black -0.984, white 0.996"]),
        (X * 255, (4, 1, 6, 6), ["black 2.05, white 254"]),
        (X.mul(255).byte(), (4, 1, 6, 6), []),
        (X.bfloat16(), (4, 1, 6, 6), []),
        (torch.full((4, 1, 6, 6), 7.0), (4, 1, 6, 6), ["black 7, white 8"]),
        (torch.full((4, 1, 6, 6), float("nan")), (4, 1, 6, 6), ["values that are not finite are black or white"]),
    ],
)
def test_any_images_become_pixels_and_the_picture_says_how(images, shape, notes):
    found, said = pixels(images, "SampleGrid")
    assert found.shape == shape
    assert 0 <= found.min() <= found.max() <= 1
    assert [note.split(" ")[0] for note in said] == [note.split(" ")[0] for note in notes]
    if "black" not in str(notes) and "finite" not in str(notes):
        assert said == notes


def test_values_in_the_unit_interval_stay_what_they_are():
    assert torch.equal(pixels(X, "SampleGrid")[0], X)
    assert torch.equal(pixels(X.expand(4, 2, 6, 6), "SampleGrid")[0][..., 6:], X)
    assert torch.equal(pixels((X * 255).byte(), "SampleGrid")[0], (X * 255).byte() / 255)


def test_other_values_are_scaled_from_black_to_white():
    found, (note,) = pixels(X * 20 - 10, "SampleGrid")
    torch.testing.assert_close(found, (X - X.min()) / (X.max() - X.min()))
    assert note == f"black {X.min() * 20 - 10:.3g}, white {X.max() * 20 - 10:.3g}"


def test_a_reference_gives_the_range_and_the_rest_is_cut_off_and_said():
    found, notes = pixels(X * 2, "ReconstructionGrid", reference=X)
    assert torch.equal(found, (X * 2).clamp(0, 1))
    assert notes == [f"cut off: {X.min() * 2:.3g} to {X.max() * 2:.3g}"]


@pytest.mark.parametrize("shape", [(4,), (4, 50), (4, 1, 2, 3, 6, 6), (0, 1, 6, 6)])
def test_what_is_no_picture_is_refused_in_one_line(shape):
    with pytest.raises(ConfigError, match=r"^SampleGrid\(sample='s'\): a tensor \[.*\] is no picture; it must be"):
        pixels(torch.rand(shape), "SampleGrid(sample='s')")


@pytest.mark.parametrize(
    ("make", "note"),
    [
        (lambda n: torch.randn(n, 1, 4, 4), "black"),
        (lambda n: torch.rand(n, 2, 4, 4), "2 of 2 channels"),
        (lambda n: torch.rand(n, 4, 4), None),
        (lambda n: torch.rand(n, 1, 3, 4, 4), "slice 2 of 3"),
        (lambda n: torch.rand(n, 16), None),
        (lambda n: ("a note", torch.rand(n, 1, 4, 4)), None),
        (lambda n: {"labels": torch.arange(n), "images": torch.rand(n, 1, 4, 4).double()}, None),
    ],
)
def test_samples_of_any_kind_are_drawn(foreign_fit, tmp_path, monkeypatch, make, note):
    said = []
    monkeypatch.setattr(pictures, "caption", lambda trainer, what, epoch: said.append(what) or what)
    foreign_fit(SampleGrid(make, num_images=4, columns=2), epochs=1)
    assert np.asarray(Image.open(tmp_path / "samples" / "epoch_0001.png")).std() > 0
    assert all(note in what for what in said) if note else set(said) == {"E[x|z], z ~ p(z)"}


def test_samples_that_are_no_picture_are_refused_in_one_line(foreign_fit):
    with pytest.raises(ConfigError, match=r"SampleGrid\(sample=.*\[4, 1, 1, 2, 3, 5\] is no picture"):
        foreign_fit(SampleGrid(lambda n: torch.rand(n, 1, 1, 2, 3, 5), num_images=4), epochs=1)


@pytest.mark.parametrize("images", [X.expand(4, 2, 6, 6), X[:, 0], X.flatten(1), X * 2 - 1, (X * 255).byte()])
def test_reconstructions_of_any_kind_are_drawn(foreign_fit, tmp_path, images):
    foreign_fit(ReconstructionGrid(lambda x: {"mu": torch.zeros(4, 2), "x": x / 1}, images=images), epochs=1)
    assert (tmp_path / "reconstructions" / "epoch_0001.png").is_file()


def test_a_caption_is_no_wider_than_its_picture():
    """It made a narrow picture twice as wide, with an empty half."""
    canvas = np.zeros((60, 240, 3), np.uint8)
    text = "E[x|z], z1 right, z2 up: icdf, -1.73 to 1.73 · epoch 700 · Frey Face, grey"
    image = pictures.captioned(canvas, text)
    assert image.width < pictures.captioned(canvas, text.replace(" · ", ", ")).width
    assert image.height > pictures.captioned(canvas, "epoch 700").height
    wide = np.zeros((60, 600, 3), np.uint8)
    assert pictures.captioned(wide, text).size == (600, pictures.captioned(wide, "epoch 700").height)
    assert pictures.broken("a · b · c", lambda line: len(line) <= 5) == ["a · b", "c"]
