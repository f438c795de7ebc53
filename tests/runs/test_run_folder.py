"""Run folders: one owner each, numbers without gaps, `latest` that always resolves."""

import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from vae_lightning.errors import CheckpointError, ConfigError, FolderError
from vae_lightning.runs import folder as run_folder
from vae_lightning.runs.folder import claim
from vae_lightning.runs.lock import Lock


def claims(project_dir: str, names: list[str]) -> list[str]:
    return [claim(project_dir, "group", name).name for name in names]


def test_numbers_count_the_runs_of_the_day(tmp_path):
    names = claims(str(tmp_path), ["a", "b", "a"])
    assert [name.split("-", 1)[1] for name in names] == ["001-a", "002-b", "003-a"]
    assert len(names[0].split("-")[0]) == 8
    assert not list((tmp_path / "group").glob(".*"))


def test_latest_points_at_the_newest(tmp_path):
    *_, newest = claims(str(tmp_path), ["a", "b"])
    assert os.readlink(tmp_path / "group" / "latest") == newest


def test_latest_is_a_text_file_where_links_are_not_allowed(tmp_path, monkeypatch):
    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    (name,) = claims(str(tmp_path), ["a"])
    assert (tmp_path / "group" / "latest.txt").read_text() == name + "\n"


def test_foreign_entries_and_other_days_do_not_count(tmp_path):
    for entry in ("20200101-007-a", "notes", "2020-1-x", "multirun.yaml"):
        (tmp_path / "group" / entry).mkdir(parents=True)
    assert claims(str(tmp_path), ["a"])[0].split("-")[1] == "001"


def test_eight_processes_at_once_claim_two_hundred_numbers_without_a_gap(tmp_path):
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("forkserver")) as pool:
        jobs = [pool.submit(claims, str(tmp_path), [f"p{i}"] * 25) for i in range(8)]
        names = sorted(name for job in jobs for name in job.result())
    assert [int(name.split("-")[1]) for name in names] == list(range(1, 201))
    assert os.readlink(tmp_path / "group" / "latest") in names


def counted_by_looking(project_dir: str, count: int) -> list[str]:
    """The negative control of a claim: the next number is the largest one seen, plus one."""
    made = []
    for _ in range(count):
        number = max(run_folder.taken(Path(project_dir), "today"), default=0) + 1
        time.sleep(0.001)
        folder = Path(project_dir) / f"today-{number:03d}-a"
        folder.mkdir(exist_ok=True)
        made.append(folder.name)
    return made


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="looking and then making is not claiming")
def test_without_a_lock_two_processes_share_a_folder(tmp_path):
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context("forkserver")) as pool:
        jobs = [pool.submit(counted_by_looking, str(tmp_path), 25) for _ in range(8)]
        names = [name for job in jobs for name in job.result()]
    assert len(set(names)) == 200


def point_for(seconds: float, parent: str, name: str, naive: bool) -> int:
    """Points `latest` at a folder again and again; naively by removing the link first."""
    (Path(parent) / name).mkdir(exist_ok=True)
    ends, count = time.monotonic() + seconds, 0
    while time.monotonic() < ends:
        if naive:
            (Path(parent) / "latest").unlink(missing_ok=True)
            time.sleep(0.001)  # so that a busy machine looks in between, too
            with suppress(FileExistsError):
                (Path(parent) / "latest").symlink_to(name)
        else:
            run_folder.point_latest(Path(parent), name)
        count += 1
    return count


@pytest.mark.parametrize(
    "naive",
    [False, pytest.param(True, marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason="a moment without"))],
)
def test_latest_resolves_at_every_moment(tmp_path, naive):
    """Two writers, one reader."""
    point_for(0, str(tmp_path), "a", naive)
    run_folder.point_latest(tmp_path, "a")
    missing = looks = 0
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver")) as pool:
        jobs = [pool.submit(point_for, 1.0, str(tmp_path), name, naive) for name in ("a", "b")]
        while not all(job.done() for job in jobs):
            looks += 1
            missing += not (tmp_path / "latest").is_dir()
        assert min(job.result() for job in jobs) > 20
    assert looks > 100
    assert missing == 0
    assert not list(tmp_path.glob(".*"))


def test_a_look_at_the_lock_keeps_nobody_out(tmp_path):
    """`held` has it for a moment; whoever wants it waits for that long."""
    looking, own = Lock(tmp_path), Lock(tmp_path)
    looking.take()
    threading.Timer(0.03, looking.release).start()
    own.take()
    assert Lock(tmp_path).held
    with pytest.raises(CheckpointError, match="in use by process"):
        Lock(tmp_path).take()
    own.release()


def test_a_latest_that_somebody_made_a_folder_stays(tmp_path):
    """It is the user's; the run has its folder, and latest.txt names it."""
    (tmp_path / "group" / "latest").mkdir(parents=True)
    (tmp_path / "group" / "latest" / "precious").write_text("")
    (name,) = claims(str(tmp_path), ["a"])
    assert (tmp_path / "group" / "latest" / "precious").is_file()
    assert (tmp_path / "group" / "latest.txt").read_text() == name + "\n"


def test_the_thousandth_run_of_a_day(tmp_path):
    (first,) = claims(str(tmp_path), ["a"])
    (tmp_path / "group" / first).rename(tmp_path / "group" / first.replace("-001-", "-999-"))
    assert claims(str(tmp_path), ["a"])[0].split("-")[1] == "1000"


def test_without_a_date_prefix_the_name_is_the_folder_and_is_taken_once(tmp_path):
    assert claim(str(tmp_path), "group", "mine", date_prefix=False) == tmp_path / "group" / "mine"
    with pytest.raises(ConfigError, match=r"name=mine: .* already holds a run"):
        claim(str(tmp_path), "group", "mine", date_prefix=False)


def test_save_dir_is_the_folder_itself(tmp_path):
    assert claim(str(tmp_path), "g", "n", save_dir=str(tmp_path / "deep" / "here")) == tmp_path / "deep" / "here"
    assert not (tmp_path / "g").exists()
    with pytest.raises(ConfigError, match="already holds a run"):
        claim(str(tmp_path), "g", "n", save_dir=str(tmp_path / "deep" / "here"))


@pytest.mark.parametrize(
    "wrong", ["../x", "/abs", "a/b", "a\\b", ".", "..", ".hidden", "-rf", "a\nb", "a=b", "", "x" * 300]
)
@pytest.mark.parametrize("key", ["group", "name"])
def test_what_is_not_a_folders_name_is_refused_before_anything_is_made(tmp_path, key, wrong):
    names = {"group": "g", "name": "n", key: wrong}
    with pytest.raises(ConfigError, match=f"^{key}="):
        claim(str(tmp_path / "project"), **names)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rank", ["RANK", "SLURM_PROCID"])
def test_a_process_that_somebody_else_started_with_a_rank_claims_nothing(tmp_path, monkeypatch, rank):
    monkeypatch.setenv(rank, "1")
    assert claim(str(tmp_path / "project"), "group", "name") == tmp_path / "project"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["with space", "ü 名", "emoji🙂"])
def test_spaces_and_unicode_are_names(tmp_path, name):
    assert claims(str(tmp_path), [name])[0].endswith(f"-{name}")


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="choose another project_dir"):
        claim(str(tmp_path / "file"), "group", "name")


def test_the_other_processes_of_a_distributed_run_join_the_first_ones_folder(tmp_path, monkeypatch):
    folder = claim(str(tmp_path), "group", "name")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert claim(str(tmp_path), "group", "name").resolve() == folder.resolve()
    assert os.environ[run_folder.JOINED] == str(folder.resolve())
