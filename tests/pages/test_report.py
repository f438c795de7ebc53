"""The run's page as a file: what is on it, what is escaped, what it does not touch, and how its command answers."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from conftest import config, vae
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from vae_lightning import report, train
from vae_lightning.app import build
from vae_lightning.app import report as app_report
from vae_lightning.app.config import CONF
from vae_lightning.app.facts import PARTS, facts_of, facts_of_config, facts_of_part
from vae_lightning.app.report import shown
from vae_lightning.app.trust import located
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import BernoulliLogits, Gaussian
from vae_lightning.model import Model
from vae_lightning.network import MLP, Conv, ResNet
from vae_lightning.network.residual import Residual
from vae_lightning.pages.base.pictures import png_uri
from vae_lightning.pages.base.render import as_json
from vae_lightning.pages.base.words import COMMON
from vae_lightning.pages.explorer import export
from vae_lightning.pages.explorer.beforehand import PLANE
from vae_lightning.pages.explorer.explorer import explorer
from vae_lightning.pages.explorer.layers import bits_of, described
from vae_lightning.pages.explorer.rounding import in_half
from vae_lightning.pages.explorer.words import EXPLORER
from vae_lightning.pages.run import facts, files, page
from vae_lightning.pages.run.japanese import JAPANESE
from vae_lightning.pages.run.references import ELBO, KL, POSTERIOR, SAMPLE, TRAINING
from vae_lightning.pages.run.words import RUN_WORDS
from vae_lightning.runs.readings import as_numbers
from vae_lightning.runs.regular import csv_rows
from vae_lightning.runs.run import open_run

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def run(finished_run, tmp_path) -> Path:
    """A copy of the run that the session trained, to be damaged."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def edit(run: Path, **changes) -> None:
    path = run / "run_meta.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def written(folder: Path) -> str:
    """The page as the report command writes it."""
    run = open_run(folder)
    return page.write_run_page(run, shown(run)[0], facts_of_config(run.config)).read_text(encoding="utf-8")


def embedded(text: str, name: str):
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_every_run_leaves_its_page(finished_run):
    text = (finished_run / "report.html").read_text(encoding="utf-8")
    meta = json.loads((finished_run / "run_meta.json").read_text(encoding="utf-8"))
    for value in (meta["metrics"]["test/elbo"], meta["metrics"]["test/kl"]):
        assert f"{value:.2f}".replace("-", "\u2212") in text
    for said in (
        finished_run.name,
        "MNIST, grey",
        "seed=7",
        "curves/train_log.csv",
        "vae_lightning.equations.lower_bound",
    ):
        assert said in text
    assert "python -m vae_lightning.train epochs=2" in text
    assert set(meta["data"]["sha256"].values()) <= set(re.findall(r"[0-9a-f]{64}", text))
    assert [row["epoch"] for row in embedded(text, "curves-data")] == [1, 2]
    film = embedded(text, "film-data")
    assert film["epochs"] == [0, 1, 2]
    assert all(len(film["frames"][kind]) == 3 for kind in ("reconstructions", "samples"))


