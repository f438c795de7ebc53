"""The run's page in a browser: opened from disk without a network, dragged, typed at, switched, held against torch."""

import itertools
import json
import math
import re
import shutil
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from vae_lightning.app.config import CONF
from vae_lightning.app.report import shown
from vae_lightning.app.trust import located
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import BernoulliLogits, Gaussian
from vae_lightning.model import Model
from vae_lightning.network import Conv, ResNet
from vae_lightning.noise import generator
from vae_lightning.pages.base.render import data, inlined
from vae_lightning.pages.explorer.explorer import Images, explorer
from vae_lightning.pages.explorer.layers import packed
from vae_lightning.pages.run.page import write_run_page
from vae_lightning.runs.run import open_run

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH: apt-get install chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
QUIET += ["--disable-sync", "--no-first-run"]
TOLERANCE = 1e-3  # of a pixel


def write(folder: Path, module: object = None) -> Path:
    """The page of a run folder, or of a living module in it."""
    run = open_run(folder)
    return write_run_page(run, shown(run, module)[0], {})


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """Opens a file with the network off; a console error, a dialog or any other request fails the test."""
    contexts, wrong = [], []

    def go(path: Path, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
        context.set_offline(True)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "request",
            lambda asked: None if asked.url.startswith(("data:", path.as_uri())) else wrong.append(asked.url),
        )
        page.goto(path.as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
    assert not wrong


@pytest.fixture
def page(visit, finished_run):
    return visit(finished_run / "report.html")


def picture(page, selector: str) -> str:
    return page.evaluate(f"document.querySelector('{selector}').toDataURL()")


def until(page, expression: str) -> None:
    """Waits until it holds. Playwright's own waiting needs `eval`, which the page's policy forbids."""
    deadline = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.02)


def test_dragging_the_point_changes_the_digit(page):
    before, plane = picture(page, "#digit"), page.locator("#plane")
    page.locator("#axes-cdf").click()
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    x, y, side = box["x"], box["y"], box["width"]
    page.mouse.move(x + 0.5 * side, y + 0.5 * side)
    page.mouse.down()
    first = page.evaluate("Explorer.z()")
    page.mouse.move(x + 0.8 * side, y + 0.3 * side, steps=4)
    page.mouse.up()
    assert first == pytest.approx([0, 0], abs=0.02)
    across, up = page.evaluate("Explorer.z()")[:2]
    order = page.evaluate("Page.data('explorer-data').order")
    expected = torch.special.ndtri(torch.tensor([0.8, 0.7])).tolist()
    assert [across, up] == pytest.approx([expected[order.index(unit)] for unit in (0, 1)], abs=0.02)
    assert picture(page, "#digit") != before
    page.mouse.move(x + 0.2 * side, y + 0.2 * side)  # not held any more
    assert page.evaluate("Explorer.z()")[:2] == [across, up]


def test_keys_move_the_point(page):
    page.locator("#plane").focus()
    page.keyboard.press("0")
    seen = {picture(page, "#digit")}
    assert page.evaluate("Explorer.z()") == [0, 0]
    assert page.locator("#log-pz").text_content() == f"\u2212{math.log(2 * math.pi):.2f} nats"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    order = page.evaluate("Page.data('explorer-data').order")
    z = page.evaluate("Explorer.z()")
    assert [z[unit] for unit in order] == pytest.approx([0.1, 0.5])
    log_pz = -math.log(2 * math.pi) - 0.5 * (0.1**2 + 0.5**2)
    assert page.locator("#log-pz").text_content() == f"\u2212{-log_pz:.2f} nats"
    seen.add(picture(page, "#digit"))
    page.keyboard.press("s")
    seen.add(picture(page, "#digit"))
    assert len(seen) == 3
    assert re.search(r"decoded in \d+\.\d\d+ ms", page.locator("#cost").text_content())
    before = picture(page, "#plane")
    page.keyboard.press("p")
    assert page.locator("#toggle-points").get_attribute("aria-pressed") == "false"
    assert picture(page, "#plane") != before


