"""Seconds that `ultrafield view` takes to show, recolour, select and list, as seen in headless Chromium.

    python benchmarks/viewer.py [--points-log2 21] [--window 1280x800] [--repeats N] [--undrawn] [--json FILE]

Points and tree are made: a bumpy sphere in Morton order, whose tree has segments of 16 points, 64 regions of these, and
six levels above. Colours count as shown when the page hands them to WebGL, and the picture is complete at the end of
that frame (`frame`: drawn and read back). Without a GPU the browser draws two million points on the CPU, for seconds;
`--undrawn` leaves that out and measures all the rest: the way to the server, its work, the way back, and the upload.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from lib.browser import chromium
from lib.options import parser_of, positive
from lib.results import Results, print_header, print_row

import ultrafield as uf
from ultrafield.surface import Surface
from ultrafield.ultrametric import EditedTree, Tree, levels
from ultrafield.viewer.app import Viewer
from ultrafield.viewer.layout import Layout
from ultrafield.viewer.painting import Painter
from ultrafield.viewer.picking import PointIndex
from ultrafield.viewer.session import Session
from ultrafield.viewer.storage import open_for_viewing

LEAF_LEVELS, TOP_LEVELS = 4, 6
# Runs in the page before anything else: notes when arrays of a size are handed to WebGL, and when that frame ended.
WATCH = """
window.uploads = [];
window.frameEnded = [];
for (const name of ["bufferData", "bufferSubData"]) {
  const usual = WebGL2RenderingContext.prototype[name];
  WebGL2RenderingContext.prototype[name] = function (...given) {
    const data = given.find((item) => ArrayBuffer.isView(item));
    usual.apply(this, given);
    const painted = name === "bufferSubData" && data instanceof Uint8Array; // a part of the points' colours
    if (data && (painted || data.byteLength >= %d)) {
      window.uploads.push([performance.now(), data.byteLength]);
      const gl = this;
      requestAnimationFrame(() => {
        gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
        window.frameEnded.push(performance.now());
      });
    }
  };
}
const draw = WebGL2RenderingContext.prototype.drawArrays;
WebGL2RenderingContext.prototype.drawArrays = function (mode, first, count) {
  if (!(%s && mode === this.POINTS && count > 10000)) draw.call(this, mode, first, count);
};
for (const kind of ["pointerup", "keydown", "input", "click"])
  window.addEventListener(kind, () => { window.asked = performance.now(); }, true);
