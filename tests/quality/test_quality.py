"""The report without ground truth: its parts by brute force, and as a whole on a scene where the truth is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_scene import TO_USER, Toy, ring

from ultrafield.io import write_json
from ultrafield.labels import label_points, view_points
from ultrafield.labels.stack import LabelStack
from ultrafield.lift import build_graph
from ultrafield.lift.kernels.votes_cpu import count_members
from ultrafield.quality.depth import depth_agreement
from ultrafield.quality.kernels.quality_cpu import best_nodes_cpu, crossings_cpu, seen_tree_cpu
from ultrafield.quality.nesting import PixelCounts, broken_segments, count_pixels
from ultrafield.quality.quality import Quality, assess
from ultrafield.quality.views import ViewMaps, _same_ids, common_pixels
from ultrafield.scene import Scene, Split, View
from ultrafield.surface import Surface
from ultrafield.ultrametric import AffinityGraph, Tree, build_tree, cut, leaves, levels, spread_cuts


def random_tree(seed: int, count: int) -> Tree:
    rng = np.random.default_rng(seed)
    edges = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    heights = rng.random(count - 1).astype(np.float32)
    return build_tree(AffinityGraph(count, edges, heights, np.ones(count - 1, np.float32), 1.0), linkage="single")


def packed(members: np.ndarray) -> np.ndarray:
    """Memberships [P, M] bool as words [P, W] uint64."""
    words = -(-members.shape[1] // 64)
    padded = np.zeros((len(members), 64 * words), bool)
    padded[:, : members.shape[1]] = members
    return np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.integers(1, 30), st.sampled_from([1, 3, 65]))
def test_best_nodes_by_brute_force(seed: int, count: int, masks: int) -> None:
    tree, rng = random_tree(seed, count), np.random.default_rng(seed)
    seen, shown = rng.random(count) < 0.6, rng.random(2 * count - 1) < 0.3
    seen[rng.integers(count)] = True
    members = rng.random((count, masks)) < 0.4
    best, best_shown, sizes = np.full(masks, np.nan), np.full(masks, np.nan), np.full(masks, -1)
    best_nodes_cpu(*seen_tree_cpu(tree.parents, seen, shown), packed(members[seen]), best, best_shown, sizes)
    below = np.zeros((2 * count - 1, count), bool)
    for node in range(2 * count - 1):
        below[node, leaves(tree, node)] = True
    for mask in range(masks):
        held = members[:, mask] & seen
        shared = (below & held).sum(axis=1)
        iou = shared / np.maximum(((below & seen) | held).sum(axis=1), 1)
        assert best[mask] == pytest.approx(iou.max())
        assert best_shown[mask] == pytest.approx(iou[shown].max(initial=0.0))
        assert sizes[mask] == held.sum()


def test_a_view_that_sees_nothing_has_no_tree() -> None:
    tree = random_tree(0, 5)
    parents, counts, marked = seen_tree_cpu(tree.parents, np.zeros(5, bool), np.ones(9, bool))
    assert len(parents) == len(counts) == len(marked) == 0


def test_masks_that_overlap_without_nesting_cross() -> None:
    members = np.zeros((130, 4), bool)  # more points than a word has bits
    members[:100, 0] = True  # the whole
    members[:50, 1] = True  # inside it
    members[80:120, 2] = True  # half in the first, nothing of the second
    members[20:60, 3] = True  # inside the first, across the border of the second
    counted = np.ones(4, bool)
    assert crossings_cpu(packed(members), counted, 0.1) == (4, 2)  # overlapping: 01 02 03 13; crossing: 02 13
    counted[3] = False
    assert crossings_cpu(packed(members), counted, 0.1) == (2, 1)
    assert crossings_cpu(packed(members)[:0], counted, 0.1) == (0, 0)


def test_same_ids_by_hand() -> None:
    here, there, counts = np.array([4, 4, 9]), np.array([4, 9, 9]), np.array([2, 1, 1])
    same, iou = _same_ids(here, there, counts)
    assert same == 3
    assert iou == pytest.approx(3 * (2 / 3) + 1 / 2)
    assert _same_ids(here, np.array([-1, -1, 70]), counts) == (0.0, 0.0)
    assert _same_ids(here[:0], there[:0], counts[:0]) == (0.0, 0.0)


@pytest.mark.parametrize("masks", [1, 64, 70])
def test_members_are_counted_among_the_chosen_pixels(masks: int) -> None:
    rng = np.random.default_rng(masks)
    members, chosen = rng.random((37, masks)) < 0.3, rng.random(37) < 0.5
    codes = packed(members)
    found = np.zeros((1, 64 * codes.shape[1]), np.int64)
    count_members(codes, chosen, np.zeros(len(codes), np.int64), found)
    assert not found[0, masks:].any()
    np.testing.assert_array_equal(found[0, :masks], members[chosen].sum(axis=0))


def test_pixels_without_labels_and_broken_steps_are_counted() -> None:
    bare = Split((View("a"),), ring(1))
    scene = Scene("bare", Path("bare"), "blender-hs", {"train": bare}, TO_USER, None)
    table = [np.array([0, 1, 2]), np.array([3, 3, 2])]  # of three points at two levels
    labels = np.array([[[0, 1, 2, -1, -1]], [[3, 2, 2, -1, -1]]], np.int32)  # the second pixel breaks out
    view = ("train", 0)
    maps = ViewMaps(scene, {view: LabelStack.of(labels)}, {view: np.array([[1.0, 1.0, 1.0, 1.0, 0.0]])})
    assert count_pixels(table, maps, "train") == PixelCounts(solid=4, unlabelled=1, steps=3, broken=1)


def test_nesting_is_checked_and_not_believed() -> None:
    tree = random_tree(3, 40)
    cuts = [cut(tree, height) for height in np.linspace(0, 1, 11)]
    assert broken_segments(cuts) == 0
    assert broken_segments(cuts[::-1]) > 0
    fine, coarse = np.array([7, 7, 5, 5, 9]), np.array([70, 70, 70, 90, 90])
    assert broken_segments([fine, coarse]) == 1  # only 5 is divided
    assert broken_segments([fine, coarse, np.zeros(5, int)]) == 1
    assert broken_segments(iter([coarse, fine, coarse, fine]), workers=3) == 2 + 1 + 2
    assert broken_segments([fine]) == broken_segments([]) == 0


def test_a_place_is_seen_by_both_views_or_not(toy: Toy) -> None:
    depth, other = toy.views[0].depth, toy.views[1].depth
    cells = common_pixels(depth, other, toy.cameras[[0, 1]], 0.05)
    common = cells >= 0
    assert 0.3 < common[depth.ravel() > 0].mean() < 1.0
    assert not common[depth.ravel() == 0].any()
    same_box = toy.ids[0].ravel()[common] == toy.ids[1].ravel()[cells[common]]
    assert same_box.mean() > 0.95  # all but places on the rim of a box
    itself = common_pixels(depth, depth, toy.cameras[[0, 0]], 1e-3)
    np.testing.assert_array_equal(itself, np.where(depth.ravel() > 0, np.arange(depth.size), -1))


def test_places_are_carried_into_the_other_view_some_at_a_time(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    depth, other = toy.views[0].depth, toy.views[1].depth
    whole = common_pixels(depth, other, toy.cameras[[0, 1]], 0.05)
    monkeypatch.setattr("ultrafield.quality.views._AT_ONCE", 101)
    np.testing.assert_array_equal(common_pixels(depth, other, toy.cameras[[0, 1]], 0.05), whole)


def assessed(toy: Toy, surface: Surface, scene: Scene) -> Quality:
    tree = build_tree(build_graph(surface, engine="lift", scene=toy.scene))
    automatic = levels(tree)
    heights = spread_cuts(tree, 12, automatic)
    points = [view_points(view.depth, toy.cameras, index) for index, view in enumerate(toy.views)]
    maps = list(label_points(tree, surface, points, heights))
    return assess(
        surface,
        tree,
        heights,
        np.isin(heights, automatic),
        scene,
        depth_of=lambda split, index: toy.views[index].depth,
        labels=lambda split, index: LabelStack.of(maps[index]),
    )


def test_views_contradict_what_is_not_where_a_view_shows_it(toy: Toy) -> None:
    exact = depth_agreement(toy.scene, lambda split, index: toy.views[index].depth)
    assert exact is not None
    assert exact.views == 10
    assert exact.contradicted < 0.01
    for factor in (0.9, 1.1):  # in the air, and behind what others see

        def moved(split: str, index: int, factor: float = factor) -> np.ndarray:
            return toy.views[index].depth * np.float32(factor if index in (2, 7) else 1)

        wrong = depth_agreement(toy.scene, moved)
        assert wrong is not None
        # Two views of ten are wrong everywhere, and they speak about the others.
        assert 0.15 < wrong.contradicted < 0.4
    one = replace(toy.scene, splits={"train": Split(toy.scene.train.views[:1], toy.scene.train.cameras[:1])})
    assert depth_agreement(one, lambda split, index: toy.views[index].depth) is None


def test_an_easy_scene_gets_a_good_report(toy: Toy, toy_surface: Surface) -> None:
    quality = assessed(toy, toy_surface, toy.scene)
    assert quality.masks is not None
    assert quality.views is not None
    assert quality.masks.views == 10
    assert len(quality.masks.best) == sum(len(view.masks) for view in toy.scene.train if view.masks is not None)
    # Floor and boxes are found; both boxes together are no node, as the floor lies between them.
    assert (quality.masks.best > 0.9).mean() >= 0.7
    assert quality.masks.best.min() < 0.6
    assert (quality.masks.best_level <= quality.masks.best).all()
    assert quality.masks.crossing == 0
    assert 15 <= quality.masks.overlapping <= 20  # either box with both together, in ten views, unless it is hidden
    assert quality.without_masks < 0.05
    assert quality.views.pairs == 8
    assert (quality.views.same > 0.9).all()
    assert (quality.views.iou <= 1.0).all()
    assert quality.views.same[-1] == 1.0  # a single segment is the same everywhere
    assert quality.nesting.broken == 0
    assert 0.0 <= quality.nesting.pixels < 0.05
    assert quality.unlabelled["train"] < 0.02
    assert quality.segments[-1] == 1
    assert (quality.segments[:-1] > 1).all()  # not monotonic: finer segments may be too small to count
    assert ((quality.lifetimes >= 0) & (quality.lifetimes <= 1)).all()


def test_the_report_says_the_same_in_every_form(toy: Toy, toy_surface: Surface, tmp_path) -> None:
    quality = assessed(toy, toy_surface, toy.scene)
    write_json(tmp_path / "quality.json", quality.to_json())
    content = json.loads((tmp_path / "quality.json").read_text())
    assert content["summary"] == quality.summary()
    assert content["masks"]["count"] == len(quality.masks.best)
    assert content["masks"]["mean_iou"] == pytest.approx(quality.masks.best.mean(), rel=1e-3)
    assert content["masks"]["found"] == pytest.approx((quality.masks.best >= 0.5).mean(), rel=1e-3)
    assert [level["segments"] for level in content["levels"]] == quality.segments[::-1].tolist()
    assert content["unlabelled"].keys() == {"train"}
    columns, rows = quality.table()
    assert len(rows) == len(quality.heights)
    assert all(len(row) == len(columns) for row in rows)
    assert "all cuts are nested" in quality.summary()
    assert f"of {len(quality.masks.best)} masks match a node" in quality.summary()


def test_without_masks_the_rest_is_reported(toy: Toy, toy_surface: Surface) -> None:
    bare = Split(tuple(View(view.name) for view in toy.scene.train), toy.cameras)
    scene = Scene("bare", toy.scene.root, "blender-hs", {"train": bare}, TO_USER, None)
    quality = assessed(toy, toy_surface, scene)
    assert quality.masks is None
    assert quality.without_masks == 1.0
    assert "masks" not in quality.summary()
    assert quality.to_json()["masks"] is None