def test_it_is_one_file_that_asks_for_nothing(finished_run):
    text = (finished_run / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    links = re.findall(r'(?:src|href|action|data|poster)="([^"]*)"', text)
    assert links
    assert all(link.startswith(("#", "./")) for link in links)
    assert "@import" not in text
    assert all((finished_run / link[2:]).is_file() for link in links if link.startswith("./"))


def test_what_was_changed_comes_first(finished_run):
    text = (finished_run / "report.html").read_text(encoding="utf-8")
    changed = embedded_rows(text)
    assert text.index("<code>latent=z2</code>") < text.index("<code>network.hidden</code>")
    assert changed.index("seed") < changed.index("group")
    assert {"network.hidden", "epochs", "latent.dim", "seed"} <= set(changed)
    assert not {"batch_size", "run_dir", "report"} & set(changed)


def embedded_rows(text: str) -> list[str]:
    table = text.partition('<section class="card" id="config">')[2].partition("</table>")[0]
    return re.findall(r"<tr><td><code>(.*?)</code>", table)


def test_strangers_words_are_only_words(run):
    meta = json.loads((run / "run_meta.json").read_text(encoding="utf-8"))
    evil = {**meta["config"], "name": EVIL, EVIL: EVIL}
    data = {**meta["data"], "name": EVIL, "protocol": EVIL, "source": EVIL, "sha256": {EVIL: EVIL}}
    edit(run, config=evil, status="failed", error=EVIL, overrides=[f"name={EVIL}"], data=data, versions={EVIL: EVIL})
    (run / "<img src=x onerror=alert(1)>").write_text("")
    (run / 'a" onclick="alert(1)').write_text("")
    moved = run.rename(run.with_name("<script>alert(1)<"))
    text = written(moved)
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert 'a" onclick' not in text
    assert text.count("&lt;script&gt;alert(1)") > 8
    assert text.count("<script") == text.count("</script>")


def test_json_cannot_end_its_element():
    text = as_json({"a": "</script><!--\u2028", "b": float("nan"), "c": [float("inf"), 1.5]})
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text) == {"a": "</script><!--\u2028", "b": None, "c": [None, 1.5]}


@pytest.mark.parametrize("words", [COMMON, RUN_WORDS, EXPLORER], ids=["common", "run", "explorer"])
def test_both_languages_say_everything(words):
    for key, (english, japanese) in words.items():
        assert bool(english) == bool(japanese), key
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", japanese)), key
    assert len({**COMMON, **RUN_WORDS, **EXPLORER}) == len(COMMON) + len(RUN_WORDS) + len(EXPLORER)


def test_phrases_have_the_same_values_in_japanese():
    for english, japanese in JAPANESE.items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", japanese)), english


OPTIONS = [(group, path.stem) for group in PARTS for path in sorted((CONF / group).glob("*.yaml"))]


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_says_what_it_is(group, option):
    """Its title is known in Japanese, its {braces} are keys of its YAML, its citation is in its first line."""
    node = OmegaConf.load(CONF / group / f"{option}.yaml")
    kind = located(node["_target_"], "x")
    known = facts_of_part(kind, OmegaConf.to_container(node))
    assert known["class"] == node["_target_"]
    assert known["says"]
    assert known["cited"] in known["says"]
    if hasattr(kind, "title"):
        assert not known["title"] or known["title"] in JAPANESE
        assert set(re.findall(r"\{(\w+)\}", known["title"])) <= set(node)
    if group == "bound":
        assert known["cited"]
    if group == "loss":
        assert export.link_of(kind()) in export.LINKS


@pytest.mark.parametrize("reference", [ELBO, KL, POSTERIOR, SAMPLE, TRAINING], ids=lambda each: each.term)
def test_the_references_are_true(reference):
    assert located(reference.code, "x") is not None
    assert reference.says
    assert reference.cited in reference.says
    assert reference.says.startswith(("Implements", "Follows"))


def test_the_record_says_what_the_page_shows(finished_run):
    record = json.loads((finished_run / "run_meta.json").read_text(encoding="utf-8"))
    assert record["choices"]["loss"] == "bce_logits"
    assert record["choices"]["latent"] == "z2"
    assert set(record["choices"]) <= {*PARTS, "data", "trainer", "callbacks", "logger", "experiment"}
    assert ["latent.dim", "2", "20"] in record["changed"]
    assert set(record["parts"]) == set(PARTS)
    assert record["parts"]["loss"]["class"] == "vae_lightning.loss.BernoulliLogits"
    assert record["parts"]["loss"]["cited"] == "Eq. (11)"
    text = (finished_run / "report.html").read_text(encoding="utf-8")
    assert record["parts"]["bound"]["says"] in text
    assert "<td>Eq. (7)</td>" in text


TITLES = {
    "network": "A dense network of {hidden} {activation} units on each side",
    "latent": "{dim} latent units",
    "loss": "my likelihood of {nothing}",
    "bound": "the ELBO, estimator B, L = {num_samples}",
    "optimizer": "Adam, lr {lr}",
    "schedule": ", annealed linearly",
}


