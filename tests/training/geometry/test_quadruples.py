"""Quadruples stay inside one leaf mask, every mask and direction gets as many, and all are equally likely."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ultrafield.cameras import Cameras
from ultrafield.masks import MaskSet, build_mask_set
from ultrafield.scene import Split, View
from ultrafield.training.geometry.quadruples import find_quadruples, leaf_masks

HEIGHT, WIDTH = 12, 15


def split_of(*masks: MaskSet | None) -> Split:
    views = tuple(View(str(index), None, found) for index, found in enumerate(masks))
    poses = np.tile(np.eye(4)[:3], (len(masks), 1, 1))
    return Split(views, Cameras.pinhole(poses, np.array([20.0, 20.0, 7.5, 6.0]), np.array([WIDTH, HEIGHT])))


def some_masks() -> np.ndarray:
    masks = np.zeros((4, HEIGHT, WIDTH), bool)
    masks[0] = True
    masks[1, 2:8, 3:9] = True
    masks[2, 9:11, 2:13] = True  # too flat for columns
    masks[3, 1:3, 12:14] = True  # too small for either
    return masks


def without_masks() -> MaskSet:
    return build_mask_set(np.zeros((0, HEIGHT, WIDTH), bool))


def all_quadruples(mask: np.ndarray, stride: int) -> set[tuple[int, ...]]:
    """By trying every pixel."""
    found = set()
    for row, column in np.argwhere(mask):
        steps = [(row, column + k) if stride == 1 else (row + k, column) for k in range(4)]
        if all(i < HEIGHT and j < WIDTH and mask[i, j] for i, j in steps):
            found.add(tuple(int(i * WIDTH + j) for i, j in steps))
    return found


@pytest.mark.parametrize("count", [1, 16])
def test_each_leaf_mask_and_direction_gets_as_many(count):
    masks = build_mask_set(some_masks())
    assert leaf_masks(masks).tolist() == [1, 2, 3]
    quadruples = find_quadruples(split_of(masks), "cpu")
    drawn, live = quadruples.draw(torch.tensor([0]), count, torch.Generator().manual_seed(0))
    assert drawn.shape == (3 * count, 4)
    assert live.tolist() == [3 * count]
    lines = [all_quadruples(masks.mask(index), stride) for index, stride in ((1, 1), (2, 1), (1, WIDTH))]
    # A round has one of each: what there is no room for is taken from all alike.
    for place, quadruple in enumerate(drawn.tolist()):
        assert tuple(quadruple) in lines[place % 3]


def test_all_quadruples_are_equally_likely():
    generator = np.random.default_rng(0)
    ragged = generator.random((70, HEIGHT, WIDTH)) < 0.8  # more masks than bits in a word, with many short runs
    masks = build_mask_set(ragged)
    quadruples = find_quadruples(split_of(masks), "cpu")
    drawn, live = quadruples.draw(torch.tensor([0]), 4000, torch.Generator().manual_seed(0))
    lines = [all_quadruples(masks.mask(int(leaf)), stride) for stride in (1, WIDTH) for leaf in leaf_masks(masks)]
    assert len(lines) == quadruples.most_lines
    assert int(live) == len(drawn)
    for line, wanted in enumerate(lines[:3] + lines[-3:]):
        place = line if line < 3 else len(lines) - 6 + line
        found, counts = drawn[place :: len(lines)].unique(dim=0, return_counts=True)
        assert {tuple(row) for row in found.tolist()} == wanted
        expected = 4000 / len(wanted)
        assert float((counts - expected).abs().max()) < 6 * expected**0.5


def test_views_with_fewer_leaf_masks_have_fewer_real_ones():
    one = build_mask_set(some_masks()[1:2])
    quadruples = find_quadruples(split_of(without_masks(), one, None, build_mask_set(some_masks())), "cpu")
    for view, lines in enumerate((0, 2, 0, 3)):
        drawn, live = quadruples.draw(torch.tensor([view]), 5, torch.Generator().manual_seed(0))
        assert drawn.shape == (15, 4)
        assert live.tolist() == [5 * lines]
        assert bool(((drawn >= 0) & (drawn < HEIGHT * WIDTH)).all())


@pytest.mark.parametrize("masks", [None, without_masks(), build_mask_set(some_masks()[3:])])
def test_views_without_any_take_no_memory(masks):
    quadruples = find_quadruples(split_of(masks, masks), "cpu")
    assert len(quadruples.strides) == len(quadruples.firsts) == 0
    drawn, live = quadruples.draw(torch.tensor([1]), 16, torch.Generator())
    assert drawn.shape == (0, 4)
    assert live.tolist() == [0]
