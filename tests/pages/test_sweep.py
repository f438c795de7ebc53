"""What the sweep's page is made of: which keys were swept, what may be compared, what failed, many writers at once."""

import csv
import io
import json
import multiprocessing
import re
import shutil
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
import writers
from conftest import NO_NETWORK, ROOT, command
from sweeps import evaluate, make_run, make_sweep

from vae_lightning import train
from vae_lightning.app import build
from vae_lightning.errors import ConfigError
from vae_lightning.pages.sweep import folds, pictures
from vae_lightning.pages.sweep import page as sweep_page
from vae_lightning.pages.sweep.page import write_sweep_page
from vae_lightning.pages.sweep.runs import SPLITS
from vae_lightning.pages.sweep.words import SWEEP
from vae_lightning.runs.folder import owned
from vae_lightning.runs.jobs import Job, read_jobs
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.setting import measure_of

HOSTILE = "<script>alert(1)</script>"
TINY = [
    "epochs=1",
    "network.hidden=[8]",
    "project_dir=o",
    "report=false",
    "~callbacks.reconstruction_grid",
    "~callbacks.latent_traversal",
]
TINY += ["+trainer.limit_train_batches=2", *NO_NETWORK]


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """The main job in this process: overrides -> (status, what it printed, what it said on stderr)."""
    monkeypatch.chdir(tmp_path)
    return partial(answer, train.main)


def page(folder: Path) -> str:
    return write_sweep_page(folder).read_text(encoding="utf-8")