def test_sliders_of_units_and_buttons(page):
    before = picture(page, "#digit")
    slider = page.locator("#sliders input[data-unit='1']")
    slider.focus()
    page.keyboard.press("End")
    assert page.evaluate("Explorer.z()")[1] == 4
    assert "KL" in slider.get_attribute("aria-label")
    assert picture(page, "#digit") != before
    for button in ("#sample", "#origin", "#toggle-grid", "#axes-cdf"):
        page.locator(button).click()
    assert page.evaluate("Explorer.z()") == [0, 0]
    assert page.locator("#axes-cdf").get_attribute("aria-pressed") == "true"
    assert page.locator("#toggle-grid").get_attribute("aria-pressed") == "false"


def test_the_epoch_slider_changes_both_pictures(page):
    slider, seen = page.locator("#epoch"), set()
    slider.focus()
    for key, epoch in (("Home", 0), ("ArrowRight", 1), ("End", 2)):
        page.keyboard.press(key)
        assert page.locator("#epoch-now").text_content() == f"epoch {epoch}"
        assert slider.get_attribute("aria-valuetext") == f"epoch {epoch}"
        for kind in ("reconstructions", "samples"):
            image = page.locator(f"#film-{kind}")
            assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
            seen.add(image.get_attribute("src"))
    assert len(seen) == 6


def test_play_shows_the_epochs_one_after_the_other(page):
    page.locator("#play").click()
    assert page.locator("#epoch-now").text_content() == "epoch 0"
    until(page, "document.getElementById('epoch-now').textContent === 'epoch 2'")
    assert page.locator("#play").get_attribute("aria-pressed") == "false"


def test_the_language_switches_everywhere_at_once(page):
    assert "Latent explorer" in page.inner_text("#explorer")
    assert "epoch" in page.inner_text("#curve-elbo")
    page.get_by_role("button", name="日本語").click()
    assert page.evaluate("document.documentElement.lang") == "ja"
    assert "潜在空間エクスプローラー" in page.inner_text("#explorer")
    assert "Latent explorer" not in page.inner_text("#explorer")
    assert "エポック" in page.inner_text("#curve-elbo")
    assert page.locator("#epoch-now").text_content() == "エポック 2"
    assert page.locator("#plane").get_attribute("aria-label").startswith("潜在平面")
    page.reload()
    assert page.evaluate("document.documentElement.lang") == "ja"


def test_a_japanese_browser_is_answered_in_japanese(visit, finished_run):
    assert "学習曲線" in visit(finished_run / "report.html", locale="ja-JP").inner_text("#curves")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_follows_the_system_until_it_is_switched(visit, finished_run, scheme):
    page = visit(finished_run / "report.html", color_scheme=scheme)

    def is_dark() -> bool:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3])) < 380

    assert is_dark() == (scheme == "dark")
    plane = picture(page, "#plane")
    page.locator("#theme").click()
    assert is_dark() == (scheme == "light")
    assert picture(page, "#plane") != plane


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_nothing_is_wider_than_a_phone(visit, finished_run, locale):
    page = visit(finished_run / "report.html", viewport={"width": 390, "height": 800}, locale=locale)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_charts_are_read_with_the_keyboard(page):
    chart = page.locator("#curve-elbo svg")
    assert "ELBO" in chart.get_attribute("aria-label")
    chart.focus()
    page.keyboard.press("End")
    reading = page.locator("#curve-elbo .reading").text_content()
    last = page.evaluate("Page.data('curves-data').at(-1)")
    assert reading.startswith("epoch 2: training ")
    assert f"{last['elbo']:.2f}".replace("-", "\u2212") in reading
    page.locator("#curve-elbo .legend button").first.click()
    assert page.locator("#curve-elbo .legend button").first.get_attribute("aria-pressed") == "false"