def test_titles_are_filled_from_the_configuration(run):
    record = json.loads((run / "run_meta.json").read_text(encoding="utf-8"))
    record["config"]["network"] |= {"hidden": [500, 200], "activation": "tanh"}
    for part, title in TITLES.items():
        record["parts"][part] |= {"title": title, "values": {}}
    edit(run, **record)
    text = written(run)
    assert (
        "A dense network of 500-200 tanh units on each side; 2 latent units. p(x|z) is my likelihood of ?. "
        "Maximised: the ELBO, estimator B, L = 1. Adam, lr 0.001, batches of 128, β = 1.0, annealed linearly."
    ) in text
    assert (
        "エンコーダー・デコーダーとも tanh 層（500-200 ユニット）、潜在変数 2 次元。p(x|z) はmy likelihood of ?。"
        "最大化するもの：ELBO（推定量 B、L = 1）。Adam、lr 0.001、バッチ 128、β = 1.0（線形に上昇）。"
    ) in text


def test_titles_of_an_older_version_are_filled_from_its_configuration_in_the_words_of_today():
    old = {"network": {"_target_": "vae_lightning.network.IwaeMLP", "hidden_dim": None}}
    network = facts_of_config(old)["parts"]["network"]
    assert network["values"] == {"hidden": [200, 200], "activation": "tanh"}
    assert facts.filled(network["title"], network["values"]) == "A dense network of 200-200 tanh units on each side"


def test_titles_cannot_look_into_python():
    assert facts.filled("{a.__class__} {a[0]} {a}", {"a": 1}) == "{a.__class__} {a[0]} 1"


OLD = [{"parts": {}, "changed": []}, {"parts": None, "changed": None, "choices": None}, {"parts": 3, "changed": "x"}]
OLD += [{"parts": {"loss": 3, "bound": {"title": [], "cited": 3}}, "changed": [1, [], ["a"]]}]


@pytest.mark.parametrize("record", OLD)
def test_a_record_of_an_older_version_has_a_page(run, record):
    edit(run, **record)
    folder = open_run(run)
    text = page.write_run_page(folder, shown(folder)[0], {}).read_text(encoding="utf-8")
    assert "BernoulliLogits" in text
    assert "vae_lightning.bound.Elbo" in text
    assert "<td>Eq. (7)</td>" not in text


def test_facts_of_an_older_version_are_computed_from_its_configuration(run):
    record = json.loads((run / "run_meta.json").read_text(encoding="utf-8"))
    known = {key: record.pop(key) for key in ("parts", "changed", "choices")}
    (run / "run_meta.json").write_text(json.dumps(record), encoding="utf-8")
    anew = facts_of_config(record["config"])
    assert anew["parts"] == known["parts"]
    assert [row for row in anew["changed"] if row[0] != "data.dir"] == [  # its default is from the environment
        row for row in known["changed"] if row[0] != "data.dir"
    ]
    assert "<td>Eq. (7)</td>" in written(run)


def test_facts_of_ones_own_parts():
    """A part needs no title and no docstring."""

    class Mine:
        title = "my own"

    class Plain:
        """Inspired by Doe et al. (2030), very loosely."""

    found = facts_of({}, {"loss": "mine", "logger": None, "unknown": "x"}, {"loss": Mine(), "bound": Plain})
    assert found["choices"] == {"loss": "mine"}
    assert found["parts"]["loss"]["title"] == "my own"
    assert (found["parts"]["loss"]["says"], found["parts"]["loss"]["cited"]) == ("", "")
    assert (found["parts"]["bound"]["title"], found["parts"]["bound"]["cited"]) == ("Plain", "Doe et al. (2030)")


@pytest.mark.parametrize("status", ["interrupted", "failed", "running", "resting"])
def test_a_run_that_did_not_end_well_says_so(run, status):
    edit(run, status=status, error="RuntimeError: the sky fell")
    text = written(run)
    shown = {"running": "killed", "resting": "other"}.get(status, status)  # nobody runs it
    assert f'<span class="badge {shown}">' in text
    assert "the sky fell" in text
    assert "resume=" in text