def table(folder: Path) -> list[dict[str, str]]:
    write_sweep_page(folder)
    with (folder / "sweep.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def only_section(folder: Path) -> folds.Section:
    (section,) = folds.read(folder).sections
    return section


# --- keys and folds --------------------------------------------------------------------------------------------------


def test_seeds_fold_into_mean_and_standard_deviation(tmp_path):
    make_sweep(tmp_path / "g", betas=(1.0, 4.0))
    section = only_section(tmp_path / "g")
    assert section.keys == ("beta", "latent.dim")
    assert [fold.values for fold in section.folds] == [("1", "2"), ("1", "20"), ("4", "2"), ("4", "20")]
    assert [[run.seed for run in fold.runs] for fold in section.folds] == [[1, 2, 3]] * 4
    spread = section.folds[0].spread("elbo")
    values = [-150.1, -150.2, -150.3]
    assert (spread.mean, spread.count) == (pytest.approx(statistics.fmean(values)), 3)
    assert spread.deviation == pytest.approx(0.1)  # n - 1
    assert section.best.values == ("1", "20")


def test_a_single_run_has_no_deviation(tmp_path):
    make_run(tmp_path / "g" / "a")
    (fold,) = only_section(tmp_path / "g").folds
    assert fold.spread("elbo").deviation is None
    assert "±" not in page(tmp_path / "g").split("<tbody")[1].split("</tbody>")[0]


KEYS = [
    ([{"o": ("latent=z2",)}, {"o": ("latent=z20",)}], ("latent.dim",)),  # not latent_traversal.latent_dim
    ([{"beta": 1.0}, {"beta": 4.0}], ("beta",)),  # not schedule.beta
    ([{"o": ("loss=bce",)}, {"o": ("loss=bce_logits",)}], ("loss",)),
    ([{"o": ("loss=gaussian",)}, {"o": ("loss=gaussian_fixed",)}], ("loss",)),  # not loss.variance beside it
    ([{"o": ("schedule=none",)}, {"o": ("schedule=cyclic",)}], ("schedule",)),
    ([{"o": ("schedule=none",)}, {"o": ("schedule=cyclic",)}, {"o": ("schedule=linear",)}], ("schedule",)),
    ([{"o": ("schedule=cyclic", "schedule.cycles=2")}, {"o": ("schedule=cyclic",)}], ("schedule.cycles",)),
    ([{"o": ("network=mlp",)}, {"o": ("network=mlp_paper",)}, {"o": ("network=mlp_iwae",)}], ("network",)),
    ([{"o": ("trainer=fast",)}, {"o": ()}], ("trainer",)),
    ([{"seed": 1}, {"seed": 2}], ()),
    ([{"batch_size": 64}, {"batch_size": 128}], ("batch_size",)),
    ([{"beta": 1.0, "o": ("latent=z2",)}, {"beta": 4.0, "o": ("latent=z20",)}], ("beta", "latent.dim")),
    ([{"o": ("experiment=iwae",)}, {"o": ("experiment=iwae", "bound=elbo")}], ("bound",)),
    ([{"o": ()}, {"o": ("callbacks.sample_grid.columns=4",)}], ("callbacks.sample_grid.columns",)),
    ([{"o": ()}, {"o": ("logger=tensorboard",)}], ()),
    ([{"lr": 0.1}, {"lr": 0.01}, {"lr": 0.1, "epochs_said": 9}], ("lr",)),
    (
        [{"o": ("sweep=collapse", f"remedy={name}")} for name in ("none", "linear", "cyclic", "free_bits", "iwae")],
        ("remedy",),
    ),
    ([{"o": ("sweep=collapse", f"remedy={name}")} for name in ("none", "capacity")], ("remedy",)),
    (
        [{"o": ("schedule=linear", *words)} for words in ((), ("schedule.length=2", "schedule.unit=epochs"))],
        ("schedule.length",),
    ),
    (
        [
            {"o": ("schedule=none",)},
            {"o": ("schedule=cyclic", "schedule.ratio=0.2", "schedule.unit=epochs", "schedule.length=2")},
        ],
        ("schedule",),
    ),
]


@pytest.mark.sample(10)
@pytest.mark.parametrize(("runs", "keys"), KEYS)
def test_which_keys_were_swept(tmp_path, runs, keys):
    for i, each in enumerate(runs):
        values = {key: value for key, value in each.items() if key not in ("o", "epochs_said")}
        said = (*each.get("o", ()), *(f"{key}={value}" for key, value in values.items()))
        make_run(tmp_path / "g" / f"r{i}", *each.get("o", ()), said=said, **values)
    assert set(only_section(tmp_path / "g").keys) == set(keys)


def test_experiments_are_shown_by_their_name(tmp_path):
    make_run(tmp_path / "g" / "a")
    make_run(tmp_path / "g" / "b", "experiment=iwae", "data.protocol=grey")
    section = only_section(tmp_path / "g")
    assert "experiment" in section.keys
    assert {fold.values[section.keys.index("experiment")] for fold in section.folds} == {"–", "iwae"}


def swept_over(folder: Path, key: str) -> list[str]:
    """The values of a swept key, in the order of the page."""
    section = only_section(folder)
    return [fold.values[section.keys.index(key)] for fold in section.folds]


def test_options_are_shown_by_their_name(tmp_path):
    for i, loss in enumerate(("bce", "bce_logits")):
        make_run(tmp_path / "g" / f"a{i}", f"loss={loss}")
        make_run(tmp_path / "old" / f"a{i}", f"loss={loss}", facts=False)  # from the command line
        make_run(tmp_path / "older" / f"a{i}", f"loss={loss}", facts=False, said=())  # from the class
    assert swept_over(tmp_path / "g", "loss") == ["bce", "bce_logits"]
    assert swept_over(tmp_path / "old", "loss") == ["bce", "bce_logits"]
    assert swept_over(tmp_path / "older", "loss") == ["Bernoulli", "BernoulliLogits"]
    assert [row["loss"] for row in table(tmp_path / "older")] == ["Bernoulli", "BernoulliLogits"]


def layers(folder: Path, name: str, said: tuple[str, ...], **network) -> None:
    """A run with a network that is an option of conf/network/, in numbers of its own."""
    run = make_run(folder / name, said=said)
    meta = json.loads((run / "run_meta.json").read_text())
    meta["config"]["network"] = network
    choice = {"network": said[0].partition("=")[2]} if said and said[0].startswith("network=") else {}
    (run / "run_meta.json").write_text(json.dumps({**meta, "choices": {**meta["choices"], **choice}}))


def test_options_of_one_class_that_differ_in_several_values_are_one_choice(tmp_path):
    kind = {"_target_": "vae_lightning.network.MLP"}
    for seed in ("1", "2"):
        layers(tmp_path / "g", f"a{seed}", ("network=mlp",), **kind, hidden=[400], activation="relu", initial="torch")
        layers(
            tmp_path / "g",
            f"b{seed}",
            ("network=mlp_paper",),
            **kind,
            hidden=[500],
            activation="tanh",
            initial="normal",
        )
        layers(
            tmp_path / "g",
            f"c{seed}",
            ("network=mlp_iwae",),
            **kind,
            hidden=[200, 200],
            activation="tanh",
            initial="glorot",
        )
    assert only_section(tmp_path / "g").keys == ("network",)
    assert swept_over(tmp_path / "g", "network") == ["mlp", "mlp_iwae", "mlp_paper"]
    one = ("network=mlp", "network.hidden=[9]")
    layers(tmp_path / "g", "d", one, **kind, hidden=[9], activation="relu", initial="torch")
    assert set(only_section(tmp_path / "g").keys) == {"network", "network.hidden"}


def test_a_class_of_ones_own_is_shown_by_its_last_name(tmp_path):
    layers(tmp_path / "g", "a", ("network=mlp",), _target_="vae_lightning.network.MLP", hidden=[400])
    layers(tmp_path / "g", "b", ("network._target_=my_pkg.nets.Net",), _target_="my_pkg.nets.Net", hidden=[400])
    assert only_section(tmp_path / "g").keys == ("network",)
    assert swept_over(tmp_path / "g", "network") == ["Net", "mlp"]


def test_an_option_that_changes_nothing_does_not_split_a_fold(tmp_path):
    make_run(tmp_path / "g" / "a", "latent=z2", "latent.dim=5", seed=1)
    make_run(tmp_path / "g" / "b", "latent=z20", "latent.dim=5", seed=2)
    (fold,) = only_section(tmp_path / "g").folds
    assert len(fold.runs) == 2
    assert only_section(tmp_path / "g").keys == ()


# --- what may be compared --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"o": ("data.protocol=dynamic",)},
        {"data": {"name": "fashion_mnist"}},
        {"data": {"subset": False, "sha256": {"test_images": "0fa7"}}},
        {"o": ("loss=mse",)},
        {"o": ("loss=discretized_logistic",)},
    ],
)
def test_protocols_data_and_kinds_of_likelihood_are_never_mixed(tmp_path, other):
    make_run(tmp_path / "g" / "a", elbo=-100)
    options = other.pop("o", ())
    make_run(tmp_path / "g" / "b", *options, elbo=-200, **other)
    sections = folds.read(tmp_path / "g").sections
    assert [[run.name for run in section.runs] for section in sections] == [["a"], ["b"]]
    assert [fold.spread("elbo").mean for section in sections for fold in section.folds] == [-100, -200]
    assert len({section.label for section in sections}) == 2
    assert page(tmp_path / "g").count('role="tabpanel"') == 2


