"""Quality of a segmentation without ground truth: its agreement with its own evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..labels.stack import LabelStack
from ..parallel import in_threads, workers_for
from ..scene import Scene
from ..surface import Surface
from ..ultrametric import Tree, condense, cut
from ..ultrametric.substantial import substantial_size
from .depth import DepthAgreement, depth_agreement
from .masks import MaskAgreement, mask_agreement
from .nesting import Nesting, broken_segments, count_pixels
from .views import ViewAgreement, read_maps, view_agreement

_BYTES_PER_POINT = 128  # of cuts that are compared at a time, for each thread
_MATCHED = 0.5  # IoU from which on a mask counts as matched


@dataclass(frozen=True, eq=False)
class Quality:
    """A report without ground truth.

    Attributes:
        heights: Automatic levels [L], float32, ascending.
        segments: Segments of at least a thousandth of the points at every level [L], int64.
        typical: Median number of points of these [L], float64; NaN for none.
        covered: Part of all points in them [L], float64.
        masks: Agreement with the masks; None where no training view has any.
        without_masks: Part of the surface points that no mask of any view holds; their place in the tree is a guess.
        views: Agreement of neighbouring views; None with a single training view.
        depth: Agreement of the training views' depth; None with a single one.
        nesting: Whether the cuts are nested.
        unlabelled: Part of the pixels that show a surface and have no label, for every split.
        lifetimes: Lifetime of every substantial node but the root, death − birth, as a part of the tree's height [C].
    """

    heights: np.ndarray
    segments: np.ndarray
    typical: np.ndarray
    covered: np.ndarray
    masks: MaskAgreement | None
    without_masks: float
    views: ViewAgreement | None
    depth: DepthAgreement | None
    nesting: Nesting
    unlabelled: dict[str, float]
    lifetimes: np.ndarray

    def summary(self) -> str:
        """The figures that matter most, as a sentence."""
        parts = []
        if self.masks is not None and len(self.masks.best) > 0:
            found, mean, level = _share_matched(self.masks.best), self.masks.best.mean(), self.masks.best_level.mean()
            parts.append(
                f"{found:.0%} of {len(self.masks.best)} masks match a node of the tree "
                f"(mean IoU {mean:.2f}, at the levels {level:.2f})"
            )
        if self.views is not None and np.isfinite(self.views.same).any():
            parts.append(f"neighbouring views agree on {np.nanmean(self.views.same):.1%} of what both see")
        if self.depth is not None and np.isfinite(self.depth.contradicted):
            parts.append(f"other views contradict the depth of {self.depth.contradicted:.1%} of the pixels")
        if self.unlabelled:
            parts.append(f"{max(self.unlabelled.values()):.1%} of the surface pixels have no label")
        parts.append(
            "all cuts are nested" if self.nesting.broken == 0 else f"{self.nesting.broken} segments NOT nested"
        )
        return "; ".join(parts)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Column titles and rows of a table of the levels, coarsest first."""
        columns = ["level", "segments", "typical points", "covered", "same in next view"]
        same = np.full(len(self.heights), np.nan) if self.views is None else self.views.same
        rows = [
            [
                f"{self.heights[level]:.3f}",
                str(self.segments[level]),
                "–" if np.isnan(self.typical[level]) else f"{self.typical[level]:.0f}",
                f"{self.covered[level]:.1%}",
                "–" if np.isnan(same[level]) else f"{same[level]:.1%}",
            ]
            for level in range(len(self.heights) - 1, -1, -1)
        ]
        return columns, rows

    def to_json(self) -> dict[str, Any]:
        """Everything as it stands in `quality.json`; null where there is nothing to measure."""
        return {
            "summary": self.summary(),
            "levels": [
                {
                    "height": _number(self.heights[level]),
                    "segments": int(self.segments[level]),
                    "typical_size": _number(self.typical[level]),
                    "covered": _number(self.covered[level]),
                    "same": None if self.views is None else _number(self.views.same[level]),
                    "iou": None if self.views is None else _number(self.views.iou[level]),
                }
                for level in range(len(self.heights) - 1, -1, -1)
            ],
            "masks": None if self.masks is None else _mask_figures(self.masks),
            "points_without_masks": _number(self.without_masks),
            "contradicted_depth": None if self.depth is None else _number(self.depth.contradicted),
            "view_pairs": 0 if self.views is None else self.views.pairs,
            "nesting": {
                "cuts": self.nesting.cuts,
                "broken_segments": self.nesting.broken,
                "broken_pixels": _number(self.nesting.pixels),
            },
            "unlabelled": {split: _number(part) for split, part in self.unlabelled.items()},
            "nodes": {"count": len(self.lifetimes), "lifetime": _quantiles(self.lifetimes)},
        }


