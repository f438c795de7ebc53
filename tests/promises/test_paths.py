"""Where the program reads and writes: one reading of a path, no link out of a run folder, no file of anybody else."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from conftest import NO_NETWORK, config
from PIL import Image
from sweeps import make_run

from vae_lightning import evaluate, montage, report, train
from vae_lightning.app import find, fit, places
from vae_lightning.app.arguments import expanded, quoted
from vae_lightning.callbacks.foreign import run_dir
from vae_lightning.data import MNISTDataModule
from vae_lightning.errors import CheckpointError, ConfigError, FolderError
from vae_lightning.evaluation import measure, result
from vae_lightning.pages.sweep.page import write_sweep_page
from vae_lightning.runs.folder import owned
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.place import at_home, check_links
from vae_lightning.runs.table import EpochRows

TINY = ["epochs=1", "network.hidden=[8]", "latent.dim=2", "~callbacks.latent_traversal", "report=false", *NO_NETWORK]
SHORT = [*TINY, "+trainer.limit_train_batches=2", "+trainer.limit_val_batches=1", "+trainer.limit_test_batches=1"]
FEW = ["num_images=10", "num_samples=5", "curve=[1]"]


@pytest.fixture
def ask(answer, monkeypatch, tmp_path):
    """The main job in an empty folder, with a home of its own: overrides -> (status, output, stderr)."""
    (tmp_path / "work").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return partial(answer, train.main)


@pytest.fixture
def untrained(ask, monkeypatch):
    """As `ask`, up to where it would train: the folder is claimed, and every object is built."""
    jobs = []
    monkeypatch.setattr(fit, "fit", lambda job: jobs.append(job) or 0.0)
    return ask, jobs


@pytest.fixture
def run(finished_run, tmp_path) -> Path:
    """A run folder of somebody else."""
    return Path(shutil.copytree(finished_run, tmp_path / "theirs" / "run"))


def content(folder: Path) -> dict[str, bytes]:
    """{path: bytes} of all files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- C1: temporary files ---------------------------------------------------------------------------------------------


def test_temporary_files_of_others_stay(tmp_path):
    """`save_dir=.` in a full folder: every hidden .*.tmp below it, recursively, was deleted."""
    theirs = [".notes.tmp", "thesis/.draft.tmp", "checkpoints/.mine.tmp", "checkpoints/.mine.0123abcd.tmp"]
    theirs += ["checkpoints/.last.ckpt.tmp", "checkpoints/old/.last.ckpt.0123abcd.tmp", "curves/.x.csv.0123abcd.tmp"]
    theirs += ["g/20260101-001-a/.run_meta.json.0123abcd.tmp", "g/20260101-001-a/checkpoints/.last.ckpt.0123abcd.tmp"]
    theirs += [".last.ckpt.0123abcd.tmp", ".report.html.0123abcd.tmp", "samples/.epoch_1.png.0123abcd.tmp"]
    ours = [".run_meta.json.0123abcd.tmp", ".vae_epoch_0001.pt.0123abcd.tmp", "checkpoints/.last.ckpt.0123abcd.tmp"]
    ours += ["checkpoints/.last.ckpt.previous.sha256.0123abcd.tmp", "curves/.train_log.csv.0123abcd.tmp"]
    ours += ["samples/.epoch_0001.png.0123abcd.tmp", "checkpoints/.best.ckpt.00000000.tmp"]
    for name in (*theirs, *ours):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("half")
    with owned(tmp_path):
        assert set(content(tmp_path)) == {*theirs, ".lock"}


@pytest.mark.slow
def test_a_run_in_a_folder_of_hidden_files_deletes_none(ask):
    """The command: `save_dir=.`, beside hidden files of an editor."""
    Path(".draft.tmp").write_text("mine")
    Path(".git", "deep").mkdir(parents=True)
    Path(".git", "deep", ".index.0123abcd.tmp").write_text("mine")
    status, _, err = ask(*SHORT, "save_dir=.")
    assert status == 0, err
    assert Path(".draft.tmp").read_text() == Path(".git", "deep", ".index.0123abcd.tmp").read_text() == "mine"


