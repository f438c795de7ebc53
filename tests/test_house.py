"""The house: its layout, and the rule that imports go downwards only, without an exception."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, command

PACKAGE = ROOT / "vae_lightning"
FILES = sorted(PACKAGE.rglob("*.py"))
RUNS_OTHERS = ("reproduce",)  # a command that calls others, by way of paper/
COMMANDS = ("train", "evaluate", "compare", "montage", "report", "status", "predict", "export", "shard", *RUNS_OTHERS)
# A file may import from its own level and from those below it (DESIGN.md). The first prefix that fits counts.
LEVELS: list[tuple[str, ...]] = [
    ("errors", "rules", "version", "shapes", "batch", "output", "answer", "signals", "share", "options", "conf"),
    ("runs",),
    ("equations", "noise", "quiet"),
    ("loss", "latent", "network", "schedule", "optimizer", "lr_schedule", "length"),
    ("model", "bound", "linear_gaussian"),
    ("module", "sums", "parts", "checkpoint", "logger", "trainer", "evaluation", "data", "callbacks", "fitting"),
    ("pages", "formats", "prediction"),
    ("app",),
    tuple(name for name in COMMANDS if name not in RUNS_OTHERS),
    ("paper",),
    (*RUNS_OTHERS, "__main__"),
    ("__init__",),  # what a user sees of the package: it exports, and nothing of the package imports it
]
MATHEMATICS = ("equations", "noise", "shapes", "batch", "loss", "latent", "network", "schedule", "length", "optimizer")
MATHEMATICS += ("lr_schedule", "model", "bound", "share")
BARRED = {  # wing -> what it must not import
    "callbacks": ("vae_lightning.module", "vae_lightning.data", "vae_lightning.evaluation", "vae_lightning.trainer"),
    "runs": ("torch", "lightning"),
    "errors": ("torch", "lightning"),
    "rules": ("torch", "lightning"),
    "schedule": ("torch",),
    "equations": ("vae_lightning",),
    **{room: ("lightning",) for room in MATHEMATICS if room != "equations"},
}
BARRED["equations"] += ("lightning",)


def name_of(file: Path) -> str:
    """The dotted name of a file below the package: loss.common, loss (for loss/__init__.py)."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


NAMES = {name_of(file): file for file in FILES}


def imports(file: Path) -> Iterator[str]:
    """The dotted names of all imports of a file, also of those inside functions; a submodule by its own name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}".removeprefix("vae_lightning.")
                yield f"{node.module}.{alias.name}" if submodule in NAMES else str(node.module)


def inside(file: Path) -> set[str]:
    """The files of the package that a file imports, by name."""
    own = (name for name in imports(file) if name == "vae_lightning" or name.startswith("vae_lightning."))
    return {name.removeprefix("vae_lightning").removeprefix(".") or "__init__" for name in own}


def level(name: str) -> int:
    return next(i for i, rooms in enumerate(LEVELS) if name.partition(".")[0] in rooms)


@pytest.mark.parametrize("name", NAMES)
def test_imports_go_downwards_only(name):
    upwards = {other for other in inside(NAMES[name]) if level(other) > level(name)}
    assert not upwards


def test_there_is_no_circle():
    edges = {name: inside(file) & set(NAMES) - {name} for name, file in NAMES.items()}  # train runs by its own name
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(edges[name]):
                visit(other, (*path, name))
            done.add(name)

    for name in edges:
        visit(name, ())


@pytest.mark.parametrize("name", NAMES)
def test_only_commands_and_app_know_hydra(name):
    knows = {other.partition(".")[0] for other in imports(NAMES[name])} & {"hydra", "omegaconf"}
    assert not knows or name.partition(".")[0] in (*COMMANDS, "app")


@pytest.mark.parametrize("name", NAMES)
def test_each_wing_leaves_alone_what_it_must_not_know(name):
    barred = BARRED.get(name.partition(".")[0], ())
    seen = {other for other in imports(NAMES[name]) if any(other == b or other.startswith(f"{b}.") for b in barred)}
    assert not seen


def test_commands_are_imported_by_nobody():
    """Only the rows of paper/ run commands, as a user does."""
    for name, file in NAMES.items():
        if name not in (*COMMANDS, "paper.running"):
            assert not inside(file) & set(COMMANDS), name


@pytest.mark.parametrize("name", NAMES)
def test_no_function_is_a_room_of_imports(name):
    for node in ast.walk(ast.parse(NAMES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            own = [child for child in ast.walk(node) if isinstance(child, ast.Import | ast.ImportFrom)]
            assert len(own) <= 4, f"{name}.{node.name} imports {len(own)} things inside itself"


# --- sizes and places ------------------------------------------------------------------------------------------------


def lines(file: Path) -> int:
    return len(file.read_text(encoding="utf-8").splitlines())


def test_every_file_is_short():
    assert {name: n for name, file in NAMES.items() if (n := lines(file)) > 200} == {}
    assert {name: n for name in COMMANDS if (n := lines(NAMES[name])) > 80} == {}
    assert lines(PACKAGE / "bound.py") <= 180
    assert lines(PACKAGE / "module.py") <= 160
    assert sum(lines(file) for file in (PACKAGE / "loss").glob("*.py")) <= 400


def test_scripts_have_short_lines():
    for script in PACKAGE.rglob("*.js"):
        assert max(map(len, script.read_text(encoding="utf-8").splitlines())) <= 120, script


def test_the_layout_is_that_of_the_design():
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    known = {room for rooms_of_level in LEVELS for room in rooms_of_level}
    assert rooms - {"__pycache__"} <= known, rooms - known
    folders = (
        "network",
        "latent",
        "loss",
        "trainer",
        "data",
        "callbacks",
        "evaluation",
        "app",
        "runs",
        "pages",
        "formats",
        "prediction",
        "paper",
    )
    assert all((PACKAGE / folder / "__init__.py").is_file() for folder in folders)
    assert {path.name for path in (PACKAGE / "pages").iterdir() if path.is_dir()} - {"__pycache__"} == {
        "base",
        "run",
        "sweep",
        "explorer",
    }


def test_file_names_of_a_run_stand_once():
    """No literal name of a run's file in two modules."""
    names = ("run_meta.json", "train_log.csv", "latent_usage.csv", "last.ckpt", "best.ckpt", "evaluation.json")
    for literal in (*names, "report.html", "sweep.html", "latest.txt"):
        holders = [
            name
            for name, file in NAMES.items()
            if any(
                isinstance(node, ast.Constant) and node.value == literal
                for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            )
        ]
        assert holders == ["runs.files"], (literal, holders)


