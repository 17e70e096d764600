"""How well a tree fits the masks that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..cameras.pixels import resize_nearest
from ..lift.codes import point_cells
from ..masks import MaskSet
from ..masks.distinct import row_counts
from ..parallel import in_threads, workers_for
from ..scene import Scene
from ..surface import Surface, cameras_of
from ..ultrametric import Tree

_MIN_POINTS = 20  # masks with fewer surface points say little about a tree of them
_ON_SURFACE = 0.5  # part of a mask's pixels that must show a surface; others are masks of the background
_OVERLAP = 0.1  # part of the smaller mask that two masks must share, and not share, to count as crossing
_BYTES_PER_POINT = 150  # working memory of a view


@dataclass(frozen=True, eq=False)
class MaskAgreement:
    """How well the tree explains the masks it was made from.

    A mask's best IoU is that with any node of the tree, over the surface points that the mask's own view sees. Masks of
    the background and masks with fewer than 20 points are left out.

    Attributes:
        best: Best IoU of every mask with any node [M], float64.
        best_level: Best IoU with a segment of an automatic level [M], float64.
        overlapping: Pairs of masks of one view that share more than a tenth of the smaller one.
        crossing: Those among them that also share less than nine tenths of it: they contradict each other, as no
            hierarchy holds both.
        views: How many training views the masks are from.
    """

    best: np.ndarray
    best_level: np.ndarray
    overlapping: int
    crossing: int
    views: int


def mask_agreement(
    surface: Surface,
    tree: Tree,
    table: list[np.ndarray],
    scene: Scene,
    depth_of: Callable[[str, int], np.ndarray],
) -> tuple[MaskAgreement | None, float]:
    """Best IoU of every mask of the training views with a node of the tree.

    Args:
        surface: N points.
        tree: A merge tree over them.
        table: Segment of every point at every level, [N] each.
        scene: The scene.
        depth_of: z-depth of a view of a split [H, W], as rendered.

    Returns:
        The agreement, None if no training view has masks; and the part of the points that no mask holds.
    """
    in_level = np.zeros(len(tree.parents), bool)
    for column in table:
        in_level[column] = True
    cameras = cameras_of(surface, scene)

    def agree(view: tuple[int, MaskSet]) -> tuple[_MaskFit, np.ndarray]:
        """How the masks of a view fit, and which points some mask holds [N], bool."""
        index, masks = view
        cells = point_cells(surface, cameras, index, masks.shape)
        seen = cells >= 0
        codes = masks.rows[masks.numbers.reshape(-1)[cells[seen]]]
        held = np.zeros(len(surface), bool)
        held[seen] = codes.any(axis=1)
        return _mask_fit(tree, codes, seen, in_level, _on_surface(masks, depth_of("train", index))), held

    views = [(index, view.masks) for index, view in enumerate(scene.train) if view.masks is not None]
    views = [(index, masks) for index, masks in views if len(masks) > 0]
    if not views:
        return None, 1.0
    fits, in_any_mask = [], np.zeros(len(surface), bool)
    for fit, in_mask in in_threads(agree, views, workers=workers_for(_BYTES_PER_POINT * len(surface))):
        fits.append(fit)
        in_any_mask |= in_mask
    agreement = MaskAgreement(
        best=np.concatenate([fit.best for fit in fits]),
        best_level=np.concatenate([fit.best_level for fit in fits]),
        overlapping=sum(fit.overlapping for fit in fits),
        crossing=sum(fit.crossing for fit in fits),
        views=len(views),
    )
    return agreement, 1.0 - float(in_any_mask.mean())


@dataclass(frozen=True, eq=False)
class _MaskFit:
    """How the masks of one view fit a tree: `MaskAgreement` for that view alone."""

    best: np.ndarray
    best_level: np.ndarray
    overlapping: int
    crossing: int


def _mask_fit(tree: Tree, codes: np.ndarray, seen: np.ndarray, in_level: np.ndarray, counted: np.ndarray) -> _MaskFit:
    """Compare the masks of a view with the nodes of a tree.

    Args:
        tree: A merge tree over N points.
        codes: Packed masks of the P points that the view sees [P, W].
        seen: Which points the view sees [N].
        in_level: Which nodes are segments of an automatic level [2N − 1].
        counted: Which masks count [M].
    """
    from .kernels.quality_cpu import best_nodes_cpu, crossings_cpu, seen_tree_cpu

    best, best_level, sizes = np.zeros(len(counted)), np.zeros(len(counted)), np.zeros(len(counted), np.int64)
    if len(codes) > 0:
        nodes = seen_tree_cpu(tree.parents, seen, in_level)
        best_nodes_cpu(nodes[0], nodes[1], nodes[2], codes, best, best_level, sizes)
    counted = counted & (sizes >= _MIN_POINTS)
    overlapping, crossing = crossings_cpu(codes, counted, _OVERLAP)
    return _MaskFit(best[counted], best_level[counted], overlapping, crossing)


def _on_surface(masks: MaskSet, depth: np.ndarray) -> np.ndarray:
    """Which masks show a surface at least in half of their pixels [M], bool."""
    solid = row_counts(masks.numbers[resize_nearest(depth > 0, masks.shape)][None], len(masks.rows))
    return masks.sizes(solid) >= _ON_SURFACE * masks.areas