OUTSIDE = """() => {
  const plane = document.getElementById('plane').getBoundingClientRect();
  return [...document.querySelectorAll('.ticks span')].map((tick) => tick.getBoundingClientRect())
    .filter((b) => b.right > plane.left + 1 && b.top < plane.bottom - 1).length;
}"""  # ticks that lie on the plane


@pytest.mark.parametrize("width", [1280, 390])
def test_ticks_stand_beside_the_plane_and_every_test_point_is_on_it(visit, finished_run, width):
    page = visit(finished_run / "report.html", viewport={"width": width, "height": 900})
    for axes, count in (("#axes-cdf", 10), ("#axes-z", 14)):
        page.locator(axes).click()
        assert page.locator(".ticks span").count() >= count
        assert page.evaluate(OUTSIDE) == 0
    most = page.evaluate("Math.max(...Net.floats(Page.data('explorer-data').points.mean).map(Math.abs))")
    assert most < page.evaluate("Explorer.reach()")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_walk_begins_where_it_says(page):
    picks = page.evaluate("Page.data('explorer-data').picks.map((each) => each.mean)")
    assert page.evaluate("Explorer.z()") == pytest.approx(picks[0])
    assert page.locator("#walk").input_value() == "0"
    for end, i in (("from", 0), ("to", 1)):
        shown = page.evaluate(f"document.querySelectorAll('#picks canvas')[{i}].toDataURL()")
        assert picture(page, f"#pick-{end}") == shown
    page.locator("#walk").fill("1")
    assert page.evaluate("Explorer.z()") == pytest.approx(picks[1])


def test_on_a_phone_the_picture_stands_below_the_plane(visit, finished_run):
    page = visit(finished_run / "report.html", viewport={"width": 390, "height": 800})
    tops = page.evaluate(
        "['#plane', '#digit', '#classes', '#sliders', '#posterior', '#picks'].map((name) =>"
        " document.querySelector(name).getBoundingClientRect().top)"
    )
    assert tops == sorted(tops)


def test_the_numbers_of_a_row_stand_on_one_line(page):
    places = page.evaluate(
        "[...document.querySelectorAll('.figures > div')].map((each) => [each, each.querySelector('dd')])"
        ".map(([box, number]) => [box, number].map((each) => each.getBoundingClientRect()))"
        ".map(([box, number]) => [Math.round(box.top), Math.round(number.bottom)])"
    )
    assert len(places) >= 5
    assert len({bottom for _, bottom in places}) == len({top for top, _ in places})


def test_a_beta_that_cycles_within_the_epoch_is_drawn_as_it_goes(visit, finished_run, tmp_path):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    log = run / "curves" / "train_log.csv"
    flat = visit(write(run)).locator("#curve-kl svg path").evaluate_all("all => all.map((each) => each.outerHTML)")
    rows = [line.split(",") for line in log.read_text().splitlines()]
    first, mean = rows[0].index("beta_first"), rows[0].index("beta_mean")
    for row in rows[1:]:
        row[first], row[mean] = "0", "0.75"
    log.write_text("\n".join(map(",".join, rows)) + "\n")
    page = visit(write(run))
    drawn = page.locator("#curve-kl svg path").evaluate_all("all => all.map((each) => each.outerHTML)")
    assert len(drawn) == len(flat) + 1  # the mean
    assert drawn[0].count("L") == flat[0].count("L") + 2
    page.locator("#curve-kl svg").focus()
    page.keyboard.press("End")
    assert "0.000 to 1.000, mean 0.750" in page.inner_text("#curve-kl .legend")


def test_two_test_images_and_the_walk_between_them(page):
    picks = page.evaluate("Page.data('explorer-data').picks.map((each) => each.mean)")
    buttons = page.locator("#picks button")
    assert buttons.count() == 12
    assert buttons.nth(3).get_attribute("aria-label").endswith(", 3")
    buttons.nth(2).click()
    buttons.nth(3).click()
    assert page.evaluate("Explorer.z()") == pytest.approx(picks[3], abs=1e-6)
    page.locator("#walk").fill("0.5")
    assert page.evaluate("Explorer.z()") == pytest.approx([(a + b) / 2 for a, b in zip(*picks[2:4], strict=True)])


