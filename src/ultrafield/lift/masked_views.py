"""The training views that have masks."""

from __future__ import annotations

from ..errors import RunError
from ..masks import MaskSet
from ..scene import Scene
from ..surface import Surface


def masked_views(surface: Surface, scene: Scene) -> list[tuple[int, MaskSet]]:
    """Index and masks of each training view that has any.

    Raises:
        RunError: The surface belongs to another number of views, or no training view has masks.
    """
    train = scene.train
    if len(surface.visible) != len(train):
        raise RunError(f"surface: made from {len(surface.visible)} views, but {scene.name} has {len(train)}")
    if all(view.masks is None for view in train):
        raise RunError(f"{scene.source}: no training view has masks ({scene.masks_advice})")
    return [(index, view.masks) for index, view in enumerate(train) if view.masks is not None and len(view.masks) > 0]
