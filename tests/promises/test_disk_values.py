"""Values read from disk: what a run folder holds may be anything. Section B of issue 15, and its line C4."""

import csv
import gzip
import json
import os
import shutil
import socket
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from sweeps import evaluate, make_run

from vae_lightning import compare, montage, report, status, train
from vae_lightning import evaluate as evaluation
from vae_lightning.app import fit
from vae_lightning.data.idx import NAMES, IdxFiles, parse_idx
from vae_lightning.data.mirrors import Mirrors
from vae_lightning.data.sources import Folder
from vae_lightning.errors import DataError
from vae_lightning.pages.sweep.page import write_sweep_page
from vae_lightning.runs.lock import Lock
from vae_lightning.runs.run import Run

DEEP = "[" * 100_000
FEW = ("num_samples=2", "num_images=20", "rows=20", "curve=[1]", "ais.num_images=0", "appendix_d.num_images=0")


@pytest.fixture
def group(tmp_path) -> Path:
    """A group of two runs, one of them evaluated, and both with pictures."""
    for name in ("a", "b"):
        evaluate(make_run(tmp_path / "g" / name, picture=True, seed=1), 101.0)
    return tmp_path / "g"


def changed(run: Path, **values) -> Path:
    """Gives the record of a run other values."""
    file = run / "run_meta.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    return run


# --- B1: values of another shape -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("seconds", float("nan"), "seconds=nan: must be a finite number"),
        ("status", ["completed"], "must be a text"),
        ("metrics", {"val/elbo": "abc"}, "metrics.val/elbo=abc: must be a finite number"),
        ("metrics", [1], "metrics=[1]: must be a mapping"),
        ("epochs_done", -1, "epochs_done=-1: must be a whole number"),
        ("epochs_done", 10**30, "must be a whole number"),
        ("data", {"name": ["mnist"]}, "data.name=['mnist']: must be a text"),
        ("overrides", {"a": 1}, "overrides={'a': 1}: must be a list"),
        ("started", 3, "started=3: must be a text"),
        ("attempts", [{"seconds": "1"}], "attempts[0].seconds=1"),
        ("parts", {"loss": 1}, "parts.loss=1: must be a mapping"),
        ("seed", 1.5, "seed=1.5"),
    ],
)
def test_status_shows_every_run_and_names_what_is_broken(answer, group, key, value, says):
    """`status` showed no run at all because of one bad file: a field null, a list for a mapping, seconds=NaN."""
    changed(group / "a", **{key: value})
    code, out, err = answer(status.main, group)
    assert (code, out.count("g/a"), out.count("g/b")) == (0, 1, 1)
    assert says in err
    assert all(line.startswith(f"warning: {group}/a: run_meta.json: ") for line in err.splitlines())
    (mistake,) = Run(group / "a").broken
    assert says in mistake


@pytest.mark.sample(4)
@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '{"config": {}}', '"x"', "{", DEEP, "\0", "9" * 5000])
def test_a_record_that_holds_no_configuration(answer, group, content):
    """A damaged record ends in one line with status 4, and the other runs of the group are shown."""
    (group / "a" / "run_meta.json").write_text(content)
    code, out, _ = answer(status.main, group)
    assert (code, out.count("g/a"), out.count("g/b")) == (0, 1, 1)
    for main, word in (
        (report.main, group / "a"),
        (compare.main, f"runs=[{group}/a,{group}/b]"),
        (train.main, f"resume={group}/a"),
    ):
        code, _, err = answer(main, word)
        assert (code, err.count("error: "), "Traceback" in err) == (4, 1, False)
    code, out, err = answer(compare.main, f"runs={group}/*")
    assert (code, "n = 1" in out, "left out" in err) == (0, True, True)


@pytest.mark.parametrize(
    ("part", "value"),
    [("network", None), ("data", []), ("seed", "1"), ("run_dir", "${oc.env:HOME}"), ("loss", {"_target_": "${name}"})],
)
def test_a_configuration_that_is_not_whole(answer, monkeypatch, finished_run, tmp_path, part, value):
    """`report`, `evaluate` and `resume` of a run whose configuration lacks a part: one line, status 4."""
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    config = json.loads((run / "run_meta.json").read_text())["config"]
    changed(run, config={**config, part: value})
    monkeypatch.setattr(fit, "fit", lambda job: 0.0)
    for main, word in (
        (report.main, run),
        (evaluation.main, f"run={run}"),
        (train.main, f"resume={run}"),
    ):
        code, _, err = answer(main, word)
        assert (code, err.count("error: ")) == (4, 1), err
        assert f"config.{part}" in err


