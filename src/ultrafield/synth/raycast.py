"""First hits and occlusion against the triangles of a model (Embree); parts, normals and colours at hits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..extras import require
from ..models import sample_texture
from .appearance import Texture
from .scene_graph import Model


@dataclass(frozen=True, eq=False)
class Hits:
    """First intersections of rays with the model; rays that miss it are not listed.

    Attributes:
        ray: Index of the ray [K], int64, ascending.
        face: Triangle [K], int32.
        distance: Ray parameter, in lengths of the ray's direction [K], float32.
        weights: Barycentric weights of the triangle's corners [K, 3], float32.
    """

    ray: np.ndarray
    face: np.ndarray
    distance: np.ndarray
    weights: np.ndarray


class Raycaster:
    """Embree's acceleration structure over one model; queries may run in several threads at once.

    Raises:
        BackendError: Embree is not installed (extra `synth`).
    """

    def __init__(self, model: Model) -> None:
        mesh_construction = require("embreex.mesh_construction", "synth")
        rtcore_scene = require("embreex.rtcore_scene", "synth")
        self.model = model
        edges = np.diff(model.triangles, axis=1)  # [F, 2, 3]
        normals = np.cross(edges[:, 0], edges[:, 1])
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        self.face_normals = (normals / np.maximum(length, 1e-30)).astype(np.float32)
        self._scene = rtcore_scene.EmbreeScene()
        corners = np.ascontiguousarray(model.triangles.reshape(-1, 3), np.float32)
        corner_ids = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
        mesh_construction.TriangleMesh(self._scene, corners, corner_ids)
        # The first query builds the tree; later ones only read it and may overlap.
        self.first_hits(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))

    def first_hits(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """Nearest intersections of rays given by `origins` and `directions` [R, 3], float32."""
        hits = self._scene.run(origins, directions, query="INTERSECT", output=1)
        ray = np.flatnonzero(hits["primID"] >= 0)
        u, v = hits["u"][ray], hits["v"][ray]
        return Hits(ray, hits["primID"][ray], hits["tfar"][ray], np.stack([1 - u - v, u, v], axis=1))

    def occluded(self, origins: np.ndarray, directions: np.ndarray, reach: np.ndarray | None = None) -> np.ndarray:
        """Whether rays hit anything [R], bool.

        Args:
            origins: Ray origins [R, 3], float32.
            directions: Ray directions [R, 3], float32.
            reach: Ray parameter [R], float32, up to which to look; None for no limit.
        """
        return self._scene.run(origins, directions, dists=reach, query="OCCLUDED") >= 0

    def parts(self, hits: Hits) -> np.ndarray:
        """Part of each hit [K], int32."""
        return self.model.face_part[hits.face]

    def normals(self, hits: Hits, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Geometric and shading normals [K, 3] each, float32, on the side that rays `directions` [K, 3] come from."""
        flat = self.face_normals[hits.face]
        smooth = np.einsum("kc,kcd->kd", hits.weights, self.model.normals[hits.face])
        smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-12)
        back = np.einsum("kd,kd->k", flat, directions) > 0
        flat[back] *= -1
        smooth[np.einsum("kd,kd->k", flat, smooth) < 0] *= -1
        return flat, smooth

    def albedo(self, hits: Hits) -> np.ndarray:
        """Surface colour of each hit [K, 3], float32, sRGB in [0, 1]."""
        color = np.einsum("kc,kcd->kd", hits.weights, self.model.colors[hits.face])
        if self.model.textures:
            parts = self.parts(hits)
            for part, texture in self.model.textures.items():
                chosen = np.flatnonzero(parts == part)
                if chosen.size:
                    color[chosen] = _sample(texture, hits.face[chosen], hits.weights[chosen])
        return color


def _sample(texture: Texture, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Colours of a texture [K, 3] at barycentric `weights` [K, 3] of `faces` [K], sRGB in [0, 1]."""
    coordinates = np.einsum("kc,kcd->kd", weights, texture.corners[faces - texture.first_face])
    return sample_texture(texture.image, coordinates) / np.float32(255) * texture.factor
