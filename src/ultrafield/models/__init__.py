"""3D models from files of any origin, read within limits: PLY vertices, and all that trimesh reads."""

from __future__ import annotations

from .check import LARGEST, check_geometry, check_scene
from .load import load_model
from .ply import Vertices, read_vertices
from .textures import TexturePool, sample_texture

__all__ = [
    "LARGEST",
    "TexturePool",
    "Vertices",
    "check_geometry",
    "check_scene",
    "load_model",
    "read_vertices",
    "sample_texture",
]
