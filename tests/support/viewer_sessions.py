"""Sessions of the viewer over any tree."""

from __future__ import annotations

import numpy as np

import ultrafield as uf
from ultrafield.surface import Surface
from ultrafield.ultrametric import Tree
from ultrafield.viewer.session import Session


def surface_of(count: int) -> Surface:
    """Random points, grey, without normals, that no view sees."""
    points = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
    nothing = np.zeros((0, (count + 7) // 8), np.uint8)
    return Surface(points, np.zeros_like(points), np.full((count, 3), 90, np.uint8), nothing, voxel=0.1)


def session_of(tree: Tree, min_size: int = 1) -> Session:
    """A session over a tree, on random points."""
    return Session(uf.Segmentation(tree, surface_of(tree.num_leaves), np.zeros(0, np.float32)), min_size=min_size)
