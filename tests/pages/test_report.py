"""The run's page as a file: what is on it, what is escaped, what it does not touch, and how its command answers."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from conftest import config, vae
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from vae_lightning import report, train
from vae_lightning.app import build
from vae_lightning.app.config import CONF
from vae_lightning.app.trust import located
from vae_lightning.latent import DiagonalGaussian
from vae_lightning.loss import BernoulliLogits, Gaussian
from vae_lightning.model import Model
from vae_lightning.network import MLP
from vae_lightning.pages import export, references, run_data, run_page
from vae_lightning.pages.explorer import PLANE, explorer
from vae_lightning.pages.page import as_json
from vae_lightning.pages.rounding import in_half
from vae_lightning.pages.run_words import PARTS, RUN_WORDS
from vae_lightning.pages.strings import COMMON
from vae_lightning.runs.readings import number_rows
from vae_lightning.runs.run import open_run

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def run(finished_run, tmp_path) -> Path:
    """A copy of the run that the session trained, to be damaged."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def edit(run: Path, **changes) -> None:
    path = run / "run_meta.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def written(run: Path) -> str:
    return run_page.write_run_page(run).read_text(encoding="utf-8")


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


@pytest.mark.parametrize("words", [COMMON, RUN_WORDS, PARTS], ids=["common", "run", "parts"])
def test_both_languages_say_everything(words):
    for key, (english, japanese) in words.items():
        assert bool(english) == bool(japanese), key
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", japanese)), key
    assert not set(COMMON) & set(RUN_WORDS)


def test_every_likelihood_and_bound_has_a_reference():
    for group in ("loss", "bound"):
        for path in (CONF / group).glob("*.yaml"):
            assert OmegaConf.load(path)["_target_"] in references.CITED, path
    for group in ("loss", "bound", "schedule", "network"):
        for path in (CONF / group).glob("*.yaml"):
            assert OmegaConf.load(path)["_target_"] in PARTS, path


FIXED = [references.ELBO, references.KL, references.POSTERIOR, references.SAMPLE, references.TRAINING]


@pytest.mark.parametrize(("code", "cited"), [(each.code, each.cited) for each in FIXED] + [*references.CITED.items()])
def test_the_references_are_true(code, cited):
    found = located(code)
    assert found is not None
    says = run_page.first_words(code)
    assert says
    assert cited in says
    assert not cited or says.startswith(("Implements", "Follows"))


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
    usage = number_rows(run / "curves" / "latent_usage.csv")[-1]
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
    assert answer(report.main, run)[0] == 2


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

    monkeypatch.setattr(run_page, "write_run_page", broken)
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
    run_page.write_run_page(finished_run, module, data)
    assert torch.equal(torch.get_rng_state(), random)
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(each.requires_grad and each.grad is None for each in module.parameters())
    run_page.write_run_page(finished_run)
    assert torch.equal(torch.get_rng_state(), random)


def test_the_same_weights_with_and_without_a_page(train):
    with_page, without = (
        torch.load(train(f"report={asked}", f"name={asked}") / "checkpoints" / "last.ckpt", weights_only=True)
        for asked in ("true", "false")
    )
    for name, value in with_page["state_dict"].items():
        assert torch.equal(value, without["state_dict"][name]), name


def test_many_epochs_are_thinned(run, monkeypatch):
    monkeypatch.setattr(run_data, "MOST_EPOCHS", 10)
    for kind in run_data.PICTURES:
        for epoch in range(3, 40):
            shutil.copy(run / kind / "epoch_0001.png", run / kind / f"epoch_{epoch:04d}.png")
    film = run_data.film(run, 10**9)
    assert len(film.epochs) == 10
    assert (film.epochs[0], film.epochs[-1], film.total) == (0, 39, 40)
    small = run_data.film(run, 300_000)
    assert 2 <= len(small.epochs) < 6
    assert (small.epochs[0], small.epochs[-1]) == (0, 39)
    assert "10 of 40 epochs are in this page" in written(run)
    assert run_data.thinned(range(100), 60)[::59] == [0, 99]


def test_a_coloured_picture_stays_as_it_is(tmp_path):
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "a.png")
    assert run_data.data_uri(tmp_path / "a.png") == run_data.as_uri((tmp_path / "a.png").read_bytes())


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
    ],
    ids=["layer", "forward", "cost"],
)
def test_a_network_that_cannot_be_said_becomes_a_plane(network, reason):
    found = explorer(Model(network, DiagonalGaussian(2), BernoulliLogits()), None, None, [1, 4, 4])
    assert found["why"]["key"] == reason
    assert found["why"]["key"] in RUN_WORDS
    assert found["plane"]["size"] == PLANE
    assert "decoder" not in found


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


def test_a_latent_space_of_one_dimension(tmp_path):
    model = Model(MLP([1, 4, 4], 1, hidden=4), DiagonalGaussian(1), BernoulliLogits())
    assert explorer(model, None, None, [1, 4, 4])["order"] == [0]


def test_the_record_of_somebody_elses_class_imports_nothing(run):
    meta = json.loads((run / "run_meta.json").read_text(encoding="utf-8"))
    meta["config"]["loss"]["_target_"] = "antigravity.Loss"
    meta["config"]["data"]["_target_"] = "antigravity.Data"
    edit(run, config=meta["config"])
    text = written(run)
    assert "antigravity.Loss" in text
    assert "antigravity.Data: not among the packages" in text
    assert open_run(run).path == run


def test_inputs_of_a_diverged_model_are_no_reason_to_write_no_page():
    """Their second moment has no inverse; the weights are then rounded to the nearest."""
    layer = nn.Linear(400, 100)
    layer.weight.data.mul_(1e3)
    for x in (torch.full((4, 400), 1e30), torch.full((4, 400), torch.inf), torch.zeros(4, 400)):
        (rounded,) = in_half([layer], x)
        assert torch.allclose(rounded.weight, layer.weight, atol=0.1)