def test_the_same_label_with_other_data_is_told_apart_by_their_checksum(tmp_path):
    make_run(tmp_path / "g" / "a")
    make_run(tmp_path / "g" / "b", data={"sha256": {"test_images": "ffff"}})
    labels = [section.label for section in folds.read(tmp_path / "g").sections]
    assert len(set(labels)) == 2


def test_every_likelihood_is_of_a_known_kind(tmp_path):
    """A mass of {0, 1}, a mass of bytes, or a density: their nats are three different things."""
    from vae_lightning import loss

    kinds = {name: measure_of(name) for name in loss.__all__ if name[0].isupper()}
    kinds.pop("Likelihood")
    assert {name for name, kind in kinds.items() if kind == "Bernoulli"} == {"Bernoulli", "BernoulliLogits"}
    assert {name for name, kind in kinds.items() if kind == "mass of bytes"} == {"DiscretizedLogistic"}
    assert kinds["ContinuousBernoulli"] == "density"
    for name, kind in kinds.items():
        assert getattr(getattr(loss, name), "measure", kind) == kind


def test_the_recorded_measure_counts(tmp_path):
    run = make_run(tmp_path / "g" / "a")
    meta = json.loads((run / "run_meta.json").read_text())
    for recorded, label in [("mass of bytes", "mass of bytes"), (None, "Bernoulli"), ([], "Bernoulli")]:
        meta["parts"]["loss"]["measure"] = recorded
        (run / "run_meta.json").write_text(json.dumps(meta))
        assert only_section(tmp_path / "g").label == f"MNIST (bundled subset), grey, {label}"


def test_data_are_called_by_their_title(tmp_path):
    make_run(tmp_path / "g" / "a", data={"name": "omniglot", "title": "Omniglot", "subset": False})
    make_run(tmp_path / "h" / "a", data={"name": "fashion_mnist"})
    assert only_section(tmp_path / "g").label == "Omniglot, grey, Bernoulli"
    assert only_section(tmp_path / "h").label == "Fashion-MNIST (bundled subset), grey, Bernoulli"


def test_nll_is_averaged_only_where_it_was_measured_alike(tmp_path):
    runs = make_sweep(tmp_path / "g", betas=(1.0,), dims=(2,))
    evaluate(runs[0], 100.0)
    evaluate(runs[1], 102.0)
    evaluate(runs[2], 50.0, checkpoint_sha256="of the checkpoint before")
    (fold,) = only_section(tmp_path / "g").folds
    assert (fold.nll().num_samples, fold.nll().num_images) == (500, 1000)
    assert (fold.nll().spread.mean, fold.nll().spread.count) == (101.0, 2)
    evaluate(runs[1], 99.0, num_samples=5000)
    assert only_section(tmp_path / "g").folds[0].nll() is None
    evaluate(runs[1], 99.0, num_images=30)
    assert only_section(tmp_path / "g").folds[0].nll() is None
    assert [row["nll_num_images"] for row in table(tmp_path / "g")] == ["1000", "30", ""]


