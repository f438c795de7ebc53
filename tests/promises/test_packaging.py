"""What is built from the checkout: complete, clean, and enough by itself."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import NO_NETWORK, ROOT

from vae_lightning.version import __version__

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], check=True, capture_output=True)
    return folder


def test_the_wheel_holds_conf_and_digits_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "vae_lightning/conf/train.yaml" in names
    beside = ("base/base.html.j2", "base/base.css", "run/run.html.j2", "sweep/sweep.js", "explorer/net.js")
    assert {f"vae_lightning/pages/{name}" for name in beside} <= set(names)
    assert "vae_lightning/data/subset/train-images-idx3-ubyte.gz" in names
    assert {name.split("/")[0] for name in names} == {"vae_lightning", f"vae_lightning-{__version__}.dist-info"}
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert not any("/outputs/2" in name for name in archive.getnames())


def test_the_wheel_trains_in_an_empty_environment_from_another_folder(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", str(wheel)], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    trains([python.with_name("vae-train")], elsewhere, clean)


def test_the_sdist_trains_from_another_folder(built, tmp_path):
    """Built from the archive alone; the packages that it needs are those of the tests."""
    (sdist,) = built.glob("*.tar.gz")
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(sdist)]
    subprocess.run(install, check=True)
    elsewhere.mkdir()
    first = {**os.environ, "PYTHONPATH": str(site)}
    where = [sys.executable, "-c", "import vae_lightning; print(vae_lightning.__file__)"]
    found = subprocess.run(where, cwd=elsewhere, env=first, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(site)
    trains([sys.executable, "-m", "vae_lightning.train"], elsewhere, first)


def trains(command, folder, environment):
    """One epoch of the bundled digits, to its end."""
    words = ["epochs=1", "network.hidden=[16]", *NO_NETWORK, "data.dir=nothing"]
    done = subprocess.run([*map(str, command), *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = folder.rglob("run_meta.json")
    assert json.loads(record.read_text())["status"] == "completed"
