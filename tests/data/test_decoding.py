"""One image file becomes bytes: formats, depths, transparency, rotation, size and crop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from vae_lightning.data.decoding import Broken, Decoder, Misfit, strict


@pytest.fixture(autouse=True)
def _strict():
    with strict():
        yield


RGB = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
GREY = RGB[..., 0]


def decoded(path: Path, **options) -> np.ndarray:
    """[H, W] or [H, W, 3]"""
    array = Decoder(**options)(path).array
    return array[0] if len(array) == 1 else array.transpose(1, 2, 0)


def saved(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
@pytest.mark.parametrize("pixels", [RGB, GREY], ids=["rgb", "grey"])
def test_lossless_formats_give_their_pixels(tmp_path, suffix, pixels):
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(pixels))
    assert np.array_equal(decoded(path), pixels)
    assert np.array_equal(decoded(path.rename(tmp_path / "a.jpg")), pixels)  # the content counts, not the name


@pytest.mark.parametrize(("suffix", "options"), [("jpg", {"quality": 95}), ("webp", {"quality": 95}), ("gif", {})])
def test_the_others_give_the_pixels_of_pillow(tmp_path, suffix, options):
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(RGB), **options)
    with Image.open(path) as image:
        assert np.array_equal(decoded(path), np.asarray(image.convert("RGB")))


def test_sixteen_bits_become_the_nearest_of_eight(tmp_path):
    values = np.array([[0, 128, 129, 257, 32768, 65535, 65406, 65407]], dtype=np.uint16)
    for suffix in ("png", "tif"):
        path = saved(tmp_path / f"a.{suffix}", Image.fromarray(values))
        assert decoded(path).tolist() == [[0, 0, 1, 1, 128, 255, 254, 255]]


def test_a_palette_gives_its_colours_and_is_grey_if_they_are(tmp_path):
    colours = Image.fromarray(RGB).quantize(16)
    assert np.array_equal(decoded(saved(tmp_path / "a.png", colours)), np.asarray(colours.convert("RGB")))
    shades = Image.fromarray(GREY).convert("P")
    assert np.array_equal(decoded(saved(tmp_path / "b.png", shades)), GREY)
    bits = Image.fromarray(GREY).convert("1")
    assert np.array_equal(decoded(saved(tmp_path / "c.png", bits)), np.asarray(bits) * 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "RGB with one colour", "L with one shade"])
def test_what_is_transparent_lies_on_white(tmp_path, mode):
    image, more = Image.new("RGB", (3, 1), (10, 10, 10)), {}
    if mode == "P":
        image, more = image.quantize(2), {"transparency": 0}
        expected = 255
    elif "with" in mode:
        image = image.convert(mode.partition(" ")[0])
        expected, more = 255, {"transparency": (10, 10, 10) if image.mode == "RGB" else 10}
    else:
        image = image.convert(mode)
        image.putalpha(51)  # a fifth
        expected = round(0.2 * 10 + 0.8 * 255)
    pixels = Decoder()(saved(tmp_path / "a.png", image, **more))
    assert abs(pixels.array.astype(int) - expected).max() <= 1
    assert pixels.grey == mode.startswith(("L", "P"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_the_rotation_of_a_camera_is_carried_out(tmp_path, suffix, orientation):
    """The EXIF standard, tag 274: where row 0 and column 0 of the stored pixels are in the picture."""
    stored = {
        1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1],
        5: RGB.transpose(1, 0, 2), 6: np.rot90(RGB), 7: RGB[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(RGB, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True, "exact": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(np.ascontiguousarray(stored)), exif=exif, **options)
    assert np.array_equal(decoded(path), RGB)


def test_cmyk_becomes_rgb(tmp_path):
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # red ink
    (red, green, blue) = decoded(saved(tmp_path / "a.jpg", image, quality=100))[4, 4].tolist()
    assert red > 250
    assert green < 5
    assert blue < 5


def test_grey_and_colour_on_request(tmp_path):
    colour, grey = saved(tmp_path / "a.png", Image.fromarray(RGB)), saved(tmp_path / "b.png", Image.fromarray(GREY))
    luma = (RGB @ np.array([0.299, 0.587, 0.114])).round()
    assert abs(decoded(colour, channels=1) - luma).max() <= 1
    assert np.array_equal(decoded(grey, channels=3), GREY[..., None].repeat(3, -1))


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_several_pictures_in_a_file_are_refused(tmp_path, suffix):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    path = saved(tmp_path / f"a.{suffix}", frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(Broken, match="several pictures in one file, such as an animation"):
        Decoder()(path)


def test_a_camera_s_preview_is_no_second_picture(tmp_path):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    path = tmp_path / "a.jpg"
    frames[0].save(path, "MPO", save_all=True, append_images=frames[1:], quality=95)
    with Image.open(path) as image:
        assert image.format == "MPO"
        assert np.array_equal(decoded(path), np.asarray(image))


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (Image.fromarray(GREY.astype(np.float32)), "pixels of 32 bits"),
        (Image.fromarray(GREY.astype(np.int32) * 1_000_000), "pixels of 32 bits"),
    ],
    ids=["float", "int"],
)
def test_pixels_without_a_range_are_refused(tmp_path, image, says):
    with pytest.raises(Broken, match=says):
        Decoder()(saved(tmp_path / "a.tif", image))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "tif", "gif", "ppm"])
def test_half_a_file_is_broken(tmp_path, suffix):
    """Whatever Pillow raises."""
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(np.tile(RGB, (8, 8, 1))))
    content = path.read_bytes()
    for end in (3, 20, 60, len(content) // 2, len(content) - 200):
        path.write_bytes(content[:end])
        with pytest.raises(Broken) as refusal:
            Decoder()(path)
        assert "\n" not in str(refusal.value)
        assert str(refusal.value)


def test_a_bomb_is_not_unpacked(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("1", (11_000, 10_000)))
    assert path.stat().st_size < 50_000
    with pytest.raises(Broken, match=r"more than [\d,]+"):
        Decoder()(path)


# --- size and crop ---------------------------------------------------------------------------------------------------

PHOTO = np.asarray(Image.fromarray(RGB).resize((80, 60), Image.Resampling.BICUBIC))


def torchvisions(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)


@pytest.fixture
def photo(tmp_path) -> Path:
    return saved(tmp_path / "photo.png", Image.fromarray(PHOTO))


def test_size_keeps_the_middle(photo):
    """Bicubic, as in torchvision, which scales first and cuts then."""
    ours = Decoder(size=(30, 30))(photo).array
    theirs = functional.resize(Image.open(photo), [30, 40], functional.InterpolationMode.BICUBIC)
    theirs = np.asarray(functional.center_crop(theirs, [30, 30])).transpose(2, 0, 1)
    assert ours.shape == (3, 30, 30)
    assert abs(ours.astype(int) - theirs).max() <= 2


def test_crop_false_stretches(photo):
    ours = Decoder(size=(20, 50), crop=False)(photo).array
    theirs = functional.resize(Image.open(photo), [20, 50], functional.InterpolationMode.BICUBIC)
    assert np.array_equal(ours, np.asarray(theirs).transpose(2, 0, 1))


@pytest.mark.parametrize("window", [(40, 40), (60, 80), (21, 33)])
def test_a_crop_in_pixels_comes_before_the_size(photo, window):
    cut = functional.center_crop(torchvisions(PHOTO), list(window))
    ours = Decoder(crop=window)(photo).array
    assert ours.shape == (3, *window)
    assert np.array_equal(ours, cut.numpy()) or window == (21, 33)  # half a pixel is rounded to the other side
    small = Decoder(crop=window, size=(10, 10))(photo).array
    again = Image.fromarray(ours.transpose(1, 2, 0)).resize((10, 10), Image.Resampling.BICUBIC)
    assert np.array_equal(small, np.asarray(again).transpose(2, 0, 1))


def test_a_crop_larger_than_the_image_is_no_broken_file(photo):
    with pytest.raises(Misfit, match=r"photo.png: 60 x 80 pixels, smaller than data.crop=\[61, 80\]"):
        Decoder(crop=(61, 80))(photo)


def test_small_images_grow(photo):
    assert Decoder(size=(100, 100))(photo).array.shape == (3, 100, 100)


def test_a_large_jpeg_is_scaled_while_it_is_decoded(tmp_path):
    large = Image.fromarray(PHOTO).resize((1600, 1200), Image.Resampling.BICUBIC)
    path = saved(tmp_path / "a.jpg", large, quality=95)
    with Image.open(path) as image:
        theirs = image.resize((32, 32), Image.Resampling.BICUBIC, (200, 0, 1400, 1200))
    assert abs(Decoder(size=(32, 32))(path).array.transpose(1, 2, 0).astype(int) - np.asarray(theirs)).mean() < 1.5