def test_a_drawing_is_encoded_and_answered(page, finished_run):
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    for x, y in ((0.7, 0.2), (0.4, 0.85)):  # a seven
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
    page.mouse.up()
    seen = (
        "document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data.filter((_, i) => i % 4 === 0)"
    )
    x = torch.tensor(page.evaluate(f"Array.from({seen})")).view(1, 1, 28, 28) / 255
    assert 30 < x.sum() < 250  # as much ink as a digit of MNIST
    mass = x[0, 0] / x.sum()
    grid = torch.arange(28) + 0.5
    assert [float((mass.sum(0) * grid).sum()), float((mass.sum(1) * grid).sum())] == pytest.approx([14, 14], abs=1)
    posterior = model(finished_run).latent.posterior(model(finished_run).network.encode(x))
    found = page.evaluate("Explorer.posterior()")
    assert found["mean"] == pytest.approx(posterior.mean[0].tolist(), abs=0.05)  # x went through bytes
    assert page.evaluate("Explorer.z()") == pytest.approx(found["mean"])
    assert picture(page, "#rebuilt") != picture(page, "#seen")
    page.locator("#clear").click()
    assert page.evaluate("Explorer.posterior()") is None


def test_less_motion_where_it_is_asked_for(visit, finished_run):
    still = visit(finished_run / "report.html", reduced_motion="reduce")
    still.locator("#morph").click()
    first = still.evaluate("Explorer.z()")
    still.wait_for_timeout(200)
    assert still.evaluate("Explorer.z()") == first
    moving = visit(finished_run / "report.html", reduced_motion="no-preference")
    moving.locator("#morph").click()
    first = moving.evaluate("Explorer.z()")
    until(moving, f"Explorer.z()[0] !== {first[0]}")
    moving.locator("#morph").click()
    assert moving.locator("#morph").get_attribute("aria-pressed") == "false"


def test_strangers_words_do_nothing(visit, finished_run, tmp_path):
    evil = "<script>alert(1)<_script><img src=x onerror=alert(2)>"
    run = Path(shutil.copytree(finished_run, tmp_path / evil))
    path = run / "run_meta.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    meta |= {"error": f"</script>{evil}", "status": "failed", "overrides": [f"name={evil}"]}
    meta["config"]["name"] = f"</script><script>alert(3)</script>{evil}"
    path.write_text(json.dumps(meta), encoding="utf-8")
    page = visit(write(run))
    page.wait_for_timeout(200)
    assert evil in page.inner_text("h1")
    assert evil in page.title()
    own = re.findall(r"<script", (finished_run / "report.html").read_text(encoding="utf-8"))
    assert page.locator("script").count() == len(own)
    assert page.locator("img").count() == 3


# --- the same numbers as torch ----------------------------------------------------------------------------------------


def model(run: Path) -> Model:
    return shown(open_run(run))[0].model


def test_the_page_decodes_and_encodes_as_torch_does(page, finished_run):
    parts = model(finished_run)
    z = 1.5 * torch.randn(40, 2, generator=generator("cpu", "test", "page"))
    with torch.no_grad():
        expected = parts.loss.mean(parts.network.decode(z)).flatten(1)
    found = torch.tensor(page.evaluate("(points) => points.map((z) => Explorer.decode(z))", z.tolist()))
    assert (found - expected).abs().max() < TOLERANCE
    values = torch.linspace(-3.5, 3.5, 29)
    inverse = torch.tensor(page.evaluate("(v) => v.map((x) => Explorer.inverse(Explorer.phi(x)))", values.tolist()))
    assert torch.allclose(inverse, values, atol=1e-5)
    phi = torch.tensor(page.evaluate("(v) => v.map(Explorer.phi)", values.tolist()))
    assert torch.allclose(phi, torch.special.ndtr(values), atol=1e-6)