def test_everything_is_printed_in_one_place():
    """`print` fails where the output cannot be written; `output.say` does not."""
    for name, file in NAMES.items():
        calls = [node.func for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
        assert "print" not in [function.id for function in calls if isinstance(function, ast.Name)], name


def test_every_group_of_conf_has_its_module():
    """Group name = module name; an option's class is exported there."""
    for group in (
        "loss",
        "latent",
        "network",
        "bound",
        "schedule",
        "optimizer",
        "lr_schedule",
        "data",
        "callbacks",
        "logger",
        "paper",
    ):
        module = importlib.import_module(f"vae_lightning.{group}")
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            target = re.search(rf"^_target_: vae_lightning\.{group}\.(\w+)$", path.read_text(encoding="utf-8"), re.M)
            assert target is None or hasattr(module, target[1]), path


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("vae_lightning", ["torch", "hydra"]),
        ("vae_lightning.runs.run", ["torch", "lightning", "hydra"]),
        ("vae_lightning.equations", ["lightning", "hydra"]),
        ("vae_lightning.bound", ["lightning", "hydra"]),
        ("vae_lightning.schedule", ["torch", "hydra"]),
        ("vae_lightning.pages.sweep.page", ["torch", "lightning", "hydra"]),
        ("vae_lightning.callbacks", ["hydra", "vae_lightning.module", "vae_lightning.data", "wandb"]),
        ("vae_lightning.module", ["hydra", "vae_lightning.data"]),
        ("vae_lightning.data", ["hydra", "vae_lightning.module"]),
        ("vae_lightning.train", ["torch", "lightning"]),
        ("vae_lightning.reproduce", ["torch", "lightning"]),
    ],
)
def test_what_an_import_brings_along(tmp_path, module, without):
    code = f"import sys, {module}; print(sorted(set({without!r}) & set(sys.modules)))"
    (tmp_path / "probe.py").write_text(code)
    assert command("probe", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}").stdout.strip() == "[]"


@pytest.mark.parametrize(
    "name",
    [
        "vae_lightning.VAE",
        "vae_lightning.bound.Iwae",
        "vae_lightning.bound.importance_weighted_bound",
        "vae_lightning.callbacks.BetaAnnealing",
        "vae_lightning.checkpoint.WholeCheckpointIO",
        "vae_lightning.evaluation.importance_weighted",
        "vae_lightning.latent.DiagonalGaussian",
        "vae_lightning.loss.Bernoulli",
        "vae_lightning.loss.bits_per_dimension",
        "vae_lightning.schedule.Cyclic",
    ],
)
def test_public_names_stay_where_the_documents_show_them(name):
    module, _, attribute = name.rpartition(".")
    assert getattr(importlib.import_module(module), attribute)
