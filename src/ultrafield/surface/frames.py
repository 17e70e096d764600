"""Cameras in the frame of a surface."""

from __future__ import annotations

import numpy as np

from ..cameras import Cameras, Similarity
from ..scene import Scene
from .surface import Surface


def cameras_of(surface: Surface, scene: Scene) -> Cameras:
    """Training cameras of a scene in the frame of a surface.

    Surface and scene may be normalised in different ways. Where they are in the same, these are the very cameras of the
    scene; otherwise they go through the user's frame, which both share.

    Args:
        surface: Made from the training views.
        scene: Where these are.
    """
    if same_frame(surface.to_user, scene.to_user):
        return scene.train.normalised_cameras
    return scene.train.normalised_cameras.moved(scene.to_user).moved(surface.to_user.inverse())


def same_frame(one: Similarity, other: Similarity) -> bool:
    """Whether two similarities are equal in every number."""
    return (
        one.scale == other.scale
        and np.array_equal(one.rotation, other.rotation)
        and np.array_equal(one.translation, other.translation)
    )
