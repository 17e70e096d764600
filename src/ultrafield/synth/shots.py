"""Pictures, ids and depth from cameras around a model; file frame, OpenGL poses as in NeRF-synthetic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .raycast import Raycaster
from .shading import Lights, shade

CAMERA_RADIUS = 4.031128  # as in NeRF-synthetic; readers scale it to 1.5
CAMERA_ANGLE = 0.6911112070083618  # horizontal field of view, radians


@dataclass(frozen=True, eq=False)
class Shot:
    """Picture, part ids and depth of one camera.

    Attributes:
        image: [H, W, 4] uint8 sRGB with straight alpha.
        parts: Part ids at the pixel centres [H, W], int32, 0 for background.
        depth: z-depth at the pixel centres [H, W], float32, file units, 0 for background.
    """

    image: np.ndarray
    parts: np.ndarray
    depth: np.ndarray


def look_at_origin(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """OpenGL poses [N, 4, 4] on the camera sphere."""
    flat = np.cos(elevation)
    back = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1)
    right = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros_like(azimuth)], axis=1)
    poses = np.tile(np.eye(4), (len(azimuth), 1, 1))
    poses[:, :3, 0], poses[:, :3, 1], poses[:, :3, 2] = right, np.cross(back, right), back
    poses[:, :3, 3] = CAMERA_RADIUS * back
    return poses


def pixel_rays(c2w: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Rays through picture positions.

    Args:
        c2w: OpenGL camera-to-world pose [4, 4].
        rows: Vertical picture coordinates [R]; pixel centres lie at +0.5.
        columns: Horizontal picture coordinates [R].
        size: Width and height of the picture.

    Returns:
        Origins and directions [R, 3], float32; along a direction the ray parameter is the z-depth.
    """
    focal = _focal(size)
    local = np.stack([(columns - size / 2) / focal, -(rows - size / 2) / focal, -np.ones(len(rows))], axis=1)
    directions = (local @ c2w[:3, :3].T).astype(np.float32)
    return np.broadcast_to(c2w[:3, 3].astype(np.float32), directions.shape).copy(), directions


def take_shot(caster: Raycaster, lights: Lights, c2w: np.ndarray, size: int, supersampling: int) -> Shot:
    """Render one camera: ids and depth from rays through the pixel centres, colour from all sub-pixels.

    Args:
        caster: The scene.
        lights: Its lights; every sub-pixel uses an equal share of their samples.
        c2w: OpenGL camera-to-world pose [4, 4].
        size: Width and height, pixels.
        supersampling: Colour rays along an edge of a pixel.
    """
    rows, columns = (grid.ravel() for grid in np.mgrid[:size, :size])
    hits = caster.first_hits(*pixel_rays(c2w, rows + 0.5, columns + 0.5, size))
    parts = np.zeros(size * size, np.int32)
    parts[hits.ray] = caster.parts(hits)
    depth = np.zeros(size * size, np.float32)
    depth[hits.ray] = hits.distance

    color = np.zeros((size * size, 3), np.float32)
    count = np.zeros(size * size, np.float32)
    shares = supersampling**2
    for share in range(shares):
        row, column = (np.array(divmod(share, supersampling)) + 0.5) / supersampling
        seen, seen_color = _colors(caster, lights.subset(share, shares), c2w, rows + row, columns + column, size)
        color[seen] += seen_color
        count[seen] += 1
    color /= np.maximum(count, 1)[:, None]
    image = np.round(np.column_stack([color, count / shares]) * 255).astype(np.uint8)
    return Shot(image.reshape(size, size, 4), parts.reshape(size, size), depth.reshape(size, size))


def _colors(
    caster: Raycaster, lights: Lights, c2w: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the rays that meet the scene and the sRGB colours [K, 3] they bring back."""
    origins, directions = pixel_rays(c2w, rows, columns, size)
    hits = caster.first_hits(origins, directions)
    forward = directions[hits.ray]
    points = origins[hits.ray] + hits.distance[:, None] * forward
    flat, smooth = caster.normals(hits, forward)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    gloss = caster.model.gloss[caster.parts(hits)]
    return hits.ray, shade(caster, lights, points, flat, smooth, caster.albedo(hits), forward, gloss)


def visible_from(caster: Raycaster, parts: np.ndarray, c2w: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pixels whose surface point is visible from another camera too [H, W] bool.

    Args:
        caster: The scene.
        parts: Part ids that the camera at `c2w` sees [H, W], 0 for background.
        c2w: Its pose [4, 4], OpenGL.
        other: Pose of the other camera [4, 4], OpenGL; same lens and size.
    """
    size = len(parts)
    rows, columns = np.nonzero(parts)
    hits = caster.first_hits(*(rays := pixel_rays(c2w, rows + 0.5, columns + 0.5, size)))
    flat, _ = caster.normals(hits, rays[1][hits.ray])
    points = rays[0][hits.ray] + hits.distance[:, None] * rays[1][hits.ray] + np.float32(1e-3) * flat
    local = (points - other[:3, 3]) @ other[:3, :3]
    place = _focal(size) * local[:, :2] / -local[:, 2:] + [size / 2, -size / 2]
    framed = (local[:, 2] < 0) & (np.abs(place - [size / 2, -size / 2]) < size / 2).all(axis=1)
    towards = other[:3, 3].astype(np.float32) - points
    clear = framed & ~caster.occluded(points.astype(np.float32), towards, np.ones(len(points), np.float32))
    visible = np.zeros(parts.shape, bool)
    visible[rows[hits.ray], columns[hits.ray]] = clear
    return visible


def depth_code(depth: np.ndarray) -> np.ndarray:
    """z-depth in file units as the published 8 bits: depth = 8 (1 - code / 256), code 0 for background."""
    code = np.clip(np.round(256 * (1 - depth / 8)), 1, 255)
    return np.where(depth > 0, code, 0).astype(np.uint8)


def _focal(size: int) -> float:
    """Focal length in pixels."""
    return 0.5 * size / float(np.tan(0.5 * CAMERA_ANGLE))
