"""A small surface with a tree over it: two clusters of points, one of them of two halves."""

from __future__ import annotations

import numpy as np
import pytest

from ultrafield.surface import Surface
from ultrafield.ultrametric import AffinityGraph, Tree, build_tree

SIZES = (30, 20, 40)
HEIGHTS = (0.3, 0.8)  # between the first and second run of points, and before the third


@pytest.fixture(scope="session")
def tree() -> Tree:
    """A path of 90 points: noise below 0.05 inside three runs of 30, 20 and 40."""
    count = sum(SIZES)
    rng = np.random.default_rng(0)
    heights = rng.uniform(0.0, 0.05, count - 1).astype(np.float32)
    heights[SIZES[0] - 1], heights[SIZES[0] + SIZES[1] - 1] = HEIGHTS
    edges = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    return build_tree(AffinityGraph(count, edges, heights, np.ones(count - 1, np.float32), 1.0), linkage="single")


@pytest.fixture(scope="session")
def surface() -> Surface:
    """90 points; view 0 sees the first 45, view 1 the last 60, view 2 none."""
    count = sum(SIZES)
    rng = np.random.default_rng(1)
    normals = rng.normal(size=(count, 3))
    seen = np.zeros((3, count), bool)
    seen[0, :45], seen[1, 30:] = True, True
    return Surface(
        points=rng.normal(size=(count, 3)).astype(np.float32),
        normals=(normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32),
        colors=rng.integers(0, 256, (count, 3)).astype(np.uint8),
        visible=np.packbits(seen, axis=1, bitorder="little"),
        voxel=0.1,
    )