def assess(
    surface: Surface,
    tree: Tree,
    heights: np.ndarray,
    is_level: np.ndarray,
    scene: Scene,
    *,
    depth_of: Callable[[str, int], np.ndarray],
    labels: Callable[[str, int], LabelStack],
) -> Quality:
    """Measure a segmentation by its own evidence.

    Args:
        surface: N points.
        tree: A merge tree over them.
        heights: All cuts [L], ascending.
        is_level: Which of them are automatic levels [L], bool.
        scene: The scene, with the masks of the training views if there are any.
        depth_of: z-depth of a view of a split [H, W], as the field shows it; called in several threads, like `labels`.
        labels: Its label maps at all cuts, at the size of its depth; asked for few views only.

    Returns:
        The report.
    """
    automatic = np.asarray(heights, np.float32)[is_level]
    table = [cut(tree, float(height)) for height in automatic]
    least = substantial_size(tree)
    sizes = [np.bincount(column) for column in table]
    sizes = [counts[counts >= least] for counts in sizes]
    agreement, without = mask_agreement(surface, tree, table, scene, depth_of)
    maps = read_maps(scene, depth_of, labels, is_level)
    pixels = {split: count_pixels(table, maps, split) for split in scene.splits}
    broken, steps = (sum(getattr(count, name) for count in pixels.values()) for name in ("broken", "steps"))
    clusters, workers = condense(tree, least), workers_for(_BYTES_PER_POINT * len(surface), most=4)
    return Quality(
        heights=automatic,
        segments=np.array([len(counts) for counts in sizes], np.int64),
        typical=np.array([np.median(counts) if len(counts) else np.nan for counts in sizes]),
        covered=np.array([counts.sum() / tree.num_leaves for counts in sizes]),
        masks=agreement,
        without_masks=without,
        views=view_agreement(maps, surface.voxel * (surface.to_user.scale / scene.to_user.scale)),
        depth=depth_agreement(scene, depth_of),
        nesting=Nesting(
            cuts=len(heights),
            broken=broken_segments(
                in_threads(lambda height: cut(tree, float(height)), heights, workers=workers), workers=workers
            ),
            pixels=broken / max(steps, 1),
        ),
        unlabelled={split: count.unlabelled / max(count.solid, 1) for split, count in pixels.items()},
        lifetimes=(clusters.death - clusters.birth)[1:] / max(float(tree.heights[-1]), 1e-12),
    )


def _mask_figures(agreement: MaskAgreement) -> dict[str, Any]:
    if len(agreement.best) == 0:
        return {"views": agreement.views, "count": 0}
    return {
        "views": agreement.views,
        "count": len(agreement.best),
        "mean_iou": _number(agreement.best.mean()),
        "found": _number(_share_matched(agreement.best)),
        "iou": _quantiles(agreement.best),
        "mean_iou_levels": _number(agreement.best_level.mean()),
        "found_levels": _number(_share_matched(agreement.best_level)),
        "overlapping_pairs": int(agreement.overlapping),
        "crossing_pairs": int(agreement.crossing),
    }


def _share_matched(iou: np.ndarray) -> float:
    return float((iou >= _MATCHED).mean())


def _quantiles(values: np.ndarray) -> dict[str, float] | None:
    if len(values) == 0:
        return None
    return {f"p{rank}": float(np.percentile(values, rank)) for rank in (10, 50, 90)}


def _number(value: float) -> float | None:
    """Four significant digits; None for NaN."""
    return None if np.isnan(value) else float(f"{value:.4g}")
