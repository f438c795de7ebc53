"""What a designer looks at: contrast, white frames in the dark, pictures of a network that the page cannot run."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import nn

from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import BernoulliLogits
from vae_lightning.model import Model
from vae_lightning.pages.base.pictures import layout_of
from vae_lightning.pages.base.render import PAGES
from vae_lightning.pages.explorer import beforehand
from vae_lightning.pages.explorer.explorer import Images, explorer
from vae_lightning.pages.explorer.words import EXPLORER
from vae_lightning.pages.run.files import PLANE, film, picture_uri
from vae_lightning.runs.files import LAYOUT

CSS = (PAGES / "base" / "base.css").read_text(encoding="utf-8")
TEXTS = ("ink", "soft", "faint", "accent")
GROUNDS = ("ground", "paper", "raised")
PAIRS = [(text, ground) for text in TEXTS for ground in GROUNDS]
PAIRS += [*((kind, f"{kind}-soft") for kind in ("accent", "good", "warn", "bad")), ("bad", "paper")]


def tokens(dark: bool) -> dict[str, str]:
    """{name: #rrggbb} of a theme."""
    light, night = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", CSS[a:b])) for a, b in (
        (CSS.index(":root {"), CSS.index("@media")),
        (CSS.index(':root[data-theme="dark"] {'), CSS.index("*, *::before")),
    ))  # fmt: skip
    return {**light, **night} if dark else light


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_texts_have_the_contrast_that_wcag_asks_for(text, ground, dark):
    light, dim = sorted((luminance(tokens(dark)[text]), luminance(tokens(dark)[ground])), reverse=True)
    assert (light + 0.05) / (dim + 0.05) >= 4.5


def test_both_ways_to_the_dark_are_the_same():
    by_system = CSS[CSS.index("@media (prefers-color-scheme: dark)") : CSS.index(':root[data-theme="dark"] {')]
    pattern = r"--([\w-]+): ([^;]+);"
    assert dict(re.findall(pattern, by_system)) == dict(
        re.findall(pattern, CSS[CSS.index(':root[data-theme="dark"] {') : CSS.index("*, *::before")])
    )


# --- pictures without white frames -----------------------------------------------------------------------------------


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.mark.parametrize("kind", ["reconstructions", "samples"])
def test_the_white_of_a_picture_is_the_paper_of_the_page(finished_run, kind):
    uri, _ = picture_uri(finished_run / kind / "epoch_0002.png")
    picture = opened(uri)
    assert picture.mode == "LA"
    grey, alpha = (np.asarray(part) for part in picture.split())
    columns = {"reconstructions": 10, "samples": 8}[kind]
    assert picture.width == 58 * columns + 2  # neither labels nor a caption
    assert (alpha == 0).any(1).all()
    assert not alpha[:2].any()
    assert not alpha[58:60].any()
    assert alpha[2:58, 2:58].min() == 255
    assert grey[alpha == 0].min() == 255


def test_the_plane_of_two_units_is_shown_epoch_by_epoch(finished_run):
    shown = film(finished_run, 10**9, PLANE)
    assert set(shown.frames) == {"reconstructions", "traversals", "samples"}
    page = (finished_run / "report.html").read_text(encoding="utf-8")
    assert 'id="film-traversals"' in page
    assert [picture and opened(picture[0]).size for picture in shown.frames["traversals"]] == [(84, 84)] * 3


@pytest.mark.parametrize(
    "facts",
    [
        "", "null", "[]", "{", "9" * 5000, "[" * 100_000,
        json.dumps({"box": [0, 0, 9, 9], "gap": 2}),
        json.dumps({"box": [0, 0, 8, 8], "gap": -1}),
        json.dumps({"box": [0, 0, 8, 8], "gap": True}),
        json.dumps({"box": [-1, 0, 8, 8], "gap": 2}),
        json.dumps({"box": [0, 0, 0, 8], "gap": 2}),
        json.dumps({"box": "abcd", "gap": 2}),
        json.dumps({"box": [0, 0, 1.5, 8], "gap": 2}),
    ],
)  # fmt: skip
def test_what_a_picture_cannot_be_is_not_believed(tmp_path, facts):
    known = PngInfo()
    known.add_text(LAYOUT, facts)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=known)
    with Image.open(tmp_path / "a.png") as picture:
        assert layout_of(picture) is None
    assert picture_uri(tmp_path / "a.png")[1] is None


