"""The documents: both READMEs show the same, and everything in README.md, CONTRIBUTING.md and docs/ works."""

import itertools
import os
import re
import shlex
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from conftest import CONVOLUTIONAL, NARROW, NO_NETWORK, QUICK, ROOT, ForeignVAE, config, vae
from documents import (
    COMMANDS,
    DOCS,
    DOCUMENTS,
    ENGLISH,
    EVALUATE,
    FENCE,
    JAPANESE,
    PREDECESSOR,
    SNIPPETS,
    TRAIN,
    TRANSLATED,
    anchors,
    blocks,
    code,
    commands,
    headings,
    kinds,
    links,
    page,
    read,
    rows,
    transcripts,
    without_remarks,
)
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf
from PIL import Image
from sweeps import evaluate, make_sweep
from torch.utils.data import DataLoader, TensorDataset

from vae_lightning import compare, export, predict, shard
from vae_lightning.app.config import CONF
from vae_lightning.app.space import space_of
from vae_lightning.data import ImageFolderDataModule
from vae_lightning.data.shard_index import read_index
from vae_lightning.data.write_shards import write_shards
from vae_lightning.train import train

SMALL = [*QUICK, "+trainer.limit_train_batches=4", "callbacks.latent_traversal.size=3"]
OPTIONS = {
    group.name: {path.stem for path in group.glob("*.yaml")}
    for group in CONF.iterdir()
    if group.name not in ("hydra", "reproduce") and any(group.glob("*.yaml"))  # groups of Hydra's, and rows
}


def quick(overrides: list[str]) -> list[str]:
    """The words that make a run of these overrides short. A network keeps its depth; some data have no mirrors."""
    words = [*SMALL]
    if {"experiment=ppca", "data=ppca", "data=sprites", "data=image_folder", "data=arrays", "data=shards"} & {
        *overrides
    }:
        words = [word for word in words if word not in NO_NETWORK]
    if {"experiment=ppca", "network=linear"} & {*overrides} or any("network.hidden" in word for word in overrides):
        words = [word for word in words if not word.startswith("network.hidden")]
    if {"experiment=iwae", "network=mlp_iwae"} & {*overrides}:
        words = [word.replace("network.hidden=[16]", "network.hidden=[16,16]") for word in words]
    if CONVOLUTIONAL & {*overrides} and not any("network.widths" in word for word in overrides):
        words = [*words, NARROW]
    return words


def own_files(folder: Path) -> None:
    """The files of one's own that the documents name: arrays, spectra and folders of pictures."""
    noise = np.random.default_rng(0)
    np.save(folder / "digits.npy", noise.integers(256, size=(3, 28, 28), dtype=np.uint8))
    np.save(folder / "my_images.npy", noise.integers(256, size=(300, 28, 28), dtype=np.uint8))
    faces = noise.random((200, 12, 12), dtype=np.float32)
    np.save(folder / "faces.npy", faces)
    np.save(folder / "names.npy", np.arange(200) % 3)
    np.save(folder / "spectra.npy", faces.reshape(200, -1))
    np.savez(folder / "table.npz", faces.reshape(200, -1))
    for name, count in (("my_digits", 3), ("my_images", 160)):
        (folder / name).mkdir()
        for letter in (*"abc", *map(str, range(count - 3))):
            picture = Image.fromarray(noise.integers(256, size=(12, 10, 3), dtype=np.uint8))
            picture.save(folder / name / f"{letter}.png")


@pytest.fixture
def run_quickly(tmp_path, monkeypatch):
    """The main job in this process, in a folder of the test, with the overrides of a documented command."""

    def run(overrides: list[str]) -> Path:
        monkeypatch.chdir(tmp_path)
        cfg = config(*overrides, *quick(overrides))
        train(cfg)
        return tmp_path / cfg.run_dir

    return run


# --- the documents as texts ----------------------------------------------------------------------------------------


def test_both_languages_show_the_same_blocks():
    """The remarks in the tree of files are in the language of the README."""
    english, japanese = (
        [(kind, without_remarks(text)) for kind, text in FENCE.findall(read(path))] for path in (ENGLISH, JAPANESE)
    )
    assert english == japanese


def test_both_languages_have_the_same_tables():
    english, japanese = (re.findall(r"^\|.*", read(path), re.MULTILINE) for path in (ENGLISH, JAPANESE))
    assert [re.findall(r"`[^`]+`", line) for line in english] == [re.findall(r"`[^`]+`", line) for line in japanese]


