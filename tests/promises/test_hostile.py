"""What is thrown at the command line and left lying around: random words, dangerous files, secrets, YAML bombs."""

import ast
import json
import os
import random
import signal
import subprocess
import time
from functools import partial

import pytest
from conftest import NO_NETWORK, QUICK, ROOT, command

from vae_lightning import train
from vae_lightning.app import arguments, fit
from vae_lightning.app.config import CONF
from vae_lightning.data.idx import NAMES
from vae_lightning.errors import ConfigError

STATUSES = (0, 2, 3, 4, 6)  # of the table; nothing is trained here, so nothing can diverge or be interrupted


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """The main job in an empty folder, up to where it would train: overrides -> (status, output, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit, "fit", lambda job: 0.0)
    return partial(answer, train.main)


def random_overrides(words: random.Random) -> list[str]:
    """A command line nobody would type: true and false keys, options and values, in Hydra's grammar and out of it."""
    keys = ["loss", "schedule", "latent", "network", "bound", "callbacks", "logger", "trainer", "data", "experiment"]
    keys += ["beta", "epochs", "lr", "seed", "batch_size", "name", "group", "save_dir", "latent.dim", "reduction"]
    keys += ["schedule.length", "schedule.unit", "data.protocol", "data.val_size", "trainer.precision", "bta", "resume"]
    keys += ["callbacks.progress", "callbacks.x", "hydra.run.dir", "hydra/launcher", "hydra.job.name", "a.b.c", "", "é"]
    values = ["bce", "cyclic", "0", "-1", "1", "2.5", "nan", "inf", "1e400", "null", "true", "", "[]", "{}", "[1,2]"]
    values += ["{a:1}", "../x", "/dev/null", "'a b'", "名", "${beta}", "${oc.env:HOME}", "${nothing}", "${", "x" * 300]
    values += ["{_target_:os.system}", "auto", "'\x1b[2J'", "\\", "a=b", "~", "${name}", "ü,ä", "0x10", "1_000", "'"]
    signs = ["", "", "", "", "+", "++", "~"]
    count = words.randint(1, 4)
    return [f"{words.choice(signs)}{words.choice(keys)}={words.choice(values)}" for _ in range(count)]


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.slow)])
def test_random_command_lines(ask, tmp_path, count):
    """A status of the table, at most one line of error, no traceback, and nothing but run folders."""
    words = random.Random(count)
    seen = {}
    for _ in range(count):
        line = random_overrides(words)
        status, _, err = ask(*line, *NO_NETWORK)
        assert status in STATUSES, line
        assert "Traceback" not in err, line
        assert sum(said.startswith("error: ") for said in err.splitlines()) == (status != 0), line
        assert "\x1b" not in err, line
        assert {path.name for path in tmp_path.iterdir()} <= {"outputs", "名", "a b", "1"}, line
        seen[status] = seen.get(status, 0) + 1
    assert seen[2] > count / 2
    assert count < 200 or seen[0] > 3


@pytest.mark.parametrize("name", ["実験", "with space", "emoji🙂", "ä%b", "'x,y'"])
def test_names_in_any_script(ask, tmp_path, name):
    assert ask(f"name={name}", "group=ü", *NO_NETWORK)[0] == 0
    (run,) = (tmp_path / "outputs" / "ü").glob("2*")
    assert run.name.endswith(f"-001-{name.strip(chr(39))}")


def test_a_sweep_over_names_in_any_script(ask, tmp_path):
    assert ask("-m", "name=é,b", "group=g", *NO_NETWORK)[0] == 0
    assert [path.name[9:] for path in sorted((tmp_path / "outputs" / "g").glob("2*"))] == ["001-é", "002-b"]