def test_without_its_data_the_page_has_the_decoder_and_says_why(run):
    meta = json.loads((run / "run_meta.json").read_text(encoding="utf-8"))
    edit(run, data={**meta["data"], "subset": False})
    text = written(run)
    found = embedded(text, "explorer-data")
    assert found["decoder"]
    assert found["points"] is None
    assert "no encoded test images on this page: mnist was not found" in text
    usage = as_numbers(csv_rows(run / "curves" / "latent_usage.csv"))[-1]
    assert found["kl"] == [usage["kl_z1"], usage["kl_z2"]]
    edit(run, data={**meta["data"], "sha256": {}})
    assert "their checksums differ" in written(run)


def test_before_the_first_checkpoint_there_is_still_a_page(run):
    shutil.rmtree(run / "checkpoints")
    shutil.rmtree(run / "samples")
    shutil.rmtree(run / "reconstructions")
    (run / "curves" / "train_log.csv").unlink()
    edit(run, metrics={}, status="interrupted")
    text = written(run)
    assert embedded(text, "explorer-data") is None
    for said in ("ended before its first checkpoint", "No epoch was finished", "left no pictures"):
        assert said in text


def test_files_that_are_not_what_they_were(run):
    (run / "samples" / "epoch_0001.png").write_bytes(b"not a picture")
    (run / "curves" / "train_log.csv").write_text("epoch,elbo\n1,-3\nx,y\n2,nan\n", encoding="utf-8")
    text = written(run)
    assert embedded(text, "film-data")["frames"]["samples"][1] is None
    assert embedded(text, "curves-data") == [{"epoch": 1, "elbo": -3}, {"epoch": 2, "elbo": None}]


def test_the_command(answer, run, tmp_path):
    (run / "report.html").unlink()
    assert answer(report.main, run) == (0, f"open {run / 'report.html'}\n", "")
    (tmp_path / "latest").symlink_to("run")
    assert answer(report.main, tmp_path / "latest") == (0, f"open {run / 'report.html'}\n", "")
    (tmp_path / "empty").mkdir()
    for arguments, status, said in [
        ([], 2, ""),
        (["--help"], 0, ""),
        ([tmp_path / "none"], 2, "no such folder"),
        ([tmp_path / "empty"], 2, "not a run folder, and there is none in it"),
        ([tmp_path / "none" / "latest"], 2, "no such folder"),
        ([run, "data=x"], 2, "all it takes"),
        ([tmp_path, "data_dir=x"], 2, "only a run's page reads data"),
    ]:
        found, _, err = answer(report.main, *arguments)
        assert (found, err.count("\n")) == (status, 1 if said else 0), arguments
        assert said in err


def test_a_damaged_checkpoint_or_record_is_answered_in_one_line(answer, run):
    for path in (run / "checkpoints").glob("best.ckpt"):
        path.write_bytes(path.read_bytes()[:-100])
    status, _, err = answer(report.main, run)
    assert (status, err.count("\n")) == (4, 1)
    assert "damaged" in err
    assert "damaged" in (run / "report.html").read_text(encoding="utf-8")
    (run / "run_meta.json").write_text("{")
    assert answer(report.main, run)[0] == 4


def test_it_can_be_left_away(train):
    assert not (train("report=false") / "report.html").exists()


def test_a_run_that_diverges_has_a_page_and_its_own_status(answer, tmp_path):
    words = [
        "lr=1e30",
        "epochs=1",
        "network.hidden=[8]",
        "name=wild",
        "group=g",
        "date_prefix=false",
        f"data.dir={tmp_path}",
    ]
    words += [f"data.dir={tmp_path}", f"project_dir={tmp_path}", "latent=z2", "data.mirrors=[]"]
    words += ["callbacks.latent_traversal.size=3"]
    status, out, _ = answer(train.main, *words)
    assert status == 5
    assert f"open {tmp_path / 'g' / 'wild' / 'report.html'}" in out
    text = (tmp_path / "g" / "wild" / "report.html").read_text(encoding="utf-8")
    assert '<span class="badge diverged">' in text
    assert "There is no latent explorer" in text


