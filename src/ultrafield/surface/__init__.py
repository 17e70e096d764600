"""Surfaces: points, normals and visibility from depth maps."""

from __future__ import annotations

from .checks import check_depths
from .frames import cameras_of
from .fusion import surface_from_field, surface_from_views
from .surface import Surface, pack_flags

__all__ = ["Surface", "cameras_of", "check_depths", "pack_flags", "surface_from_field", "surface_from_views"]