def test_one_name_is_one_name_however_it_is_encoded(ask, tmp_path):
    """e + combining accent and é are the same name on some file systems; they are here."""
    for name in ("é", "e\u0301"):
        ask(f"name={name}", "group=g", "date_prefix=false", *NO_NETWORK)
    assert [path.name for path in (tmp_path / "outputs" / "g").glob("[!l.]*")] == ["é"]


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{this}: &{this} [{', '.join([f'*{before}'] * 9)}]\n" for before, this in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize("how", ["--config-dir=evil", "--config-path=evil", "hydra.searchpath=[file://evil]"])
def test_a_yaml_bomb_ends_at_once(ask, tmp_path, how):
    """Nine levels of nine aliases are 400 million nodes; OmegaConf 2.3 would expand them."""
    (tmp_path / "evil" / "loss").mkdir(parents=True)
    (tmp_path / "evil" / "loss" / "bomb.yaml").write_text(BOMB)
    assert len(BOMB) < 1000
    begun = time.monotonic()
    status, _, err = ask(how.replace("evil", str(tmp_path / "evil")), "loss=bomb", *NO_NETWORK)
    assert (status, time.monotonic() - begun < 2) == (2, True)
    assert "aliases expand to more than 10,000 nodes" in err


def test_yaml_that_is_none_and_yaml_without_end(tmp_path):
    for text, says in (
        ("a: [", "cannot be read as YAML"),
        ("a: &a [*a]", "aliases expand"),
        ("\x00", "cannot be read"),
    ):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(ConfigError, match=says):
            arguments.check_yaml(tmp_path)
    arguments.check_yaml(CONF)


def test_only_one_place_reads_what_others_wrote():
    """No torch.load, pickle or eval anywhere but in checkpoint.py; nothing of the package says weights_only=False."""
    loads = []
    for path in (ROOT / "vae_lightning").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in ("eval", "exec", "compile", "__import__", "os.system", "yaml.load"), (path, name)
                assert not name.startswith(("pickle.", "joblib.", "dill.", "cloudpickle.")), (path, name)
                options = {each.arg: ast.unparse(each.value) for each in node.keywords}
                assert options.get("weights_only", "True") in ("True", "weights_only"), (path, name)
                assert options.get("shell", "False") == "False", (path, name)
                loads += [(path.name, options.get("weights_only"))] if name in ("torch.load", "torch.hub.load") else []
    assert loads == [("checkpoint.py", "weights_only")]


SECRET = "canary-1f9c3a77b2"


@pytest.mark.parametrize("logger", [pytest.param("none", marks=pytest.mark.slow), "wandb"])
def test_a_secret_reaches_no_file(tmp_path, logger):
    """Neither from the environment nor from the address of a git remote."""
    repository = tmp_path / "repository"
    repository.mkdir()
    for line in ("init -q", f"remote add origin https://user:{SECRET}@example.org/x.git"):
        subprocess.run(["git", *line.split()], cwd=repository, check=True)
    names = ("WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "MY_PASSWORD", "VAE_LIGHTNING_SECRET")
    environment = {name: SECRET for name in names}
    more = ["logger.mode=offline"] if logger == "wandb" else []
    done = command("vae_lightning.train", *QUICK, f"logger={logger}", *more, cwd=repository, **environment)
    assert done.returncode == 0, done.stderr
    files = [path for path in (repository / "outputs").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [str(path) for path in files if SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in done.stdout + done.stderr


def test_the_versions_with_a_trojan_are_excluded():
    import importlib.metadata
    import pathlib

    import lightning
    from packaging.requirements import Requirement

    wanted = {
        each.name: each.specifier for each in map(Requirement, importlib.metadata.requires("vae-lightning") or [])
    }
    for package in ("lightning", "pytorch-lightning"):
        assert not any(version in wanted[package] for version in ("2.6.2", "2.6.3", "2.6.5"))
    assert "2.9.1" not in wanted["torch"]
    assert not list(pathlib.Path(lightning.__file__).parent.rglob("_runtime"))


OFFLINE = """
import os, socket, sys
def forbid(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        raise OSError("no network: " + event)
    if event == "socket.connect" and arguments[0].family != getattr(socket, "AF_UNIX", None):
        raise OSError("no network: " + event)
    if event == "subprocess.Popen" and "npm" in str(arguments[0]):
        raise OSError("no network: npm")
sys.addaudithook(forbid)
"""


@pytest.mark.slow
def test_a_default_run_without_a_network(tmp_path):
    """Every connection is refused; the bundled digits remain, and the run is whole."""
    (tmp_path / "sitecustomize.py").write_text(OFFLINE)
    done = command(
        "vae_lightning.train", "epochs=1", "network.hidden=[16]", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no network") >= 2
    assert "BUNDLED SUBSET" in done.stderr
    (meta,) = (tmp_path / "outputs").glob("*/2*/run_meta.json")
    assert json.loads(meta.read_text())["status"] == "completed"


@pytest.mark.slow
def test_data_that_must_be_whole_ends_at_once_without_a_network(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(OFFLINE)
    begun = time.monotonic()
    done = command("vae_lightning.train", "data.allow_subset=false", cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert done.returncode == 3
    assert all(name in done.stderr for name in NAMES.values())
    assert f"raw or .gz) into {os.environ['VAE_LIGHTNING_DATA']}" in done.stderr
    assert time.monotonic() - begun < 60  # most of it the start of torch on a busy machine
    assert not (tmp_path / "outputs").exists()


def test_nothing_is_written_outside(tmp_path):
    """R7: every file that is opened for writing is in the run folder, beside `latest`, or the system's own."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "log = os.open(os.environ['WRITTEN'], os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "def note(event, arguments):\n"
        "    writes = os.O_WRONLY | os.O_RDWR\n"
        "    if event == 'open' and isinstance(arguments[0], str) and (arguments[2] or 0) & writes:\n"
        "        os.write(log, (os.path.abspath(arguments[0]) + '\\n').encode())\n"
        "sys.addaudithook(note)\n"
    )
    written, work = tmp_path / "written", tmp_path / "work"
    work.mkdir()
    done = command(
        "vae_lightning.train",
        *QUICK,
        cwd=work,
        PYTHONPATH=f"{tmp_path}:{ROOT}",
        PYTHONDONTWRITEBYTECODE="1",
        WRITTEN=str(written),
        MPLCONFIGDIR=str(tmp_path / "matplotlib"),
        TMPDIR=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    paths = set(written.read_text().splitlines())
    ours = {path for path in paths if path.startswith(f"{work}/outputs/")}
    assert len(ours) > 10
    allowed = (f"{work}/outputs/", f"{tmp_path}/", "/dev/", "/proc/")
    assert {path for path in paths - ours if not path.startswith(allowed)} == set()
    assert {path.name for path in work.iterdir()} == {"outputs"}
    assert len(list((work / "outputs").iterdir())) == 1
    assert "BUNDLED SUBSET" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"sitecustomize.py", "written", "work", "matplotlib"}


@pytest.mark.slow
def test_a_killed_data_worker_is_said_in_one_line(answer, monkeypatch, tmp_path):
    """Killed as the system does it when memory runs out; the last checkpoint stays, and the run can go on."""
    import multiprocessing

    from vae_lightning import callbacks, checkpoint

    others = set(multiprocessing.active_children())  # workers of another test in this process

    def kill_a_worker(self, trainer, *_):
        if trainer.global_step == 50:
            os.kill(next(iter(set(multiprocessing.active_children()) - others)).pid, signal.SIGKILL)

    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(callbacks.GracefulStop, "on_train_batch_end", kill_a_worker)
        words = ["epochs=3", "data.num_workers=2", "latent.dim=3", "name=n", "group=g", "date_prefix=false"]
        status, _, err = answer(train.main, *QUICK[1:], *words)
    run = tmp_path / "outputs" / "g" / "n"
    assert status == 1
    assert "a data worker was killed" in err
    assert "Traceback" not in err
    assert json.loads((run / "run_meta.json").read_text())["status"] == "failed"
    assert checkpoint.load(run / "checkpoints" / "last.ckpt")["global_step"] == 36
    left = set(multiprocessing.active_children()) - others
    assert all(worker.daemon for worker in left)  # they end with the process of the command, which here goes on
    for worker in left:
        worker.terminate()
    assert answer(train.main, f"resume={run}")[0] == 0
