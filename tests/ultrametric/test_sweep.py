"""Walks through a tree."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.ultrametric import AffinityGraph, build_tree
from ultrafield.ultrametric.substantial import substantial_size
from ultrafield.ultrametric.sweep import sweep


def test_a_walk_shows_each_number_of_segments_as_long_as_is_due() -> None:
    """Eight runs of 50 points, joined at 0.3, 0.4, … 0.9, noise below 0.05."""
    heights = np.random.default_rng(0).uniform(0.0, 0.05, 399).astype(np.float32)
    heights[49::50] = [0.3, 0.6, 0.4, 0.9, 0.5, 0.8, 0.7]
    edges = np.stack([np.arange(399), np.arange(1, 400)], axis=1)
    tree = build_tree(AffinityGraph(400, edges, heights, np.ones(399, np.float32), 1.0), linkage="single")
    steps = np.linspace(0.0, 1.0, 1001)
    cuts, counts = sweep(tree, 0.1, steps)
    assert (counts[0], counts[-1]) == (1, 8)
    assert (np.diff(counts) >= 0).all()
    assert (np.diff(cuts) <= 0).all()
    for count in range(1, 9):
        shown = counts == count
        assert len(np.unique(cuts[shown])) == 1
        labels = tree.cut(cuts[shown][0])
        assert (np.unique(labels, return_counts=True)[1] >= substantial_size(tree)).sum() == count
        if count < 8:
            assert shown.mean() == pytest.approx(np.log((count + 1) / count) / np.log(8), abs=2e-3)


def test_a_tree_of_one_segment() -> None:
    tree = build_tree(
        AffinityGraph(2, np.array([[0, 1]]), np.array([0.5], np.float32), np.ones(1, np.float32), 1.0), linkage="single"
    )
    cuts, counts = sweep(tree, 0.6, np.array([0.0, 1.0]))
    assert counts.tolist() == [1, 1]
    assert cuts.tolist() == pytest.approx([0.6, 0.6])
