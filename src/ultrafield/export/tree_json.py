"""The tree's substantial segments as JSON that needs no library to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..io import write_json
from ..surface import Surface
from ..ultrametric import CondensedTree, Tree, condense, cut
from ..ultrametric.substantial import substantial_size
from .colors import node_colors


def write_tree_json(
    path: str | Path,
    surface: Surface,
    tree: Tree,
    names: Sequence[str],
    *,
    heights: np.ndarray | None = None,
    pictures: Sequence[str] | None = None,
    min_size: int | None = None,
    ids: np.ndarray | None = None,
) -> None:
    """Write `tree.json`: the condensed tree, whose nodes keep the ids of the full one.

    A node has id, parent (null for the root), children, birth and death (a cut at a height in [birth, death) shows it
    as one segment), size (points), stability (the sum over its points of death minus the height at which each joined
    it), box (two corners, user's frame), color (sRGB, as in all pictures), best_view (the training view that sees most
    of its points; null if none does) and best_view_points. The root comes first, a parent before its children.

    A level has its height, count (segments of at least min_size points), typical_size (their median number of points),
    covered (part of all points that lie in them), picture (a file relative to the run folder, or null) and segments,
    largest first: the label that points and label maps carry at this height, the node of which that segment is all or
    most, and its size. The coarsest level comes first.

    Args:
        path: Target, written atomically.
        surface: N points.
        tree: A merge tree over them.
        names: Names of the training views [V], as in `surface.visible`.
        heights: Levels to list [L]; none if None.
        pictures: A picture of each level [L], as a path relative to the file; none if None.
        min_size: Points that a node needs; None takes a thousandth of all, but at least 2.
        ids: Id to show each node under [2N − 1]; the tree's own numbers if None.

    Raises:
        ValueError: Surface, tree and names, or heights and pictures, do not belong together.
    """
    if tree.num_leaves != len(surface):
        raise ValueError(f"tree: expected {len(surface)} leaves, one per surface point, got {tree.num_leaves}")
    if len(names) != len(surface.visible):
        raise ValueError(f"names: expected {len(surface.visible)}, one per view of the surface, got {len(names)}")
    count = 0 if heights is None else len(heights)
    if pictures is not None and len(pictures) != count:
        raise ValueError(f"pictures: expected {count}, one per level, got {len(pictures)}")
    smallest = substantial_size(tree, min_size)
    condensed = condense(tree, smallest)
    files: Sequence[str | None] = pictures or [None] * count
    levels = zip([] if heights is None else heights.tolist(), files, strict=True)
    content: dict[str, Any] = {
        "format": "ultrafield tree",
        "version": 1,
        "points": len(surface),
        "min_size": smallest,
        "nodes": _nodes(condensed, surface, names, node_colors(tree, min_size=smallest)),
        "levels": [_level(tree, condensed, *level, smallest) for level in sorted(levels, key=lambda item: -item[0])],
    }
    write_json(path, content if ids is None else _renamed(content, ids.tolist()))


def _renamed(content: dict[str, Any], ids: list[int]) -> dict[str, Any]:
    """The content with other ids for the nodes."""
    for node in content["nodes"]:
        node["id"], node["children"] = ids[node["id"]], [ids[child] for child in node["children"]]
        node["parent"] = None if node["parent"] is None else ids[node["parent"]]
    for level in content["levels"]:
        for segment in level["segments"]:
            segment["label"], segment["node"] = ids[segment["label"]], ids[segment["node"]]
    return content


def _nodes(
    condensed: CondensedTree, surface: Surface, names: Sequence[str], colors: np.ndarray
) -> list[dict[str, Any]]:
    low, high = _boxes(condensed, surface.points_user)
    views, points_seen = _best_views(condensed, surface)
    children: list[list[int]] = [[] for _ in range(len(condensed))]
    for index, parent in enumerate(condensed.parents[1:], start=1):
        children[parent].append(int(condensed.nodes[index]))
    return [
        {
            "id": int(condensed.nodes[index]),
            "parent": None if index == 0 else int(condensed.nodes[condensed.parents[index]]),
            "children": children[index],
            "birth": _short(condensed.birth[index]),
            "death": _short(condensed.death[index]),
            "size": int(condensed.sizes[index]),
            "stability": _short(condensed.stability[index]),
            "box": [[_place(value, surface.voxel_user) for value in corner[index]] for corner in (low, high)],
            "color": colors[condensed.nodes[index]].tolist(),
            "best_view": names[views[index]] if points_seen[index] > 0 else None,
            "best_view_points": int(points_seen[index]),
        }
        for index in range(len(condensed))
    ]


def _short(value: float) -> float:
    """Six significant digits, as float32 has no more to tell."""
    return float(f"{value:.6g}")


def _place(value: float, spacing: float) -> float:
    """A coordinate to six significant digits, or to a hundredth of the points' spacing where that is finer."""
    finer = round(float(value), math.ceil(2.0 - math.log10(spacing)))
    return finer if abs(value) * 1e-5 > spacing else _short(value)


def _boxes(condensed: CondensedTree, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest coordinates of every cluster [C, 3]."""
    low, high = np.full((len(condensed), 3), np.inf), np.full((len(condensed), 3), -np.inf)
    np.minimum.at(low, condensed.of_leaf, points)
    np.maximum.at(high, condensed.of_leaf, points)
    for index in range(len(condensed) - 1, 0, -1):  # children after their parents, so each is complete by its turn
        parent = condensed.parents[index]
        low[parent], high[parent] = np.minimum(low[parent], low[index]), np.maximum(high[parent], high[index])
    return low, high


def _best_views(condensed: CondensedTree, surface: Surface) -> tuple[np.ndarray, np.ndarray]:
    """The view that sees most points of every cluster, and how many it sees [C]."""
    seen = np.zeros((len(condensed), len(surface.visible)), np.int64)
    for view in range(len(surface.visible)):
        seen[:, view] = np.bincount(condensed.of_leaf[surface.seen_from(view)], minlength=len(condensed))
    for index in range(len(condensed) - 1, 0, -1):
        seen[condensed.parents[index]] += seen[index]
    if seen.shape[1] == 0:
        return np.zeros(len(condensed), np.int64), np.zeros(len(condensed), np.int64)
    return seen.argmax(axis=1), seen.max(axis=1)


def _level(tree: Tree, condensed: CondensedTree, height: float, picture: str | None, smallest: int) -> dict[str, Any]:
    """One level and its segments of at least `smallest` points, largest first."""
    labels, leaf, sizes = np.unique(cut(tree, height), return_index=True, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] >= smallest]
    largest_first = sizes[order]
    segments = [
        {
            "label": int(labels[item]),
            "node": _cluster_of(condensed, int(labels[item]), int(leaf[item])),
            "size": int(sizes[item]),
        }
        for item in order
    ]
    return {
        "height": _short(height),
        "count": len(largest_first),
        "typical_size": float(np.median(largest_first)) if len(largest_first) else None,
        "covered": _short(largest_first.sum() / tree.num_leaves),
        "picture": picture,
        "segments": segments,
    }


def _cluster_of(condensed: CondensedTree, label: int, leaf: int) -> int:
    """Id of the smallest cluster that holds the whole segment `label`, of which `leaf` is part.

    Ancestors have larger ids, and a segment is one of its leaves' ancestors.
    """
    index = condensed.of_leaf[leaf]
    while condensed.nodes[index] < label:
        index = condensed.parents[index]
    return int(condensed.nodes[index])
