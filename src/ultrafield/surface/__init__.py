"""Surfaces: points, normals and visibility, from fields, depth maps, points, meshes and Gaussian splats."""

from __future__ import annotations

from .checks import check_depths
from .depth import surface_from_depth
from .discs import surface_depths
from .frames import cameras_of
from .mesh import surface_from_mesh
from .points import surface_from_points
from .rendered import surface_from_field, surface_from_views
from .splats import surface_from_splats
from .surface import Surface, pack_flags

__all__ = [
    "Surface",
    "cameras_of",
    "check_depths",
    "pack_flags",
    "surface_depths",
    "surface_from_depth",
    "surface_from_field",
    "surface_from_mesh",
    "surface_from_points",
    "surface_from_splats",
    "surface_from_views",
]
