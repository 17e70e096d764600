"""The training-free evidence: what the 2D masks of all views say about neighbouring surface points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import RunError
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


def mask_votes(
    surface: Surface, edges: np.ndarray, scene: Scene, *, device: str = "cpu"
) -> tuple[np.ndarray, np.ndarray]:
    """Weigh, for every edge, the masks that hold both of its ends and those that hold at least one.

    Summed over the training views that see both ends, each mask with its weight (`mask_weights`); what no mask of a
    view holds counts as one more mask. A view in which the two ends share all masks speaks for their unity, one in
    which masks hold one end only for a border between them. Works view by view, in memory O(N + E).

    Args:
        surface: N points with their visibility from every training view.
        edges: [E, 2], int64.
        scene: Where masks and cameras come from; training views without masks are passed over.
        device: Where votes are added up: "cpu", in float64, or "cuda", in float32.

    Returns:
        Summed weights of the masks holding both ends, and of those holding either [E], float64.

    Raises:
        RunError: The surface belongs to another number of views, or no training view has masks that hold a point.
    """
    if device == "cpu":
        both, either, holding = _add_up(surface, edges, scene)
    else:
        from .votes_device import add_up_on_device

        both, either, holding = add_up_on_device(surface, edges, scene, device)
    if not holding and len(surface) > 0:
        raise RunError(f"{scene.source}: no mask of any training view holds a point of the surface")
    return both, either


def _add_up(surface: Surface, edges: np.ndarray, scene: Scene) -> tuple[np.ndarray, np.ndarray, bool]:
    """Both sums, and whether any mask holds a point."""
    from .kernels.votes_cpu import add_votes_cpu

    both, either, holding = np.zeros(len(edges)), np.zeros(len(edges)), False
    for view in view_votes(surface, scene):
        add_votes_cpu(edges, view.codes, view.seen, view.weights, both, either)
        holding |= bool(view.points[:-1].any())
    return both, either, holding


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
