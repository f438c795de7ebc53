"""The montage of the per-epoch pictures."""

import pytest
from conftest import command
from PIL import Image

from vae_lightning.montage import choose, main, sheet


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run" / "samples").mkdir(parents=True)
    for epoch in range(7):
        Image.new("RGB", (40, 30), (epoch * 30, 0, 0)).save(tmp_path / "run" / "samples" / f"epoch_{epoch:04d}.png")
    return tmp_path / "run"


def call(monkeypatch, *overrides: str) -> None:
    monkeypatch.setattr("sys.argv", ["vae-montage", *overrides])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    main()


@pytest.mark.parametrize(
    ("stride", "maximum", "expected"),
    [
        (1, None, [0, 1, 2, 3, 4, 5, 6]),
        (3, None, [0, 3, 6]),
        (4, None, [2, 6]),
        (1, 3, [0, 3, 6]),
        (1, 1, [6]),
        (1, 9, [*range(7)]),
    ],
)
def test_choice_keeps_the_last(stride, maximum, expected):
    assert choose(list(range(7)), stride, maximum) == expected


def test_sheet_is_a_grid_with_labels(run):
    paths = sorted((run / "samples").iterdir())
    plain, labelled = (sheet(paths, columns=3, labels=labels, font_size=14) for labels in (False, True))
    assert plain.size == (3 * 48 + 8, 3 * 38 + 8)
    assert labelled.size == (3 * 48 + 8, 3 * 58 + 8)
    assert plain.getpixel((10, 10)) == (0, 0, 0)
    assert plain.getpixel((8 + 48 + 2, 8 + 38 + 2)) == (4 * 30, 0, 0)


def test_command(run, monkeypatch, capsys):
    call(monkeypatch, f"run={run}", "columns=4", "stride=2", "font_size=10")
    assert "4 pictures -> " in capsys.readouterr().out
    with Image.open(run / "samples_montage.png") as picture:
        assert picture.size == (4 * 48 + 8, 54 + 8)


def test_output_and_folder(run, monkeypatch, tmp_path):
    call(monkeypatch, f"run={run}", "labels=false", "maximum=2", f"output={tmp_path / 'a' / 'b.png'}")
    assert (tmp_path / "a" / "b.png").is_file()


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("run=nowhere", "run=nowhere: there is no folder"),
        ("columns=0", "columns=0: must be"),
        ("stride=-1", "stride=-1: must be"),
        ("maximum=0", "maximum=0: must be"),
        ("pattern=*.jpg", "holds no such picture"),
        ("output=sheet.txt", "must end in .png"),
        ("labels=maybe", "must be true or false"),
    ],
)
def test_mistakes(run, monkeypatch, capsys, override, says):
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, f"run={run}", override)
    assert stop.value.code == 2
    assert says in capsys.readouterr().err


def test_a_run_must_be_named(tmp_path):
    done = command("vae_lightning.montage", cwd=tmp_path)
    assert done.returncode == 2
    assert "run" in done.stderr
    assert "Traceback" not in done.stderr
