"""Depth maps fused into a triangle mesh: a truncated signed distance in the voxels near the surface, marching cubes.

B. Curless, M. Levoy, "A volumetric method for building complex models from range images", 1996.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..budget import memory
from ..cameras import Cameras, Lens
from ..cameras.projection import project
from ..extras import require
from ..surface import Surface
from .views import ExportViews

_BLOCK = 8  # voxels along an edge of the blocks that are there or not
_BRICK = 8  # blocks along an edge of what marching cubes sees at once
_REACH = 4.0  # truncation of the distance, voxels
_LEAST_WEIGHT = 0.75  # of a voxel that is believed: more than a single glance through it
_BYTES_PER_VOXEL = 120  # with its coordinates while a view is added
_SHARE = 4  # part of the memory that voxels may take
_NUDGE = 1e-3  # voxels; a distance of exactly 0 would put a vertex on a voxel's centre

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh.

    Attributes:
        vertices: [V, 3], float64.
        faces: Corners [F, 3], int64, counter-clockwise from outside.
    """

    vertices: np.ndarray
    faces: np.ndarray


@dataclass(frozen=True, eq=False)
class _Grid:
    """Voxels in blocks; voxel (i, j, k) of block b has its centre at (8 · blocks[b] + (i, j, k)) · voxel."""

    blocks: np.ndarray  # [B, 3], int64, in lexicographic order
    voxel: float
    distances: np.ndarray  # [B, 8, 8, 8], float32; in units of the frame
    weights: np.ndarray  # [B, 8, 8, 8], float32


def fuse_mesh(surface: Surface, views: ExportViews, track: Progress, *, voxel: float | None = None) -> Mesh:
    """Fuse the depth maps of views into a mesh around the points of a surface, the surface's frame.

    Args:
        surface: Points near which voxels are made.
        views: Views with depth.
        track: Shows progress.
        voxel: Edge of a voxel; the surface's own if None. It is doubled until voxels fit in a quarter of the memory.

    Raises:
        BackendError: scikit-image is not installed.
    """
    require("skimage.measure", "mesh")
    grid = _integrated(surface, views, track, surface.voxel if voxel is None else voxel)
    return _surface_of(grid)


