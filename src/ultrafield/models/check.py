"""Checks of what trimesh has read, so that nothing that follows stumbles over arrays that do not fit each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SceneError
from .textures import TexturePool

if TYPE_CHECKING:
    import trimesh

LARGEST = 1e30  # coordinates beyond are refused: their squares would not be finite
_PICTURES = ("image", "baseColorTexture")


def check_scene(scene: trimesh.Scene, where: str) -> None:
    """Check every mesh and cloud of points of a scene and its place there, and decode its textures.

    Args:
        scene: The scene.
        where: Names it in messages.

    Raises:
        SceneError: A geometry that cannot be used, or a node that no root leads to.
    """
    pool = TexturePool()
    for name, geometry in scene.geometry.items():
        check_geometry(geometry, f"{where}: mesh {name[:100]!r}", pool)
    for node in scene.graph.nodes_geometry:
        try:
            scene.graph.get(node)
        except ValueError as failure:  # its parents form a circle, or lead to no root
            raise SceneError(f"{where}: node {str(node)[:100]!r} is not part of the scene ({failure})") from None


def check_geometry(geometry: Any, place: str, pool: TexturePool) -> None:
    """Raise `SceneError`, naming `place`, for arrays that do not fit each other or a texture that cannot be decoded."""
    vertices = np.asarray(getattr(geometry, "vertices", np.zeros((0, 3))))
    if vertices.size and (vertices.ndim != 2 or vertices.shape[1] != 3):
        raise SceneError(f"{place}: expected vertices of 3 coordinates, got {list(vertices.shape)}")
    faces = np.asarray(getattr(geometry, "faces", np.zeros((0, 3), np.int64)))
    if faces.size == 0:
        return
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise SceneError(f"{place}: expected triangles, got faces of {list(faces.shape)}")
    if not 0 <= faces.min() <= faces.max() < len(vertices):
        raise SceneError(f"{place}: a triangle has a vertex that does not exist")
    try:
        with np.errstate(all="ignore"):
            _check_visual(geometry.visual, len(vertices), len(faces), pool)
    except Exception as failure:  # whatever trimesh raises for colours that it cannot convert
        raise SceneError(f"{place}: its colours or texture cannot be used ({failure})") from None


def _check_visual(visual: Any, vertices: int, faces: int, pool: TexturePool) -> None:
    kind = visual.kind
    if kind == "vertex" and np.shape(visual.vertex_colors) != (vertices, 4):
        raise ValueError(f"{len(visual.vertex_colors)} colours of {vertices} vertices")
    if kind == "face" and np.shape(visual.face_colors) != (faces, 4):
        raise ValueError(f"{len(visual.face_colors)} colours of {faces} triangles")
    if kind != "texture":
        return
    if visual.uv is not None:
        shape = np.shape(visual.uv)
        if len(shape) != 2 or shape[0] != vertices or shape[1] < 2:
            raise ValueError(f"expected texture coordinates of shape [{vertices}, 2], got {list(shape)}")
    for attribute in _PICTURES:
        image = getattr(visual.material, attribute, None)
        if image is not None:
            pool.decode(image)
