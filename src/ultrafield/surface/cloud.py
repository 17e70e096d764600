"""Point clouds: how far apart their points lie, which way they face, and which view sees which point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..cameras import Cameras
from ..cameras.projection import pixel_directions, project
from ..errors import SceneError
from ..parallel import in_threads, workers_for
from .normalise import Frame
from .samples import STEEPEST, focal_length
from .sight import look
from .spacing import expected_spacing, nearest_points
from .surface import Surface, pack_flags

_NEAREST = 4  # points around each one that tell its spacing
_COVERING = 1.25  # radius of discs in spacings; nearly no hole is left where points are scattered at random
_LARGEST = 4.0  # radius of a disc in spacings, however large what it stands for
_STRAY = 1.5  # a point's spacing is at most that of its neighbours, times this
_PATCH = 16  # points whose plane gives a normal
_BLOCK = 1 << 16
_PIXELS = 1 << 20  # of a depth map of discs at most
_BYTES_PER_POINT, _BYTES_PER_PIXEL = 150, 80


@dataclass(frozen=True, eq=False)
class Cloud:
    """N points with normals, colours and spacing, normalised frame.

    Attributes:
        points: [N, 3], float64.
        normals: [N, 3], float64, unit length; zero where unknown.
        sided: Whether normals tell the outside; a point is then seen from there only.
        colors: [N, 3], uint8.
        spacing: Distance of each point's neighbours [N], float64, positive.
        voxel: Typical spacing.
        radii: Radius of the disc that stands for each point [N], float64.
    """

    points: np.ndarray
    normals: np.ndarray
    sided: bool
    colors: np.ndarray
    spacing: np.ndarray
    voxel: float
    radii: np.ndarray

    def __len__(self) -> int:
        return len(self.points)


def make_cloud(
    points: np.ndarray,
    normals: np.ndarray | None,
    colors: np.ndarray,
    fallback: float,
    *,
    sided: bool,
    sizes: np.ndarray,
) -> Cloud:
    """Estimate the spacing of points, and their normals if none are given.

    Args:
        points: [N, 3], float64, normalised frame.
        normals: [N, 3], float64, of any length; None to estimate planes without a side.
        colors: [N, 3], uint8.
        fallback: Spacing of points that all coincide, or of a single one.
        sided: Whether normals, if given, tell the outside.
        sizes: Radius of what each point stands for [N], normalised units; 0 where unknown.
    """
    distances, nearest = nearest_points(points, _PATCH)
    typical = expected_spacing(distances[:, 1:])
    voxel = float(np.median(typical[typical > 0])) if (typical > 0).any() else fallback
    rank = min(_NEAREST, len(points) - 1)
    spacing = distances[:, rank] if rank > 0 else np.full(len(points), voxel)
    spacing = np.minimum(spacing, _STRAY * spacing[nearest[:, : rank + 1]].min(axis=1))  # strays hide nothing
    spacing = np.maximum(spacing, 1e-3 * voxel)
    planes = patch_normals(points, nearest) if normals is None else _unit(normals)
    radii = np.maximum(_COVERING * spacing, np.minimum(sizes, _LARGEST * spacing))
    return Cloud(points, planes, sided and normals is not None, colors, spacing, voxel, radii)


def patch_normals(points: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """Normals of the least-squares planes through each point's neighbours, by principal component analysis.

    Args:
        points: [N, 3], float64.
        nearest: Indices of the nearest points, itself among them [N, K].

    Returns:
        [N, 3], float64, unit length, of either sign; zero where fewer than three points tell a plane.
    """
    normals = np.zeros((len(points), 3))
    if nearest.shape[1] < 3:
        return normals
    for block in range(0, len(points), _BLOCK):
        patch = points[nearest[block : block + _BLOCK]]  # [B, K, 3]
        patch = patch - patch.mean(axis=1, keepdims=True)
        values, vectors = np.linalg.eigh(np.einsum("bki,bkj->bij", patch, patch))
        flat = values[:, 1] > 1e-12 * np.maximum(values[:, 2], np.finfo(np.float64).tiny)
        normals[block : block + _BLOCK] = np.where(flat[:, None], vectors[:, :, 0], 0.0)
    return normals


def seen_in_depth(cloud: Cloud, depths: list[np.ndarray], cameras: Cameras) -> np.ndarray:
    """Which view sees which point, by depth maps [V][H, W] in normalised units; [V, N] bool."""
    cameras = cameras.resized(np.array([depth.shape[::-1] for depth in depths]))
    return _by_view(cloud, cameras, lambda index: depths[index])


def seen_among_discs(cloud: Cloud, cameras: Cameras) -> np.ndarray:
    """Which view sees which point [V, N] bool: those that no disc around another point hides."""
    shrink = np.sqrt(np.minimum(1.0, _PIXELS / cameras.sizes.prod(axis=1)))[:, None]
    cameras = cameras.resized(np.maximum(1, np.rint(shrink * cameras.sizes)).astype(np.int64))
    return _by_view(cloud, cameras, lambda index: disc_depth(cloud, cameras, index))


def disc_depth(cloud: Cloud, cameras: Cameras, index: int) -> np.ndarray:
    """z-depth [H, W] of a cloud whose points are discs; 0 where nothing is seen."""
    from .kernels.splat_cpu import splat_cpu

    pose = cameras.c2w[index]
    pixels, _ = project(cameras, index, cloud.points)
    rays = pixel_directions(cameras, index)
    depth = np.full(rays.shape[:2], np.inf)
    local, normals = (cloud.points - pose[:, 3]) @ pose[:, :3], cloud.normals @ pose[:, :3]
    splat_cpu(local, normals, cloud.radii, pixels, rays, focal_length(cameras, index), STEEPEST, depth)
    return np.where(np.isfinite(depth), depth, 0.0)


def _by_view(cloud: Cloud, cameras: Cameras, depth_of: Callable[[int], np.ndarray]) -> np.ndarray:
    def seen(index: int) -> np.ndarray:
        normals = cloud.normals
        if not cloud.sided:  # as if the point faced the camera; `face_cameras` tells later which side is the outside
            normals = np.where(_facing(cloud, cameras, index)[:, None] < 0, -normals, normals)
        return look(cloud.points, normals, depth_of(index), cameras, index, cloud.spacing).sees

    bytes_each = _BYTES_PER_POINT * len(cloud) + _BYTES_PER_PIXEL * cameras.most_pixels
    return np.stack(list(in_threads(seen, range(len(cameras)), workers=workers_for(bytes_each))))


def cloud_surface(cloud: Cloud, seen: np.ndarray, cameras: Cameras, frame: Frame, *, keep_all: bool) -> Surface:
    """The surface of a cloud whose points views see.

    Args:
        cloud: N points.
        seen: Which view sees which point [V, N] bool.
        cameras: V cameras, normalised frame.
        frame: The normalised frame.
        keep_all: Keep points that no view sees, so that point i of the cloud is point i of the surface.

    Raises:
        SceneError: No camera sees any point.
    """
    by_any = seen.any(axis=0)
    if not by_any.any():
        raise SceneError(
            f"cameras: none of the {len(cameras)} sees any of the {len(cloud)} points; expected both in the same frame "
            "and units, and poses that are camera-to-world with OpenCV axes (z forward)"
        )
    normals, seen = (cloud.normals, seen) if cloud.sided else face_cameras(cloud, seen, cameras)
    keep = np.ones(len(cloud), bool) if keep_all else by_any
    return Surface._trusted(
        points=cloud.points[keep].astype(np.float32),
        normals=normals[keep].astype(np.float32),
        colors=np.ascontiguousarray(cloud.colors[keep]),
        visible=pack_flags(seen[:, keep]),
        voxel=cloud.voxel,
        to_user=frame.to_user,
    )


def face_cameras(cloud: Cloud, seen: np.ndarray, cameras: Cameras) -> tuple[np.ndarray, np.ndarray]:
    """Turn normals to the side of most cameras that see the point, and forget the views that look at its other side.

    Near an edge, views of one face look through the gap that is allowed between points and depth at the face behind it.
    A point that no camera sees turns to most cameras.

    Args:
        cloud: N points, whose normals have no side.
        seen: Which view sees which point [V, N] bool.
        cameras: V cameras, normalised frame.

    Returns:
        Normals [N, 3], and which view sees which point [V, N].
    """
    sides = np.stack([np.sign(_facing(cloud, cameras, index)) for index in range(len(cameras))]).astype(np.int8)
    balance = np.where(seen, sides, 0).sum(axis=0)
    side = np.where(np.where(balance == 0, sides.sum(axis=0), balance) < 0, -1, 1)
    return side[:, None] * cloud.normals, seen & (sides * side >= 0)


def _facing(cloud: Cloud, cameras: Cameras, index: int) -> np.ndarray:
    """Products of the normals with the directions to a camera [N], positive where a point faces it."""
    return ((cameras.c2w[index, :, 3] - cloud.points) * cloud.normals).sum(axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float64).tiny)
