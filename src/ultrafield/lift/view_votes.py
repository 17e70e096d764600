"""What the masks of each view hold of a surface."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..masks import MaskSet
from ..masks.weights import mask_weights
from ..parallel import in_threads, workers_for
from ..scene import Scene
from ..surface import Surface, cameras_of
from .codes import point_codes
from .masked_views import masked_views


@dataclass(frozen=True)
class ViewVotes:
    """Memberships of N surface points in the masks of one view.

    What none of its M masks holds counts as mask M: points that lie side by side there were seen together, and nothing
    was drawn between them.

    Attributes:
        codes: Packed mask memberships [N, W], uint64; zero where not seen.
        seen: Whether the view sees the point [N], bool.
        points: Seen points in each of the M masks, and in none [M + 1], int64.
        weights: Weight of every mask, zero-padded [64 W], float64.
    """

    codes: np.ndarray
    seen: np.ndarray
    points: np.ndarray
    weights: np.ndarray


def view_votes(surface: Surface, scene: Scene) -> Iterator[ViewVotes]:
    """Memberships of the surface's points in the masks of each training view that has any, view by view.

    Args:
        surface: N points.
        scene: Where masks and cameras come from.

    Raises:
        RunError: The surface belongs to another number of views, or no training view has masks.
    """
    from .kernels.votes_cpu import count_members

    views = masked_views(surface, scene)
    cameras, everything = cameras_of(surface, scene), np.zeros(len(surface), np.int64)

    def votes(view: tuple[int, MaskSet]) -> ViewVotes:
        index, masks = view
        codes, seen = point_codes(surface, cameras, index, masks)
        points = np.zeros((1, 64 * codes.shape[1]), np.int64)
        count_members(codes, seen, everything, points)
        return ViewVotes(codes, seen, points[0, : len(masks) + 1], mask_weights(points[0]))

    yield from in_threads(votes, views, workers=code_workers(surface, scene))


def code_workers(surface: Surface, scene: Scene) -> int:
    """Threads for work on the codes of all points in one view each, four at most."""
    most = max((len(view.masks) for view in scene.train if view.masks is not None), default=0)
    return workers_for(16 * (most // 64 + 1) * len(surface), most=4)  # as many views wait as are worked on
