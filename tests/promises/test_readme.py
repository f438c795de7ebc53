"""The READMEs: the same commands in both languages, and everything in them works."""

import re
import shlex
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from conftest import QUICK, ROOT, ForeignVAE, config, vae
from documents import COMMANDS, ENGLISH, EVALUATE, FENCE, JAPANESE, PREDECESSOR, TRAIN, blocks, code, rows
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from torch.utils.data import DataLoader, TensorDataset

SMALL = [*QUICK, "+trainer.limit_train_batches=4", "callbacks.latent_traversal.size=3"]
SNIPPETS = [text for text in blocks(ENGLISH, "python") if "vae_lightning.callbacks" in text]


@pytest.fixture
def run_quickly(tmp_path, monkeypatch):
    """The main job in this process, in a folder of the test's own, with the overrides of a README line."""

    def run(overrides: list[str]) -> Path:
        from vae_lightning.train import train

        monkeypatch.chdir(tmp_path)
        sources = "experiment=ppca" not in overrides
        cfg = config(*overrides, *(each for each in SMALL if sources or not each.startswith("data.mirrors")))
        train(cfg)
        return tmp_path / cfg.run_dir

    return run


def test_both_languages_show_the_same_blocks():
    assert FENCE.findall(ENGLISH.read_text(encoding="utf-8")) == FENCE.findall(JAPANESE.read_text(encoding="utf-8"))


def test_both_languages_have_the_same_tables():
    english, japanese = (
        re.findall(r"^\|.*", path.read_text(encoding="utf-8"), re.MULTILINE) for path in (ENGLISH, JAPANESE)
    )
    assert [re.findall(r"`[^`]+`", line) for line in english] == [re.findall(r"`[^`]+`", line) for line in japanese]


def test_there_is_something_to_run():
    assert len(TRAIN) >= 12
    assert len(PREDECESSOR) >= 30
    assert len(SNIPPETS) == 13
    assert len(EVALUATE) >= 6


@pytest.mark.parametrize("line", TRAIN)
def test_every_training_command_runs(run_quickly, monkeypatch, line):
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)  # test_fast.py compiles
    run = run_quickly([each for each in shlex.split(line)[3:] if not each.startswith("data=fashion")])
    assert (run / "run_meta.json").is_file()


def test_fashion_mnist_composes():
    assert config("data=fashion_mnist").data._target_.endswith("FashionMNISTDataModule")


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


@pytest.mark.parametrize("line", [line for line in COMMANDS if "vae_lightning.montage" in line])
def test_every_montage_command_runs(run_quickly, monkeypatch, line):
    from vae_lightning.montage import main

    run = run_quickly([])
    monkeypatch.setattr("sys.argv", shlex.split(line)[2:])
    main()
    assert list(run.glob("*_montage.png"))


def test_every_report_command_runs(run_quickly, monkeypatch):
    from vae_lightning import report

    run = run_quickly([])
    lines = [line for line in COMMANDS if "vae_lightning.report" in line]
    assert len(lines) == 2
    for line, page in zip(lines, (run / "report.html", run.parent / "sweep.html"), strict=True):
        folder = run.parent / "latest" if line.endswith("latest") else run.parent
        monkeypatch.setattr("sys.argv", [*shlex.split(line)[2:-1], str(folder)])
        report.main()
        assert page.stat().st_size > 10_000


def test_a_finished_run_is_resumed_and_listed(run_quickly, monkeypatch, capsys):
    from vae_lightning import status, train

    run_quickly([])
    (resume,) = [line for line in COMMANDS if "resume=outputs" in line]
    (listing,) = [line for line in COMMANDS if "vae_lightning.status" in line]
    for line, main, shown in ((resume, train.main, "nothing to do"), (listing, status.main, "completed")):
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", shlex.split(line)[2:])
        main()
        assert shown in capsys.readouterr().out


@pytest.mark.parametrize("line", EVALUATE)
def test_every_evaluation_command_runs(run_quickly, monkeypatch, line):
    """On the folder of a quick run in place of the named one, with few samples of few images."""
    from vae_lightning import compare, evaluate

    experiment = "experiment=ppca" if "ppca" in line else "experiment=iwae" if "dynamic" in line else "latent.dim=3"
    run = run_quickly([experiment])
    few = ["num_images=20", "num_samples=12", "ais.num_chains=2", "ais.num_temperatures=3", "appendix_d.num_samples=50"]
    for estimator in ("ais", "appendix_d"):
        few += [f"{estimator}.num_images=5"] if f"{estimator}.num_images" in line else []
    own = [each for each in shlex.split(line)[3:] if not each.startswith(("run", "num_", "ais.", "appendix_d."))]
    monkeypatch.setattr("sys.argv", ["evaluate", f"run={run}", *own, *few])
    evaluate.main()
    if "compare" in line:
        monkeypatch.setattr("sys.argv", ["compare", f"runs=[{run}]"])
        compare.main()
    assert (run / "evaluation.json").is_file()


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.split("import ")[1].split()[0])
def test_every_callback_snippet_runs_in_a_foreign_project(tmp_path, monkeypatch, snippet):
    assert len([line for line in snippet.splitlines() if line]) <= 5
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
    (snippet,) = [text for text in blocks(ENGLISH, "python") if "load_from_checkpoint" in text]
    run_quickly([])
    names: dict = {}
    exec(snippet, names)
    assert names["again"].shape == (16, 1, 28, 28)
    assert names["posterior"].kl().shape == (16, 20)
    (snippet,) = [text for text in blocks(ENGLISH, "python") if "evaluation import" in text]
    exec(snippet, names)
    assert names["estimate"].bounds[1000].shape == names["estimate"].effective_samples.shape == (16,)


@pytest.mark.parametrize(("paper", "function", "test"), rows(ENGLISH, "Paper and code"))
def test_the_paper_and_code_table_is_true(paper, function, test):
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
    from vae_lightning.app.config import CONF

    text = ENGLISH.read_text(encoding="utf-8").split("| group | options |")[1].split("\n\n")[0]
    documented = {
        code(row.split("|")[1].strip()): set(re.findall(r"`(\w+)`", row.split("|")[2])) for row in text.splitlines()[2:]
    }
    groups = {path.name: {option.stem for option in path.glob("*.yaml")} for path in CONF.iterdir() if path.is_dir()}
    groups["callbacks"] = {"default"}
    assert documented == groups


def test_the_pictures_are_there():
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", ENGLISH.read_text(encoding="utf-8")):
        assert (ROOT / path).is_file()


def test_every_promise_names_tests_that_exist():
    """The contract's lines R1 to R9, each with the tests that hold it."""
    tests = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    lines = [line for line in ENGLISH.read_text(encoding="utf-8").splitlines() if re.match(r"\| R\d \|", line)]
    assert [line[2:4] for line in lines] == [f"R{k}" for k in range(1, 10)]
    for line in lines:
        named = re.findall(r"`(test_\w+)`", line)
        assert named
        assert set(named) <= tests, set(named) - tests
