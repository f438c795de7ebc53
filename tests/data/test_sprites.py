"""Sprites: the picture agrees with the five numbers that made it."""

import itertools
import json
import math
import re

import pytest
import torch
from documents import blocks, page

from vae_lightning.data import SpritesDataModule
from vae_lightning.data.sprites import BOW, REACH
from vae_lightning.errors import ConfigError

SMALL = {"size": 48, "scales": 3, "rotations": 4, "positions": 4, "test_size": 100, "val_size": 50}
SQUARE, ELLIPSE, HEART = range(3)


@pytest.fixture(scope="module")
def data() -> SpritesDataModule:
    made = SpritesDataModule(**SMALL)
    made.setup()
    return made


def everything(data: SpritesDataModule) -> tuple[torch.Tensor, torch.Tensor]:
    """All images [N, S, S] beside their values [N, 5]."""
    splits = ("train", "val", "test")
    images = torch.cat([data.images(split) for split in splits]).squeeze(1).double()
    return images, torch.cat([data.factor_values(split) for split in splits]).double()


def moments(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The area of each image in pixels, its centre of mass in sides, and the angle of its longest axis."""
    size = images.shape[-1]
    place = torch.arange(size) + 0.5
    area = images.sum((1, 2))
    x, y = (images.sum(dim) @ place.double() / area for dim in (1, 2))
    right, up = place - x[:, None], y[:, None] - place
    xx, yy = (images.sum(1) * right**2).sum(1), (images.sum(2) * up**2).sum(1)
    xy = torch.einsum("nij,ni,nj->n", images, up, right)
    return area, torch.stack([x, y], 1) / size, 0.5 * torch.atan2(2 * xy, xx - yy)


def test_every_combination_is_there_once(data):
    factors = torch.cat([data.factors(split) for split in ("train", "val", "test")])
    assert factors.unique(dim=0).shape == (3 * 3 * 4 * 4 * 4, 5)
    assert len(factors) == data.num_images == 576
    assert factors.min(0).values.tolist() == [0] * 5
    assert tuple((factors.max(0).values + 1).tolist()) == data.factor_sizes


def test_the_label_is_the_shape(data):
    for split in ("train", "val", "test"):
        assert torch.equal(data.labels(split), data.factors(split)[:, 0])
    assert data.class_names == ("square", "ellipse", "heart")


def test_the_area_is_that_of_the_shape(data):
    """Closed forms, in units of the radius: a square of diagonal 2, an ellipse, a square with two half discs."""
    images, values = everything(data)
    area = torch.tensor([2, math.pi / 2, BOW**2 * (2 + math.pi / 2)], dtype=torch.float64)[values[:, 0].long()]
    radius = REACH * data.size * values[:, 1]
    torch.testing.assert_close(moments(images)[0], area * radius**2, rtol=0.04, atol=0)


def test_the_centre_of_mass_is_where_the_shape_is(data):
    images, values = everything(data)
    symmetric = values[:, 0] != HEART
    centre = moments(images)[1]
    torch.testing.assert_close(centre[symmetric], values[symmetric, 3:], rtol=0, atol=2e-3)
    heart = ~symmetric & (values[:, 2] == 0)  # upright: the axis of its mirror goes through the centre
    torch.testing.assert_close(centre[heart, 0], values[heart, 3], rtol=0, atol=2e-3)
    assert (centre[heart, 1] < values[heart, 4]).all()  # the bows are above, the tip below


def test_the_axis_of_the_ellipse_is_its_angle(data):
    images, values = everything(data)
    ellipse = values[:, 0] == ELLIPSE
    off = (moments(images)[2] - values[:, 2])[ellipse]
    assert torch.sin(off).abs().max() < 0.01  # an axis has no direction


def test_a_quarter_turn_of_the_heart_is_that_of_the_picture(data):
    """SMALL has four rotations and places that are symmetric, so the turned picture is another image of the set."""
    images = torch.cat([data.images(split).squeeze(1) for split in ("train", "val", "test")])
    factors = torch.cat([data.factors(split) for split in ("train", "val", "test")])
    known = dict(zip(map(tuple, factors.tolist()), images, strict=True))
    for scale, rotation, x, y in itertools.product(range(3), range(4), range(4), range(4)):
        turned = known[HEART, scale, rotation, x, y].rot90()  # counterclockwise
        torch.testing.assert_close(turned, known[HEART, scale, (rotation + 1) % 4, y, 3 - x], rtol=0, atol=1.5 / 255)


def test_the_corners_of_the_square_are_at_its_angle(data):
    images, values = everything(data)
    place = (torch.arange(data.size) + 0.5) / data.size
    for image, (shape, scale, turned, x, y) in zip(images, values, strict=True):
        if shape == SQUARE and scale == 1:
            right, up = place[None, :] - x, y - place[:, None]
            far = ((image > 0.5) * right.hypot(up)).argmax()
            corner = torch.atan2(up.expand_as(image).flatten()[far], right.expand_as(image).flatten()[far])
            off = (corner - turned - math.pi / 4) % (math.pi / 2)
            assert min(off, math.pi / 2 - off) < 0.15


def test_a_shape_is_whole_in_every_image(data):
    images, _ = everything(data)
    border = torch.cat([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], 1)
    assert border.max() == 0
    assert images.amax((1, 2)).min() == 1


def test_no_two_images_are_equal_at_the_default_and_at_small_sizes():
    for options in ({}, {"size": 16, "scales": 2, "positions": 6, "test_size": 9, "val_size": 9}):
        made = SpritesDataModule(**options)
        made.setup()
        images = torch.cat([made._splits[split].images for split in ("train", "val", "test")])
        assert len({image.numpy().tobytes() for image in images}) == len(images) == made.num_images


def test_threshold_gives_black_and_white(data):
    made = SpritesDataModule(**SMALL, protocol="threshold")
    made.setup()
    assert made.images("test").unique().tolist() == [0.0, 1.0]
    assert (made.images("test").mean() - data.images("test").mean()).abs() < 0.002


def test_one_of_each_is_allowed():
    made = SpritesDataModule(size=8, scales=1, rotations=1, positions=1, test_size=1, val_size=0, batch_size=2)
    made.setup()
    assert made.factor_values("train")[:, 1:].tolist() == [[1, 0, 0.5, 0.5]] * 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 7}, r"data\.size=7: must be a whole number >= 8"),
        ({"scales": 0}, r"data\.scales=0"),
        ({"rotations": 1.5}, r"data\.rotations=1\.5"),
        ({"positions": "x"}, r"data\.positions=x"),
        ({"positions": 200}, r"data\.size=64: 5,760,000 images take 22\.0 GB, more than 2; take a smaller size"),
        ({"test_size": 20736}, r"data\.test_size=20736: must be less than the 20736 images"),
        ({"val_size": 18736}, r"data\.val_size=18736: must be less than the 18736 images"),
    ],
)
def test_values_that_cannot_work_are_named(options, says):
    with pytest.raises(ConfigError, match=says):
        SpritesDataModule(**options).setup()


def test_the_document_shows_what_happens():
    (snippet,) = [text for text in blocks(page("data"), "python") if "SpritesDataModule" in text]
    names: dict = {}
    exec(snippet, names)
    for call, shape in re.findall(r"^(data\.\w+\(.*\)) +# (\[[\d, ]+\])", snippet, re.MULTILINE):
        assert list(eval(call, names).shape) == json.loads(shape)
