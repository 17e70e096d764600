"""Surface points with one segment id per level, as PLY."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..surface import Surface
from ..ultrametric import Tree
from .ply import position_columns, write_ply


def write_points(
    path: str | Path, surface: Surface, tree: Tree, heights: np.ndarray, *, ids: np.ndarray | None = None
) -> None:
    """Write `points.ply`: position, normal, photo colour, and the segment at every given height.

    The vertex properties are x y z (float, or double where coordinates are too large for float), nx ny nz (float), red
    green blue (uchar) and segment_0, segment_1, … (int): tree node ids, from the coarsest cut (the greatest height) to
    the finest. The comments of the file give the heights.

    Args:
        path: Target, written atomically; binary, little-endian.
        surface: N points; they are written in the user's frame.
        tree: A merge tree over them.
        heights: Where to cut it [L], in any order.
        ids: Id to show each node under [2N − 1]; the tree's own numbers if None.

    Raises:
        ValueError: Surface and tree have different numbers of points.
    """
    from ..ultrametric import cut

    if tree.num_leaves != len(surface):
        raise ValueError(f"tree: expected {len(surface)} leaves, one per surface point, got {tree.num_leaves}")
    coarse_first = np.sort(np.asarray(heights, np.float32))[::-1]
    columns = position_columns(surface.points_user, surface.voxel_user)
    columns |= zip(("nx", "ny", "nz"), surface.normals_user.T, strict=True)
    columns |= zip(("red", "green", "blue"), surface.colors.T, strict=True)
    comments = ["segment ids are nodes of tree.npz; levels[].segments of tree.json names the node of each"]
    for level, height in enumerate(coarse_first):
        segments = cut(tree, float(height))
        columns[f"segment_{level}"] = (segments if ids is None else ids[segments]).astype(np.int32)
        comments.append(f"segment_{level}: cut at height {height:.6g}")
    write_ply(path, columns, comments=comments)