def test_both_languages_have_the_same_links():
    """The Japanese one leads to a page's translation if there is one. Its headings are its own."""
    english, japanese = ([link for link in links(path)[1:] if not link.startswith("#")] for path in (ENGLISH, JAPANESE))
    translated = {f"docs/{path.name}": f"docs/ja/{path.name}" for path in TRANSLATED}
    assert [translated.get(link, link) for link in english] == japanese


@pytest.mark.parametrize("path", [ENGLISH, JAPANESE], ids=lambda path: path.name)
def test_a_readme_begins_with_its_table_of_contents(path):
    titles = [title for level, title in headings(path) if level == "##"]
    contents = [link.removeprefix("#") for link in links(path) if link.startswith("#")][: len(titles)]
    assert contents == [title.lower().replace(" ", "-") for title in titles]


@pytest.mark.parametrize("path", [ENGLISH, JAPANESE], ids=lambda path: path.name)
def test_a_readme_is_short(path):
    assert len(read(path).splitlines()) <= 260


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    """Links between documents are relative, stay in the repository, and name a file and a heading that exist."""
    for link in links(path):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_relative_to(ROOT), link
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("readme", [ENGLISH, JAPANESE], ids=lambda path: path.name)
def test_a_readme_leads_to_every_page(readme):
    names = {link.removeprefix("docs/").removeprefix("ja/") for link in links(readme)}
    assert {path.name for path in DOCS} <= names


def test_every_picture_is_shown():
    shown = {(path.parent / link).resolve() for path in DOCUMENTS for link in links(path)}
    pictures = {path for path in (ROOT / "docs").rglob("*") if path.suffix in (".png", ".jpg", ".gif", ".svg", ".webp")}
    assert len(pictures) > 10
    assert pictures <= shown


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_names_a_path_of_one_machine(path):
    assert not re.search(r"(?<![\w.])/(home|root|work|tmp|mnt|Users)/", read(path))


# --- the commands ---------------------------------------------------------------------------------------------------


def test_there_is_something_to_run():
    assert len(TRAIN) >= 25
    assert len(PREDECESSOR) >= 30
    assert len(SNIPPETS) >= 14
    assert len(EVALUATE) >= 6


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_of_one_kind(line):
    """So that one of the tests below, or a check of its name here, covers it."""
    (kind,) = kinds(line)
    if kind == "make":
        assert f"\n{line.split()[1]}:" in (ROOT / "Makefile").read_text()
    if kind == "benchmark":
        assert (ROOT / "benchmarks" / f"{line.rpartition('.')[2]}.py").is_file()
    if kind == "pytest":
        assert (ROOT / line.split()[3]).is_file()
    if kind == "install":
        for extra in re.findall(r"\[(\w+)\]", line):
            assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()


@pytest.mark.sample(8)
@pytest.mark.parametrize("line", TRAIN)
def test_every_training_command_runs(run_quickly, monkeypatch, tmp_path, line):
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)  # test_fast.py compiles
    own_files(tmp_path)
    if "my_shards" in line:
        write_shards(ImageFolderDataModule(str(tmp_path / "my_images"), batch_size=1), tmp_path / "my_shards", 1)
    run = run_quickly([each for each in shlex.split(line)[3:] if not each.startswith("data=fashion")])
    assert (run / "run_meta.json").is_file() == ("fast_dev_run" not in line)  # a trial keeps nothing


@pytest.mark.parametrize("line", commands("sweep"))
def test_every_sweep_composes(line):
    words = [word for word in shlex.split(line)[3:] if word != "-m" and not word.startswith("hydra")]
    jobs = [*itertools.product(*([f"{key}={value}" for value in values.split(",")] for key, _, values in split(words)))]
    groups = {config(*job).group for job in (jobs[0], jobs[-1])}
    if "experiment=mnist_grid" in words:
        assert groups == {"mnist-grid"}
    elif words[0].startswith("sweep="):  # which says what varies
        assert None not in groups
    else:
        assert len(jobs) == {"schedule": 12, "group": 24}.get(words[1].partition("=")[0], len(jobs))
        assert len(jobs) > 1


@pytest.mark.parametrize("line", commands("study"))
def test_every_study_composes(line):
    cfg = config(*(word for word in shlex.split(line)[3:] if not word.startswith("hydra")))
    assert HydraConfig.get().mode == RunMode.MULTIRUN
    assert space_of(OmegaConf.to_container(cfg.sweep.space))


def split(words: list[str]) -> list[tuple[str, str, str]]:
    return [word.partition("=") for word in words]


