"""Surfaces: points, normals and visibility from depth maps."""

from __future__ import annotations

from .fusion import extract_surface, surface_from_views
from .surface import Surface

__all__ = ["Surface", "extract_surface", "surface_from_views"]
