"""The site as MkDocs builds it, and the pieces that are made for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from notebook_pages import notebook_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package, reason="needs the extra docs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    surroundings = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[-3000:]
    assert "WARNING" not in built.stderr
    site = tmp_path / "site"
    commands, python, notebook = (
        (site / page).read_text(encoding="utf-8") for page in ("cli.html", "api.html", "notebooks/grasp.html")
    )
    assert "--geometry.steps" in commands
    assert "generated:" not in commands  # a mark that nothing has filled in
    assert re.search(r'id="ultrafield.Segmentation.cut_into"', python)
    assert "<blockquote>" not in python  # what examples become that are no section
    assert 'src="grasp_0.png"' in notebook
    assert (site / "notebooks" / "grasp_0.png").stat().st_size > 1000
    assert not re.search(r'<(script|link|img|iframe)[^>]*(src|href)="https?://', commands + notebook)  # asks no one


def test_examples_get_a_heading_and_nothing_else_changes() -> None:
    pytest.importorskip("griffe", reason="needs the extra docs")
    from examples import with_headings

    text = "Cut it.\n\nReturns:\n    Ids.\n\n>>> f(1)\n2\n>>> f(2)\n3\n\nMore words."
    expected = "Cut it.\n\nReturns:\n    Ids.\n\nExamples:\n    >>> f(1)\n    2\n    >>> f(2)\n    3\n\nMore words."
    assert with_headings(text) == expected


def test_links_are_those_of_the_site() -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs")
    from site_pages import root_page, site_link

    assert site_link("notebooks/grasp.ipynb#x", "index.md") == "notebooks/grasp.md#x"
    assert site_link("grasp.ipynb", "notebooks/grasp.md") == "grasp.ipynb"  # the file itself, to take away
    assert site_link("../CHANGELOG.md", "index.md") == "changelog.md"
    assert site_link("https://example.org/a.ipynb", "index.md") == "https://example.org/a.ipynb"
    assert root_page("[a](docs/a.md#b) [c](CHANGELOG.md)") == "[a](a.md#b) [c](changelog.md)"


def test_a_notebook_becomes_a_page_with_code_outputs_and_pictures() -> None:
    text, pictures = notebook_page(DOCS / "notebooks" / "grasp.ipynb")
    assert text.startswith("# A robot grasps a part\n\nThe notebook itself: [grasp.ipynb](grasp.ipynb)")
    assert re.search(r"```text\npart: node \d+, \d+ points", text)
    assert [name for name in pictures if f"]({name})" in text] == ["grasp_0.png"]
    assert pictures["grasp_0.png"].startswith(b"\x89PNG")