@pytest.mark.parametrize(("line", "error"), transcripts(ENGLISH, *DOCS))
def test_every_shown_mistake_gets_the_shown_answer(answer, monkeypatch, tmp_path, line, error):
    from vae_lightning.train import main

    monkeypatch.chdir(tmp_path)
    status, _, err = answer(main, *shlex.split(line)[3:], *NO_NETWORK)
    assert (status, err.splitlines()[-1]) == (2, error)  # a warning of the bundled digits may stand above
    assert list(tmp_path.iterdir()) == []


def test_fashion_mnist_composes():
    assert config("data=fashion_mnist").data._target_.endswith("FashionMNISTDataModule")


@pytest.mark.sample(12)
@pytest.mark.parametrize(("old", "new"), PREDECESSOR[1:-2], ids=[old for old, _ in PREDECESSOR[1:-2]])
def test_every_old_flag_has_a_new_form_that_builds(old, new):
    from vae_lightning.app.build import build
    from vae_lightning.app.config import check

    cfg = config(*shlex.split(new))
    cfg.run_dir = "."
    check(cfg)
    vae(cfg)
    for part in (cfg.trainer, cfg.schedule, *([cfg.logger] if cfg.logger else [])):
        build(part)
    given = {part.partition("=")[0]: part.partition("=")[2] for part in shlex.split(new)}
    for key, value in given.items():
        if key not in HydraConfig.get().runtime.choices:
            assert str(OmegaConf.select(cfg, key)).replace(" ", "").replace("'", "").lower() in (
                value,
                str_of_number(value),
            )


def str_of_number(value: str) -> str:
    """How Python writes a number that was written otherwise: 1e-3 -> 0.001."""
    try:
        return str(float(value))
    except ValueError:
        return value


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), PREDECESSOR[1:-2], ids=[old for old, _ in PREDECESSOR[1:-2]])
def test_every_old_flag_has_its_new_form(run_quickly, old, new):
    run = run_quickly(shlex.split(new))
    assert (run / "curves" / "train_log.csv").is_file()
    expected = {
        "--name test-run": "test-run",
        "--no-date-prefix": "seed42",
        "--save-dir reports_legacy": "reports_legacy",
    }
    assert run.name.endswith(expected.get(old, ""))
    if old == "--save-weights":
        assert (run / "vae_epoch_0000.pt").is_file()


def test_the_grid_and_the_montage_of_the_predecessor(run_quickly, monkeypatch, tmp_path):
    (_, grid), (_, sheet) = PREDECESSOR[-2:]
    assert len({name for name, _ in PREDECESSOR}) == len(PREDECESSOR)
    cfg = config(*shlex.split(grid)[1:])
    assert (cfg.project_dir, cfg.group) == ("reports", "my-mnist-group")
    run = run_quickly(["save_dir=R"])
    from vae_lightning.montage import main

    monkeypatch.setattr("sys.argv", shlex.split(sheet)[2:])
    main()
    assert (run.parent / "M.png").is_file()


@pytest.mark.sample(1)
@pytest.mark.parametrize("line", commands("montage"))
def test_every_montage_command_runs(run_quickly, monkeypatch, line):
    from vae_lightning.montage import main

    run = run_quickly([])
    monkeypatch.setattr("sys.argv", shlex.split(line)[2:])
    main()
    assert list(run.glob("*_montage.png"))


def test_every_report_command_runs(run_quickly, monkeypatch):
    from vae_lightning import report

    run = run_quickly([])
    lines = commands("report")
    assert [line.endswith("/latest") for line in lines] == [True, False]
    for line, written in zip(lines, (run / "report.html", run.parent / "sweep.html"), strict=True):
        folder = run.parent / "latest" if line.endswith("/latest") else run.parent
        monkeypatch.setattr("sys.argv", [*shlex.split(line)[2:-1], str(folder)])
        report.main()
        assert written.stat().st_size > 10_000


def test_a_finished_run_is_resumed_and_listed(run_quickly, monkeypatch, capsys):
    from vae_lightning import status, train

    run_quickly([])
    auto, resume = sorted(commands("resume"), key=len)
    assert (resume.split("=")[0], auto.split("=")[1]) == ("python -m vae_lightning.train resume", "auto")
    (listing,) = commands("status")
    for line, main, shown in ((resume, train.main, "nothing to do"), (listing, status.main, "completed")):
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", shlex.split(line)[2:])
        main()
        assert shown in capsys.readouterr().out


