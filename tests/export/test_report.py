"""The report: one file that asks for nothing, whatever names hold; charts, list and thumbnails within their budgets."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from ultrafield.export.levels import automatic_levels
from ultrafield.export.report import Curve, Figure, Period, ReportContent, ViewMaps, report_html
from ultrafield.export.segments import Segments, make_segments
from ultrafield.pipeline.figures import headline, trust_figures
from ultrafield.surface import Surface
from ultrafield.ultrametric import Tree

HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"


def flat(count: int) -> Surface:
    points = np.random.default_rng(0).random((count, 3), np.float32)
    visible = np.zeros((0, (count + 7) // 8), np.uint8)
    return Surface(points, np.zeros_like(points), np.zeros((count, 3), np.uint8), visible, 0.01)


def small(names: dict[int, str] | None = None) -> Segments:
    """Four points: two pairs at height 0.25, one at 0.75."""
    tree = Tree([4, 4, 5, 5, 6, 6, 6], [0, 0, 0, 0, 0.25, 0.25, 0.75], [1, 1, 1, 1, 2, 2, 4])
    return make_segments(flat(4), tree, automatic_levels(np.array([0.5, 0.75])), names=names)


def content(segments: Segments, **others: object) -> ReportContent:
    labels = np.array([[[6, 6, 6], [6, -1, 6]], [[4, 4, 5], [4, -1, 5]]], np.int32)
    view = ViewMaps(HTML, np.full((20, 30, 3), 200, np.uint8), labels)
    return ReportContent(HTML, HTML, (("3", HTML),), HTML, segments, (view, view), **others)  # type: ignore[arg-type]


class Elements(HTMLParser):
    """Elements of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page() -> Elements:
    figures = (Figure(HTML, HTML, "low", HTML, HTML, 0.5),)
    curves = (Curve(HTML, np.array([0, 50]), np.array([0.5, 0.25])),)
    periods = (Period(HTML, 1.0, 10**9), Period(HTML, 0.5, inner=True))
    others = {"figures": figures, "curves": curves, "periods": periods, "settings": {HTML: {HTML: HTML}}}
    return Elements(report_html(content(small({4: HTML, 6: HTML}), versions={HTML: HTML}, **others)))


def test_names_are_text_and_never_run(page: Elements) -> None:
    assert len(page.of("script")) == 1
    assert HTML in page.text
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert all(image["src"].startswith("data:image/") for image in page.of("img"))  # type: ignore[union-attr]


def test_nothing_is_asked_for(page: Elements) -> None:
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert re.match(r"data:image/|#", attributes.get(name) or "#")
    policy = next(item for item in page.of("meta") if item.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in (policy["content"] or "")


def test_every_part_is_there(page: Elements) -> None:
    sections = [section["id"] for section in page.of("section")]
    assert sections == ["views", "trust", "tree-section", "dendrogram", "training", "time", "settings"]
    assert [link["href"] for link in page.of("a")][1:] == [f"#{name}" for name in sections]
    maps = [image for image in page.of("img") if image.get("class") == "map"]
    assert [("hidden" in image, image["data-level"]) for image in maps] == [(True, "0"), (False, "1")] * 2
    assert len(page.of("svg")) == 2
    assert all(chart["aria-label"] for chart in page.of("svg"))


def test_what_is_missing_is_left_out() -> None:
    bare = ReportContent("a", "b", (), "", small(), ())
    sections = [section["id"] for section in Elements(report_html(bare)).of("section")]
    assert sections == ["tree-section", "dendrogram", "settings"]


def test_very_many_nodes_stay_within_the_budget() -> None:
    n = 1 << 15
    ids = np.arange(2 * n - 1)
    up = np.where(ids < 2 * n - 2, n + ids // 2, ids)
    depth = np.zeros(2 * n - 1)
    leaves = np.where(ids < n, 1, 0)
    for node in range(2 * n - 2):
        leaves[up[node]] += leaves[node]
        depth[up[node]] = max(depth[up[node]], depth[node] + 1)
    tree = Tree(up, depth / 16, leaves)
    names = {int(node): f"part {node}" for node in range(n, 2 * n - 1)}
    segments = make_segments(flat(n), tree, automatic_levels(np.array([0.26, 1.0])), names=names)
    html = report_html(ReportContent("many", "", (), "", segments, ()))
    assert len(html) < 3_000_000
    assert "largest of" in html


def test_figures_say_what_to_do() -> None:
    quality = {
        "masks": {"found": 0.3, "mean_iou": 0.4, "crossing_pairs": 9, "overlapping_pairs": 10},
        "levels": [{"same": 0.85}, {"same": None}],
        "points_without_masks": 0.0,
        "unlabelled": {"train": 0.01, "val": None},
        "nesting": {"broken_segments": 1, "cuts": 5},
    }
    metrics = {"psnr": {"mean": 20.0}, "depth": {"off": {"2": 0.2}}, "nc": {"mean": 0.9}, "vc": None}
    figures = trust_figures(quality, metrics)
    verdicts = {figure.title: figure.verdict for figure in figures}
    assert verdicts == {
        "Held-out pictures": "low",
        "Depth": "low",
        "Masks explained by the tree": "low",
        "Masks that nest": "low",
        "Nesting": "low",
        "Agreement of views": "fair",
        "Points under masks": "good",
        "Labelled pixels": "good",
        "NC against ground truth": "good",
    }
    assert all(bool(figure.advice) == (figure.verdict != "good") for figure in figures)
    assert trust_figures({}, {}) == ()
    captions = [caption for _, caption in headline(quality, metrics, small())]
    assert "PSNR of held-out views" in captions
    assert [caption for _, caption in headline({}, {}, small())] == ["automatic levels", "segments, coarse to fine"]


def test_nodes_without_names_are_told_by_those_around_them() -> None:
    segments = small({4: "mug"})
    places = {int(node): segments.place(index) for index, node in enumerate(segments.ids)}
    assert places == {6: "segment 6", 5: "segment 5", 4: "mug"}
