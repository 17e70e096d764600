"""The surface of a triangle mesh: dense samples, seen where no triangle is in the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..cameras import Cameras
from ..cameras.projection import pixel_indices, project
from ..config import SegmentConfig
from ..errors import SceneError
from ..models import LARGEST, TexturePool, check_geometry, check_scene, load_model
from ..parallel import in_threads, workers_for
from .checks import check_cameras
from .cloud import Cloud, cloud_surface, seen_among_discs
from .depth import GREY
from .fusion import FOOTPRINTS_PER_VOXEL, MAX_POINTS
from .normalise import Frame, frame_around
from .points import cloud_in
from .samples import focal_length
from .surface import Surface

if TYPE_CHECKING:
    from trimesh import Scene, Trimesh

_LEAST_POINTS = 2_000
_PROBES = 1 << 14  # samples that tell how far away the mesh is
_GOLDEN = np.array([0.7548776662466927, 0.5698402909980532])  # a sequence that fills the square evenly
_BEFORE = 0.02  # a triangle hides a sample if it is nearer by more than this part of the samples' spacing
_BYTES_PER_POINT = 100


@dataclass(frozen=True, eq=False)
class Samples:
    """Points on a mesh.

    Attributes:
        points: [N, 3], float64, user's frame.
        faces: Triangle of each [N], int64.
        weights: Barycentric weights of the triangle's corners [N, 3], float64.
    """

    points: np.ndarray
    faces: np.ndarray
    weights: np.ndarray


def surface_from_mesh(
    mesh: Trimesh | Scene | str | Path, cameras: Cameras, *, config: SegmentConfig | None = None
) -> Surface:
    """Sample a mesh as densely as the cameras' pixels see it, 250,000 points at most.

    Samples are even over the area, and the same each time. Which view sees which is found by casting rays where
    embreex is installed, otherwise by drawing samples as discs (`surface_from_points`). Samples that no view sees are
    dropped. Colours are those of the mesh's texture, vertices or faces; grey if it has none.

    Args:
        mesh: `trimesh.Trimesh`, `trimesh.Scene`, or a file that trimesh reads; user's frame.
        cameras: V cameras, user's frame.
        config: Settings; the defaults if None. `voxel` is a fraction of half the longest edge of the mesh's box, and
            then decides how far apart samples are.

    Returns:
        The surface in a normalised frame of its own.

    Raises:
        TypeError: Neither mesh nor path, or no cameras.
        SceneError: A file that cannot be read, a mesh without area, or one that no camera sees.
    """
    check_cameras(cameras)
    config, mesh = config or SegmentConfig(), read_mesh(mesh)
    frame = frame_around(sample_mesh(mesh, _PROBES).points - cameras.c2w[0, :, 3], cameras)
    nearby = frame.cameras(cameras)
    if config.voxel is not None:
        voxel, count = config.voxel * frame.half_extent, 4 * _count(mesh, frame, config.voxel * frame.half_extent)
    else:
        voxel, count = None, min(_count(mesh, frame, _pixel_spacing(mesh, frame, nearby)), MAX_POINTS)
    samples = sample_mesh(mesh, max(count, _LEAST_POINTS))
    normals = np.asarray(mesh.face_normals)[samples.faces]
    cloud = cloud_in(frame, samples.points, normals, sample_colors(mesh, samples), cameras, voxel)
    return cloud_surface(cloud, _seen(mesh, cloud, nearby, frame), nearby, frame, keep_all=False)


def read_mesh(mesh: Trimesh | Scene | str | Path) -> Trimesh:
    """One mesh of a mesh, a scene or a file; raises as `surface_from_mesh` does."""
    import trimesh

    name, model = "mesh", mesh
    if isinstance(mesh, str | Path):
        name, model = str(mesh), load_model(mesh)
    geometry: object = _joined(model, name) if isinstance(model, trimesh.Scene) else model
    if isinstance(geometry, trimesh.PointCloud):
        raise SceneError(f"{name}: has no triangles; take surface_from_points or surface_from_splats")
    if not isinstance(geometry, trimesh.Trimesh):
        raise TypeError(f"mesh: expected trimesh.Trimesh, trimesh.Scene or a path, got {type(geometry).__name__}")
    check_mesh(geometry, name)
    return geometry


def _joined(scene: Scene, name: str) -> Any:
    """The geometry of a scene as one."""
    check_scene(scene, name)
    try:
        return scene.to_geometry() if len(scene.geometry) == 1 else scene.to_mesh()
    except Exception as failure:  # whatever trimesh raises for materials that it cannot join
        raise SceneError(f"{name}: its meshes cannot be joined ({failure})") from None


def check_mesh(mesh: Trimesh, name: str) -> None:
    """Raise `SceneError` unless a mesh has an area, vertices that are finite, and colours that can be read."""
    check_geometry(mesh, name, TexturePool())
    vertices = np.asarray(mesh.vertices)
    if not (len(mesh.faces) and np.abs(vertices).max(initial=0) <= LARGEST and mesh.area > 0):
        raise SceneError(f"{name}: expected triangles with an area and vertices within {LARGEST:g} of the origin")


def sample_mesh(mesh: Trimesh, count: int) -> Samples:
    """Points spread evenly over the area of a mesh, the same each time.

    Triangles follow each other along a line as long as their areas; samples lie on it at equal distances, and within
    the triangles on the R₂ sequence (M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018).

    Args:
        mesh: With an area.
        count: How many points.
    """
    until = np.cumsum(mesh.area_faces)
    along = (np.arange(count) + 0.5) / count * until[-1]
    faces = np.minimum(np.searchsorted(until, along, side="right"), len(until) - 1)
    u, v = ((0.5 + np.arange(count)[:, None] * _GOLDEN) % 1.0).T
    u, v = np.where(u + v > 1.0, 1.0 - u, u), np.where(u + v > 1.0, 1.0 - v, v)  # the square's half that is a triangle
    weights = np.stack([1.0 - u - v, u, v], axis=1)
    corners = np.asarray(mesh.vertices)[np.asarray(mesh.faces)[faces]]  # [N, 3, 3]
    return Samples(np.einsum("nc,ncd->nd", weights, corners), faces, weights)


def sample_colors(mesh: Trimesh, samples: Samples) -> np.ndarray:
    """Colours of a mesh at samples [N, 3], uint8; grey where it has none."""
    visual: Any = mesh.visual
    kind = visual.kind
    corners = np.asarray(mesh.faces)[samples.faces]
    if kind == "face":
        return np.asarray(visual.face_colors)[samples.faces, :3].astype(np.uint8)
    if kind == "vertex":
        colors = np.asarray(visual.vertex_colors)[corners][:, :, :3].astype(np.float64)
        return np.rint(np.einsum("nc,ncd->nd", samples.weights, colors)).astype(np.uint8)
    if kind == "texture" and visual.uv is not None:
        place = np.einsum("nc,ncd->nd", samples.weights, np.asarray(visual.uv)[corners])
        colors = visual.material.to_color(np.where(np.abs(place) <= 1e6, place, 0.0))
        if colors is not None:
            return np.broadcast_to(np.asarray(colors)[..., :3], (len(place), 3)).astype(np.uint8)
    if kind == "texture":
        return np.broadcast_to(np.asarray(visual.material.main_color)[:3], (len(corners), 3)).astype(np.uint8)
    return np.full((len(corners), 3), GREY, np.uint8)


def _count(mesh: Trimesh, frame: Frame, spacing: float) -> int:
    """How many samples lie so far apart, in normalised units."""
    return int(np.ceil(mesh.area / (spacing * frame.to_user.scale) ** 2))


def _pixel_spacing(mesh: Trimesh, frame: Frame, cameras: Cameras) -> float:
    """Spacing of samples for the pixels that look at the mesh, normalised units; infinite if none does."""
    points, footprints = frame.points(sample_mesh(mesh, _PROBES).points), [np.zeros(0)]
    for index, (width, height) in enumerate(cameras.sizes.tolist()):
        pixels, depth = project(cameras, index, points)
        footprints.append(depth[pixel_indices(pixels, width, height) >= 0] / focal_length(cameras, index))
    every = np.concatenate(footprints)
    return FOOTPRINTS_PER_VOXEL * float(np.median(every)) if len(every) else float("inf")


def _seen(mesh: Trimesh, cloud: Cloud, cameras: Cameras, frame: Frame) -> np.ndarray:
    """Which view sees which sample [V, N] bool."""
    try:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene
    except ImportError:
        return seen_among_discs(cloud, cameras)
    scene, origin = EmbreeScene(), np.zeros((1, 3), np.float32)
    corners = np.ascontiguousarray(frame.points(np.asarray(mesh.vertices)), np.float32)
    TriangleMesh(scene, corners, np.ascontiguousarray(mesh.faces, np.int32))
    scene.run(origin, origin + 1)  # builds the tree; later queries only read it and may overlap

    def seen(index: int) -> np.ndarray:
        width, height = (int(size) for size in cameras.sizes[index])
        inside = np.flatnonzero(pixel_indices(project(cameras, index, cloud.points)[0], width, height) >= 0)
        camera = cameras.c2w[index, :, 3]
        away = cloud.points[inside] - camera
        until = 1.0 - np.maximum(1e-5, _BEFORE * cloud.spacing[inside] / np.linalg.norm(away, axis=1))
        origins = np.ascontiguousarray(np.broadcast_to(camera.astype(np.float32), away.shape))
        hit = scene.run(origins, away.astype(np.float32), dists=until.astype(np.float32), query="OCCLUDED")
        row = np.zeros(len(cloud), bool)
        row[inside[hit < 0]] = True
        return row

    return np.stack(list(in_threads(seen, range(len(cameras)), workers=workers_for(_BYTES_PER_POINT * len(cloud)))))
