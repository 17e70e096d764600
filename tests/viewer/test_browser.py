"""The viewer in a browser: what a user does, and what the run folder holds afterwards."""

from __future__ import annotations

import base64
import io
import json
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from headless import complaints, violations
from merge_trees import binary_tree
from viewer_sessions import session_of

import ultrafield as uf
from ultrafield.viewer.app import Viewer
from ultrafield.viewer.storage import open_for_viewing

pytest.importorskip("viser", reason="needs the extra view")
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of selenium's sockets
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
UNDRAWN = "WebGL2RenderingContext.prototype.drawArrays = () => {};"
FEW_DRAWN = """
const draw = WebGL2RenderingContext.prototype.drawArrays;
WebGL2RenderingContext.prototype.drawArrays = function (mode, first, count) {
  draw.call(this, mode, first, Math.min(count, 4096));
};
"""
EVIL = "<img src=x onerror=\"document.title='run'\">"


class Page:
    """The page of a viewer, in a browser."""

    def __init__(self, browser: Any, viewer: Viewer) -> None:
        self.browser, self.viewer = browser, viewer
        browser.get(f"http://127.0.0.1:{viewer.port}/")
        self.until(lambda: browser.find_elements("id", "uf-tools"))
        self.until(lambda: self.eye() is not None)

    def eye(self) -> Any:
        """Where the window says it looks from."""
        return self.viewer.window.eye()

    def until(self, test: Callable[[], Any], seconds: float = 25.0) -> Any:
        """What a test returns once it is true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = test()
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError("it did not come about")

    def selected(self) -> int:
        """The node that the page says is selected."""
        script = "return Number((document.getElementById('uf-selection') || {dataset: {node: -2}}).dataset.node)"
        return int(self.browser.execute_script(script))

    def text(self, name: str) -> str:
        """What one of our elements says; it may be replaced at any moment."""
        script = "const e = document.getElementById(arguments[0]); return e === null ? '' : e.innerText"
        return str(self.browser.execute_script(script, name))

    def press(self, act: str) -> None:
        """Click one of our buttons."""
        self.browser.execute_script("document.getElementById(arguments[0]).click()", f"uf-act-{act}")

    def key(self, text: str) -> None:
        """Press a key where no field has the focus."""
        script = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))"
        self.browser.execute_script(script, text)

    def canvas(self) -> bytes:
        """What the canvas shows now."""
        return self.browser.find_element("css selector", "canvas").screenshot_as_png

    def click_middle(self) -> None:
        """Click the middle of the scene."""
        from selenium.webdriver.common.action_chains import ActionChains

        canvas = self.browser.find_element("css selector", "canvas")
        ActionChains(self.browser).move_to_element(canvas).click().perform()

    def tab(self, name: str) -> None:
        """Show a tab."""
        tabs = self.browser.find_elements("css selector", "[role=tab]")
        next(tab for tab in tabs if name in tab.text).click()


@pytest.fixture
def page(tiny_run: Path, tmp_path: Path, browser: Any) -> Iterator[Page]:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    viewer = Viewer(open_for_viewing(run), "127.0.0.1", 0, min_size=20)
    browser.set_window_size(800, 560)
    yield Page(browser, viewer)
    leave(browser, viewer)


@pytest.fixture
def undrawn(browser: Any) -> Iterator[None]:
    """Pages do not draw their points, which takes most of the time where no GPU does it."""
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": UNDRAWN})
    yield
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def leave(browser: Any, viewer: Viewer) -> None:
    """Leave the page, which would else look for its server, then close that."""
    browser.get("about:blank")
    viewer.close()
    complaints(browser)


def test_a_user_looks_selects_names_and_takes_away(page: Page, browser: Any, tmp_path: Path) -> None:
    viewer = page.viewer
    before = page.canvas()
    slider = browser.find_element("css selector", "[role=slider]")
    browser.execute_script("arguments[0].focus()", slider)
    slider.send_keys("\ue010")  # the end key: the finest cut
    page.until(lambda: viewer.session.height == 0)
    page.until(lambda: page.canvas() != before)

    slider.send_keys("\ue011")  # home: one segment
    page.until(lambda: len(np.unique(viewer.session.labels)) == 1)
    viewer.act("position", at=0.3)
    viewer.settle()
    page.click_middle()
    page.until(lambda: page.selected() >= 0)
    viewer.settle()
    first = page.selected()
    assert viewer.session.selected == (first,)
    size = viewer.session.tree.sizes[viewer.session.node(first)]
    page.key("u")
    page.until(lambda: page.selected() not in (first, -1))
    second = page.selected()
    assert viewer.session.tree.sizes[viewer.session.node(second)] > size
    page.press("descend")
    page.until(lambda: page.selected() == first)
    assert complaints(browser) == []

    field = browser.find_element("id", "uf-name")
    browser.execute_script(
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))",
        field,
        EVIL,
    )
    run = viewer.opened.run.root
    page.until(lambda: (run / "edits.json").is_file() and uf.open_run(run).names == {first: EVIL})
    page.until(lambda: EVIL in page.text("uf-selection"))
    assert browser.title == "ultrafield · run"
    assert browser.execute_script("return document.querySelectorAll('img[src=\"x\"]').length") == 0

    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "got")})
    page.tab("Export")
    buttons = page.until(
        lambda: [item for item in browser.find_elements("css selector", "button") if item.text == "Download"]
    )
    buttons[0].click()
    (file,) = page.until(lambda: list((tmp_path / "got").glob("*.zip")))
    page.until(lambda: zipfile.is_zipfile(file))
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
        (cloud,) = [name for name in archive.namelist() if name.endswith(".ply")]
        (labels,) = [name for name in archive.namelist() if name.endswith("labels.json")]
        points = trimesh.load(io.BytesIO(archive.read(cloud)), file_type="ply")
        named = [node["name"] for node in json.loads(archive.read(labels))["nodes"]]
    assert len(points.vertices) == size
    inside = viewer.session.leaves_of((first,))
    assert (
        np.abs(np.sort(points.vertices[:, 0]) - np.sort(viewer.session.surface.points_user[inside][:, 0])).max() < 1e-4
    )
    assert EVIL in named
    assert complaints(browser) == []

    leave(browser, viewer)
    again = Viewer(open_for_viewing(run), "127.0.0.1", 0, min_size=20)
    try:
        fresh = Page(browser, again)
        assert EVIL in fresh.text("uf-tree") or again.session.edits.names == {first: EVIL}
        fresh.key("z")  # undone after a restart
        fresh.until(lambda: uf.open_run(run).names == {})
    finally:
        leave(browser, again)


@pytest.mark.usefixtures("undrawn")
def test_pictures_of_a_camera_are_shown_and_clicked(page: Page, browser: Any) -> None:
    viewer = page.viewer
    page.tab("Views")
    viewer.act("pictures", index=0)
    images = page.until(lambda: browser.find_elements("css selector", "#uf-views img"))
    assert [image.get_attribute("alt") for image in images] == ["photo", "labels", "depth", "normals"]
    leaf = viewer.gallery._shown[0].leaf  # type: ignore[index]
    row, column = (int(place[0]) for place in np.nonzero(leaf >= 0))
    x, y = (column + 0.5) / leaf.shape[1], (row + 0.5) / leaf.shape[0]
    browser.execute_script(
        "const i = document.querySelector('#uf-views img'), b = i.getBoundingClientRect();"
        "i.dispatchEvent(new MouseEvent('click', {bubbles: true, clientX: b.left + arguments[0] * b.width,"
        " clientY: b.top + arguments[1] * b.height}))",
        x, y,
    )  # fmt: skip
    page.until(lambda: page.selected() >= 0)
    viewer.settle()
    assert viewer.session.leaves_of(viewer.session.selected)[leaf[row, column]]
    viewer.window._field.value = True
    viewer.act("pictures", index=-1)
    page.until(lambda: len(browser.find_elements("css selector", "#uf-views img")) == 5)
    viewer.settle(30)
    assert "Rendered from the radiance field" in page.text("uf-status")
    eye = page.eye()[1]
    viewer.act("best")
    page.until(lambda: np.abs(page.eye()[1] - eye).max() > 1e-3)
    assert complaints(browser) == []


@pytest.mark.usefixtures("undrawn")
def test_hidden_isolated_merged_split_and_small_windows(page: Page, browser: Any) -> None:
    viewer = page.viewer
    children = viewer.session.hierarchy.children(0)[:2]
    nodes = [int(viewer.session.ids[viewer.session.hierarchy.nodes[child]]) for child in children]
    page.until(lambda: browser.find_elements("css selector", f'.uf-row[data-node="{nodes[0]}"]'))
    browser.execute_script(f"document.querySelector('.uf-row[data-node=\"{nodes[0]}\"]').click()")
    page.until(lambda: page.selected() == nodes[0])
    page.key("h")
    page.until(lambda: viewer.session.hidden == (nodes[0],))
    page.key("v")
    page.until(lambda: not viewer.session.hidden)
    viewer.settle()
    viewer.act("deselect")
    viewer.settle()
    browser.execute_script("document.querySelector('.uf-row').focus()")
    press = "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))"
    for key in ("ArrowDown", "Enter"):
        browser.execute_script(press, key)
    page.until(lambda: page.selected() == nodes[0])
    viewer.settle()  # the list is written anew, and the row has the focus again
    page.until(lambda: browser.execute_script("return document.activeElement.dataset.node") == str(nodes[0]))
    page.until(lambda: not viewer.session.hidden)
    viewer.act("select", node=int(viewer.session.ids[-1]))
    viewer.act("hide")  # everything
    viewer.settle()
    assert not viewer.session.visible.any()
    viewer.act("all")
    for node, add in zip(nodes, (False, True), strict=True):
        viewer.act("select", node=node, add=add)
    page.until(lambda: len(viewer.session.selected) == 2)
    viewer.settle()
    page.key("m")
    page.until(lambda: any(edit.kind == "merge" for edit in viewer.session.edits.operations))
    viewer.settle()
    page.until(lambda: "Stored in edits.json" in page.text("uf-status"))
    page.key("z")
    page.until(lambda: not viewer.session.edits.operations)
    page.key("m")  # nothing to merge: said, not done
    page.until(lambda: browser.find_elements("css selector", ".uf-status.uf-bad"))
    browser.set_window_size(500, 800)
    script = "return document.documentElement.scrollWidth <= innerWidth"
    page.until(lambda: browser.execute_script(script))
    assert complaints(browser) == []


COUNT = """
window.calls = [];
for (const name of ["bufferData", "bufferSubData"]) {
  const usual = WebGL2RenderingContext.prototype[name];
  WebGL2RenderingContext.prototype[name] = function (...given) {
    const data = given.find((item) => ArrayBuffer.isView(item));
    if (data && data.byteLength > 300000) window.calls.push(data.byteLength);
    if (data instanceof Uint8Array && data.byteLength > 10000)
      window.painted = [this, this.getParameter(this.ARRAY_BUFFER_BINDING)];
    usual.apply(this, given);
  };
}
window.colors = () => {
  const [context, buffer] = window.painted, bound = context.getParameter(context.ARRAY_BUFFER_BINDING);
  context.bindBuffer(context.ARRAY_BUFFER, buffer);
  const length = context.getBufferParameter(context.ARRAY_BUFFER, context.BUFFER_SIZE), out = new Uint8Array(length);
  context.getBufferSubData(context.ARRAY_BUFFER, 0, out);
  context.bindBuffer(context.ARRAY_BUFFER, bound);
  let text = "";
  for (let at = 0; at < length; at += 8192) text += String.fromCharCode(...out.subarray(at, at + 8192));
  return btoa(text);
};
const link = WebGL2RenderingContext.prototype.linkProgram;
WebGL2RenderingContext.prototype.linkProgram = function (program) {
  window.calls.push("link");
  link.call(this, program);
};
"""


def test_new_colours_of_many_points_are_all_that_is_handed_to_webgl(browser: Any, tmp_path: Path) -> None:
    session = session_of(binary_tree(17))
    surface = replace(session.surface, voxel=0.002)  # small points are drawn soon
    run = uf.Segmentation(session.tree, surface, session.levels).save(tmp_path / "run")
    browser.set_window_size(500, 400)
    viewer = Viewer(open_for_viewing(run), "127.0.0.1", 0)
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COUNT + FEW_DRAWN})
    try:
        page = Page(browser, viewer)
        page.until(lambda: len(browser.execute_script("return calls.filter((call) => call !== 'link')")) >= 2)
        time.sleep(0.5)
        before = page.canvas()
        browser.execute_script("calls.length = 0")
        viewer.act("position", at=0.8)
        page.until(lambda: page.canvas() != before)
        time.sleep(0.5)
        before = page.canvas()
        assert browser.execute_script("return calls") == [3 << 17]
        viewer.act("select", node=int(session.ids[-2]))
        viewer.act("isolate")  # other points: colours and positions go viser's way
        page.until(lambda: page.canvas() != before)
        viewer.act("all")
        viewer.settle()
        viewer.act("position", at=0.3)
        page.until(lambda: browser.execute_script("return calls.at(-1)") == 3 << 17)
        assert complaints(browser) == []
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
        leave(browser, viewer)


def colors_in_webgl(page: Page) -> np.ndarray:
    """The colours that the page has handed to WebGL [n, 3], in its order."""
    data = base64.b64decode(page.browser.execute_script("return colors()"))
    return np.frombuffer(data, np.uint8).reshape(-1, 3).astype(int)


def test_the_page_paints_what_the_program_would(browser: Any, tmp_path: Path) -> None:
    session = session_of(binary_tree(13))
    session.surface.colors[:] = np.random.default_rng(0).integers(0, 256, session.surface.colors.shape)
    run = session.segmentation.save(tmp_path / "run")
    browser.set_window_size(500, 400)
    viewer = Viewer(open_for_viewing(run), "127.0.0.1", 0, min_size=2)
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": COUNT + UNDRAWN})
    root = len(session.ids) - 1
    steps: list[tuple[str, dict[str, Any]]] = [
        ("position", {"at": 0.4}),
        ("select", {"node": root - 20}),
        ("select", {"node": root - 33, "add": True}),  # one more: only what changes is painted
        ("colors", {}),  # the photographs', faded but for what is selected
        ("position", {"at": 0.9}),
        ("deselect", {}),
        ("colors", {}),
        ("position", {"at": 1.0}),  # so many segments that the colours themselves are sent
        ("position", {"at": 0.2}),
        ("select", {"node": root - 1}),
        ("hide", {}),  # fewer points
        ("select", {"node": root - 5}),
        ("all", {}),
        ("open", {}),  # a mixed cut
        ("select", {"node": root - 40}),
    ]
    try:
        page = Page(browser, viewer)
        page.until(lambda: viewer.cloud.page_paints)
        for name, arguments in steps:
            viewer.act(name, **arguments)
            viewer.settle()
            wanted = viewer.painter.colors(viewer.cloud.layout.points).astype(int)

            def wrong(wanted: np.ndarray = wanted) -> float:
                made = colors_in_webgl(page)
                return float(np.mean(np.abs(made - wanted) > 1)) if made.shape == wanted.shape else 1.0

            page.until(lambda wrong=wrong: wrong() == 0)
        assert complaints(browser) == []
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
        leave(browser, viewer)


UNNAMED = """
const named = (e) => e.getAttribute("aria-label") || e.labels && e.labels.length || e.textContent.trim();
return [...document.querySelectorAll("#root input, #root button, #root [role=slider]")]
  .filter((e) => e.type !== "hidden" && e.offsetParent !== null && !named(e)).map((e) => e.outerHTML)