def test_a_page_that_cannot_be_written_changes_nothing_but_a_line(train, monkeypatch, capsys):
    def broken(*_):
        raise ZeroDivisionError("the page fell apart")

    monkeypatch.setattr(app_report, "write_run_page", broken)
    run = train("report=true")
    assert json.loads((run / "run_meta.json").read_text(encoding="utf-8"))["status"] == "completed"
    lines = [line for line in capsys.readouterr().err.splitlines() if "the page fell apart" in line]
    assert len(lines) == 1
    assert lines[0].startswith("warning: ")


def test_asking_for_no_page_is_not_another_run(answer, run):
    status, out, err = answer(train.main, f"resume={run}", "report=false")
    assert (status, err) == (0, "")
    assert "completed, nothing to do" in out


def test_looking_touches_nothing(finished_run):
    """Weights, modes, gradients and random numbers of a living module are bit for bit what they were."""
    saved = json.loads((finished_run / "run_meta.json").read_text(encoding="utf-8"))["config"]
    cfg = config("latent=z2", "network.hidden=[16]", "seed=7", "data.mirrors=[]",
                 f"data.dir={saved['data']['dir']}")  # fmt: skip
    data, module = build.data_module(cfg.data), vae(cfg)
    module.train()
    module.network.decoder.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    random = torch.get_rng_state()
    run = open_run(finished_run)
    page.write_run_page(run, shown(run, module, data)[0], {})
    assert torch.equal(torch.get_rng_state(), random)
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(each.requires_grad and each.grad is None for each in module.parameters())
    page.write_run_page(run, shown(run)[0], {})
    assert torch.equal(torch.get_rng_state(), random)


def test_the_same_weights_with_and_without_a_page(train):
    with_page, without = (
        torch.load(train(f"report={asked}", f"name={asked}") / "checkpoints" / "last.ckpt", weights_only=True)
        for asked in ("true", "false")
    )
    for name, value in with_page["state_dict"].items():
        assert torch.equal(value, without["state_dict"][name]), name


def test_many_epochs_are_thinned(run, monkeypatch):
    monkeypatch.setattr(files, "MOST_EPOCHS", 10)
    for kind in files.PICTURES:
        for epoch in range(3, 40):
            shutil.copy(run / kind / "epoch_0001.png", run / kind / f"epoch_{epoch:04d}.png")
    film = files.film(run, 10**9)
    assert len(film.epochs) == 10
    assert (film.epochs[0], film.epochs[-1], film.total) == (0, 39, 40)
    small = files.film(run, 300_000)
    assert 2 <= len(small.epochs) < 6
    assert (small.epochs[0], small.epochs[-1]) == (0, 39)
    assert "10 of 40 epochs are in this page" in written(run)
    assert files.thinned(range(100), 60)[::59] == [0, 99]


def test_a_coloured_picture_stays_as_it_is(tmp_path):
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "a.png")
    assert files.picture_uri(tmp_path / "a.png")[0] == png_uri((tmp_path / "a.png").read_bytes())


# --- what can be put into the page, and what cannot ------------------------------------------------------------------


class Foreign(nn.Module):
    """A network of somebody else's: decoder and encoder as given."""

    def __init__(self, decoder: nn.Module, encoder: nn.Module | None = None, extra: float = 0.0) -> None:
        super().__init__()
        self.decoder, self.encoder, self.extra = decoder, encoder, extra

    def encode(self, x):
        return torch.zeros(len(x), 4) if self.encoder is None else self.encoder(x)

    def decode(self, z):
        return self.decoder(z).view(-1, 1, 1, 4, 4) + self.extra


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Foreign(nn.Sequential(nn.Linear(2, 16), nn.Softmax(-1))), "why_layer"),
        (Foreign(nn.Linear(2, 16), extra=1.0), "why_forward"),
        (Foreign(nn.Sequential(nn.Linear(2, 110_000), nn.ReLU(), nn.Linear(110_000, 16))), "why_cost"),
        (Foreign(nn.Sequential(nn.Linear(2, 16), nn.Unflatten(-1, (4, 2, 2)), nn.GroupNorm(2, 4, affine=False))),
         "why_layer"),
        (Conv([3, 64, 64], 2, hidden=[512]), "why_cost"),
        (ResNet([1, 32, 32], 2, widths=[64], depths=2, hidden=[]), "why_cost"),
    ],
    ids=["layer", "forward", "cost", "norm", "weights", "operations"],
)  # fmt: skip
def test_a_network_that_cannot_be_said_becomes_a_plane(network, reason):
    shape = getattr(network, "image_shape", [1, 4, 4])
    found = explorer(Model(network, DiagonalGaussian(2), BernoulliLogits()), None, None, shape)
    assert found["why"]["key"] == reason
    assert EXPLORER[reason][0].format(**found["why"]["values"])
    assert found["plane"]["size"] == PLANE
    assert found["decoder"] is None


