"""What a camera sees, side by side: photo, depth, normals, features, labels."""

from __future__ import annotations

import numpy as np

from ..export.pictures import label_borders, overlay
from ..export.renderings import depth_picture, direction_colors
from .session import Session
from .views import SeenView

_SELECTED = np.array([255, 214, 10], np.uint8)


def pictures_of(session: Session, view: SeenView, features: np.ndarray | None) -> dict[str, np.ndarray]:
    """Pictures of a view [h, w, 3], uint8, by name; "features" is left out where there are none.

    Args:
        session: Whose segments are shown, as they are shown now.
        view: What the camera sees.
        features: Features as a picture [h, w, 3].
    """
    labels = pixel_labels(session, view)
    pictures = {
        "photo": view.photo,
        "labels": overlay(view.photo, labels, session.colors, opacity=0.7),
        "depth": depth_picture(view.depth),
        "normals": _normals(session, view),
    }
    if features is not None:
        pictures["features"] = features
    if session.selected:
        inside = np.concatenate([session.leaves_of(session.selected), [False]])[view.leaf]
        borders = label_borders(np.where(inside, 1, 0))
        pictures = {name: np.where(borders[..., None], _SELECTED, picture) for name, picture in pictures.items()}
    return pictures


def pixel_labels(session: Session, view: SeenView) -> np.ndarray:
    """The shown segment that each pixel sees [h, w], nodes of the edited tree; −1 for none or hidden ones.

    As in label maps it is the most frequent one among the nearest points, of equally frequent ones that of the nearest.
    """
    labels = np.concatenate([session.labels, [-1]])[view.voters]
    counts = (labels[..., :, None] == labels[..., None, :]).sum(axis=-1)
    chosen = np.where(labels >= 0, counts, -1).argmax(axis=-1)
    winner: np.ndarray = np.take_along_axis(labels, chosen[..., None], axis=-1)[..., 0]
    return np.where(np.concatenate([session.visible, [False]])[view.leaf], winner, -1)


def _normals(session: Session, view: SeenView) -> np.ndarray:
    """Normals of the surface, user's axes: red, green and blue are x, y and z; black where they are unknown."""
    normals = np.concatenate([session.surface.normals_user, np.zeros((1, 3), np.float32)])[view.leaf]
    return direction_colors(normals)
