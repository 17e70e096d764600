"""Pages of the documentation: links, options, and messages of the program that they quote."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from help_text import program_help

from ultrafield import cli

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
GUIDES = (
    *("quickstart", "tutorial", "concepts", "engines", "data", "troubleshooting", "export", "capture", "masks"),
    *("synth", "film", "names", "viewer", "gpus", "serve"),
)
# Options of other programs, of the published commands and of benchmarks that the pages name.
FOREIGN = {"--convert-to-rle", "--per_obj_png_file", "--local-dir"} | {"--num_gpus", "--optimize_ext", "--mask-views"}


def without_code(text: str) -> str:
    """A page without its code, in which brackets are no links."""
    text = re.sub(r"^( *)```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", "\n".join(line for line in text.splitlines() if not line.startswith("    ")))


def anchors(file: Path) -> set[str]:
    """Names that links to headings of a page may have, on the site as on the repository's pages."""
    headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere_in_the_repository(page: Path) -> None:
    for target in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), target
        # The references have headings that are made when the site is built.
        if anchor and file.name != "cli.md":
            assert anchor in anchors(file), target


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r": ([\w/]+\.md)$", text, flags=re.MULTILINE))
    notebooks = {f"notebooks/{file.stem}.md" for file in (DOCS / "notebooks").glob("*.ipynb")}
    made = {name.lower() for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}
    assert listed == {page.name for page in DOCS.glob("*.md")} | notebooks | made


def test_options_in_the_guides_exist() -> None:
    known = {name for command in cli.COMMANDS for group in program_help(command).groups for option in group.options
             for name in option.names}  # fmt: skip
    for guide in GUIDES:
        text = (DOCS / f"{guide}.md").read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if "pip install" not in line and "ffmpeg" not in line]
        named = set(re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", "\n".join(lines)))
        assert named - known - FOREIGN == set(), guide


def test_messages_that_troubleshooting_quotes_are_the_programs_own() -> None:
    source = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", source)  # texts that go over several lines, as one
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = [
        quote
        for row in re.findall(r"^\| (`.*?) \| ", page, flags=re.MULTILINE)
        for quote in re.findall(r"`(.+?)`", row)
    ]
    assert len(quoted) > 40
    for quote in quoted:
        for piece in filter(None, (piece.strip() for piece in quote.split("…"))):
            assert piece in said, f"{piece!r} of {quote!r}"


def test_the_moving_picture_of_the_readme_is_small() -> None:
    from PIL import Image

    file = DOCS / "images" / "sweep.gif"
    assert file.stat().st_size < 1_500_000
    with Image.open(file) as picture:
        assert picture.n_frames > 20