def test_the_page_of_a_sweep_deletes_its_own_temporary_files_only(tmp_path):
    """`.sweep.*.tmp` was deleted, whoever wrote it."""
    make_run(tmp_path / "g" / "a")
    for name in (".sweep.notes.tmp", ".sweep.html.tmp", ".sweep.html.0123abcd.tmp", ".sweep.csv.0123abcd.tmp"):
        (tmp_path / "g" / name).write_text("half")
    write_sweep_page(tmp_path / "g")
    assert {path.name for path in (tmp_path / "g").glob(".*.tmp")} == {".sweep.notes.tmp", ".sweep.html.tmp"}


# --- C2: one reading of a path ---------------------------------------------------------------------------------------


def test_a_project_below_the_home_folder_is_in_one_place(untrained, tmp_path):
    """`project_dir='~/runs'`: the folder was claimed in ./~/runs, and Lightning wrote into $HOME/runs."""
    ask, jobs = untrained
    status, _, err = ask(*TINY, "project_dir='~/runs'", "group=g", "name=a", "date_prefix=false")
    assert status == 0, err
    assert jobs[0].folder == Path(jobs[0].trainer.default_root_dir) == tmp_path / "home" / "runs" / "g" / "a"
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_a_run_below_the_home_folder_is_in_one_place(ask, tmp_path):
    """The same with the training, and with the run resumed."""
    status, _, err = ask(*SHORT, "project_dir='~/runs'", "group=g", "name=a", "date_prefix=false")
    assert status == 0, err
    assert list(Path().iterdir()) == []
    found = tmp_path / "home" / "runs" / "g" / "a"
    assert {"run_meta.json", "checkpoints", "curves", "samples"} <= {path.name for path in found.iterdir()}
    assert (found / "checkpoints" / "last.ckpt").is_file()
    status, out, _ = ask("resume=~/runs/g/a")
    assert (status, out) == (0, f"{found}: completed, nothing to do\n")


def test_every_path_of_a_run_begins_at_the_home_folder(untrained, tmp_path):
    """Each key, also of parts, in a list, behind an environment variable, and of an older record."""
    ask, jobs = untrained
    home = str(tmp_path / "home")
    words = ["+callbacks.curve_log.dirpath=~/curves", "callbacks.best.dirpath='~/best'", "data.dir='~/data'", "seed=3"]
    words += ["logger=tensorboard", "logger.save_dir='~/tb'", "+trainer.profiler.dirpath='~/profile'"]
    words += ["+trainer.profiler._target_=lightning.pytorch.profilers.SimpleProfiler"]
    pytest.importorskip("tensorboard")
    status, _, err = ask(*TINY, *words, "save_dir=~/run")
    assert status == 0, err
    (job,) = jobs
    assert job.folder == tmp_path / "home" / "run"
    assert "~" not in json.dumps({**job.config, "mirrors": None})
    assert job.data.root == tmp_path / "home" / "data"
    assert places.outside(job.config) == {
        "callbacks.curve_log.dirpath": f"{home}/curves",
        "callbacks.best.dirpath": f"{home}/best",
        "logger.save_dir": f"{home}/tb",
        "trainer.profiler.dirpath": f"{home}/profile",
    }
    assert list(Path().iterdir()) == []


def test_a_sweep_below_the_home_folder_is_in_one_place(untrained, tmp_path):
    """Hydra makes the sweep's folder before the job sees its configuration."""
    ask, _ = untrained
    status, _, err = ask("-m", *TINY, "project_dir='~/runs'", "group=g", "seed=1")
    assert status == 0, err
    assert list(Path().iterdir()) == []
    assert {path.name for path in (tmp_path / "home" / "runs").iterdir()} == {"g", "multirun"}
    assert len(list((tmp_path / "home" / "runs" / "multirun").glob("*/jobs/*.json"))) == 1