def _integrated(surface: Surface, views: ExportViews, track: Progress, voxel: float) -> _Grid:
    from .kernels.tsdf_cpu import integrate_cpu

    blocks = _blocks_around(surface.points, voxel)
    while len(blocks) * _BLOCK**3 * _BYTES_PER_VOXEL > memory() // _SHARE:
        voxel *= 2.0
        blocks = _blocks_around(surface.points, voxel)
    cells = np.stack(np.meshgrid(*[np.arange(_BLOCK)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    centres = ((_BLOCK * blocks[:, None] + cells) * voxel).astype(np.float32)  # [B, 512, 3]
    middles = (_BLOCK * blocks + 0.5 * (_BLOCK - 1)) * voxel
    sums, weights = np.zeros((2, len(blocks) * len(cells)), np.float32)
    reach, radius = _REACH * voxel, 0.5 * np.sqrt(3) * _BLOCK * voxel
    for index in track(range(len(views)), len(views), "mesh"):
        depth = views.depth(index)
        camera = views.cameras[[index]].resized(np.array([depth.shape[::-1]]))
        near = np.flatnonzero(_in_view(camera, middles, radius))
        rows = (len(cells) * near[:, None] + np.arange(len(cells))).reshape(-1)
        pixels, along = _projected(camera, centres[near].reshape(-1, 3))
        integrate_cpu(pixels, along, rows, depth, reach, 2.0 * reach, sums, weights)
    shape = (len(blocks), _BLOCK, _BLOCK, _BLOCK)
    distances = np.where(weights > 0, sums / np.maximum(weights, 1e-9), np.float32(reach))
    return _Grid(blocks, voxel, distances.reshape(shape), weights.reshape(shape))


def _blocks_around(points: np.ndarray, voxel: float) -> np.ndarray:
    """Blocks that hold a voxel within reach of a point [B, 3]."""
    cells, reach = points.astype(np.float64) / voxel, _REACH + 1.0
    low, high = np.floor((cells - reach) / _BLOCK), np.floor((cells + reach) / _BLOCK)
    sides = [np.where(np.array(side), high, low) for side in np.ndindex(2, 2, 2)]
    return np.unique(np.concatenate([np.unique(side.astype(np.int64), axis=0) for side in sides]), axis=0)


def _in_view(camera: Cameras, middles: np.ndarray, radius: float) -> np.ndarray:
    """Which balls around points a camera may see [B], bool: none that it surely does not."""
    pose, (fx, fy, _, _) = camera.c2w[0], camera.intrinsics[0]
    local = (middles - pose[:, 3]) @ pose[:, :3]
    if camera.lenses[0] != Lens.PINHOLE:
        return np.asarray(local[:, 2] > -radius)
    width, height = camera.sizes[0]
    pixels, depth = project(camera, 0, middles)
    margin = radius * np.array([fx, fy]) / np.maximum(depth, radius)[:, None] * 1.5
    inside = (pixels > -margin).all(axis=1) & (pixels < np.array([width, height]) + margin).all(axis=1)
    return np.asarray(inside | (np.abs(depth) < 2.0 * radius))


def _projected(camera: Cameras, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from .kernels.tsdf_cpu import pinhole_pixels_cpu

    if camera.lenses[0] != Lens.PINHOLE:
        return project(camera, 0, points.astype(np.float64))
    pixels, along = np.empty((len(points), 2)), np.empty(len(points))
    pinhole_pixels_cpu(points, camera.c2w[0], camera.intrinsics[0], pixels, along)
    return pixels, along


def _surface_of(grid: _Grid) -> Mesh:
    """The zero level of a grid, brick by brick; vertices on the border of two bricks become one."""
    parts = [part for brick in _bricks(grid) if (part := _march(grid, *brick)) is not None]
    if not parts:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    places = np.concatenate([places for places, _ in parts])
    offsets = np.cumsum([0, *(len(places) for places, _ in parts)])
    faces = np.concatenate([faces + offset for (_, faces), offset in zip(parts, offsets, strict=False)])
    _, first, number = np.unique(_edges(places), axis=0, return_index=True, return_inverse=True)
    faces = number.reshape(-1)[faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return Mesh(places[first] * grid.voxel, faces[whole])


def _edges(places: np.ndarray) -> np.ndarray:
    """What tells vertices apart [V, 4]: the voxel at the lower end of the edge that each lies on, and the edge's axis.

    A vertex within a cube of voxels, which marching cubes makes in ambiguous cases, has its own axis 3.
    """
    low = np.floor(places)
    between = places > low
    axis = np.where(between.sum(axis=1) == 1, between.argmax(axis=1), 3)
    return np.concatenate([low.astype(np.int64), axis[:, None]], axis=1)


def _bricks(grid: _Grid) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """The lowest block of every brick, and which blocks lie in it or just above it."""
    keys = grid.blocks // _BRICK
    wanted: dict[tuple[int, int, int], list[int]] = {}
    for row, (block, key) in enumerate(zip(grid.blocks.tolist(), keys.tolist(), strict=True)):
        sides = [(at, at - 1) if place == at * _BRICK else (at,) for place, at in zip(block, key, strict=True)]
        for x in sides[0]:
            for y in sides[1]:
                for z in sides[2]:
                    wanted.setdefault((x, y, z), []).append(row)
    for key, rows in sorted(wanted.items()):
        yield np.array(key) * _BRICK, np.array(rows)


def _march(grid: _Grid, lowest: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Vertices [V, 3], in voxels, and triangles of a brick; None if no surface passes through it."""
    from skimage.measure import marching_cubes

    edge = _BLOCK * _BRICK + 1
    outside = np.float32(_REACH * grid.voxel)
    values, weights = np.full((edge,) * 3, outside), np.zeros((edge,) * 3, np.float32)
    for row in rows.tolist():
        begin = _BLOCK * (grid.blocks[row] - lowest)
        end = np.minimum(begin + _BLOCK, edge)
        here = tuple(slice(*pair) for pair in zip(begin, end, strict=True))
        there = tuple(slice(0, size) for size in end - begin)
        values[here], weights[here] = grid.distances[row][there], grid.weights[row][there]
    nudge = np.float32(_NUDGE * grid.voxel)
    values = np.where(np.abs(values) < nudge, np.where(values < 0, -nudge, nudge), values)
    known = weights >= _LEAST_WEIGHT
    if not (values[known] < 0).any() or not (values[known] > 0).any():
        return None
    places, faces, _, _ = marching_cubes(values, level=0.0, gradient_direction="descent", allow_degenerate=True)
    low, high = np.floor(places).astype(np.int64), np.ceil(places).astype(np.int64)
    sure = known[tuple(low.T)] & known[tuple(high.T)]
    faces = faces[sure[faces].all(axis=1)].astype(np.int64)
    if len(faces) == 0:
        return None
    used, number = np.unique(faces, return_inverse=True)
    return places[used].astype(np.float64) + _BLOCK * lowest, number.reshape(-1, 3)