def test_a_configuration_that_cannot_be_built(answer, finished_run, tmp_path):
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    config = json.loads((run / "run_meta.json").read_text())["config"]
    changed(run, config={**config, "network": {**config["network"], "hidden": ["a"]}})
    for main, word in ((report.main, run), (evaluation.main, f"run={run}")):
        code, _, err = answer(main, word)
        assert (code, err.count("error: "), "does not describe what can be built" in err) == (4, 1, True)


@pytest.mark.parametrize(
    ("rows", "left", "says"),
    [
        ("1,-90\n2,abc\n3,-80\n", [1, 2, 3], "line 3: elbo is no number"),
        ("1,-90\n\n2,-80\n", [1, 2], None),
        ("1,-90\n2\n3,-80\n", [1, 3], "line 3: epoch is no number"),
        ("1,-90\n" + "9" * 5000 + ",-80\n", [1], "line 3: epoch is no number"),
        (f"1,-90\n2,{'x' * 200_000}\n", [1], "field larger than field limit"),
        ("1,-90\n2,1e308\n", [1, 2], "line 3: elbo is no number"),
        ("1,-90\n2,-8", [1, 2], None),  # what a kill leaves is no mistake
    ],
)
def test_a_cell_that_is_no_number(answer, group, rows, left, says):
    (group / "a" / "curves" / "train_log.csv").write_text("epoch,elbo\n" + rows)
    assert [row["epoch"] for row in Run(group / "a").curve] == left
    code, out, err = answer(status.main, group)
    assert (code, "g/a" in out, err.count("warning")) == (0, True, says is not None)
    assert (says or "") in err


@pytest.mark.parametrize("content", ["[]", "{", '{"results": 3}', DEEP, ""])
def test_an_evaluation_that_is_none(answer, group, content):
    (group / "a" / "evaluation.json").write_text(content)
    code, _, err = answer(compare.main, f"runs=[{group}/a,{group}/b]")
    assert (code, "not an evaluation's results" in err) == (4, True)
    code, out, err = answer(compare.main, f"runs={group}/*")
    assert (code, "n = 1" in out, "warning: left out" in err) == (0, True, True)


@pytest.mark.parametrize("change", [{"num_samples": "many"}, {"value": None}, {"data": None}, {"split": [1]}])
def test_a_row_of_an_evaluation_without_its_numbers(answer, group, change):
    file = group / "a" / "evaluation.json"
    rows = json.loads(file.read_text())["results"]
    file.write_text(json.dumps({"results": [{**row, **change} for row in rows]}))
    code, out, err = answer(compare.main, f"runs={group}/*")
    assert (code, "n = 1" in out, "g/a has no evaluation" in err) == (0, True, True)


@pytest.mark.parametrize("digest", [b"\n", b"", b"abc", b"\xff\xfe\0", b"x" * 100_000])
def test_a_digest_that_is_none_vouches_for_nothing(answer, finished_run, tmp_path, digest):
    """A .sha256 with one blank line let a damaged checkpoint pass; a binary one ended in a traceback."""
    run = Path(shutil.copytree(finished_run, tmp_path / "run"))
    (run / "checkpoints" / "best.ckpt.sha256").write_bytes(digest)
    code, _, err = answer(evaluation.main, f"run={run}")
    assert (code, "damaged, its SHA-256 is not the one in best.ckpt.sha256" in err) == (4, True)