@pytest.mark.sample(2)
@pytest.mark.parametrize("line", EVALUATE)
def test_every_evaluation_command_runs(run_quickly, monkeypatch, line):
    """On the folder of a quick run in place of the named one, with few samples of few images."""
    from vae_lightning.evaluate import main

    experiment = "experiment=ppca" if "ppca" in line else "experiment=iwae" if "dynamic" in line else "latent.dim=3"
    run = run_quickly([experiment, *(["loss=gaussian"] if "quantised" in line else [])])
    few = ["num_images=20", "num_samples=12", "ais.num_chains=2", "ais.num_temperatures=3", "appendix_d.num_samples=50"]
    for estimator in ("ais", "appendix_d", "quantised"):
        few += [f"{estimator}.num_images=5"] if f"{estimator}.num_images" in line else []
    own = [
        each
        for each in shlex.split(line)[3:]
        if not each.startswith(("run", "num_", "ais.", "appendix_d.", "quantised.num_i"))
    ]
    monkeypatch.setattr("sys.argv", ["evaluate", f"run={run}", *own, *few])
    main()
    if "compare" in line:
        monkeypatch.setattr("sys.argv", ["compare", f"runs=[{run}]"])
        compare.main()
    assert (run / "evaluation.json").is_file()


@pytest.mark.parametrize("line", commands("ranking"))
def test_every_ranking_command_runs(tmp_path, answer, line):
    """On runs of a few folders in place of the named sweep, with an evaluation each."""
    for run in make_sweep(tmp_path / "beta-latent", betas=(1.0, 4.0), seeds=(1, 2)):
        evaluate(run, 100.0)
    words = [word for word in shlex.split(line)[3:] if not word.startswith("sweep=")]
    status, out, err = answer(compare.main, f"sweep={tmp_path / 'beta-latent'}", *words)
    assert (status, err) == (0, ""), err
    assert "picture: " in out


@pytest.mark.sample(2)
@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.split("import ")[1].split()[0])
def test_every_callback_snippet_runs_in_a_foreign_project(tmp_path, monkeypatch, snippet):
    assert len([line for line in snippet.splitlines() if line]) <= 5
    if "import optuna" in snippet:
        pytest.importorskip("optuna", reason="the extra `optuna` is not installed")
    monkeypatch.chdir(tmp_path)

    def trainer(**options) -> pl.Trainer:
        return pl.Trainer(
            accelerator="cpu", logger=False, default_root_dir=tmp_path, enable_checkpointing=False, **options
        )

    images = torch.rand(20, 1, 4, 4)
    names = {"module": ForeignVAE(), "loader": DataLoader(TensorDataset(images), batch_size=4), "Trainer": trainer}
    exec(snippet, names)
    assert names["trainer"].state.finished


def test_the_snippet_for_after_training_runs(run_quickly):
    (snippet,) = blocks(ENGLISH, "python")
    run_quickly([])
    names: dict = {}
    exec(snippet, names)
    assert names["again"].shape == (16, 1, 28, 28)
    assert names["posterior"].kl().shape == (16, 20)
    ranking, snippet = blocks(page("evaluate"), "python")
    exec(ranking, names)
    assert f"{names['difference'].mean:.2f}, {names['difference'].half_width:.2f}" == "1.30, 0.25"
    exec(snippet, names)
    assert names["estimate"].bounds[1000].shape == names["estimate"].effective_samples.shape == (16,)


@pytest.fixture(scope="module")
def documented_run(tmp_path_factory) -> Path:
    """A folder with the run that the documents name, and with the images of one's own beside it."""
    folder = tmp_path_factory.mktemp("documented")
    own_files(folder)
    cfg = config(*quick(["latent=z20"]), f"project_dir={folder / 'outputs'}")
    train(cfg)
    os.environ.pop("VAE_LIGHTNING_RUN_DIR", None)
    return folder


@pytest.mark.parametrize("line", [line for line in commands("predict") if "foreign" not in line])
def test_every_prediction_command_runs(documented_run, monkeypatch, line):
    monkeypatch.chdir(documented_run)
    line = line.replace("outputs/GROUP/", "outputs/mnist-lat20-bce-beta1-none-mean/")
    line = line.replace("input=my_images", "input=my_images resize=true")  # they were not trained on here
    monkeypatch.setattr("sys.argv", [*shlex.split(line)[2:], "overwrite=true", "num_samples=5"])
    predict.main()
    assert Path(line.rpartition("output=")[2]).stat().st_size > 100


@pytest.mark.parametrize("line", commands("shard"))
def test_every_command_for_shards_runs(tmp_path, monkeypatch, line):
    own_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", shlex.split(line)[2:])
    shard.main()
    assert read_index(Path(line.rpartition("output=")[2])).image_shape == (3, 32, 32)


@pytest.mark.parametrize("line", [line for line in commands("export") if "foreign" not in line])
def test_every_export_command_runs(documented_run, monkeypatch, line):
    monkeypatch.chdir(documented_run)
    monkeypatch.setattr("sys.argv", shlex.split(line)[2:])
    export.main()
    assert Path(line.rpartition("output=")[2], "README.md").is_file()