"""


@pytest.mark.usefixtures("undrawn")
def test_screen_readers_are_told_what_everything_is(page: Page, browser: Any) -> None:
    viewer = page.viewer
    viewer.act("select", node=int(viewer.session.ids[-2]))
    viewer.settle()
    for name in ("Tree", "Views", "Export", "Help"):
        page.tab(name)
        page.until(lambda: browser.execute_script(UNNAMED) == [])
    headings = browser.execute_script("return [...document.querySelectorAll('main h1, [role=main] h1')].length")
    assert headings == 1
    for name in ("Tree", "Views", "Export", "Help"):
        page.tab(name)
        page.until(lambda: not violations(browser))


def test_cameras_in_the_scene_are_clicked(page: Page, browser: Any) -> None:
    viewer = page.viewer
    assert viewer.window.shows_cameras
    with_cameras = page.canvas()
    middle = viewer.frustums._middles[1]
    start = middle * 3  # from behind it
    viewer.act("ray", origin=tuple(start), direction=tuple(middle - start), add=False)
    page.until(lambda: browser.find_elements("css selector", "#uf-views img") or viewer.window.view == 1)
    viewer.settle()
    assert viewer.window.view == 1
    assert viewer.session.selected == ()
    page.until(lambda: np.abs(page.eye()[1] - viewer.frustums._centers[1]).max() < 1e-3)
    viewer.window._cameras.value = False
    viewer.act("cameras")
    page.until(lambda: page.canvas() != with_cameras)
    viewer.act("ray", origin=tuple(start), direction=tuple(middle - start), add=False)
    viewer.settle()
    assert viewer.window.view == 1  # nothing is met but the scene
    assert complaints(browser) == []
