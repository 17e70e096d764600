"""Mask votes against a slow count with Python sets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_scene import SIZE, Toy

from ultrafield.cameras.projection import project
from ultrafield.errors import RunError
from ultrafield.lift.codes import point_codes
from ultrafield.lift.kernels.votes_cpu import add_votes_cpu, count_members
from ultrafield.lift.votes import mask_votes
from ultrafield.masks import MaskSet, build_mask_set
from ultrafield.masks.weights import mask_weights
from ultrafield.scene import Scene, Split
from ultrafield.surface import Surface


def with_masks(scene: Scene, masks: list[MaskSet | None]) -> Scene:
    views = tuple(replace(view, masks=item) for view, item in zip(scene.train, masks, strict=True))
    return replace(scene, splits={"train": Split(views, scene.train.normalised_cameras)})


def random_masks(seed: int, count: int, size: int = SIZE) -> MaskSet:
    """Boxes of masks; more than 64 of them need a second word."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, size, size), bool)
    for mask in masks:
        row, column = rng.integers(0, size, 2)
        mask[row : row + rng.integers(1, size), column : column + rng.integers(1, size)] = True
    return build_mask_set(masks)


def slow_votes(surface: Surface, edges: np.ndarray, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The definition, edge by edge and view by view."""
    cameras = scene.train.normalised_cameras
    both, either = np.zeros(len(edges)), np.zeros(len(edges))
    for index, view in enumerate(scene.train):
        if view.masks is None or len(view.masks) == 0:
            continue
        height, width = view.masks.shape
        pixels, _ = project(cameras.resized(np.tile([width, height], (len(cameras), 1))), index, surface.points)
        masks, seen = view.masks.masks(), surface.seen_from(index)
        masks = np.concatenate([masks, ~masks.any(axis=0, keepdims=True)])  # what no mask holds is one more
        columns, rows = pixels[seen].astype(int).T
        sizes = masks[:, rows, columns].sum(axis=1)
        for number, ends in enumerate(edges):
            if not seen[ends].all():
                continue
            first, second = (set(np.flatnonzero(masks[:, int(pixels[end, 1]), int(pixels[end, 0])])) for end in ends)
            both[number] += sum(sizes[mask] ** -0.5 for mask in first & second)
            either[number] += sum(sizes[mask] ** -0.5 for mask in first | second)
    return both, either


@pytest.mark.parametrize("counts", [[3, 70, 0, 130], [1, 1, 64, 65]])
def test_votes_equal_the_definition(toy: Toy, toy_surface: Surface, counts: list[int]) -> None:
    masks = [random_masks(seed, count) for seed, count in enumerate(counts)] + [None] * 6
    scene = with_masks(toy.scene, masks)
    edges = np.random.default_rng(0).integers(0, len(toy_surface), (60, 2))
    found = mask_votes(toy_surface, edges, scene)
    np.testing.assert_allclose(found, slow_votes(toy_surface, edges, scene), rtol=1e-12)
    assert found[0].sum() > 0


def test_masks_may_be_of_another_size(toy: Toy, toy_surface: Surface) -> None:
    scene = with_masks(toy.scene, [random_masks(seed, 20, size=2 * SIZE) for seed in range(10)])
    edges = np.random.default_rng(1).integers(0, len(toy_surface), (40, 2))
    np.testing.assert_allclose(mask_votes(toy_surface, edges, scene), slow_votes(toy_surface, edges, scene), rtol=1e-12)


def test_the_kernel_adds_and_ignores_what_is_not_seen() -> None:
    codes = np.array([[0b1011], [0b1110], [2**64 - 1]], np.uint64)
    edges = np.array([[0, 1], [0, 2], [1, 2]])
    weights = np.ones(64)
    both, either = np.array([10.0, 20.0, 30.0]), np.array([100.0, 200.0, 300.0])
    add_votes_cpu(edges, codes, np.array([True, True, False]), weights, both, either)
    assert both.tolist() == [12, 20, 30]
    assert either.tolist() == [104, 200, 300]
    add_votes_cpu(edges, codes, np.array([True, False, True]), weights, both, either)
    assert both.tolist() == [12, 23, 30]
    assert either.tolist() == [104, 264, 300]
    weights[1] = 0.25
    add_votes_cpu(edges, codes, np.array([True, True, False]), weights, both, either)
    assert (both[0], either[0]) == (13.25, 107.25)


def test_small_masks_weigh_more() -> None:
    weights = mask_weights(np.array([16, 0, 1, 400]))
    np.testing.assert_array_equal(weights, [0.25, 0.0, 1.0, 0.05])
    np.testing.assert_array_equal(mask_weights(np.array([16, 0, 1, 400]), power=0), [1, 0, 1, 1])
    assert mask_weights(np.zeros(0, np.int64)).shape == (0,)


def test_members_are_counted_where_they_are_seen() -> None:
    codes = np.array([[0b101, 1], [0b100, 1 << 63], [0b111, 0], [0b100, 0]], np.uint64)
    members = np.zeros((2, 128), np.int64)
    count_members(codes, np.array([True, True, False, True]), np.array([0, 1, 1, 1]), members)
    expected = np.zeros((2, 128), np.int64)
    expected[0, [0, 2, 64]] = 1
    expected[1, [2, 127]] = 2, 1
    np.testing.assert_array_equal(members, expected)


def test_a_point_has_the_masks_of_the_box_it_lies_on(toy: Toy, toy_surface: Surface, toy_ids: np.ndarray) -> None:
    masks = toy.scene.train.views[0].masks
    assert masks is not None
    codes, held = point_codes(toy_surface, toy.cameras, 0, masks)
    np.testing.assert_array_equal(held, toy_surface.seen_from(0))
    assert not codes[~held].any()
    expected = np.array([0, 0b0001, 0b1010, 0b1100], np.uint64)[toy_ids[held]]
    assert (codes[held, 0] == expected).mean() > 0.97


def test_what_no_mask_holds_is_one_more_mask(toy: Toy, toy_surface: Surface) -> None:
    for count in (1, 63, 64):
        masks = random_masks(5, count)
        codes, held = point_codes(toy_surface, toy.cameras, 0, masks)
        octets = np.unpackbits(codes.view(np.uint8), axis=1, bitorder="little")[:, : count + 1].astype(bool)
        np.testing.assert_array_equal(octets[:, count], held & ~octets[:, :count].any(axis=1))


def test_a_surface_of_other_views_is_refused(toy: Toy, toy_surface: Surface) -> None:
    fewer = replace(toy_surface, visible=toy_surface.visible[:4])
    with pytest.raises(RunError, match="surface: made from 4 views, but toy has 10"):
        mask_votes(fewer, np.zeros((0, 2), np.int64), toy.scene)


def test_a_scene_without_masks_is_an_error_with_advice(toy: Toy, toy_surface: Surface) -> None:
    with pytest.raises(RunError, match=r"no training view has masks \(make them with: ultrafield masks toy"):
        mask_votes(toy_surface, np.zeros((0, 2), np.int64), with_masks(toy.scene, [None] * 10))