def test_the_other_commands_read_a_path_alike(ask, answer, run, tmp_path, monkeypatch):
    """evaluate, montage, report: run, a list of runs, checkpoint, output, data_dir."""
    home = tmp_path / "home"
    shutil.copytree(run, home / "run")
    read: list[Path] = []
    monkeypatch.setattr(MNISTDataModule, "prepare_data", lambda self: read.append(self.root))
    words = ["run=['~/run']", "checkpoint='~/run/checkpoints/last.ckpt'", "data_dir=~/data", *FEW, "device=cpu"]
    status, _, err = answer(evaluate.main, *words)
    assert status == 0, err
    assert answer(montage.main, "run='~/run'", "output=~/sheet.png")[0] == 0
    assert answer(report.main, "~/run", "data_dir=~/data")[0] == 0
    assert set(read) == {home / "data"}
    assert (home / "sheet.png").is_file()
    assert (home / "run" / "evaluation.json").is_file()
    assert list(Path().iterdir()) == []


def test_words_with_a_tilde_that_are_no_paths_stay():
    with_home = places.settled(config("name='~'", "data.dir='~/d'", "group='a~b'"))
    assert (with_home.name, with_home.group, with_home.data.dir) == ("~", "a~b", os.path.expanduser("~/d"))
    assert [quoted(word) for word in expanded(["name=~root"])] == ["name='~root'"]


def test_a_folder_of_nobody_is_refused(ask):
    """~nobody/x would be a folder called `~nobody` here."""
    status, _, err = ask(*TINY, "project_dir=~nobody-of-this-name/x")
    assert (status, err) == (
        2,
        "error: project_dir=~nobody-of-this-name/x: there is no user nobody-of-this-name; a folder of that name is "
        "./~nobody-of-this-name/x\n",
    )
    assert ask(*TINY, "project_dir='~nobody-of-this-name/x'")[2] == err
    assert ask("-m", *TINY, "project_dir='~nobody-of-this-name/x'", "seed=1,2")[0] == 2
    assert list(Path().iterdir()) == []
    with pytest.raises(ConfigError, match="there is no user"):
        at_home("~nobody-of-this-name")


def test_the_folder_of_that_name_is_in_the_working_folder(untrained):
    """`./~nobody`, as the line above says: a Path forgets the `./`."""
    ask, jobs = untrained
    status, _, err = ask(*TINY, "project_dir=./~nobody-of-this-name", "group=g")
    assert status == 0, err
    assert jobs[0].folder.expanduser().parent == Path("~nobody-of-this-name").absolute() / "g"


@pytest.mark.parametrize("key", ["project_dir", "save_dir", "data.dir", "resume"])
@pytest.mark.parametrize("address", ["file:///tmp/x", "s3://bucket/runs", "memory:/x"])
def test_an_address_is_no_folder(key, address):
    """Lightning reads it as an address, and the program as a folder called `file:`."""
    with pytest.raises(ConfigError, match=rf"{re.escape(key)}={address}: must be a folder of this machine"):
        places.settled(config(f"{key}='{address}'"))


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ("--config-dir=~/c", "--config-dir=/h/c"),
        ("-cd ~/c --config-path ~", "-cd /h/c --config-path /h"),
        ("hydra.searchpath=[file://~/c,pkg://~x]", "hydra.searchpath=[file:///h/c,pkg://~x]"),
        ("+callbacks.curve_log.dirpath=~/b", "+callbacks.curve_log.dirpath=/h/b"),
        ("~callbacks.progress name=~ logger.name=~/x a=b~", "~callbacks.progress name=~ logger.name=~/x a=b~"),
    ],
)
def test_a_tilde_without_quotes_is_the_home_folder(monkeypatch, words, read):
    """Hydra reads no `~` without quotes, and takes that of --config-dir for a name."""
    monkeypatch.setenv("HOME", "/h")
    assert " ".join(expanded(words.split())) == read


