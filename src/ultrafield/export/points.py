"""Surface points with one segment id per level, as PLY."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..io import atomic_write
from ..surface import Surface
from ..ultrametric import Tree


def write_points(path: str | Path, surface: Surface, tree: Tree, heights: np.ndarray) -> None:
    """Write `points.ply`: position, normal, photo colour, and the segment at every given height.

    The vertex properties are x y z (float, or double where float would round a coordinate by more than a thousandth of
    the points' distance), nx ny nz (float), red green blue (uchar) and segment_0, segment_1, … (int): tree node ids,
    from the coarsest cut (the greatest height) to the finest. The comments of the file give the heights.

    Args:
        path: Target, written atomically; binary, little-endian.
        surface: N points; they are written in the user's frame.
        tree: A merge tree over them.
        heights: Where to cut it [L], in any order.

    Raises:
        ValueError: Surface and tree have different numbers of points.
    """
    from plyfile import PlyData, PlyElement

    from ..ultrametric import cut

    if tree.num_leaves != len(surface):
        raise ValueError(f"tree: expected {len(surface)} leaves, one per surface point, got {tree.num_leaves}")
    coarse_first = np.sort(np.asarray(heights, np.float32))[::-1]
    names = [f"segment_{level}" for level in range(len(coarse_first))]
    points, normals = surface.points_user, surface.normals_user
    columns = [*zip("xyz", points.T, strict=True), *zip(("nx", "ny", "nz"), normals.T, strict=True)]
    columns += zip(("red", "green", "blue"), surface.colors.T, strict=True)
    columns += [(name, cut(tree, float(height))) for name, height in zip(names, coarse_first, strict=True)]
    rounded = float(np.abs(points).max(initial=0.0)) * np.finfo(np.float32).eps
    kind = "<f4" if rounded <= 1e-3 * surface.voxel_user else "<f8"
    kinds = [kind] * 3 + ["<f4"] * 3 + ["u1"] * 3 + ["<i4"] * len(names)
    rows = np.empty(len(surface), [(name, kind) for (name, _), kind in zip(columns, kinds, strict=True)])
    for name, values in columns:
        rows[name] = values
    comments = ["segment ids are nodes of tree.npz; levels[].segments of tree.json names the node of each"]
    comments += [f"{name}: cut at height {height:.6g}" for name, height in zip(names, coarse_first, strict=True)]
    with atomic_write(path) as file:
        PlyData([PlyElement.describe(rows, "vertex")], byte_order="<", comments=comments).write(file)