def test_only_the_outputs_of_the_mean_are_kept():
    network = MLP([1, 4, 4], 2, num_parameters=2, hidden=8)
    layers, mean = export.decoder(network, Gaussian(), torch.randn(20, 2))
    assert mean == "sigmoid"
    assert layers.layers[-1]["outputs"] == 16


def test_rounding_with_feedback_is_closer_than_rounding():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(2, 400), nn.ReLU(), nn.Linear(400, 784))
    z = torch.randn(1000, 2)
    with torch.no_grad():
        fresh = torch.randn(1000, 2)
        wrong = [(nn.Sequential(*in_half(list(layers), like))(fresh) - layers(fresh)).abs().max() for like in (None, z)]
    assert wrong[1] < wrong[0] / 3
    assert in_half(list(layers), z)[2].weight.half().float().equal(in_half(list(layers), z)[2].weight)


def test_convolutions_are_rounded_with_feedback_too():
    """Also those inside a residual block. The rounded weights are numbers of fp16."""
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(1, 32, 3),
        Residual(nn.GroupNorm(4, 32), nn.Conv2d(32, 80, 3, padding=1), nn.Conv2d(80, 32, 3, padding=1)),
        nn.ConvTranspose2d(32, 50, 4, stride=2, padding=1),
    ]
    x = torch.randn(60, 1, 9, 9)
    with torch.no_grad():
        expected = nn.Sequential(*layers)(x)
        wrong = [(nn.Sequential(*in_half(layers, like))(x) - expected).abs().mean() for like in (None, x)]
    assert wrong[1] < 0.7 * wrong[0]
    inner = list(in_half(layers, x)[1])
    assert all(inner[i].weight.half().float().equal(inner[i].weight) for i in (1, 2))
    assert not inner[1].weight.equal(layers[1][1].weight)
    values = [described(layer, 16) for layer in in_half(layers, x)]
    assert (bits_of(values[:1]), bits_of(values)) == (32, 16)


def test_a_latent_space_of_one_dimension(tmp_path):
    model = Model(MLP([1, 4, 4], 1, hidden=4), DiagonalGaussian(1), BernoulliLogits())
    assert explorer(model, None, None, [1, 4, 4])["order"] == [0]


def test_the_record_of_somebody_elses_class_imports_nothing(run):
    meta = json.loads((run / "run_meta.json").read_text(encoding="utf-8"))
    meta["config"]["data"]["_target_"] = "antigravity.Data"
    edit(run, config=meta["config"])
    assert "antigravity.Data: not among the packages" in written(run)
    meta["config"]["loss"]["_target_"] = "antigravity.Loss"
    edit(run, config=meta["config"], parts={})
    text = written(run)
    assert "<code>antigravity.Loss</code>" in text
    assert "There is no latent explorer: loss._target_=antigravity.Loss: not among the packages" in text
    assert "allow_targets=[antigravity.]" in text
    assert shown(open_run(run))[1].status == 2
    assert "antigravity" not in sys.modules


def test_inputs_of_a_diverged_model_are_no_reason_to_write_no_page():
    """Their second moment has no inverse; the weights are then rounded to the nearest."""
    layer = nn.Linear(400, 100)
    layer.weight.data.mul_(1e3)
    for x in (torch.full((4, 400), 1e30), torch.full((4, 400), torch.inf), torch.zeros(4, 400)):
        (rounded,) = in_half([layer], x)
        assert torch.allclose(rounded.weight, layer.weight, atol=0.1)
