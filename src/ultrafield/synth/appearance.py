"""How the parts of a scene look: shading normals, colours, gloss and textures of a mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SceneError
from ..models import TexturePool

if TYPE_CHECKING:
    import trimesh

SMOOTHING_ANGLE = np.radians(40.0)  # faces that meet at a sharper angle keep their edge when shaded
DEFAULT_COLOR = (0.72, 0.72, 0.72)


@dataclass(frozen=True, eq=False)
class Texture:
    """Picture of one part and the corners of its faces in it.

    Attributes:
        first_face: Index of the part's first triangle in the model.
        corners: Texture coordinates of the corners [F, 3, 2], float32.
        image: The picture [H, W, 3], uint8 sRGB.
        factor: Colour it is multiplied by [3], float32, sRGB in [0, 1].
    """

    first_face: int
    corners: np.ndarray
    image: np.ndarray
    factor: np.ndarray


@dataclass(frozen=True, eq=False)
class Look:
    """How a mesh looks.

    Attributes:
        colors: Colours at the corners of the faces [F, 3, 3], float32, sRGB in [0, 1].
        gloss: Strength of the highlight, in [0, 1].
        texture: Its picture, None if it has none.
    """

    colors: np.ndarray
    gloss: float
    texture: Texture | None


def read_look(mesh: trimesh.Trimesh, first_face: int, pool: TexturePool, place: str) -> Look:
    """How a mesh looks.

    Args:
        mesh: The mesh; what its material lacks takes a default.
        first_face: Index of its first triangle in the model.
        pool: Decodes textures.
        place: Names the mesh in messages.

    Raises:
        SceneError: Its material, colours or texture cannot be used.
    """
    try:
        with np.errstate(all="ignore"):
            return Look(_corner_colors(mesh), _gloss(mesh), _texture(mesh, first_face, pool))
    except ValueError as failure:
        raise SceneError(f"{place}: its texture: {failure}") from None
    except (TypeError, AttributeError, LookupError) as failure:
        raise SceneError(f"{place}: its material or colours cannot be used ({failure})") from None


def corner_normals(triangles: np.ndarray) -> np.ndarray:
    """Shading normals [F, 3, 3], float32: averaged over the faces around a corner that meet without a sharp edge.

    Faces are joined by position, not by vertex, because files repeat vertices along texture seams.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    areas = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])  # [F, 3]
    flat = areas / np.maximum(np.linalg.norm(areas, axis=1, keepdims=True), 1e-30)
    extent = max(float(np.ptp(triangles.reshape(-1, 3), axis=0).max()), 1e-30)
    cells = np.round((triangles - triangles.min(axis=(0, 1))).reshape(-1, 3) / extent * 1e6).astype(np.int64)
    _, corners = np.unique((cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2], return_inverse=True)
    corners = corners.reshape(-1, 3)  # [F, 3] vertex by position
    pairs = _adjacent_faces(corners)
    smooth = (flat[pairs[:, 0]] * flat[pairs[:, 1]]).sum(1) > np.cos(SMOOTHING_ANGLE)
    pairs = pairs[smooth]
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(triangles),) * 2)
    _, patch = connected_components(graph, directed=False)
    key = patch[:, None].astype(np.int64) * (corners.max() + 1) + corners  # a corner within a smooth patch
    _, slot = np.unique(key, return_inverse=True)
    slot = slot.reshape(-1)
    total = np.stack([np.bincount(slot, np.repeat(areas[:, axis], 3)) for axis in range(3)], axis=1)
    mean = total[slot].reshape(-1, 3, 3)
    length = np.linalg.norm(mean, axis=2, keepdims=True)
    return np.where(length > 1e-12, mean / np.maximum(length, 1e-30), flat[:, None]).astype(np.float32)


def _adjacent_faces(corners: np.ndarray) -> np.ndarray:
    """Pairs of faces [E, 2] that follow one another around a shared edge."""
    edges = np.sort(corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    faces = np.repeat(np.arange(len(corners)), 3)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    same = (edges[order[1:]] == edges[order[:-1]]).all(axis=1)
    return np.stack([faces[order[:-1]], faces[order[1:]]], axis=1)[same]


def _corner_colors(mesh: trimesh.Trimesh) -> np.ndarray:
    """Colours at the corners of the faces [F, 3, 3], float32, sRGB in [0, 1]."""
    count = len(mesh.faces)
    visual: Any = mesh.visual
    if visual.kind == "vertex":
        return (visual.vertex_colors[mesh.faces][..., :3] / 255).astype(np.float32)
    if visual.kind == "face":
        return np.repeat(visual.face_colors[:, None, :3] / 255, 3, axis=1).astype(np.float32)
    color = _main_color(visual.material) if visual.kind == "texture" else DEFAULT_COLOR
    return np.broadcast_to(np.asarray(color, np.float32), (count, 3, 3)).copy()


def _main_color(material: Any) -> np.ndarray:
    """Colour of a material without its texture [3], sRGB in [0, 1]; grey where it has none that can be used."""
    try:
        color = np.asarray(material.main_color[:3], np.float64) / 255
    except (TypeError, ValueError, AttributeError, LookupError, NotImplementedError):
        return np.array(DEFAULT_COLOR)
    usable = color.shape == (3,) and bool(np.isfinite(color).all())
    return color.clip(0, 1) if usable else np.array(DEFAULT_COLOR)


def _gloss(mesh: trimesh.Trimesh) -> float:
    """Strength of the highlight: `metadata["gloss"]`, or how smooth a physically based material is."""
    if "gloss" in mesh.metadata:
        return float(np.clip(mesh.metadata["gloss"], 0, 1))
    roughness = getattr(getattr(mesh.visual, "material", None), "roughnessFactor", None)
    if not isinstance(roughness, int | float) or not np.isfinite(roughness):
        return 0.0
    return float(np.clip(1 - roughness, 0, 1))


def _texture(mesh: trimesh.Trimesh, first_face: int, pool: TexturePool) -> Texture | None:
    """The mesh's picture, if it has one and coordinates in it."""
    visual: Any = mesh.visual
    if visual.kind != "texture" or visual.uv is None:
        return None
    material = visual.material
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    places = np.asarray(visual.uv, np.float32)
    if image is None or places.ndim != 2 or places.shape[1] < 2 or len(places) != len(mesh.vertices):
        return None
    return Texture(first_face, places[mesh.faces][..., :2], pool.decode(image), _factor(material))


def _factor(material: Any) -> np.ndarray:
    """Colour that multiplies a material's texture [3], float32, sRGB in [0, 1]."""
    factor = getattr(material, "baseColorFactor", None)
    factor = np.ones(3, np.float32) if factor is None else np.asarray(factor[:3], np.float32) / 255
    return factor if factor.shape == (3,) and np.isfinite(factor).all() else np.ones(3, np.float32)
