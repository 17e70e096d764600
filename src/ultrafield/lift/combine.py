"""Votes and features together: the feature field counts as one more view, whose masks are soft.

Two points have the share s(p, q) = 1 − slope (1 − cosine of their features) of the soft masks in common. As for masks
that are drawn, the weights of those that hold both points, and of those that hold either, are

    both(p, q) = λ s        either(p, q) = λ (2 − s)

and enter the sums over all views. A cosine is a sum over channels of products of two points' features, so the sums over
all pairs of points of two regions are products of summed features: D + 1 more columns of counts, nothing else changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..scene import Scene
from ..sharing import Team
from ..surface import Surface
from ..ultrametric import AffinityGraph
from .memberships import memberships
from .superpoints import join_regions
from .view_votes import view_votes
from .votes import mask_votes

if TYPE_CHECKING:
    from .kernels.rows_cpu import Rows

_VIEWS = 0.3  # what features weigh: enough to decide where few views see, too little where many do
_PAIRS = 100_000  # drawn to calibrate
_BLOCK = 1 << 17


@dataclass(frozen=True)
class FeatureView:
    """The feature field as one more view, which sees every point.

    Attributes:
        features: [N, D], unit length.
        slope: What a difference of one in cosine takes from the share of common masks, ≥ 0.
        weight: Weight λ of the soft masks that hold a point.
    """

    features: np.ndarray
    slope: float
    weight: float

    def votes(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weight of the soft masks that hold both points of each pair [P, 2], and of those that hold either [P]."""
        shared = 1.0 - self.slope * (1.0 - cosines(self.features, pairs))
        return self.weight * shared, self.weight * (2.0 - shared)


def feature_view(surface: Surface, scene: Scene, features: np.ndarray) -> FeatureView:
    """Calibrate features against the votes of all views.

    `slope` is the least-squares fit to what the masks say about pairs of points drawn from the whole surface. Votes
    give d = 1 − both / either; soft masks give d = 1 − s / (2 − s), hence s = 2 (1 − d) / (2 − d). A line through
    (cosine 1, s 1) has no parameter but its slope: equal features are no evidence of a border. `weight` is 0.3 of what
    the masks of a view that sees a point weigh on it, on average.

    Args:
        surface: N points.
        scene: The scene of the surface, with masks.
        features: [N, D], unit length.

    Raises:
        RunError: No masks, or none that holds a point; a surface of another scene.
    """
    # Any pairs will do, but the same ones each time: two segmentations of a run agree byte for byte.
    pairs = np.random.default_rng(0).integers(0, max(len(surface), 1), (_PAIRS if len(surface) else 0, 2))
    both, either = mask_votes(surface, pairs, scene)
    usable = (either > 0) & (pairs[:, 0] != pairs[:, 1])
    both, either, apart = both[usable], either[usable], 1.0 - cosines(features, pairs[usable])
    unshared = 1.0 - 2.0 * both / (either + both)
    slope = (unshared @ apart) / max(apart @ apart, np.finfo(np.float64).tiny)
    weight, seen = 0.0, 0
    for view in view_votes(surface, scene):
        weight += float(view.points @ view.weights[: len(view.points)])
        seen += int(view.seen.sum())
    return FeatureView(features, float(max(slope, 0.0)), _VIEWS * weight / max(seen, 1))


def cosines(features: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Dot products of the features [N, D] of each pair [P, 2] of points; [P], float64."""
    products = np.empty(len(pairs))
    for block in range(0, len(pairs), _BLOCK):  # [2^17, D] at a time
        first, second = pairs[block : block + _BLOCK].T
        products[block : block + _BLOCK] = np.einsum("nd,nd->n", features[first], features[second])
    return products


def combined_edges(
    surface: Surface,
    edges: np.ndarray,
    scene: Scene,
    view: FeatureView,
    *,
    device: str = "cpu",
    team: Team | None = None,
) -> AffinityGraph:
    """The dissimilarity of every edge on its own, by the masks of all views and by features.

    Args:
        surface: N points.
        edges: [E, 2], int64.
        scene: The scene of the surface, with masks.
        view: Its features.
        device: Where votes are added up, "cpu" or "cuda".
        team: Processes that share the counting of votes; None counts in this one.
    """
    both, either = mask_votes(surface, edges, scene, device=device, team=team)
    more_both, more_either = view.votes(edges)
    evidence = either + more_either
    dissimilarity = np.clip(1.0 - (both + more_both) / np.where(evidence > 0, evidence, 1.0), 0.0, 1.0)
    return AffinityGraph(len(surface), edges, dissimilarity.astype(np.float32), evidence.astype(np.float32), 1.0)


def join_combined(
    surface: Surface, scene: Scene, graph: AffinityGraph, labels: np.ndarray, view: FeatureView
) -> AffinityGraph:
    """Give every edge the height at which the patches of its ends become one region, by masks and features.

    Args:
        surface: N points.
        scene: The scene of the surface, with masks.
        graph: Edges between the points, from `combined_edges`.
        labels: Patch of every point [N], int64, 0 … R − 1.
        view: The features.

    Returns:
        The same edges with the same evidence, and dissimilarity 0 within patches.
    """
    # Opposite features share less than nothing; heights end at the bound all the same.
    patches = int(labels.max()) + 1
    return join_regions(graph, labels, with_features(memberships(surface, scene, labels, patches), labels, view))


def with_features(rows: Rows, labels: np.ndarray, view: FeatureView) -> Rows:
    """Add the feature view to what the masks hold of each region.

    Its masks are the D channels, of weight λ slope, in which a region counts with its summed features, and one of
    weight λ (1 − slope) that holds every point; both(A, B) is then λ Σ s over all pairs of points.

    Args:
        rows: R regions that have not been merged.
        labels: Region of every point [N], int64.
        view: The features.
    """
    from .kernels.rows_cpu import Rows

    regions, masks, channels = len(rows), len(rows.weights), view.features.shape[1]
    soft = np.empty((regions, channels + 1))
    for channel in range(channels):
        soft[:, channel] = np.bincount(labels, view.features[:, channel], regions)
    soft[:, channels] = rows.sizes
    starts = np.append(rows.first, rows.used) + (channels + 1) * np.arange(regions + 1)
    columns, counts = (np.empty(2 * starts[-1], part.dtype) for part in (rows.columns, rows.counts))
    hard = np.arange(rows.used) + (channels + 1) * np.repeat(np.arange(regions), rows.length)
    columns[hard], counts[hard] = rows.columns[: rows.used], rows.counts[: rows.used]
    added = starts[1:, None] + np.arange(-channels - 1, 0)  # [R, D + 1], the end of each row
    columns[added], counts[added] = masks + np.arange(channels + 1), soft
    seen, weighted = np.hsplit(rows.sums, 2)
    sizes = rows.sizes[:, None]
    weights = view.weight * np.append(np.full(channels, view.slope), 1.0 - view.slope)
    return Rows(
        starts=starts,
        columns=columns,
        counts=counts,
        weights=np.concatenate([rows.weights, weights]),
        sums=np.concatenate([seen, sizes, weighted, view.weight * sizes], axis=1),
        sizes=rows.sizes,
    )