OPTIONS = {group: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in ("network", "loss")}
PAIRS = sorted({*itertools.product(OPTIONS["network"], ["bce_logits", "gaussian"]),
                *itertools.product(["mlp"], OPTIONS["loss"])})  # fmt: skip


def cases(kind: str):
    """(name, model, image shape) of every network and every loss, as large as they come, or of convolutions."""
    if kind == "conf":
        for network, loss in PAIRS:
            values = OmegaConf.to_container(OmegaConf.load(CONF / "loss" / f"{loss}.yaml"))
            part = located(values.pop("_target_"), "x")(**values)
            sizes = OmegaConf.to_container(OmegaConf.load(CONF / "network" / f"{network}.yaml"))
            made = located(sizes.pop("_target_"), "x")([1, 28, 28], 3, part.num_parameters, **sizes)
            for each in made.parameters():  # as after some training: initial weights hardly move a pixel
                nn.init.normal_(each, std=1.5 / each[0].numel() ** 0.5 if each.ndim > 1 else 0.3)
            yield f"{network} {loss}", Model(made, DiagonalGaussian(3), part), [1, 28, 28]
    else:
        strided = {"resnet": ResNet([3, 20, 12], 3, 1, widths=[8, 12], depths=[1, 2], hidden=9)}
        strided |= {"conv": Conv([3, 30, 22], 3, 1, widths=[5, 6], hidden=[9, 8], activation="elu")}
        strided |= {"gaussian": ResNet([2, 18, 10], 3, 2, widths=[4, 8], depths=0, hidden=[])}
        for name, network in strided.items():
            for each in network.parameters():
                nn.init.normal_(each, std=1.5 / each[0].numel() ** 0.5 if each.ndim > 1 else 0.7)
            loss = BernoulliLogits() if network.num_parameters == 1 else Gaussian()
            yield name, Model(network, DiagonalGaussian(3), loss), network.image_shape
        for activation in (nn.LeakyReLU(0.2), nn.ELU(0.7), nn.SiLU(), nn.Softplus(2.0), nn.Tanh(), nn.Sigmoid()):
            name = type(activation).__name__
            yield name, Model(Convolutions(activation).eval(), DiagonalGaussian(3), BernoulliLogits()), [1, 12, 12]