def test_the_nll_of_a_fold_is_on_the_page_with_its_k_and_its_images(tmp_path):
    """The number of runs took the place of the number of images, and no folded NLL was ever shown."""
    runs = make_sweep(
        tmp_path / "g", betas=(1.0, 4.0), dims=(2,), data={"sizes": {"train": 1, "val": 1, "test": 10_000}}
    )
    for run, value in zip(runs[1:3], (100.0, 102.0), strict=True):
        evaluate(run, value, num_images=500)
    text = page(tmp_path / "g")
    folded = [row for row in text.split("<tr") if 'class="fold-row"' in row]
    assert ["101.00 ± 1.00" in row and "n = 2" in row for row in folded].count(True) == 1
    head = text.partition("<thead>")[2].partition("</thead>")[0]
    assert "K = 500, N = 500 of 10,000" in head
    markdown = (tmp_path / "g" / "sweep.md").read_text()
    assert "101.00 ± 1.00 (K = 500, N = 500 of 10,000, n = 2)" in markdown
    assert {row["num_images"] for row in table(tmp_path / "g")} == {"10000"}


@pytest.mark.parametrize(
    "other",
    [
        {"data": "fashion_mnist"},
        {"protocol": "dynamic"},
        {"subset": False},
        {"split": "val"},
        {"checkpoint": "last.ckpt"},
        {"checkpoint": "/elsewhere/other.ckpt"},
    ],
)
def test_an_nll_of_other_data_or_weights_is_not_beside_the_elbo(tmp_path, other):
    evaluate(make_run(tmp_path / "g" / "a"), 100.0, **other)
    (fold,) = only_section(tmp_path / "g").folds
    assert fold.nll() is None


# --- one seed, one vote ----------------------------------------------------------------------------------------------


def repeat(run: Path, started: str, **changes) -> None:
    """Changes the record of a run: when it started, and what else."""
    meta = json.loads((run / "run_meta.json").read_text())
    (run / "run_meta.json").write_text(json.dumps({**meta, "started": started, **changes}))


def test_a_seed_that_ran_twice_has_one_vote_the_newest_and_it_is_said(tmp_path):
    for i, (seed, elbo) in enumerate([(1, -100.0), (2, -102.0), (1, -500.0), (2, -600.0)]):
        run = make_run(tmp_path / "g" / f"run{i}", seed=seed, elbo=elbo)
        repeat(run, f"2026-01-0{4 - i if i < 2 else i - 1}T00:00:00.000+00:00")  # the first two are the newest
    (fold,) = only_section(tmp_path / "g").folds
    spread = fold.spread("elbo")
    assert (spread.mean, spread.count) == (-101.0, 2)
    assert spread.deviation == pytest.approx(statistics.stdev([-100, -102]))
    assert [run.name for run in fold.repeated] == ["run2", "run3"]
    text = page(tmp_path / "g")
    assert text.count("not counted: its seed was run again") == 2 + 1  # in two rows, and among the script's words
    assert "a newer run has the same seed: 2." in text
    assert "Not counted, since a newer run has the same seed: run2, run3." in (tmp_path / "g" / "sweep.md").read_text()
    assert [row["counted"] for row in table(tmp_path / "g")] == ["True", "False", "True", "False"]
    n = next(row for row in text.split("<tr") if 'class="fold-row"' in row).partition('class="number" data-sort="')[2]
    assert n.startswith('2">2</td>')


def test_a_newer_run_that_failed_takes_no_vote_away(tmp_path):
    repeat(make_run(tmp_path / "g" / "a", seed=1, elbo=-100.0), "2026-01-01T00:00:00.000+00:00")
    repeat(make_run(tmp_path / "g" / "b", seed=1, status="diverged"), "2026-01-02T00:00:00.000+00:00")
    make_run(tmp_path / "g" / "c", seed=1, beta=4.0, elbo=-90.0)  # another setting
    spreads = [fold.spread("elbo") for fold in only_section(tmp_path / "g").folds]
    assert [(spread.mean, spread.count) for spread in spreads] == [(-100.0, 1), (-90.0, 1)]