def test_auto_passes_over_a_damaged_neighbour(answer, monkeypatch, finished_run, tmp_path):
    """`resume=auto` ended in a traceback where another run of the group was damaged."""
    group = tmp_path / "outputs" / "pages"
    run = changed(Path(shutil.copytree(finished_run, group / "run")), status="interrupted")
    for name, content in (("x", '{"config": {"seed": []}, "started": 3}'), ("y", "["), ("z", '{"config": []}')):
        (group / name / "checkpoints").mkdir(parents=True)
        (group / name / "checkpoints" / "last.ckpt").touch()
        (group / name / "run_meta.json").write_text(content)
    found = []
    monkeypatch.setattr(fit, "fit", lambda job: found.append(job.folder) or 0.0)
    words = ("epochs=2", "network.hidden=[16]", "latent=z2", "loss=bce_logits", "seed=7", "group=pages")
    words += ("data.mirrors=[]", "callbacks.latent_traversal.size=3", f"project_dir={tmp_path / 'outputs'}")
    code, _, err = answer(train.main, "resume=auto", "allow_drift=[project_dir]", *words)
    assert (code, found) == (0, [run]), err


def test_a_name_that_utf8_cannot_hold(answer, group):
    """A lone surrogate in a record, or in the name of a folder, ended the page in a UnicodeEncodeError."""
    odd = os.fsdecode(os.fsencode(group) + b"/\xff")
    os.rename(group / "a", odd)
    changed(Path(odd), error="\ud800", overrides=["\ud800"])
    assert answer(report.main, group)[0] == 0
    assert "%FF" in (group / "sweep.html").read_text() or "\ufffd" not in (group / "sweep.html").read_text()
    assert answer(status.main, group)[0] == 0


# --- B2: what is no regular file -------------------------------------------------------------------------------------

FILES = ["run_meta.json", "evaluation.json", "curves/train_log.csv", "curves/latent_usage.csv"]
FILES += ["samples/epoch_0005.png", "reconstructions/epoch_0001.png", "checkpoints/best.ckpt.sha256"]


@pytest.mark.sample(4)
@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, "fifo") for name in FILES), *((FILES[0], kind) for kind in ("socket", "zero", "folder"))],
)
def test_only_regular_files_are_read(answer, finished_run, group, name, kind):
    """A FIFO as record, picture or data file kept a command waiting for ever; a link to /dev/zero took all memory."""
    run = group / "a"
    shutil.copytree(finished_run / "checkpoints", run / "checkpoints", dirs_exist_ok=True)
    put(run / name, kind)
    with within(20):
        for main, words in (
            (status.main, [group]),
            (report.main, [group]),
            (report.main, [run]),
            (compare.main, [f"runs={group}/*"]),
            (montage.main, [f"run={run}"]),
        ):
            code, _, err = answer(main, *words)
            assert (code in (0, 2, 3, 4), "Traceback" in err) == (True, False), (main, err)
    assert Run(run).broken or "png" in name or "sha256" in name


def put(path: Path, kind: str) -> None:
    """Puts something in the place of a file that is none."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        here = os.getcwd()
        os.chdir(path.parent)  # the name of a socket is short
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
        os.chdir(here)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Ends the whole test run where the block waits for something that never comes."""
    timer = threading.Timer(seconds * 5, os._exit, [98])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@pytest.mark.parametrize("kind", ["fifo", "zero"])
def test_a_sweep_s_own_files_too(group, kind):
    for place in ("jobs/0001.json", "multirun.yaml"):
        (group / place).parent.mkdir(exist_ok=True)
        put(group / place, kind)
    with within(20):
        assert write_sweep_page(group).is_file()


def test_a_picture_of_too_many_pixels(answer, group):
    """A PNG of 900 megapixels: the page leaves it out, `montage` names it."""
    Image.new("1", (30_000, 30_000)).save(group / "a" / "samples" / "epoch_0005.png")
    code, _, err = answer(montage.main, f"run={group / 'a'}")
    assert (code, "epoch_0005.png: cannot be read as a picture (" in err) == (2, True)
    assert answer(report.main, group)[0] == 0


def test_a_link_in_a_run_folder_is_not_walked(answer, group):
    (group / "a" / "all").symlink_to("/")
    with within(20):
        assert answer(report.main, group / "a")[0] == 0


# --- B3: other people's runs -----------------------------------------------------------------------------------------