def test_callbacks_of_a_python_program_begin_at_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/h")
    assert run_dir(None, "~/x") == Path("/h/x")  # type: ignore[arg-type]


# --- C3: which run resume=auto goes on with --------------------------------------------------------------------------


def interrupted(folder: Path, day: int) -> None:
    """A run that was interrupted on a day of November, with a checkpoint."""
    make_run(folder, "data.mirrors=[]", status="interrupted")
    meta = json.loads((folder / "run_meta.json").read_text())
    (folder / "run_meta.json").write_text(json.dumps({**meta, "epochs_done": 0, "started": f"2026-11-0{day}"}))
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / "last.ckpt").write_text("of no use")


def test_auto_goes_on_with_the_run_that_was_said(tmp_path):
    """`resume=auto` with date_prefix=false took the last in the alphabet, whatever `name` said."""
    for name, day in (("alpha", 3), ("zeta", 1), ("mid", 2)):
        interrupted(tmp_path / "g" / name, day)

    def auto(name: str, **said: bool) -> Path | None:
        cfg = config(f"project_dir={tmp_path}", "group=g", f"name={name}", "date_prefix=false", "resume=auto")
        run = find.find(cfg, **said)
        return run and run.path

    assert auto("seed42") == tmp_path / "g" / "alpha"
    assert auto("zeta", is_named=True) == tmp_path / "g" / "zeta"
    assert auto("mid", is_named=True) == tmp_path / "g" / "mid"
    assert auto("other", is_named=True) is None


def test_auto_looks_into_the_save_dir(tmp_path):
    """`save_dir=X resume=auto` went on with another run of the group."""
    for folder in (tmp_path / "g" / "a", tmp_path / "mine"):
        interrupted(folder, 1)

    def auto(save_dir: Path) -> Path | None:
        run = find.find(config(f"project_dir={tmp_path}", "group=g", f"save_dir={save_dir}", "resume=auto"))
        return run and run.path

    assert auto(tmp_path / "mine") == tmp_path / "mine"
    assert auto(tmp_path / "new") is None


@pytest.mark.slow
def test_a_run_in_a_save_dir_may_be_asked_for_again(ask):
    """A second `save_dir=X resume=auto` has nothing to do; it found no run, and refused the folder of its own."""
    words = [*SHORT, "save_dir=mine", "resume=auto"]
    assert ask(*words)[0] == 0
    status, out, err = ask(*words)
    assert (status, out, err) == (0, "mine: completed, nothing to do\n", "")


# --- C5: links in the run folder of a stranger -----------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path) -> Path:
    """A folder of one's own that links of a stranger lead to."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("three years of work")
    return tmp_path / "mine"


@pytest.mark.slow
def test_a_stranger_s_run_is_not_resumed_through_a_link(ask, run, victim):
    """The command: the victim of `.lock` was truncated and got a process number, and the run was trained."""
    (run / ".lock").unlink(missing_ok=True)
    (run / ".lock").symlink_to(victim / "thesis.txt")
    status, _, err = ask(f"resume={run}", "epochs=3", "allow_drift=[epochs]")
    assert (status, f"{run / '.lock'}: a link out of the run folder, to /" in err) == (6, True), err
    assert content(victim) == {"thesis.txt": b"three years of work"}


FILES = [".lock", "curves/train_log.csv", "checkpoints/last.ckpt.sha256", "tensorboard/hparams.yaml"]
FOLDERS = ["curves", "checkpoints", "samples", "reconstructions", "traversals", "tensorboard", "wandb", "evaluation"]


@pytest.mark.parametrize("target", ["thesis.txt", "new.txt", "."])
@pytest.mark.parametrize("name", [*FILES, *FOLDERS])
def test_no_link_leads_out_of_a_run_that_is_continued(tmp_path, victim, name, target):
    """A file or folder of the run is a link: its target, which may not exist, was written or truncated."""
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(victim / target)
    with pytest.raises(FolderError, match="a link out of the run folder"), owned(tmp_path / "run"):
        pytest.fail("the run begins")
    assert content(victim) == {"thesis.txt": b"three years of work"}


def test_a_run_folder_may_be_a_link_itself(tmp_path, victim):
    (tmp_path / "disk" / "run" / "curves").mkdir(parents=True)
    (tmp_path / "run").symlink_to(tmp_path / "disk" / "run")
    with owned(tmp_path / "run"):
        assert (tmp_path / "disk" / "run" / ".lock").is_file()
    (tmp_path / "disk" / "run" / "samples").symlink_to(victim)
    with pytest.raises(FolderError, match="a link out of the run folder"), owned(tmp_path / "run"):
        pytest.fail("the run begins")


def test_links_inside_a_run_folder_are_its_own(run, victim):
    """W&B links its newest run, and its logs in the user's cache."""
    (run / "wandb" / "run-1").mkdir(parents=True)
    (run / "wandb" / "latest-run").symlink_to("run-1")
    (run / "wandb" / "run-1" / "debug-core.log").symlink_to(victim / "thesis.txt")
    (run / "newest.png").symlink_to(run / "samples" / "epoch_0002.png")
    check_links(run)