"""


def main() -> int:
    """Print a table."""
    parser = parser_of(__doc__)
    parser.add_argument("--points-log2", type=positive, default=21, help="logarithm of the number of points")
    parser.add_argument("--repeats", type=positive, default=7)
    parser.add_argument("--window", default="1280x800", help="width and height")
    parser.add_argument("--undrawn", action="store_true", help="leave the drawing of points out: there is no GPU")
    options = parser.parse_args()
    results = Results("viewer", options)
    segmentation = made(options.points_log2)
    with tempfile.TemporaryDirectory() as place:
        run = segmentation.save(Path(place) / "run")
        print(f"{segmentation}\n")
        print_header(["", "median ms", "fastest", "slowest"])
        for name, seconds in chain(of_session(segmentation, options), of_browser(run, options)):
            milliseconds = [1000.0 * value for value in seconds]
            row = [f"{part(milliseconds):.0f}" for part in (statistics.median, min, max)]
            results.add(operation=name, seconds=seconds)
            print_row([name, *row])
    results.save()
    return 0


def made(log2: int) -> uf.Segmentation:
    """A bumpy sphere of 2^log2 points, and a tree over it."""
    count, generator = 1 << log2, np.random.default_rng(0)
    points = generator.normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    points *= 0.4 + 0.06 * np.sin(9.0 * points).sum(axis=1, keepdims=True) / 3.0
    points = points[np.argsort(morton(points))].astype(np.float32)
    normals = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    colors = np.uint8(255 * (0.5 + points))
    visible = np.zeros((0, (count + 7) // 8), np.uint8)
    surface = Surface(points, normals, colors, visible, voxel=float(np.sqrt(4 * np.pi * 0.16 / count)))
    tree = made_tree(log2)
    edits = EditedTree(tree)
    first = 2 * count - (1 << (log2 - LEAF_LEVELS + 1))  # of the segments of 16 points
    for index in range(0, 1000):
        edits.rename(first + 97 * index % (count >> LEAF_LEVELS), f"part {index} of the sphere")
    return uf.Segmentation(tree, surface, levels(tree), edits=edits)


def morton(points: np.ndarray) -> np.ndarray:
    """Position of points along a curve that fills space [N]."""
    code = np.zeros(len(points), np.uint64)
    cells = np.uint64(1023 * (points - points.min()) / np.ptp(points))
    for bit in range(10):
        for axis in range(3):
            code |= ((cells[:, axis] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(3 * bit + axis)
    return code


def made_tree(log2: int) -> Tree:
    """A complete binary tree: segments of 16 points, whose merges to 64 regions are all about equally high."""
    parents, heights, begin = [], [], 0
    for level in range(log2 + 1):
        size = 1 << (log2 - level)
        above = begin + size + np.arange(size) // 2
        parents.append(above if level < log2 else np.array([begin]))
        region = log2 - TOP_LEVELS
        height = 0.1 * level if level <= LEAF_LEVELS else 0.6 + 0.0005 * level if level <= region else (
            0.7 + 0.04 * (level - region)
        )  # fmt: skip
        heights.append(np.full(size, height, np.float32))
        begin += size
    sizes = np.concatenate([np.full(1 << (log2 - level), 1 << level) for level in range(log2 + 1)])
    return Tree(np.concatenate(parents), np.concatenate(heights), sizes)


def timed(action: Any, repeats: int) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for index in range(repeats):
        start = time.perf_counter()
        action(index)
        seconds.append(time.perf_counter() - start)
    return seconds


def of_session(segmentation: uf.Segmentation, options: argparse.Namespace) -> Iterator[tuple[str, list[float]]]:
    """Times without a browser."""
    session: list[Session] = []
    opening = timed(lambda _: session.append(Session(segmentation, min_size=1 << LEAF_LEVELS)), 1)
    shown, painter = session[0], Painter(session[0])
    yield f"state of {len(shown.hierarchy):,} nodes", opening

    def recolor(index: int) -> None:
        shown.cut(0.35 + 0.1 * (index % 5))
        if painter.runs(layout) is None:
            painter.colors(layout.points)

    def cast(_: int) -> None:
        index.first_met(np.array([0.0, -2.0, 0.0]), np.array([0.0, 1.0, 0.05]), segmentation.surface.voxel)

    def select(index: int) -> None:
        shown.click(1000 * index)
        painter.light(layout)

    layout = Layout(shown.leaf_runs, shown.visible)
    index = PointIndex(segmentation.surface.points[layout.points])
    cast(0)
    yield "cut and colours, server", timed(recolor, options.repeats)
    yield "ray over all points, server", timed(cast, options.repeats)
    shown.cut(0.45)
    select(0)
    yield "what a click selects, server", timed(select, options.repeats)


def of_browser(run: Path, options: argparse.Namespace) -> Iterator[tuple[str, list[float]]]:
    """Times as the page sees them."""
    count = 1 << options.points_log2
    width, height = (int(edge) for edge in options.window.split("x"))
    opened: list[Viewer] = []

    def open_viewer(_: int) -> None:
        opened.append(Viewer(open_for_viewing(run), "127.0.0.1", 0, min_size=1 << LEAF_LEVELS))

    yield "open the run, until it listens", timed(open_viewer, 1)
    viewer = opened[0]
    with chromium(width, height) as browser:
        drawn = "true" if options.undrawn else "false"
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH % (3 * count, drawn)})
        browser.get(f"http://127.0.0.1:{viewer.port}/")
        first = wait(browser, "return frameEnded.length >= 2 ? frameEnded.at(-1) : null")
        yield "first picture", [first / 1000]
        viewer.settle(60)
        for name, ask in (("recolour", nudge), ("click to selection", click)):
            if ask is click:  # segments so small that each click meets another
                viewer.act("position", at=viewer.session.scale.position(0.45))
            viewer.settle(60)
            times = [measured(browser, ask, index) for index in range(options.repeats + 1)][1:]
            yield f"{name}, colours shown", [shown for shown, _ in times]
            yield f"{name}, frame", [frame for _, frame in times]
        yield "open a node with 2,048 parts", listed(browser, viewer, options.repeats)
        yield "find among 1,000 names", found(browser)
    viewer.close()


def wait(browser: Any, script: str, seconds: float = 60.0) -> Any:
    """What a script returns once it returns something."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        value = browser.execute_script(script)
        if value is not None:
            return value
        time.sleep(0.05)
    sys.exit(f"nothing came of {script!r} within {seconds:g} s")