@pytest.mark.parametrize("cells", [[0, 1], [9, 9], [1], "x", [1, 10**12], None])
def test_cells_that_do_not_fit_are_no_cells(tmp_path, cells):
    image = Image.new("RGB", (8, 8))
    image.info[LAYOUT] = json.dumps({"box": [0, 0, 8, 8], "gap": 2, "cells": cells, "notes": 7})
    found = layout_of(image)
    assert (found.cells, found.notes) == (None, "7")


# --- a network that the page cannot run ------------------------------------------------------------------------------


class Odd(nn.Module):
    """A network of somebody else's whose decoder is called otherwise, or is no row of layers."""

    image_shape = (1, 4, 4)

    def __init__(self, decoder: nn.Module | None = None) -> None:
        super().__init__()
        self.generator = nn.Linear(3, 16)
        if decoder is not None:
            self.decoder = decoder

    def encode(self, x):
        return torch.cat([x.flatten(1)[:, :3], x.flatten(1)[:, 3:6] - 3], 1)

    def decode(self, z):
        return self.generator(z).unflatten(-1, self.image_shape).unsqueeze(-4)


@pytest.mark.parametrize(
    ("decoder", "says"),
    [
        (None, "looks for the layers in Odd.decoder, and there are none"),
        (nn.Sequential(nn.Linear(3, 16), nn.LayerNorm(16)), "cannot run a LayerNorm layer"),
        (
            nn.Sequential(nn.Unflatten(-1, (3, 1, 1)), nn.ConvTranspose2d(3, 3, 4, groups=3)),
            "a ConvTranspose2d(groups=3)",
        ),
        (nn.Sequential(nn.Unflatten(-1, (3, 1, 1)), nn.Conv2d(3, 3, 1, padding="same")), "a Conv2d(padding='same')"),
        (nn.Linear(3, 16), "Odd.decode does more than its layers say"),
        (nn.Sequential(nn.Linear(3, 16), nn.Linear(3, 16)), "Odd.decode does more than its layers say"),
    ],
    ids=["name", "layer", "groups", "padding", "forward", "misfit"],
)
def test_what_the_page_cannot_run_is_named_and_its_pictures_are_real(decoder, says):
    torch.manual_seed(0)
    model, x = Model(Odd(decoder), DiagonalGaussian(3), BernoulliLogits()), torch.rand(20, 1, 4, 4)
    found = explorer(model, Images(x, None, [], None), None, [1, 4, 4])
    assert says in EXPLORER[found["why"]["key"]][0].format(**found["why"]["values"])
    assert found["encoder"] is None
    stills, ends = found["stills"], beforehand.ENDS
    assert len(found["picks"]) == ends
    assert stills["n"] == ends + ends * (ends - 1) // 2 * (beforehand.STOPS - 2) + beforehand.SAMPLES
    assert found["pictures"] == 17**2 + stills["n"]
    z = np.frombuffer(base64.b64decode(stills["z"]), "<f4").reshape(-1, 3)
    assert z[:ends] == pytest.approx(np.array([pick["mean"] for pick in found["picks"]]), abs=1e-4)
    sheet = np.asarray(opened(stills["sheet"]).convert("L")) / 255
    with torch.no_grad():
        expected = model.loss.mean(model.network.decode(torch.tensor(z))).flatten(1).numpy()
    for i in range(stills["n"]):
        top, left = 4 * (i // stills["columns"]), 4 * (i % stills["columns"])
        assert sheet[top : top + 4, left : left + 4].ravel() == pytest.approx(expected[i], abs=0.5 / 255 + 1e-6)
