"""What the site has beside the pages in `docs/`: references from the code, notebooks, pages of the repository's root.

MkDocs calls the functions whose names begin with `on_`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT / "src"))  # the references are those of this source, whatever is installed

from cli_reference import program_reference, published_reference  # noqa: E402
from notebook_pages import notebook_page  # noqa: E402

import ultrafield  # noqa: E402

ROOT_PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
_API = re.compile(r"<!-- api: (.*?) -->")
_GENERATED: dict[str, Callable[[], str]] = {
    "<!-- generated: program -->": program_reference,
    "<!-- generated: published -->": published_reference,
}
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add pages that are made from other files."""
    for name in ROOT_PAGES:
        files.append(File.generated(config, name.lower(), content=root_page((ROOT / name).read_text("utf-8"))))
    for notebook in sorted((DOCS / "notebooks").glob("*.ipynb")):
        text, pictures = notebook_page(notebook)
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=text))
        for name, data in pictures.items():
            picture = File.generated(config, f"notebooks/{name}", content=data)
            picture.inclusion = InclusionLevel.INCLUDED
            files.append(picture)
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Fill in what is generated, and let links lead to pages of the site."""
    for mark, generate in _GENERATED.items():
        if mark in markdown:
            markdown = markdown.replace(mark, generate())
    markdown = _API.sub(lambda found: "\n\n".join(map(api_entry, found[1].split())), markdown)
    return _LINK.sub(lambda found: found[1] + site_link(found[2], page.file.src_uri) + found[3], markdown)


def api_entry(name: str) -> str:
    """The place of a public name in the reference: where it is defined, if a module has its name too."""
    package, _, last = name.rpartition(".")
    package = package or ultrafield._PUBLIC[name]
    module = ROOT / "src" / "ultrafield" / package.replace(".", "/") / f"{last}.py"
    return f"::: ultrafield.{package}.{last}.{last}" if module.is_file() else f"::: ultrafield.{name}"


def site_link(target: str, source: str) -> str:
    """A link between files of the repository, as the page `source` of the site needs it."""
    if "://" in target or target.startswith("#"):
        return target
    path, mark, anchor = target.partition("#")
    if path.startswith("../") and Path(path).name in ROOT_PAGES:
        path = Path(path).name.lower()
    if path.endswith(".ipynb") and not source.startswith("notebooks/"):
        path = path.removesuffix(".ipynb") + ".md"
    return path + mark + anchor


def root_page(text: str) -> str:
    """A page of the repository's root, with links as from `docs/`."""

    def moved(found: re.Match[str]) -> str:
        target = found[2]
        if target in ROOT_PAGES:
            target = target.lower()
        return found[1] + target.removeprefix("docs/") + found[3]

    return _LINK.sub(moved, text)
