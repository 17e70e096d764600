"""The training-free evidence: what the 2D masks of all views say about neighbouring surface points."""

from __future__ import annotations

import numpy as np

from ..errors import RunError
from ..projection import pixel_indices, project
from ..types import Cameras, MaskSet, Scene, Surface


def mask_votes(surface: Surface, edges: np.ndarray, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Count, for every edge, the masks that hold both of its ends and those that hold at least one.

    Summed over the training views that see both ends. A view in which no mask holds either end adds nothing; one in
    which masks hold one end only speaks for a border between them. Works view by view, in memory O(N + E).

    Args:
        surface: N points with their visibility from every training view, user's frame.
        edges: [E, 2], int64.
        scene: Where masks and cameras come from; training views without masks are passed over.

    Returns:
        Masks holding both ends, and masks holding either [E], int64.

    Raises:
        RunError: The surface belongs to another number of views, or no training view has masks.
    """
    from .kernels.votes_cpu import add_votes_cpu

    train = scene.train
    if len(surface.visible) != len(train):
        raise RunError(f"surface: made from {len(surface.visible)} views, but {scene.name} has {len(train)}")
    if all(view.masks is None for view in train):
        raise RunError(f"{scene.root}: no training view has masks (make them with: ultrafield masks {scene.root})")
    cameras = train.cameras.moved(scene.to_user)
    both, either = np.zeros(len(edges), np.int64), np.zeros(len(edges), np.int64)
    for index, view in enumerate(train):
        if view.masks is not None and len(view.masks) > 0:
            codes, held = point_codes(surface, cameras, index, view.masks)
            add_votes_cpu(edges, codes, held, both, either)
    return both, either


def point_codes(surface: Surface, cameras: Cameras, index: int, masks: MaskSet) -> tuple[np.ndarray, np.ndarray]:
    """The masks of one view that hold each surface point.

    Args:
        surface: N points.
        cameras: Training cameras, user's frame, of any picture size.
        index: Which view.
        masks: Its masks.

    Returns:
        Packed memberships [N, W] uint64, zero where not seen; and which points the view sees [N] bool.
    """
    height, width = masks.shape
    seen = np.flatnonzero(surface.seen_from(index))
    pixels, _ = project(cameras[[index]].resized(np.array([[width, height]])), 0, surface.points[seen])
    cells = pixel_indices(pixels, width, height)
    seen, cells = seen[cells >= 0], cells[cells >= 0]
    codes = np.zeros((len(surface), masks.bits.shape[2]), np.uint64)
    codes[seen] = masks.bits.reshape(height * width, -1)[cells]
    held = np.zeros(len(surface), bool)
    held[seen] = True
    return codes, held
