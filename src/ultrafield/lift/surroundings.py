"""What surrounds a captured object as one node of the tree, so that it takes no levels and segments from the object."""

from __future__ import annotations

import numpy as np

from ..config import SegmentConfig
from ..surface import Surface
from ..ultrametric import AffinityGraph, Tree, build_tree, cut, levels, set_apart
from ..ultrametric.substantial import substantial_size

_FAR = 1.5  # of the inner box's half edge: from here on a point is nearer to the next box, of twice the size
_THINGS = 16  # segments of a level at which they are things
_HEAP = 0.5  # part of all points: a larger segment is no thing
_FEWEST, _MOST = 0.05, 0.75  # part of all points that surroundings are


def surface_tree(
    surface: Surface, graph: AffinityGraph, *, config: SegmentConfig | None = None, device: str = "cpu"
) -> Tree:
    """The tree of a surface's points, in which surroundings are a node of their own.

    Args:
        surface: N points.
        graph: Edges between them, from `build_graph`.
        config: Settings (`linkage`, `surroundings`); the defaults if None.
        device: Where single linkage finds its spanning forest, "cpu" or "cuda".

    Returns:
        The tree of `build_tree`; where `far_points` finds surroundings, with these set apart.
    """
    config = config or SegmentConfig()
    tree = build_tree(graph, linkage=config.linkage, device=device)
    if config.surroundings == "joined":
        return tree
    far = far_points(surface, tree)
    return set_apart(tree, far) if far.any() else tree


def far_points(surface: Surface, tree: Tree) -> np.ndarray:
    """Which points are surroundings, told by whole segments.

    A border at a distance would cut floors and walls in two. Segments decide instead, at the coarsest automatic level
    that has things rather than heaps of them: those most of whose points lie outside of the inner box, nearer to the
    border of the next one. A wall or a table that reaches into the box stays with what it is around.

    Args:
        surface: N points; nothing is far where `surface.inner` is infinite.
        tree: A tree over them.

    Returns:
        [N], bool; none where surroundings are next to nothing, or nearly all there is, as in a room seen from inside.
    """
    far = np.abs(surface.points).max(axis=1, initial=0.0) > _FAR * surface.inner
    if far.mean() < _FEWEST / 2:  # no choice of segments mostly far can have enough points
        return np.zeros(len(far), bool)
    segments = cut(tree, _height_of_things(tree))
    mostly = 2 * np.bincount(segments, far) > np.bincount(segments)
    chosen: np.ndarray = mostly[segments]
    return chosen if _FEWEST <= chosen.mean() <= _MOST else np.zeros(len(far), bool)


def _height_of_things(tree: Tree) -> float:
    """Height of the coarsest automatic level with enough substantial segments, none too large; else of the finest."""
    least, heights = substantial_size(tree), levels(tree)
    for height in heights[::-1].tolist():
        sizes = np.bincount(cut(tree, height))
        if (sizes >= least).sum() >= _THINGS and sizes.max() <= _HEAP * tree.num_leaves:
            return float(height)
    return float(heights[0])
