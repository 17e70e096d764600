"""A fused mesh taken apart into the segments of a tree: one for each, simplified, closed where it is a solid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..extras import require
from .holes import close_solid
from .segments import Segments
from .tsdf import Mesh

_NEAR = 3.0  # voxels from a face to the surface point whose segment it has, at most
_FEWEST = 8  # triangles of a piece that is kept
_WORTHWHILE = 64  # triangles from which a part is simplified
_VOTERS = 3  # points that colour a vertex

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


@dataclass(frozen=True, eq=False)
class PartMesh:
    """The mesh of one segment.

    Attributes:
        index: The segment, as an index into `Segments`.
        vertices: [V, 3], float64, user's frame.
        faces: [F, 3], int64, counter-clockwise from outside.
        normals: [V, 3], float32, unit length.
        colors: sRGB [V, 3], uint8, of the photographs.
        watertight: Whether every edge has exactly two faces.
    """

    index: int
    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    watertight: bool


def part_meshes(mesh: Mesh, segments: Segments, *, most: int, track: Progress) -> list[PartMesh]:
    """Take a mesh apart by the finest exported level.

    A triangle belongs to the segment of the surface point nearest to its middle, or, where that is a crumb, to the
    smallest node around it that is none. Holes of a part are closed if it is then a solid; sheets stay open.

    Args:
        mesh: The fused mesh, the surface's frame.
        segments: Surface and tree; points that are left out have no triangles.
        most: Triangles of all parts together, about.
        track: Shows progress.

    Raises:
        BackendError: fast-simplification is not installed.
    """
    from scipy.spatial import cKDTree

    require("fast_simplification", "mesh")
    surface = segments.surface
    tree = cKDTree(surface.points)
    middles = mesh.vertices[mesh.faces].mean(axis=1)
    limit = _NEAR * surface.voxel
    distance, nearest = tree.query(middles, distance_upper_bound=limit, workers=-1)
    owner_of_point = segments.substantial_index(segments.finest)
    owner = np.where(np.isfinite(distance), np.append(owner_of_point, -1)[nearest], -1)
    share = min(1.0, most / max(1, int((owner >= 0).sum())))
    groups = list(_groups(owner))

    def make(group: tuple[int, np.ndarray]) -> PartMesh | None:
        return _part(mesh, group[1], group[0], share, segments, tree)

    made = track(map(make, groups), len(groups), "parts")  # fast-simplification keeps its mesh in global variables
    return [part for part in made if part is not None]


def _groups(owner: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Faces of every owner, ascending; those without one are left out."""
    order = np.argsort(owner, kind="stable")
    order = order[np.searchsorted(owner[order], 0) :]
    owners, first = np.unique(owner[order], return_index=True)
    yield from zip(owners.tolist(), np.split(order, first[1:]), strict=True) if len(owners) else ()


def _part(mesh: Mesh, chosen: np.ndarray, index: int, share: float, segments: Segments, tree: Any) -> PartMesh | None:
    vertices, faces = compact(mesh.vertices, mesh.faces[chosen])
    faces = faces[_large_pieces(faces, len(vertices))]
    if len(faces) == 0:
        return None
    vertices, faces = compact(vertices, faces)
    if share < 1.0 and len(faces) >= _WORTHWHILE:
        vertices, faces = _simplified(vertices, faces, max(_WORTHWHILE // 2, round(share * len(faces))))
    vertices, faces, watertight = close_solid(vertices, faces)
    surface = segments.surface
    _, voters = tree.query(vertices, k=min(_VOTERS, len(surface)))
    colors = surface.colors[voters.reshape(len(vertices), -1)].mean(axis=1)
    to_user = surface.to_user
    return PartMesh(
        index=index,
        vertices=to_user.apply(vertices),
        faces=faces,
        normals=(vertex_normals(vertices, faces) @ to_user.rotation.T).astype(np.float32),
        colors=np.rint(colors).astype(np.uint8),
        watertight=watertight,
    )


def compact(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vertices that some face uses, and the faces in their numbers."""
    used, number = np.unique(faces, return_inverse=True)
    return vertices[used], number.reshape(-1, 3)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals of vertices [V, 3], float64: means of the faces around them by area; +z where these cancel out."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = np.zeros_like(vertices)
    for corner in range(3):
        for axis in range(3):
            sums[:, axis] += np.bincount(faces[:, corner], normals[:, axis], minlength=len(vertices))
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    tiny = np.finfo(np.float64).tiny
    return np.where(length > tiny, sums / np.maximum(length, tiny), [0.0, 0.0, 1.0])


def _large_pieces(faces: np.ndarray, count: int) -> np.ndarray:
    """Which faces lie in connected pieces of more than a few [F], bool."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    edges = np.concatenate([faces[:, :2], faces[:, 1:]])
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, piece = connected_components(graph, directed=False)
    sizes = np.bincount(piece[faces[:, 0]])
    return np.asarray(sizes[piece[faces[:, 0]]] >= _FEWEST)


def _simplified(vertices: np.ndarray, faces: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Quadric edge collapses down to about `target` faces, around the middle, where float32 is enough."""
    import fast_simplification

    middle = vertices.mean(axis=0)
    points, triangles = fast_simplification.simplify(
        (vertices - middle).astype(np.float32), faces.astype(np.int32), target_count=target
    )
    triangles = np.asarray(triangles, np.int64).reshape(-1, 3)
    if len(triangles) == 0:
        return vertices, faces
    return compact(np.asarray(points, np.float64) + middle, triangles)