def measured(browser: Any, ask: Any, index: int) -> tuple[float, float]:
    """Seconds from an event in the page to the colours that answer it, and to the end of their frame."""
    time.sleep(1.5)  # until what the last one left to do is done
    browser.execute_script("uploads.length = 0; frameEnded.length = 0")
    ask(browser, index)
    asked, shown, ended = wait(browser, "return frameEnded.length ? [asked, uploads[0][0], frameEnded[0]] : null")
    return (shown - asked) / 1000, (ended - asked) / 1000


def nudge(browser: Any, index: int) -> None:
    """Move the granularity slider by its keys."""
    from selenium.webdriver.common.keys import Keys

    thumb = browser.find_element("css selector", "[role=slider]")
    browser.execute_script("arguments[0].focus()", thumb)
    thumb.send_keys(Keys.HOME if index % 2 else Keys.END)


def click(browser: Any, index: int) -> None:
    """Click the scene."""
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = browser.find_element("css selector", "canvas")
    ActionChains(browser).move_to_element_with_offset(canvas, 12 * index - 40, 7 * index).click().perform()


def listed(browser: Any, viewer: Viewer, repeats: int) -> list[float]:
    """Seconds from a click on a node of the panel to its rows."""
    session = viewer.session
    region = next(entry for entry in range(len(session.hierarchy)) if len(session.hierarchy.children(entry)) > 1000)
    node = int(session.ids[session.hierarchy.nodes[region]])
    viewer.act("ray", origin=(0, 0, 50), direction=(0, 0, 1), add=False)  # nothing: the list stays where it is
    for entry in session.hierarchy.path(region)[1:]:
        if len(session.hierarchy.path(region)) > 1 and session.ids[session.hierarchy.nodes[entry]] not in opened(
            viewer
        ):
            viewer.act("toggle", node=int(session.ids[session.hierarchy.nodes[entry]]))
    viewer.settle(60)
    seconds = []
    for _ in range(repeats):
        time.sleep(0.5)
        seconds.append(browser.execute_async_script(f"""
            const done = arguments[0], list = document.getElementById("uf-tree");
            const start = performance.now();
            list.querySelector('.uf-sign[data-node="{node}"]').click();
            const look = () => document.getElementById("uf-tree") !== list
                ? done((performance.now() - start) / 1000) : requestAnimationFrame(look);
            requestAnimationFrame(look);"""))  # fmt: skip
    return seconds


def opened(viewer: Viewer) -> set[int]:
    """Nodes that are open in the panel."""
    return {row.node for row in viewer.outline.rows() if row.opened}


def found(browser: Any) -> list[float]:
    """Seconds from each typed digit to the rows that it finds."""
    fields = [item for item in browser.find_elements("css selector", "input") if item.is_displayed()]
    field = next(item for item in fields if item.get_attribute("id") != "uf-name" and not item.get_attribute("value"))
    browser.execute_script("""
        window.changed = [];
        let list = document.getElementById("uf-tree");
        new MutationObserver(() => {
            const now = document.getElementById("uf-tree");
            if (now !== list) { list = now; window.changed.push(performance.now() - window.asked); }
        }).observe(document.body, {childList: true, subtree: true});""")
    seconds = []
    for digit in "123":
        field.send_keys(digit)
        seconds.append(wait(browser, f"return window.changed[{len(seconds)}]") / 1000)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