def test_a_hard_link_of_the_lock_keeps_its_content(run, victim):
    """A lock file that is a second name of somebody's file was truncated."""
    (run / ".lock").unlink(missing_ok=True)
    os.link(victim / "thesis.txt", run / ".lock")
    lock = Lock(run)
    lock.take()
    lock.release()
    assert (victim / "thesis.txt").read_text() == "three years of work"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows")
def test_a_lock_that_is_a_pipe_is_refused(run):
    (run / ".lock").unlink(missing_ok=True)
    os.mkfifo(run / ".lock")
    with pytest.raises(FolderError, match="not a regular file"):
        Lock(run).take()


def test_the_log_is_not_continued_through_a_link(tmp_path, victim):
    rows = EpochRows(tmp_path / "curves" / "train_log.csv", ["elbo"], 0)
    (tmp_path / "curves" / "train_log.csv").unlink()
    (tmp_path / "curves" / "train_log.csv").symlink_to(victim / "thesis.txt")
    with pytest.raises(FolderError, match="nothing is written through a link"):
        rows.add(1, {"elbo": -1.0})
    assert (victim / "thesis.txt").read_text() == "three years of work"


@pytest.mark.parametrize("name", [".sweep.lock", ".sweep.asked"])
@pytest.mark.parametrize("target", ["thesis.txt", "new.txt"])
def test_linked_files_of_a_sweep_page(answer, tmp_path, victim, name, target):
    """`.sweep.lock`: the victim was truncated; `.sweep.asked`: it was made, or touched."""
    make_run(tmp_path / "g" / "a")
    (tmp_path / "g" / name).symlink_to(victim / target)
    changed = os.stat(victim / "thesis.txt").st_mtime_ns
    status, _, err = answer(report.main, tmp_path / "g")
    assert (status, err) == (
        6,
        f"error: {tmp_path / 'g' / name}: a link, and nothing is written through a link; remove it\n",
    )
    assert content(victim) == {"thesis.txt": b"three years of work"}
    assert os.stat(victim / "thesis.txt").st_mtime_ns == changed


@pytest.mark.parametrize("name", ["sweep.html", "sweep.csv", "sweep.md"])
def test_linked_pages_are_replaced(tmp_path, victim, name):
    make_run(tmp_path / "g" / "a")
    write_sweep_page(tmp_path / "g")
    (tmp_path / "mine" / "page.html").write_text((tmp_path / "g" / "sweep.html").read_text())
    before = content(victim)
    (tmp_path / "g" / name).unlink()
    (tmp_path / "g" / name).symlink_to(victim / "page.html")
    write_sweep_page(tmp_path / "g")
    assert content(victim) == before