@pytest.fixture
def readers_only() -> Iterator[Path]:
    """A folder that this process may read and not write."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def test_a_run_of_another_user(answer, readers_only):
    """PermissionError: looking at a lock opened it for writing."""
    run = changed(make_run(readers_only / "g" / "a"), status="running")
    lock = Lock(run)
    lock.take()
    for path in (readers_only, run.parent, run, run / ".lock"):
        path.chmod(0o444 if path.name == ".lock" else 0o555)
    with as_nobody():
        assert Lock(run).held
        assert "running" in answer(status.main, readers_only)[1]
        lock.release()
        assert not Lock(run).held
        assert "killed" in answer(status.main, readers_only)[1]
    (run / ".lock").chmod(0)
    with as_nobody():
        assert "running" in answer(status.main, readers_only)[1]  # nobody can say that it was killed
    for path in (run, run.parent, readers_only):
        path.chmod(0o755)


@contextmanager
def as_nobody() -> Iterator[None]:
    """The superuser may write everywhere; another user may not."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_two_who_look_at_a_lock_do_not_see_each_other(tmp_path):
    lock = Lock(tmp_path)
    lock.take()
    lock.release()
    with (tmp_path / ".lock").open() as file:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_SH)
        assert not Lock(tmp_path).held


# --- B4: what is printed is printable --------------------------------------------------------------------------------

FAKE = "completed\nwarning: all is well\x1b[2J\x9b2J\r\u2028\u202e"


def test_a_record_fakes_no_line(answer, group):
    """Escape sequences and newlines of a record became lines of `status`, `compare` and messages."""
    os.rename(group / "a", group / "a\nerror: x\x1b[2J")
    run = group / "a\nerror: x\x1b[2J"
    record = json.loads((run / "run_meta.json").read_text())
    config = {**record["config"], "network": {**record["config"]["network"], "activation": FAKE}}
    changed(run, status=FAKE, error=FAKE, config=config, data={**record["data"], "name": FAKE, "protocol": FAKE})
    rows = json.loads((run / "evaluation.json").read_text())["results"]
    for change in ({}, {"data": FAKE}, {"checkpoint": FAKE, "num_samples": 7}):
        (run / "evaluation.json").write_text(json.dumps({"results": [{**row, **change} for row in rows]}))
        for main, words in (
            (status.main, [group]),
            (compare.main, [f"runs={group}/*"]),
            (report.main, [group]),
            (report.main, [run]),
            (evaluation.main, [f"run={group}/*"]),
        ):
            _, out, err = answer(main, *words)
            assert not set("\x1b\x9b\r\u2028\u202e") & {*out, *err}
            assert not any(line.startswith(("error: x", "warning: all")) for line in (out + err).splitlines())


# --- B5: spreadsheets ------------------------------------------------------------------------------------------------


def test_no_cell_of_a_sweep_is_a_formula(group):
    """Cells of sweep.csv that begin with =, +, - or @ run in a spreadsheet; numbers are left as they are."""
    bad = ["=HYPERLINK(1)", "+1+1", "-1-1", "@SUM(1)", " =1+1", "\t=1", "=1"]
    for number, text in enumerate(bad):
        made = make_run(group / f"r{number}", "lr=0.01", seed=number, error=text, said=(text, "lr=0.01"))
        changed(made, status=text)
    os.rename(group / "a", group / "=a")
    write_sweep_page(group)
    rows = list(csv.reader((group / "sweep.csv").read_text().splitlines()))
    cells = [cell for row in rows for cell in row]
    assert {f"'{text}" for text in bad} <= set(cells)
    assert "'=a" in cells
    formulas = [cell for cell in cells if cell.lstrip()[:1] in ("=", "+", "-", "@") and cell]
    assert all(float(cell) < 0 for cell in formulas)
    assert formulas


# --- B6: data that unpack to more than they can be -------------------------------------------------------------------


@pytest.fixture
def zeros() -> bytes:
    """200 MB of zeros in 200 kB: what the test can afford; the size that is read does not depend on it."""
    return gzip.compress(bytes(200_000_000), 1)


