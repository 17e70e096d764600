"""Cameras: poses, lenses, similarities, and from pixels to points and back."""

from __future__ import annotations

from .focus import focus_point
from .model import Cameras, Lens
from .projection import PUBLISHED_DEPTH_RANGE, back_project, pixel_directions, pixel_indices, project
from .rendered import RenderedDepth, RenderedView
from .similarity import Similarity

__all__ = [
    "PUBLISHED_DEPTH_RANGE",
    "Cameras",
    "Lens",
    "RenderedDepth",
    "RenderedView",
    "Similarity",
    "back_project",
    "focus_point",
    "pixel_directions",
    "pixel_indices",
    "project",
]