@pytest.mark.parametrize("name", ["report.html", "run_meta.json", "evaluation.json"])
def test_a_linked_file_that_a_command_writes_is_replaced(answer, run, victim, name):
    """report.html, the record and the results: the link goes, and its target stays."""
    kept = victim / "kept.json"
    kept.write_bytes((run / name).read_bytes() if (run / name).is_file() else b'{"results": []}')
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(kept)
    before = content(victim)
    assert answer(report.main, run)[0] == 0
    assert answer(evaluate.main, f"run={run}", *FEW)[0] == 0
    assert content(victim) == before
    assert (run / name).is_symlink() == (name == "run_meta.json")  # which neither of them writes


def test_a_linked_sheet_is_replaced(answer, run, victim):
    """`montage` wrote through samples_montage.png."""
    (run / "samples_montage.png").symlink_to(victim / "thesis.txt")
    status, _, err = answer(montage.main, f"run={run}")
    assert status == 0, err
    assert content(victim) == {"thesis.txt": b"three years of work"}
    with Image.open(run / "samples_montage.png") as sheet:
        assert sheet.format == "PNG"


def test_a_linked_evaluation_folder_is_refused_before_anything_is_measured(answer, run, victim, monkeypatch):
    """The three figures were written into the link's target."""
    monkeypatch.setattr(measure, "measure", lambda *arguments: pytest.fail("it measures"))
    (run / "evaluation").symlink_to(victim)
    status, out, err = answer(evaluate.main, f"run={run}", *FEW)
    assert (status, f"{run}/evaluation: a link out of the run folder" in err) == (6, True), out
    assert content(victim) == {"thesis.txt": b"three years of work"}


# --- C6: folders that the user names ---------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_folder_of_the_users_own_is_allowed_and_recorded(ask, tmp_path):
    """`callbacks.curve_log.dirpath=/elsewhere`: the record says so, and a resume asks for it again."""
    there = tmp_path / "elsewhere"
    words = [f"+callbacks.curve_log.dirpath={there}", "callbacks.best.dirpath=mine"]
    status, _, err = ask(*SHORT, *words, "save_dir=run")
    assert status == 0, err
    assert (there / "curves" / "train_log.csv").is_file()
    record = json.loads(Path("run", "run_meta.json").read_text())
    assert record["outside"] == {
        "callbacks.curve_log.dirpath": str(there),
        "callbacks.best.dirpath": str(Path("mine").resolve()),
    }
    status, _, err = ask("resume=run", "epochs=2", "allow_drift=[epochs]")
    assert (status, err.count("\n")) == (4, 1)
    again = f"++callbacks.curve_log.dirpath={there}"
    assert f"it also writes into {there}; to allow that, say {again}\n" in err
    status, _, err = ask("resume=run", "epochs=2", "allow_drift=[epochs]", again, "callbacks.best.dirpath=mine")
    assert (status, err.count("error")) == (0, 0), err
    assert len((there / "curves" / "train_log.csv").read_text().splitlines()) == 3


def test_a_resume_says_again_what_it_writes_elsewhere():
    def at(curves: str) -> dict:
        return {"run_dir": "/r", "callbacks": {"curve_log": {"dirpath": curves}, "last": {"dirpath": "/r/checkpoints"}}}

    places.check_said(at("/r/x"), at("/r"))
    places.check_said(at("/e"), at("/e"))
    for asked in ("/r", "/e/x", "/r/../e/x"):
        with pytest.raises(CheckpointError, match=r"say \+\+callbacks\.curve_log\.dirpath=/e"):
            places.check_said(at("/e"), at(asked))