def peak_of(call) -> int:
    """The most bytes that a call had in memory at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


ANY = IdxFiles("MNIST", **dict.fromkeys(NAMES, "0" * 64))


@pytest.mark.parametrize("kind", ["folder", "mirror", "raw"])
def test_no_more_is_unpacked_than_can_be_right(monkeypatch, tmp_path, zeros, kind):
    """A .gz of 3 GB zeros, from disk or from a mirror, was unpacked before its size was known."""
    import io

    from vae_lightning.data import mirrors

    for name in NAMES.values():
        if kind == "raw":
            with (tmp_path / name).open("wb") as file:
                file.truncate(3_000_000_000)
        else:
            (tmp_path / f"{name}.gz").write_bytes(zeros)
    monkeypatch.setattr(mirrors.urllib.request, "urlopen", lambda *_, **__: Response(zeros))
    source = Mirrors(["http://example.org"]) if kind == "mirror" else Folder()

    class Response(io.BytesIO):
        pass

    def find():
        with pytest.raises(DataError, match=r"more than 47,040,016 bytes|more than 47,775,016 bytes"):
            source.find(ANY, tmp_path, "mnist")

    assert peak_of(find) < 150_000_000


def test_a_mirror_that_never_ends(monkeypatch, tmp_path):
    from vae_lightning.data import mirrors

    class Endless:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read1(self, size):
            return bytes(size)

    monkeypatch.setattr(mirrors.urllib.request, "urlopen", lambda *_, **__: Endless())
    with pytest.raises(DataError, match="more than"):
        Mirrors(["http://example.org"]).find(ANY, tmp_path, "mnist")


@pytest.mark.parametrize("content", [b"\0\0\x08\0", b"\0\0\x08\0x", b"\0\0\x08\x03" + b"\xff" * 12 + b"x"])
def test_an_idx_file_of_no_dimensions_or_of_too_many_numbers(content):
    with pytest.raises(DataError, match=r"0 dimensions|the header says"):
        parse_idx(content, Path("x"))


# --- C4: one function resolves a run ---------------------------------------------------------------------------------


@pytest.mark.sample(1)
@pytest.mark.parametrize("place", [".", "./", "../run", "samples/..", "../latest", "../../outputs/latest"])
def test_every_command_finds_the_run_that_a_path_means(answer, monkeypatch, finished_run, tmp_path, place):
    """`run=.`, `resume=.` and `report .` ended in a traceback; three commands knew a group with only latest.txt."""
    run = Path(shutil.copytree(finished_run, tmp_path / "outputs" / "run"))
    evaluate(run, 101.0)
    shutil.copy(finished_run / "checkpoints" / "best.ckpt.sha256", run / "checkpoints")
    (run.parent / "latest.txt").write_text("run\n")
    monkeypatch.chdir(run)
    monkeypatch.setattr(fit, "fit", lambda job: 0.0)
    for main, words in (
        (status.main, [place]),
        (report.main, [place]),
        (montage.main, [f"run={place}"]),
        (evaluation.main, [f"run={place}", *FEW]),
        (compare.main, [f"runs=[{place}]"]),
        (train.main, [f"resume={place}"]),
    ):
        code, _, err = answer(main, *words)
        assert code == 0, (main, err)


@pytest.mark.sample(3)
@pytest.mark.parametrize("place", ["", " ", "/", "/dev/null", "nowhere", "~nobody-here/x", "\0", "x" * 5000])
def test_every_command_answers_a_path_that_means_none(answer, monkeypatch, tmp_path, place):
    monkeypatch.chdir(tmp_path)
    for main, words in (
        (status.main, [place]),
        (report.main, [place]),
        (montage.main, [f"run={place}"]),
        (evaluation.main, [f"run={place}"]),
        (compare.main, [f"runs=[{place}]"]),
        (train.main, [f"resume={place}"]),
    ):
        if place == "/" and main in (status.main, report.main):
            continue  # they look for the runs of the whole disk
        code, _, err = answer(main, *words)
        assert (code in (2, 4), "Traceback" in err, "error: " in err) == (True, False, True), (main, code, err)


@pytest.mark.parametrize("content", ["", "../../x", "/etc", "gone", "\xff", "a\nb", "x" * 100_000])
def test_a_latest_txt_that_names_no_folder_beside_it(answer, tmp_path, content):
    (tmp_path / "latest.txt").write_text(content, encoding="latin-1")
    for main, word in ((status.main, "{}"), (report.main, "{}"), (evaluation.main, "run={}"), (montage.main, "run={}")):
        code, _, err = answer(main, word.format(tmp_path / "latest"))
        assert (code, err.count("error: ")) == (2, 1), (main, err)
    os.remove(tmp_path / "latest.txt")
    os.mkfifo(tmp_path / "latest.txt")
    with within(20):
        assert answer(status.main, tmp_path / "latest")[0] == 2