def test_the_snippets_for_a_trained_model_run(documented_run, monkeypatch):
    """After the exports above, one of which they read."""
    monkeypatch.chdir(documented_run)
    loading, hub = blocks(page("predict"), "python")
    names: dict = {}
    exec(loading, names)
    assert (names["images"].shape, names["mean"].shape) == ((4, 1, 28, 28), (4, 20))
    if not Path("hub_model").is_dir():
        words = ["run=outputs/mnist-lat20-bce-beta1-none-mean/latest", "format=hub", "output=hub_model"]
        monkeypatch.setattr("sys.argv", ["export", *words])
        export.main()
    exec(hub, names)
    assert Path("copy", "model.safetensors").is_file()


def test_recipes_are_short():
    for text in blocks(page("recipes")):
        assert len(text.splitlines()) < 20


@pytest.mark.parametrize(("paper", "function", "test", "run"), rows(ENGLISH, "Paper and code"))
def test_the_paper_and_code_table_is_true(paper, function, test, run):
    import importlib

    module, *path = code(function).split(".")
    found = importlib.import_module(f"vae_lightning.{module}")
    for name in path:
        found = getattr(found, name)
    assert callable(found)
    if paper.startswith(("Eq.", "App. B")):
        where = re.match(r"Eq\. \(\d+\)|App\. B", paper)[0].replace("App.", "Appendix")
        assert where in found.__doc__.splitlines()[0]
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert f"def {code(test)}(" in sources


def test_the_options_table_is_complete():
    documented = {code(group): {*re.findall(r"`(\w+)`", options)} for group, options, _ in rows(ENGLISH, "Choose")}
    assert documented == {**OPTIONS, "callbacks": {"default"}}


def test_the_root_keys_are_complete():
    listed = re.search(r"^Root keys: `([^`]+)`", read(ENGLISH), re.MULTILINE)[1].split()
    declared = {*OmegaConf.load(CONF / "train.yaml")} - {"defaults", "hydra", "run_dir"}
    assert {*listed} == declared
    assert len(listed) == len(declared)


@pytest.mark.parametrize(
    ("heading", "group"),
    [
        ("Likelihoods", "loss"),
        ("Bounds", "bound"),
        ("Schedules", "schedule"),
        ("Networks", "network"),
        ("Latent spaces", "latent"),
        ("Optimizers", "optimizer"),
        ("Learning rates", "lr_schedule"),
        ("Algorithms of the paper", "paper"),
    ],
)
def test_the_page_of_options_describes_every_option(heading, group):
    assert {code(cells[0]) for cells in rows(page("choose"), heading)} == OPTIONS[group]


@pytest.mark.parametrize(
    ("name", "heading", "command"),
    [
        ("choose", "Files and names", "train"),
        ("data", "Keys", "train"),
        ("evaluate", "The numbers of an evaluation", "evaluate"),
        ("evaluate", "Which setting is better?", "compare"),
        ("pages", "A sheet of pictures", "montage"),
        ("sweeps", "Which sweep", "train"),
        ("predict", "Keys", "predict"),
    ],
)
def test_every_key_of_a_table_exists(name, heading, command):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(command)
    for key in (key for cells in rows(page(name), heading) for key in re.findall(r"`([\w.]+)", cells[0])):
        parent, _, last = key.rpartition(".")
        assert last in (OmegaConf.select(cfg, parent) if parent else {*cfg, *OPTIONS}), key


def test_the_page_of_data_describes_every_protocol():
    from vae_lightning.data.protocol import OF_BYTES

    assert [code(cells[0]) for cells in rows(page("data"), "Protocols")] == [*OF_BYTES]


def test_the_layout_page_names_what_exists():
    (layout,) = blocks(page("design"), "text")
    names = re.findall(r"(?<![\w.])[a-z_]+(?:\.py|/)", layout.partition("\n")[2])
    assert len(names) > 15
    package = ROOT / "vae_lightning"
    for name in names:
        assert [path for path in package.rglob(name.rstrip("/")) if path.is_dir() == name.endswith("/")], name


def test_every_promise_names_tests_that_exist():
    """The promises R1 to R9, each with the tests that hold it."""
    tests = {name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", read(path))}
    promises = rows(page("reliability"), "Promises")
    assert [cells[0] for cells in promises] == [f"R{k}" for k in range(1, 10)]
    for _, _, cell in promises:
        named = re.findall(r"`(test_\w+)`", cell)
        assert named
        assert {*named} <= tests, {*named} - tests