@pytest.mark.parametrize(
    "word",
    [
        "callbacks.last.filename=../../x",
        "callbacks.best.filename='{epoch}/../../x'",
        "callbacks.last.filename=/tmp/x",
        "callbacks.graceful_stop.filename=../x",
        "+callbacks.epoch_weights.prefix=../../x",
        "callbacks.last.filename='..\\\\x'",
        "callbacks.last.filename=${project_dir}/../x",
        "+logger={_target_:lightning.pytorch.loggers.CSVLogger,save_dir:.,name:../../x}",
        "+logger={_target_:lightning.pytorch.loggers.CSVLogger,save_dir:.,version:../x}",
        "+trainer.profiler={_target_:lightning.pytorch.profilers.SimpleProfiler,filename:../../x}",
    ],
)
def test_a_file_name_stays_in_its_folder(untrained, word):
    """`callbacks.last.filename=../../x`: the checkpoint was written two folders above."""
    ask, jobs = untrained
    status, _, err = ask(*TINY, word)
    assert status == 2, err
    assert "a file name stays in its folder" in err
    assert not jobs
    assert list(Path().iterdir()) == []


def test_a_file_name_may_hold_dots_and_folders(untrained):
    ask, jobs = untrained
    assert ask(*TINY, "callbacks.best.filename='best/v1..{epoch}'")[0] == 0
    assert len(jobs) == 1


# --- C7: results that cannot be written ------------------------------------------------------------------------------


def test_a_sheet_that_cannot_be_written_leaves_the_old_one(answer, run, monkeypatch):
    """`montage` over an existing sheet on a full disk: the old sheet was lost."""
    assert answer(montage.main, f"run={run}")[0] == 0
    before = (run / "samples_montage.png").read_bytes()
    save = Image.Image.save

    def full(self, path, *arguments, **options):
        save(self, path, *arguments, **options)
        os.truncate(path, 100)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    status, _, err = answer(montage.main, f"run={run}", "columns=1")
    said = "No space left on device; make room, or choose another folder"
    assert (status, err) == (6, f"error: {run}/samples_montage.png: {said}\n")
    assert (run / "samples_montage.png").read_bytes() == before
    assert not list(run.glob(".*.tmp"))


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".jpeg", ".PNG"])
def test_a_sheet_of_every_kind(answer, run, tmp_path, suffix):
    assert answer(montage.main, f"run={run}", f"output={tmp_path}/sheet{suffix}")[0] == 0
    with Image.open(tmp_path / f"sheet{suffix}") as sheet:
        assert sheet.format == {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".PNG": "PNG"}[suffix]


@pytest.mark.parametrize(
    ("in_the_way", "says"),
    [("evaluation.json/x", "a folder has the name of a file"), ("evaluation", "a file has the name of a folder")],
)
def test_an_evaluation_looks_before_it_measures(answer, run, monkeypatch, in_the_way, says):
    """`evaluate` measured for minutes, and then could not write."""
    monkeypatch.setattr(measure, "measure", lambda *arguments: pytest.fail("it measures"))
    (run / in_the_way).parent.mkdir(exist_ok=True)
    (run / in_the_way).write_text("")
    status, _, err = answer(evaluate.main, f"run={run}", *FEW)
    assert (status, says in err) == (6, True), err


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
@pytest.mark.parametrize("kind", ["size=500k", "ro"])
def test_an_evaluation_on_a_disk_that_is_full_or_read_only(answer, run, monkeypatch, tmp_path, kind):
    monkeypatch.setattr(measure, "measure", lambda *arguments: pytest.fail("it measures"))
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("mounting needs root")
    try:
        shutil.copytree(run, disk / "run")
        if kind == "ro":
            subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        else:
            (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 4096))
        before = content(disk)
        status, _, err = answer(evaluate.main, f"run={disk / 'run'}", *FEW)
        assert (status, "make room, or copy the run to a folder of yours" in err) == (6, True), err
        assert content(disk) == before
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_an_evaluation_prints_its_numbers_before_it_writes_them(answer, run, monkeypatch):
    """A disk that becomes full meanwhile: the numbers are on the terminal."""

    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(result, "write_text", full)
    status, out, err = answer(evaluate.main, f"run={run}", *FEW)
    assert (status, "evaluation.json: No space left on device" in err) == (6, True), err
    assert "NLL, importance-weighted" in out
