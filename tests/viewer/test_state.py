"""Small parts: the frame shown, rays, colours, the slider, sizes, the outline, requests, threads."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from merge_trees import SMALL, binary_tree, make_tree
from scipy.spatial.transform import Rotation
from viewer_sessions import session_of

import ultrafield as uf
from ultrafield.cameras import Similarity
from ultrafield.labels import ViewLabeller
from ultrafield.surface import Surface
from ultrafield.viewer.frame import DisplayFrame, free_camera, quaternion
from ultrafield.viewer.layout import Layout
from ultrafield.viewer.measuring import box_edges, measure
from ultrafield.viewer.outline import Outline
from ultrafield.viewer.painting import BACKDROP, Painter
from ultrafield.viewer.picking import PointIndex
from ultrafield.viewer.pictures import pixel_labels
from ultrafield.viewer.requests import SIMPLE, checked
from ultrafield.viewer.scale import HeightScale
from ultrafield.viewer.session import Session
from ultrafield.viewer.views import SeenView
from ultrafield.viewer.worker import Worker


def far_surface(count: int = 200) -> Surface:
    """Points of a survey: millions of units from the origin."""
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (count, 3)).astype(np.float32)
    frame = Similarity(80.0, Rotation.from_euler("z", 30, degrees=True).as_matrix(), np.array([4.5e6, 5.6e6, 300.0]))
    nothing = np.zeros((0, (count + 7) // 8), np.uint8)
    return Surface(points, np.zeros_like(points), np.zeros((count, 3), np.uint8), nothing, 0.05, frame)


def test_the_frame_shown_is_near_and_as_large_as_the_window_expects() -> None:
    surface = far_surface()
    frame = DisplayFrame.of(surface)
    assert np.abs(frame.points).max() < 1.5
    assert np.ptp(frame.points, axis=0).max() > 1.8
    back = frame.to_user.apply(frame.points.astype(np.float64))
    assert np.abs(back - surface.points_user).max() < 1e-4
    assert frame.spacing == pytest.approx(surface.voxel_user / frame.to_user.scale)
    assert np.abs(frame.shown(surface.points_user) - frame.points).max() < 1e-6


def test_cameras_come_back_from_the_window() -> None:
    turn = Rotation.from_euler("xyz", [100, 20, -40], degrees=True).as_matrix()
    camera = free_camera(np.array(quaternion(turn)), np.array([1.0, 2.0, 3.0]), np.pi / 2, 80, 60)
    assert np.abs(camera.c2w[0, :, :3] - turn).max() < 1e-12
    assert camera.intrinsics[0].tolist() == pytest.approx([30, 30, 40, 30])
    frame = DisplayFrame.of(far_surface())
    assert np.abs(frame.shown_cameras(frame.user_cameras(camera)).c2w - camera.c2w).max() < 1e-6


def slow_pick(points: np.ndarray, origin: np.ndarray, along: np.ndarray, spacing: float) -> int:
    along = along / np.linalg.norm(along)
    offset = points.astype(np.float64) - origin
    depth = offset @ along
    off = np.linalg.norm(offset - depth[:, None] * along, axis=1)
    hit = (depth > 0) & (off <= 0.75 * spacing)
    if hit.any():
        return int(np.flatnonzero(hit)[np.argmin(depth[hit])])
    near = (depth > 0) & (off <= 0.012 * depth)
    return int(np.flatnonzero(near)[np.argmin((off / np.maximum(depth, 1e-300))[near])]) if near.any() else -1


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 60, 1023, 1024, 5000]))
def test_rays_meet_what_a_slow_search_finds(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3)).astype(np.float32)
    points = points[np.argsort(points[:, 0])]  # so that blocks lie apart
    index = PointIndex(points)
    for _ in range(4):
        origin = rng.normal(size=3) * 3
        along = points[rng.integers(count)] - origin + rng.normal(size=3) * 0.05
        assert index.first_met(origin, along, 0.1) == slow_pick(points, origin, along, 0.1)


def test_rays_that_are_none() -> None:
    index = PointIndex(np.zeros((1, 3), np.float32))
    assert PointIndex(np.zeros((0, 3), np.float32)).first_met(np.zeros(3), np.ones(3), 0.1) == -1
    for origin, along in (([0, 0, 0], [0, 0, 0]), ([np.nan, 0, 0], [0, 0, 1]), ([0, 0, 0], [0, 0, np.inf])):
        with pytest.raises(ValueError, match="expected a place and a direction"):
            index.first_met(np.array(origin), np.array(along), 0.1)


def test_what_is_selected_keeps_its_colour_and_the_rest_fades() -> None:
    session = session_of(SMALL)
    session.cut(0.3)
    every = np.arange(len(session.surface))
    plain = Painter(session).colors(every)
    assert np.array_equal(plain, session.colors[session.labels])
    session.select(5)
    painted = Painter(session).colors(every)
    assert np.array_equal(painted[:2], plain[:2])
    faded = np.floor(0.35 * plain[2:] + 0.65 * np.array(BACKDROP))
    assert np.abs(painted[2:] - faded).max() <= 1
    assert np.array_equal(Painter(session).colors(every[::-1]), painted[::-1])
    photo = Painter(session, photo=True).colors(every)
    assert (photo[:2] == 90).all()


def painted_by_hand(runs: np.ndarray, light: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """What `points.js` makes of runs and light."""
    out = np.zeros_like(photo)
    for (begin, color, own), end in zip(runs, [*runs[1:, 0], len(photo)], strict=True):
        out[int(begin) : int(end)] = photo[int(begin) : int(end)] if own else unpacked(color)
    if light[0, 2]:
        bright = np.zeros(len(photo), bool)
        for begin, end, _ in light[1:]:
            assert not bright[int(begin) : int(end)].any()
            bright[int(begin) : int(end)] = True
        assert (np.diff(light[1:, :2].ravel()) >= 0).all()
        out[~bright] = light[0, 0] * out[~bright] + (1 - light[0, 0]) * unpacked(light[0, 1])
    return out


def unpacked(color: float) -> np.ndarray:
    return np.array([int(color) & 255, int(color) >> 8 & 255, int(color) >> 16])


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_runs_are_the_same_colours(seed: int, photo: bool, mixed: bool) -> None:
    rng = np.random.default_rng(seed)
    session = session_of(binary_tree(7))
    session.surface.colors[:] = rng.integers(0, 256, (128, 3))
    session.cut(float(rng.choice(session.tree.heights[-30:])))
    if mixed:
        session.select(int(rng.integers(200, 254)))
        session.close()
    for number in range(int(rng.integers(4))):
        session.select(int(rng.integers(200, 255)), add=number > 0)
    if rng.random() < 0.5 and session.selected:
        session.hide()
        session.select(int(rng.integers(200, 255)))
    layout, painter = Layout(session.leaf_runs, session.visible), Painter(session, photo=photo)
    assert np.array_equal(np.sort(layout.points), np.flatnonzero(session.visible))
    assert np.array_equal(np.unique(session.labels), session.segments)
    assert [session.segment_of(leaf) for leaf in range(128)] == session.labels.tolist()
    runs = painter.runs(layout) if len(layout) else None
    if runs is None:
        assert len(session.segments) * 4 > len(layout) - 8
        return
    colors = painter.colors(layout.points)
    made = painted_by_hand(runs, painter.light(layout), session.surface.colors[layout.points])
    assert np.abs(made.astype(int) - colors).max(initial=0) <= 1


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.015625, 1, width=32), max_size=6, unique=True), st.floats(0, 1))
def test_positions_and_heights_are_inverse(levels: list[float], position: float) -> None:
    scale = HeightScale.of(make_tree([2, 2, 2], [0, 0, 1.0]), np.array(levels, np.float32))
    assert scale.height(0) > 1.0
    assert scale.height(1) == 0
    assert scale.position(scale.height(position)) == pytest.approx(position, abs=1e-6)
    marks = [scale.position(level) for level in sorted(levels, reverse=True)]
    assert np.allclose(np.diff(marks), 1 / (len(levels) + 1))


def test_sizes_are_in_the_users_units() -> None:
    surface = far_surface()
    n = len(surface)
    parents = np.concatenate([[n], np.arange(n, 2 * n - 1), np.arange(n + 1, 2 * n - 1), [2 * n - 2]])  # a chain
    tree = make_tree(parents, np.concatenate([np.zeros(n), np.linspace(0.1, 1, n - 1)]))
    session = Session(uf.Segmentation(tree, surface, np.zeros(0, np.float32)))
    whole = measure(session, 2 * n - 2)
    assert np.allclose(whole.low, surface.points_user.min(axis=0))
    assert np.allclose(whole.size, np.ptp(surface.points_user, axis=0))
    assert whole.diagonal == pytest.approx(np.linalg.norm(whole.size))
    assert whole.points == n
    assert whole.area == pytest.approx(n * (0.05 * 80) ** 2)
    centred = surface.points_user - surface.points_user.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    assert np.allclose(whole.lengths, np.sort(np.ptp(centred @ axes.T, axis=0))[::-1])
    one = measure(session, 0)
    assert one.size.tolist() == [0, 0, 0]
    edges = box_edges(whole.low, whole.high)
    assert edges.shape == (12, 2, 3)
    assert np.allclose(np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1).sum(), 4 * whole.size.sum())


def wide(parts: int) -> Session:
    """A root with many parts of two points each."""
    n = 2 * parts
    first = np.repeat(np.arange(n, n + parts), 2)
    chain = np.arange(n + parts, 2 * n - 1)
    parents = np.concatenate([first, [chain[0]], chain, chain[1:], chain[-1:]])
    heights = np.concatenate([np.zeros(n), np.full(parts, 0.1), np.full(parts - 1, 1.0)])
    return session_of(make_tree(parents, heights), min_size=2)


def test_the_outline_lists_only_what_is_open() -> None:
    session = wide(500)
    outline = Outline(session)
    rows = outline.rows()
    assert len(rows) == 1 + 40 + 1
    assert rows[-1].more == (460, int(session.ids[-1]))
    outline.more(int(session.ids[-1]))
    assert len(outline.rows()) == 1 + 80 + 1
    last = int(session.ids[session.hierarchy.nodes[session.hierarchy.children(0)[-1]]])
    session.select(last)
    outline.reveal(last)
    rows = outline.rows()
    assert [row.node for row in rows][-1] == last
    assert len(rows) <= 1 + 1 + 40
    assert (rows[1].more, rows[1].earlier) == ((500 - 20 - 1, int(session.ids[-1])), True)
    outline.earlier(int(session.ids[-1]))
    assert outline.rows()[1].more == (500 - 20 - 1 - 40, int(session.ids[-1]))
    assert outline.row_of_selection() == last
    outline.toggle(int(session.ids[-1]))
    assert len(outline.rows()) == 1
    session.rename("Screw")
    outline.text = "screw"
    assert [(row.node, row.name) for row in outline.rows()] == [(last, "Screw")]
    outline.text = f"#{last}"
    assert [row.node for row in outline.rows()] == [last]
    outline.text = "9" * 30
    assert outline.rows() == []


def test_a_row_takes_the_name_of_what_it_mostly_is() -> None:
    # Leaves 0 … 9 are one cluster that grew point by point; 10 … 19 another; both live long.
    grown = [[20, 20, *range(21, 29)], [29, 29, *range(30, 38)]]
    parents = [*grown[0], *grown[1], *range(21, 29), 38, *range(30, 38), 38, 38]
    heights = [0.0] * 20 + [0.01 * (1 + index % 9) for index in range(18)] + [1.0]
    session = session_of(make_tree(parents, heights), min_size=5)
    assert 27 not in session.hierarchy.nodes
    outline = Outline(session)
    for node, name in ((27, "mug"), (24, "handle"), (31, "spoon")):  # of 10 points: 9, 6; of the other 10: 4
        session.select(node)
        session.rename(name)
    named = {row.node: (row.name, row.nearly) for row in outline.rows()}
    assert named[28] == ("", "mug")
    assert "spoon" not in [nearly for _, nearly in named.values()]


def test_pictures_show_segments_as_label_maps_do(segmented_toy: uf.Segmentation, toy_surface: Surface) -> None:
    session = Session(segmented_toy)
    labeller = ViewLabeller(toy_surface, session.tree, np.array([session.height]))
    points = toy_surface.points[:600].reshape(20, 30, 3) + np.float32(0.4 * toy_surface.voxel)
    points[0, :5] = np.nan
    voters = labeller.nearest(points).astype(np.int64)
    view = SeenView(np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.float32), voters, points, "points")
    assert np.array_equal(pixel_labels(session, view), labeller(points)[0])
    assert (pixel_labels(session, view)[0, :5] == -1).all()
    session.select(int(session.ids[session.labels[view.leaf[5, 5]]]))
    session.hide()
    hidden = pixel_labels(session, view)
    assert hidden[5, 5] == -1
    assert ((hidden == -1) == ~np.append(session.visible, False)[view.leaf]).all()


def test_a_hundred_thousand_nodes_make_few_rows() -> None:
    session = wide(100_000)
    assert len(session.hierarchy) == 100_001
    outline = Outline(session)
    assert len(outline.rows()) == 42
    session.click(199_999)
    outline.reveal(session.selected[0])
    assert len(outline.rows()) <= 1 + 2 + 40
    assert session.selected[0] in [row.node for row in outline.rows()]


def test_short_lived_nodes_are_passed_over_unless_they_have_a_name() -> None:
    tree = make_tree([5, 5, 6, 6, 8, 7, 7, 8, 8], [0, 0, 0, 0, 0, 0.25, 0.25, 0.749, 0.75])
    session = session_of(tree)
    assert 7 not in session.hierarchy.nodes
    session.select(7)
    session.rename("both")
    assert 7 in session.hierarchy.nodes
    session.cut(0.3)
    session.click(0)
    session.climb()
    assert session.selected == (7,)


@pytest.mark.parametrize("name", sorted(SIMPLE))
def test_simple_requests(name: str) -> None:
    assert checked({"act": name, "node": [], "more": {}}) == (name, {})


def test_requests_are_checked() -> None:
    assert checked({"act": "select", "node": 5, "add": True}) == ("select", {"node": 5, "add": True})
    assert checked({"act": "toggle", "node": 5}) == ("toggle", {"node": 5})
    assert checked({"act": "pixel", "x": 0.5, "y": 1}) == ("pixel", {"x": 0.5, "y": 1.0, "add": False})
    assert checked({"act": "rename", "text": "<b>"}) == ("rename", {"text": "<b>"})


BAD: list[dict[str, Any]] = [
    *({"act": "select", "node": node} for node in (-1, 1.5, "1", None, True, 1 << 60, [1])),
    *({"act": "pixel", "x": x, "y": 0.5} for x in (-0.1, 1.1, "0", None, [], 1e999, float("nan"))),
    *({"act": act} for act in ("", "export", "ray", "__init__", "close_", "do_select", "position")),
    {"act": "rename", "text": 3},
    {},
]


@pytest.mark.parametrize("event", BAD, ids=json.dumps)
def test_other_requests_are_left_out(event: dict[str, Any]) -> None:
    assert checked(event) is None


def test_a_worker_drops_what_was_overtaken_and_goes_on_after_failures() -> None:
    done: list[int] = []
    failures: list[Exception] = []
    gate = threading.Event()
    worker = Worker("test", failures.append)
    worker.submit(gate.wait)
    time.sleep(0.05)
    for index in range(5):
        worker.submit(lambda index=index: done.append(index), key="slider")
    worker.submit(lambda: done.append(99))
    worker.submit(lambda: 1 / 0)
    worker.submit(lambda: done.append(100))
    assert not worker.settle(0.05)
    gate.set()
    assert worker.settle(5)
    assert done == [4, 99, 100]
    assert [type(failure) for failure in failures] == [ZeroDivisionError]
    worker.close()