def test_a_job_that_was_repeated_is_no_failure(tmp_path):
    """The first sweep was killed before the job had a run; the second one ran it."""
    make_run(tmp_path / "o" / "g" / "a")
    jobs = {"t1": (None, "starting"), "t2": ("../../../g/a", "completed")}
    for sweep, (run, status) in jobs.items():
        file = tmp_path / "o" / "multirun" / sweep / "jobs" / "0000.json"
        words = ("beta=1", "group=g", *(["resume=auto"] if run else []))
        Job(file, 0, words, "g", status, run=run).write()
    assert [row["status"] for row in table(tmp_path / "o" / "g")] == ["completed"]
    assert [row["status"] for row in table(tmp_path / "o")] == ["completed"]


# --- runs that did not end well --------------------------------------------------------------------------------------


def test_whatever_happened_to_a_run_it_is_listed(tmp_path):
    group = tmp_path / "g"
    make_run(group / "good", beta=1.0, elbo=-100)
    make_run(group / "diverged", beta=1.0, seed=7, status="diverged", error="Diverged: loss is nan\nat step 3")
    killed = make_run(group / "killed", beta=1.0, seed=8, status="running", elbo=-300)
    meta = json.loads((killed / "run_meta.json").read_text())
    (killed / "run_meta.json").write_text(json.dumps({**meta, "metrics": {}, "epochs_done": None}))
    with (killed / "curves" / "train_log.csv").open("a") as file:
        file.write("6,1,")  # torn
    for name, content in (
        ("empty", ""),
        ("torn", '{"status": "run'),
        ("list", "[]"),
        ("odd", '{"config": [], "data": 3}'),
    ):
        (group / name).mkdir()
        (group / name / "run_meta.json").write_text(content)
    running = make_run(group / "running", beta=1.0, seed=9, status="running")
    with owned(running):
        rows = {row["run"]: row for row in table(group)}
        section = only_section(group)
    assert {name: row["status"] for name, row in rows.items()} == {
        "good": "completed", "diverged": "diverged", "killed": "killed", "running": "running",
        "empty": "killed", "torn": "damaged", "list": "damaged", "odd": "damaged",
    }  # fmt: skip
    assert rows["diverged"]["error"] == "Diverged: loss is nan\nat step 3"
    assert (rows["killed"]["split"], float(rows["killed"]["elbo"])) == ("val", -301)
    assert (rows["good"]["split"], float(rows["good"]["elbo"])) == ("test", -100)
    (fold,) = section.folds
    assert (fold.spread("elbo").mean, fold.spread("elbo").count) == (-100, 1)  # what did not complete is in no mean


def test_means_do_not_mix_test_and_validation(tmp_path):
    make_run(tmp_path / "g" / "a", seed=1, elbo=-100)
    other = make_run(tmp_path / "g" / "b", seed=2, elbo=-200)
    meta = json.loads((other / "run_meta.json").read_text())
    meta["metrics"] = {key: value for key, value in meta["metrics"].items() if not key.startswith("test/")}
    (other / "run_meta.json").write_text(json.dumps(meta))
    (fold,) = only_section(tmp_path / "g").folds
    assert (fold.split, fold.spread("elbo").mean, fold.spread("elbo").count) == ("test", -100, 1)


@pytest.mark.sample(44)
@pytest.mark.parametrize("junk", [None, 3, "x", [], {"a": 1}, "NaN", 1e400, True])
@pytest.mark.parametrize(
    "key",
    ["config", "overrides", "seed", "data", "metrics", "seconds", "epochs_done", "error", "status", "choices", "parts"],
)
def test_no_value_in_a_record_is_too_odd(tmp_path, key, junk):
    run = make_run(tmp_path / "g" / "a")
    meta = json.loads((run / "run_meta.json").read_text())
    (run / "run_meta.json").write_text(json.dumps({**meta, key: junk}))
    assert "a" in page(tmp_path / "g")
    assert (tmp_path / "g" / "sweep.md").is_file()


@pytest.mark.parametrize("content", [b"", b"\x89PNG torn", b"\xff\xd8 not a picture"])
def test_a_torn_picture_is_none(tmp_path, content):
    run = make_run(tmp_path / "g" / "a", picture=True)
    assert "data:image/png;base64," in page(tmp_path / "g")
    next((run / "samples").iterdir()).write_bytes(content)
    assert "data:image/png;base64," not in page(tmp_path / "g")


