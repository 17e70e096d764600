"""The panel's HTML: names are text."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from merge_trees import SMALL
from viewer_sessions import session_of

from ultrafield.viewer.markup import pictures_html, rows_html, selection_html, status_html, tools_html
from ultrafield.viewer.measuring import measure
from ultrafield.viewer.outline import Outline

NAMES = (
    '<img src=x onerror="alert(1)">',
    "</div><script>alert(1)</script>",
    "\" onfocus='x' autofocus=\"",
    "Å&amp;\u202e{x}",
)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> _Reader:
    reader = _Reader()
    reader.feed(html)
    return reader


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_and_never_run(name: str) -> None:
    session = session_of(SMALL)
    session.select(7)
    session.rename(name)
    rows = rows_html(session, Outline(session).rows(), {7: "data:image/png;base64,AA=="}, 7)
    facts = selection_html(session, measure(session, 7), name)
    pictures = pictures_html(name, {"photo": np.zeros((2, 2, 3), np.uint8)}, name)
    for html in (rows, facts, pictures, status_html(name, "bad")):
        reader = read(html)
        assert name in reader.text
        assert "script" not in [tag for tag, _ in reader.tags]
        for tag, attributes in reader.tags:
            assert not any(key.startswith("on") or key == "autofocus" for key in attributes)
            assert tag != "img" or (attributes["src"] or "").startswith("data:image/")
    lent = rows_html(session, [replace(Outline(session).rows()[0], name="", nearly=name)], {}, -1)
    assert f"≈ {name}" in "".join(read(lent).text)
    assert [tag for tag, _ in read(lent).tags] == ["div", "div", "i", "i", "span", "span", "small", "i", "i"]
    (field,) = [attributes for tag, attributes in read(facts).tags if tag == "input"]
    assert field["value"] == name


def test_buttons_are_grey_where_they_make_no_sense() -> None:
    session = session_of(SMALL)

    def grey(*, locked: bool = False) -> set[str]:
        tags = read(tools_html(session, photo=False, locked=locked)).tags
        return {str(given["data-act"]) for tag, given in tags if tag == "button" and "disabled" in given}

    assert grey() >= {"climb", "descend", "hide", "merge", "split", "undo", "redo", "all"}
    assert "colors" not in grey()
    session.select(5)
    session.rename("a")
    assert grey() == {"merge", "redo", "all"}
    session.select(6, add=True)
    assert "merge" not in grey()
    assert grey(locked=True) >= {"merge", "split", "undo", "redo"}
    session.undo()
    assert "redo" not in grey()
    assert "uf-name" not in selection_html(session, measure(session, 5), "", locked=True)


def test_nothing_selected_and_nothing_found() -> None:
    session = session_of(SMALL)
    assert "Nothing selected" in selection_html(session, None, "")
    assert "Nothing has this name" in rows_html(session, [], {}, -1)
    session.cut(0.6)
    session.select(7)
    session.open()
    assert "opened by hand" in selection_html(session, None, "")
