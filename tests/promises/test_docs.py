"""docs/ as a site, in two languages, and as a notebook; and what else stands beside the code for a stranger."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import yaml
from conftest import ROOT
from documents import (
    DOCS,
    ENGLISH,
    FENCE,
    TRANSLATED,
    blocks,
    headings,
    links,
    page,
    read,
    rows,
    without_remarks,
)

from vae_lightning import __version__, callbacks, data, loss
from vae_lightning.runs.regular import json_of

NOTEBOOK = ROOT / "docs" / "equations_to_explorer.ipynb"


def navigation() -> list[str]:
    """The pages that mkdocs.yml lists, in order."""
    listed = read(ROOT / "mkdocs.yml").split("\nnav:\n")[1].split("\n\n")[0]
    return re.findall(r"(?:: |- )([\w/]+\.md)$", listed, re.MULTILINE)


def test_the_navigation_has_every_page_once():
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (*DOCS, *TRANSLATED)]
    assert sorted(navigation()) == sorted(pages)
    assert navigation()[0] == "index.md"


@pytest.mark.parametrize("path", [*DOCS, *TRANSLATED], ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_page_links_only_to_what_the_site_has(path):
    for link in links(path):
        if not link.startswith("https://"):
            target = (path.parent / link.partition("#")[0]).resolve()
            assert target.is_relative_to(ROOT / "docs"), link


# --- the pages in Japanese ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.name)
def test_a_translation_shows_what_its_page_shows(path):
    """The same code blocks, the same levels of headings, and in each row of a table the same words of code."""
    both = (page(path.stem), path)
    english, japanese = ([(kind, without_remarks(text)) for kind, text in FENCE.findall(read(each))] for each in both)
    assert japanese == english
    english, japanese = ([level for level, _ in headings(each)] for each in both)
    assert japanese == english
    english, japanese = (re.findall(r"^\|.*", read(each), re.MULTILINE) for each in both)
    for here, there in zip(japanese, english, strict=True):
        assert Counter(re.findall(r"`[^`]+`", here)) == Counter(re.findall(r"`[^`]+`", there))


@pytest.mark.parametrize("path", TRANSLATED, ids=lambda path: path.name)
def test_a_translation_and_its_page_lead_to_each_other(path):
    assert f"ja/{path.name}" in links(page(path.stem))
    assert f"../{path.name}" in links(path)


def test_the_first_hour_is_in_japanese():
    assert {"index.md", "install.md", "choose.md", "data.md"} <= {path.name for path in TRANSLATED}


# --- the pages that no other test runs ------------------------------------------------------------------------------


def test_the_start_page_repeats_the_snippet_of_the_readme():
    """test_readme.py runs it."""
    assert blocks(page("index"), "python") == blocks(ENGLISH, "python")


def test_the_install_page_names_every_extra():
    text = read(ROOT / "pyproject.toml").split("[project.optional-dependencies]\n")[1].split("\n[")[0]
    extras = re.findall(r"^(\w+) = \[", text, re.MULTILINE)
    named = [name for cells in rows(page("install"), "The default") for name in re.findall(r"`(\w+)`", cells[0])]
    assert sorted(named) == sorted(extras)


def test_what_a_stranger_looks_for_is_there():
    citation = yaml.safe_load(read(ROOT / "CITATION.cff"))
    assert citation["version"] == __version__
    assert citation["cff-version"] == "1.2.0"
    assert {"title", "authors", "message"} <= {*citation}
    assert re.search(r"^## ", read(ROOT / "CHANGELOG.md"), re.MULTILINE)
    templates = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.md"))
    for template in templates:
        front = yaml.safe_load(read(template).split("---\n")[1])
        assert front["name"]
        assert front["about"]
    assert len(templates) >= 2


# --- the site -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("material", reason="the extra `docs` is not installed")
    pytest.importorskip("mkdocstrings", reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_is_built_strictly(site):
    """No link or anchor of a page leads nowhere, no page is left out, and the API has what the packages export."""
    for name in navigation():
        html = (site / name).with_suffix(".html")
        assert f'<html lang="{"ja" if name.startswith("ja/") else "en"}"' in html.read_text(encoding="utf-8"), name
    api = (site / "api.html").read_text(encoding="utf-8")
    for package in (callbacks, data, loss):
        for name in package.__all__:
            assert re.search(rf'id="{package.__name__}\.[\w.]*{name}"', api), name
    equations = (site / "equations.html").read_text(encoding="utf-8")
    assert 'id="vae_lightning.equations.gaussian_sgvb"' in equations
    assert (site / NOTEBOOK.name).is_file()
    assert not (site / "theme").exists()


def test_the_site_asks_no_other_server(site):
    """It opens from disk, without a network: scripts, styles, fonts and pictures lie in it."""
    for html in site.rglob("*.html"):
        text = html.read_text(encoding="utf-8")
        assert not re.search(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//', text), html.name
        assert not re.search(r'<link[^>]+rel="(?:stylesheet|preconnect)"[^>]+href="(?:https?:)?//', text), html.name


# --- the notebook ---------------------------------------------------------------------------------------------------


def test_the_notebook_is_short_and_holds_no_outputs():
    cells = json_of(NOTEBOOK)["cells"]
    assert len(cells) <= 15
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in cells)


@pytest.mark.slow
def test_the_notebook_leads_from_the_equations_to_the_explorer(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the kernel: beside another test, two are twenty times slower
    nbformat = pytest.importorskip("nbformat", reason="nbclient and ipykernel are in the extra `dev`")
    nbclient = pytest.importorskip("nbclient", reason="nbclient and ipykernel are in the extra `dev`")
    pytest.importorskip("ipykernel", reason="nbclient and ipykernel are in the extra `dev`")
    shutil.copy(NOTEBOOK, tmp_path)
    notebook = nbformat.read(tmp_path / NOTEBOOK.name, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = "".join(part.get("text", "") for cell in notebook.cells for part in cell.get("outputs", []))
    closed_form, estimate = map(float, re.search(r"closed form ([\d.]+), from samples ([\d.]+)", printed).groups())
    assert estimate == pytest.approx(closed_form, abs=0.02)
    assert float(re.search(r"largest difference (\S+) nats", printed)[1]) < 1e-3
    bounds = [float(value) for value in re.findall(r"is at least (-[\d.]+)", printed)]
    assert bounds == sorted(bounds)
    assert -250 < bounds[0] < -100
    explorer = (tmp_path / "outputs" / "notebook" / "report.html").read_text(encoding="utf-8")
    assert '"decoder"' in explorer
    assert 'id="explorer"' in explorer