def test_nothing_to_show_is_said_and_nothing_is_written(tmp_path):
    with pytest.raises(ConfigError, match="there is none in it"):
        write_sweep_page(tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- escaping --------------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """How many script elements there are, and every attribute that would run something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts, self.handlers, self.links = 0, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on")]
        self.links += [value for name, value in attrs if name in ("href", "src")]


def test_hostile_text_is_text(tmp_path):
    harmless, hostile = tmp_path / "harmless", tmp_path / "<img src=x onerror=alert(1)>"
    values = ("x", "y")
    for folder, word in ((harmless, "a"), (hostile, HOSTILE)):
        for i, each in enumerate(values):
            said = (f"+note={word}{each}", "beta=1")
            config = {"note": f"{word}{each}", "name": word}
            run = make_run(
                folder / f"{'<script>alert(1)<' if word != 'a' else 'a'}{i}", said=said, error=word, **config
            )
            (run / "report.html").write_text("")
        make_run(folder / "javascript:alert(1)", status=word, error=f'"><img src=x onerror=alert(1)>{word}').joinpath(
            "report.html"
        ).touch()
        make_run(folder / "other", data={"name": word, "protocol": word})
    clean, dirty = Elements(page(harmless)), Elements(page(hostile))
    assert dirty.scripts == clean.scripts
    assert dirty.handlers == []
    assert all(link.startswith(("#", "./", "data:image/png")) for link in dirty.links)
    assert HOSTILE not in (hostile / "sweep.md").read_text()
    assert HOSTILE in (hostile / "sweep.csv").read_text()  # data, as it is


def test_markdown_is_one_line_per_row_and_csv_reads_back(tmp_path):
    said = ("+note=a|b\nc", "x=1,2")
    make_run(tmp_path / "g" / "a|b", note="a|b\nc", said=said)
    make_run(tmp_path / "g" / "plain", note="_x_ *y* [z](http://w)", status="failed", error="a | b\nc `d`")
    write_sweep_page(tmp_path / "g")
    lines = (tmp_path / "g" / "sweep.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    cells = {len(line.replace("\\|", "").split("|")) for line in rows[:4]}
    assert len(cells) == 1
    assert any("a\\|b c" in line for line in rows)
    assert any("\\_x\\_ \\*y\\* \\[z\\](http://w)" in line for line in rows)
    assert any("a \\| b c \\`d\\`" in line for line in rows)
    by_name = {row["run"]: row for row in table(tmp_path / "g")}
    assert by_name["a|b"]["note"] == "a|b\nc"
    assert float(by_name["a|b"]["elbo"]) == -110
    assert by_name["plain"]["error"] == "a | b\nc `d`"


def test_the_page_holds_what_its_script_needs(tmp_path):
    make_sweep(tmp_path / "g", betas=(1.0, 4.0), dims=(2,), seeds=(1,), picture=True)
    text = page(tmp_path / "g")
    found = json.loads(text.partition('<script type="application/json" id="sweep">')[2].partition("</script>")[0])
    assert [run["numbers"]["elbo"] for run in found["runs"]] == [-150.1, -158.1]
    assert found["own"][0]["beta"] == "1"
    assert "beta" not in found["common"]
    assert found["common"]["latent.dim"] == "2"
    assert found["runs"][0]["command"] == "python -m vae_lightning.train beta=1 latent=z2 seed=1"
    assert all(link.startswith(("#", "./", "data:image/png")) for link in Elements(text).links)


def test_every_string_is_used_and_says_the_same_in_both_languages():
    folder = Path(sweep_page.__file__).parent
    used = "".join((folder / name).read_text() for name in ("sweep.html.j2", "sweep.js", "charts.js"))
    for key, (english, japanese) in SWEEP.items():
        assert f'"{key}"' in used or key in SPLITS, key
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", japanese)), key


def test_reading_and_writing_a_page_needs_no_torch(tmp_path):
    make_run(tmp_path / "g" / "a")
    code = (
        "import sys, pathlib; from vae_lightning.pages.sweep.page import write_sweep_page as w; w(pathlib.Path('g')); "
    )
    (tmp_path / "probe.py").write_text(
        f"{code}print(sorted({{'torch', 'lightning', 'matplotlib'}} & set(sys.modules)))"
    )
    assert command("probe", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}").stdout.strip() == "[]"


def test_pictures_stop_at_a_budget(tmp_path, monkeypatch):
    make_sweep(tmp_path / "g", betas=(1.0, 4.0), dims=(2,), seeds=(1,), picture=True)
    monkeypatch.setattr(pictures, "BUDGET", 1000)
    text = page(tmp_path / "g")
    assert text.count("data:image/png;base64,") == 1
    assert "1 pictures were left out" in text


# --- many writers ----------------------------------------------------------------------------------------------------


def names_on_the_page(tmp_path: Path, naive: bool) -> set[str]:
    """Four processes, each of which ends three jobs."""
    shutil.rmtree(tmp_path / "g", ignore_errors=True)
    (tmp_path / "g").mkdir()
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("forkserver")) as pool:
        places = str(tmp_path / "template"), str(tmp_path / "g")
        for job in [pool.submit(writers.end_jobs, *places, worker, naive) for worker in range(4)]:
            job.result()
    return {row["run"] for row in csv.DictReader(io.StringIO((tmp_path / "g" / "sweep.csv").read_text()))}


ALL = {f"w{worker}-{i}" for worker in range(4) for i in range(writers.JOBS)}


def test_jobs_that_end_at_once_are_all_on_the_page(tmp_path):
    make_run(tmp_path / "template")
    assert names_on_the_page(tmp_path, naive=False) == ALL
    assert not list((tmp_path / "g").glob(".*.tmp"))
    assert not (tmp_path / "g" / sweep_page.ASKED).exists()


@pytest.mark.slow
def test_without_the_lock_some_are_missing(tmp_path):
    """Whoever writes last may have read first; when, is a matter of chance."""
    make_run(tmp_path / "template")
    assert any(names_on_the_page(tmp_path, naive=True) != ALL for _ in range(60))


def test_nobody_waits_for_a_writer_that_hangs(tmp_path, monkeypatch):
    make_run(tmp_path / "g" / "a")
    monkeypatch.setattr(sweep_page, "PATIENCE", 0.2)
    lock = Lock(tmp_path / "g", sweep_page.LOCK)
    lock.take()
    begun = time.monotonic()
    write_sweep_page(tmp_path / "g")
    assert time.monotonic() - begun < 5
    assert (tmp_path / "g" / sweep_page.ASKED).exists()  # whoever has the lock looks for it
    lock.release()
    write_sweep_page(tmp_path / "g")
    assert (tmp_path / "g" / "sweep.html").is_file()


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    make_run(tmp_path / "g" / "a")
    (tmp_path / "g" / ".sweep.html.0123abcd.tmp").write_text("half")
    write_sweep_page(tmp_path / "g")
    assert not list((tmp_path / "g").glob(".*.tmp"))


def test_long_curves_are_thinned_with_their_ends(tmp_path):
    make_run(tmp_path / "g" / "a", epochs=1000)
    text = page(tmp_path / "g")
    found = json.loads(text.partition('<script type="application/json" id="sweep">')[2].partition("</script>")[0])
    curve = found["runs"][0]["curve"]
    assert (curve[0][0], curve[-1][0]) == (1, 1000)
    assert len(curve) == 200


# --- real sweeps -----------------------------------------------------------------------------------------------------


def check_three_jobs(project: Path, group: str = "g") -> None:
    """Of three jobs one was refused: the page of the sweep and that of the group know all three."""
    (sweep,) = [path for path in (project / "multirun").iterdir() if path.is_dir()]
    for folder in (sweep, project / group):
        rows = table(folder)
        assert sorted(row["status"] for row in rows) == ["completed", "completed", "failed"]
        (failed,) = [row for row in rows if row["status"] == "failed"]
        assert failed["run"] == "job 1"
        assert failed["error"].startswith("latent.dim=0.5: must be a whole number")
        assert "latent.dim=0.5" in failed["overrides"]
        text = (folder / "sweep.html").read_text()
        assert "latent.dim=0.5: must be a whole number" in text
        assert text.count('class="run-row mark"') == 2
        assert {"sweep.html", "sweep.csv", "sweep.md"} <= {path.name for path in folder.iterdir()}
    assert "python -m vae_lightning.train -m latent.dim=2,0.5,3" in (sweep / "sweep.html").read_text()


def test_a_sweep_with_a_failed_job_leaves_a_complete_page(ask, tmp_path):
    status, out, err = ask("-m", "latent.dim=2,0.5,3", *TINY, "group=g")
    assert status == 1
    assert "warning" not in err
    (line,) = [line for line in out.splitlines() if line.startswith("sweep page: ")]
    assert Path(line.removeprefix("sweep page: ")).is_file()
    before = Path(line.removeprefix("sweep page: ")).read_text()
    check_three_jobs(tmp_path / "o")
    assert Path(line.removeprefix("sweep page: ")).read_text() == before  # it was complete without us


@pytest.mark.slow  # a shorter look at the same is in test_train.py
def test_a_joblib_sweep_with_a_failed_job_leaves_a_complete_page(tmp_path):
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    done = command("vae_lightning.train", "-m", "latent.dim=2,0.5,3", *TINY, "group=g", *launcher, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "warning" not in done.stderr
    assert done.stdout.count("sweep page: ") == 1
    check_three_jobs(tmp_path / "o")


@pytest.mark.slow
def test_a_sweep_over_composed_groups_has_one_page_of_exactly_its_runs(ask, tmp_path):
    assert ask("seed=5", *TINY)[0] == 0
    assert not list((tmp_path / "o").rglob("sweep.html"))  # a single run makes no page
    status, out, _ = ask("-m", "beta=1,4", "latent=z2,z8", *TINY)
    assert status == 0
    (page,) = (tmp_path / "o").rglob("sweep.html")
    assert f"sweep page: {page.relative_to(tmp_path)}" in out
    (section,) = folds.read(page.parent).sections
    assert section.keys == ("beta", "latent.dim")
    assert len(section.runs) == 4
    assert 'href="../../' not in page.read_text()  # no report.html yet, so no link
    next(run for run in section.runs).folder.joinpath("report.html").touch()
    write_sweep_page(page.parent)
    assert 'href="../../mnist-lat2-bce-beta1-none-mean/' in page.read_text()


def test_a_group_gets_its_page_with_its_second_run_and_keeps_it_fresh(ask, tmp_path):
    assert ask("-m", "seed=1,2", *TINY, "latent.dim=2")[0] == 0
    (group,) = (tmp_path / "o").glob("mnist*")
    assert len(table(group)) == 2
    assert ask("seed=3", *TINY, "latent.dim=2")[0] == 0
    with (group / "sweep.csv").open() as file:
        assert [row["seed"] for row in csv.DictReader(file)] == ["1", "2", "3"]


@pytest.mark.parametrize("overrides", [["-m", "seed=1,2"], ["seed=1"]])
def test_a_page_that_cannot_be_written_changes_no_run(ask, tmp_path, monkeypatch, overrides):
    def refuse(folder):
        raise OSError(28, "No space left on device")

    (tmp_path / "o" / "g").mkdir(parents=True)
    (tmp_path / "o" / "g" / "sweep.html").touch()
    monkeypatch.setattr(sweep_page, "write_sweep_page", refuse)
    status, _, err = ask(*overrides, *TINY, "group=g")
    assert status == 0
    lines = err.splitlines()
    assert lines
    assert all(line.startswith("warning: no sweep page (OSError") for line in lines if "warning" in line)
    records = [json.loads(path.read_text()) for path in (tmp_path / "o" / "g").glob("2*/run_meta.json")]
    assert {record["status"] for record in records} == {"completed"}


def test_an_interrupted_job_is_on_the_page(ask, tmp_path, monkeypatch):
    def interrupted(cfg):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "data_module", interrupted)
    assert ask("-m", "seed=1,2", *TINY)[0] == 130
    (sweep,) = (tmp_path / "o" / "multirun").iterdir()
    assert [row["status"] for row in table(sweep)] == ["interrupted"]


def test_a_sweep_that_is_refused_as_a_whole_leaves_no_page(ask, tmp_path):
    status, out, _ = ask("-m", "loss=bce,nope", *TINY)
    assert status == 2
    assert "sweep page" not in out
    assert not list(tmp_path.rglob("sweep.*"))


@pytest.mark.parametrize("wrong", ["project_dir=null", "group=../x", "group=${oc.env:HOME}", "save_dir=''"])
def test_a_refused_job_is_refused_for_its_own_reason(ask, tmp_path, wrong):
    """What cannot be a folder is not looked into for a page either."""
    status, _, err = ask(wrong, *[each for each in TINY if not each.startswith(wrong.partition("=")[0])])
    assert status == 2
    assert wrong.partition("=")[0] in err
    assert "warning" not in err


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"overrides": 3}', '{"number": "x", "overrides": [], "status": "failed"}']
)
def test_what_is_no_record_of_a_job_is_passed_over(tmp_path, content):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "0000.json").write_text(content)
    assert read_jobs(tmp_path) == []


def test_a_job_whose_run_folder_is_gone_is_listed(tmp_path):
    Job(tmp_path / "s" / "jobs" / "0000.json", 0, ("beta=1",), status="completed", run="../../g/gone").write()
    (row,) = table(tmp_path / "s")
    assert (row["run"], row["status"]) == ("job 0", "missing")


def test_the_jobs_of_a_project_that_moved_are_found(tmp_path):
    make_run(tmp_path / "o" / "g" / "a")
    file = tmp_path / "o" / "multirun" / "t" / "jobs" / "0000.json"
    Job(file, 0, status="completed", run="../../../g/a").write()
    (tmp_path / "o").rename(tmp_path / "moved")
    assert [row["run"] for row in table(tmp_path / "moved" / "multirun" / "t")] == ["../../g/a"]
    assert len(table(tmp_path / "moved")) == 1  # once, however it is found