class Convolutions(nn.Module):
    """Convolutions with everything the page must undo: normalisation, strides, padding of the output, a dropout."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.decoder = nn.Sequential(
            nn.Linear(3, 5 * 3 * 3), nn.BatchNorm1d(45), activation, nn.Unflatten(-1, (5, 3, 3)),
            nn.Sequential(nn.ConvTranspose2d(5, 4, 3, stride=2, padding=1, output_padding=1), nn.BatchNorm2d(4)),
            activation, nn.Dropout2d(0.3), nn.ConvTranspose2d(4, 1, (4, 2), stride=2, padding=(1, 0), bias=False),
        )  # fmt: skip
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.BatchNorm2d(3), activation, nn.Flatten(), nn.Linear(108, 6)
        )
        for each in self.modules():
            if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
                for values in (each.running_mean, each.running_var, each.weight, each.bias):
                    nn.init.uniform_(values, 0.5, 1.5)

    def decode(self, z):
        return self.decoder(z.reshape(-1, 3)).view(*z.shape[:-1], 1, 1, 12, 12)

    def encode(self, x):
        return self.encoder(x)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["conf", "convolutions"])
def test_every_network_under_every_loss_agrees_with_torch(visit, tmp_path, kind):
    torch.manual_seed(0)
    z, found = torch.randn(6, 3), []
    for name, parts, shape in cases(kind):
        x = torch.rand(5, *shape)
        exported = explorer(parts, Images(x, None, [], None), None, shape)
        assert exported.get("decoder"), (name, exported.get("why"))
        assert exported.get("encoder"), (name, exported.get("why_encoder"))
        with torch.no_grad():
            pixels = parts.loss.mean(parts.network.decode(z)).flatten(1)
            codes = parts.network.encode(x)
        about = {key: exported[key] for key in ("decoder", "encoder")}
        found.append((name, shape, pixels, codes, {**about, "x": [packed(each, torch.float32) for each in x]}))
    script = """cases.map(({decoder, encoder, x, shape, z}) => {
        const decode = Net.decoder(decoder, 3, shape[0] * shape[1] * shape[2]), encode = Net.encoder(encoder, shape, 3);
        const codes = x.map((each) => encode(Net.floats(each, 32)));
        return {pixels: z.map((each) => Array.from(decode(each))), codes: codes.map((c) => [...c.mean, ...c.log_var])};
    })"""
    cases_of_page = data("cases", [{**about, "shape": shape, "z": z.tolist()} for _, shape, _, _, about in found])
    html = tmp_path / "cases.html"
    read = "const cases = JSON.parse(document.getElementById('cases').textContent);"
    html.write_text(
        f"<meta charset=utf-8>{cases_of_page}<script>{inlined('explorer/net.js')}{read}</script>", encoding="utf-8"
    )
    answers = visit(html).evaluate(script)
    assert len(answers) == len(found) == (len(PAIRS) if kind == "conf" else 9)
    for (name, _, pixels, codes, _), answer in zip(found, answers, strict=True):
        assert pixels.std() > 0.01, name
        assert (torch.tensor(answer["pixels"]) - pixels).abs().max() < TOLERANCE, name
        assert (torch.tensor(answer["codes"]) - codes).abs().max() < 0.01, name


class Normalised(nn.Module):
    """What the page cannot run: a network that normalises its layer."""

    image_shape = (1, 28, 28)

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.Sequential(nn.Linear(2, 32), nn.LayerNorm(32), nn.Linear(32, 784))

    def encode(self, x):
        return x.flatten(1)[:, 300:304]

    def decode(self, z):
        return self.decoder(z).unflatten(-1, self.image_shape).unsqueeze(-4)


def test_a_network_beyond_the_limit_of_a_page_is_a_plane_and_says_so(visit, finished_run, tmp_path):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    shutil.rmtree(run / "checkpoints")
    module = nn.Module()
    module.network, module.latent, module.loss = (
        Conv([1, 28, 28], 2, hidden=[1900]),
        DiagonalGaussian(2),
        BernoulliLogits(),
    )
    page = visit(write(run, module))
    said = page.inner_text("#explorer")
    assert re.search(r"but \d{3} pictures that it drew beforehand: 2,3", said)
    assert "more than a page should carry (2,000,000 and 20,000,000)" in said
    until(page, "Explorer.decode([0, 0]).some((value) => value > 0)")


def test_a_network_the_page_cannot_run_is_a_plane_of_pictures(visit, finished_run, tmp_path):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    shutil.rmtree(run / "checkpoints")
    torch.manual_seed(0)
    module = nn.Module()
    module.network, module.latent, module.loss = Normalised(), DiagonalGaussian(2), BernoulliLogits()
    page = visit(write(run, module))
    assert "cannot run a LayerNorm layer" in page.inner_text("#explorer")
    until(page, "Explorer.decode([0, 0]).some((value) => value > 0)")
    axis, z = page.evaluate("Page.data('explorer-data').plane.axis"), [0.0, 0.0]
    z[0], z[1] = axis[3], axis[12]
    with torch.no_grad():
        expected = module.loss.mean(module.network.decode(torch.tensor(z))).flatten()
    found = torch.tensor(page.evaluate("(z) => Explorer.decode(z)", z))
    assert (found - expected).abs().max() <= 0.5 / 255 + 1e-6
    page.locator("#plane").focus()
    before = picture(page, "#digit")
    for _ in range(4):
        page.keyboard.press("Shift+ArrowRight")
    assert picture(page, "#digit") != before
