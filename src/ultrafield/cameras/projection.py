"""Projection and back-projection through every lens, in NumPy; depth is z-depth in the units of the cameras' frame."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..errors import check_shape
from .brown import distort_brown, undistort_brown
from .fisheyes import distort_fisheye624, distort_thin_prism, undistort_fisheye624, undistort_thin_prism
from .model import Cameras, Lens
from .round_lenses import (
    distort_division,
    distort_eucm,
    distort_fov,
    undistort_division,
    undistort_eucm,
    undistort_fov,
)

# z-depth, normalised units, that the published 8-bit depth pictures show as 0: z = 8 · (1 − code / 256) in file units,
# whose cameras are 2.687419 times farther from the origin than those of the normalised frame.
PUBLISHED_DEPTH_RANGE = 8.0 / 2.687419
_FIELD_MARGIN = 1.1  # points this far beyond the widest ray of a picture may still fall on its border pixels
_AT_ONCE = 1 << 18  # pixels whose directions are found together
_SAME_PIXEL = 0.05  # pixels: a direction that comes back farther from its own pixel is none

# Lenses that OpenCV lacks, before focal length and principal point: from rays to places, and back.
_OWN = {
    Lens.BROWN: (distort_brown, undistort_brown),
    Lens.FOV: (distort_fov, undistort_fov),
    Lens.DIVISION: (distort_division, undistort_division),
    Lens.EUCM: (distort_eucm, undistort_eucm),
    Lens.THIN_PRISM_FISHEYE: (distort_thin_prism, undistort_thin_prism),
    Lens.FISHEYE624: (distort_fisheye624, undistort_fisheye624),
}
_WIDE = (Lens.FISHEYE, Lens.FOV, Lens.DIVISION, Lens.EUCM, Lens.THIN_PRISM_FISHEYE, Lens.FISHEYE624)


def pixel_directions(cameras: Cameras, index: int, *, stride: int = 1) -> np.ndarray:
    """Viewing direction through every pixel centre, in camera axes.

    Args:
        cameras: Cameras in any frame.
        index: Which camera.
        stride: Only the pixels in every `stride`-th row and column.

    Returns:
        [H, W, 3], float64, with z = 1; NaN where the lens model has no ray, or one at 90° or more from the axis.
    """
    x, y = pixel_slopes(cameras, index, stride=stride)
    return np.stack([x, y, np.ones_like(x)], axis=-1)


def pixel_slopes(cameras: Cameras, index: int, *, stride: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """x/z and y/z of the viewing direction through every pixel centre, as `pixel_directions` has them.

    Those of the last lens with distortion are kept: most captures have one lens, and inverting it takes a second for a
    megapixel.

    Returns:
        Two arrays [H, W], float64, read-only; without distortion they take the memory of one row and one column.
    """
    width, height = (int(size) for size in cameras.sizes[index])
    if cameras.lenses[index] != Lens.PINHOLE:
        lens = int(cameras.lenses[index]), tuple(cameras.intrinsics[index]), tuple(cameras.distortion[index])
        return _lens_slopes(*lens, (width, height), stride)
    fx, fy, cx, cy = cameras.intrinsics[index]
    across, down = np.arange(0, width, stride) + 0.5, np.arange(0, height, stride) + 0.5
    row, column, shape = (across - cx) / fx, ((down - cy) / fy)[:, None], (len(down), len(across))
    return np.broadcast_to(row, shape), np.broadcast_to(column, shape)


@lru_cache(maxsize=1)
def _lens_slopes(
    lens: int, intrinsics: tuple[float, ...], distortion: tuple[float, ...], size: tuple[int, int], stride: int
) -> tuple[np.ndarray, np.ndarray]:
    """`pixel_slopes` of a lens with distortion, some rows at a time."""
    parts = np.eye(3, 4)[None], *(np.array([part]) for part in (intrinsics, size, lens, distortion))
    camera = Cameras(*parts)
    across, down = np.arange(0, size[0], stride) + 0.5, np.arange(0, size[1], stride) + 0.5
    x, y = np.empty((2, len(down), len(across)))
    at_once = max(1, _AT_ONCE // max(1, len(across)))
    for first in range(0, len(down), at_once):
        rows = slice(first, first + at_once)
        pixels = np.stack(np.meshgrid(across, down[rows]), axis=-1).reshape(-1, 2)
        x[rows], y[rows] = _undistort(camera, 0, pixels).T.reshape(2, -1, len(across))
    x.flags.writeable = y.flags.writeable = False
    return x, y


def back_project(cameras: Cameras, index: int, depth: np.ndarray, *, stride: int = 1) -> np.ndarray:
    """Back-project a depth map to points.

    Args:
        cameras: Cameras of the frame in which the points are wanted.
        index: Which camera; its size must be the depth map's.
        depth: z-depth [H, W]; 0, negative or not finite where there is none.
        stride: Only the pixels in every `stride`-th row and column.

    Returns:
        Points [H, W, 3] of these pixels, float32; NaN where there is no depth.

    Raises:
        ValueError: The depth map has another size than the camera.
    """
    from .kernels.project_cpu import points_of_depth

    width, height = (int(size) for size in cameras.sizes[index])
    check_shape("depth", depth, (height, width))
    depth = np.ascontiguousarray(depth[::stride, ::stride])
    points, pose = np.empty((*depth.shape, 3), np.float32), np.ascontiguousarray(cameras.c2w[index], np.float64)
    points_of_depth(depth, *pixel_slopes(cameras, index, stride=stride), pose, points)
    return points


def project(cameras: Cameras, index: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates and depth of points.

    Args:
        cameras: Cameras in the points' frame.
        index: Which camera.
        points: [N, 3].

    Returns:
        Pixel coordinates [N, 2] (column, row; pixel centres at +0.5), float64, and z-depth [N], float64. Coordinates
        are NaN for points behind the camera and for points so far outside its field of view that the lens polynomial,
        which is fitted inside only, would fold them back into the picture.
    """
    if cameras.lenses[index] == Lens.PINHOLE:
        return _through_pinhole(cameras, index, points, cameras.intrinsics[index])
    flat, depth = _through_pinhole(cameras, index, points, np.array([1.0, 1.0, 0.0, 0.0]))
    flat[~(np.hypot(flat[:, 0], flat[:, 1]) <= _FIELD_MARGIN * _widest_ray(cameras, index))] = np.nan
    return _distort(cameras, index, flat), depth


def _through_pinhole(
    cameras: Cameras, index: int, points: np.ndarray, intrinsics: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`project` without distortion: in one pass, where NumPy needs ten over as many temporary arrays."""
    from .kernels.project_cpu import project_pinhole

    check_shape("points", points, (None, 3))
    points = np.ascontiguousarray(points, None if points.dtype == np.float32 else np.float64)
    pixels, depth = np.empty((len(points), 2)), np.empty(len(points))
    pose, intrinsics = (np.ascontiguousarray(part, np.float64) for part in (cameras.c2w[index], intrinsics))
    project_pinhole(points, pose, intrinsics, pixels, depth)
    return pixels, depth


def pixel_indices(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Row-major index of the pixel that holds each coordinate pair [N, 2] of `project`; −1 outside; int64 [N]."""
    inside = (pixels >= 0).all(axis=1) & (pixels[:, 0] < width) & (pixels[:, 1] < height)  # False for NaN
    cells = np.floor(np.where(inside[:, None], pixels, 0.0)).astype(np.int64)
    return np.where(inside, cells[:, 1] * width + cells[:, 0], -1)


def _matrix(cameras: Cameras, index: int) -> np.ndarray:
    fx, fy, cx, cy = cameras.intrinsics[index]
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def _undistort(cameras: Cameras, index: int, pixels: np.ndarray) -> np.ndarray:
    """Pixel coordinates [N, 2] to x/z, y/z [N, 2]."""
    fx, fy, cx, cy = cameras.intrinsics[index]
    lens, distortion = Lens(int(cameras.lenses[index])), cameras.distortion[index]
    if lens is Lens.PINHOLE:
        return (pixels - (cx, cy)) / (fx, fy)
    if lens in _OWN:
        flat = _OWN[lens][1]((pixels - (cx, cy)) / (fx, fy), distortion)
        return flat if lens is Lens.BROWN else _checked(cameras, index, flat, pixels)
    import cv2

    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
    distorted = np.ascontiguousarray(pixels[:, None, :], dtype=np.float64)
    if lens is Lens.OPENCV:
        flat = cv2.undistortPoints(distorted, _matrix(cameras, index), distortion[:8], criteria=until)
    else:
        flat = cv2.fisheye.undistortPoints(distorted, _matrix(cameras, index), distortion[:4], criteria=until)
    # OpenCV returns huge numbers where its iteration fails or the ray leaves the half space before the camera.
    return _checked(cameras, index, flat.reshape(-1, 2), pixels)


def _checked(cameras: Cameras, index: int, flat: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Rays [N, 2] with NaN for those that do not come back to their own pixels [N, 2]."""
    back = _distort(cameras, index, flat)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        flat[~(np.abs(back - pixels).max(axis=1) <= _SAME_PIXEL)] = np.nan
    return flat


def _distort(cameras: Cameras, index: int, flat: np.ndarray) -> np.ndarray:
    """x/z, y/z [N, 2] to pixel coordinates [N, 2]; NaN stays NaN."""
    fx, fy, cx, cy = cameras.intrinsics[index]
    lens, distortion = Lens(int(cameras.lenses[index])), cameras.distortion[index]
    if lens is Lens.PINHOLE:
        return flat * (fx, fy) + (cx, cy)
    if lens in _OWN:
        return _OWN[lens][0](flat, distortion) * (fx, fy) + (cx, cy)
    import cv2

    valid = np.isfinite(flat).all(axis=1)
    pixels = np.full_like(flat, np.nan)
    if not valid.any():
        return pixels
    rays = np.concatenate([flat[valid], np.ones((int(valid.sum()), 1))], axis=1)[:, None, :]
    zero = np.zeros((3, 1))
    if lens is Lens.OPENCV:
        projected, _ = cv2.projectPoints(rays, zero, zero, _matrix(cameras, index), distortion[:8])
    else:
        projected, _ = cv2.fisheye.projectPoints(rays, zero, zero, _matrix(cameras, index), distortion[:4])
    pixels[valid] = projected.reshape(-1, 2)
    return pixels


def _widest_ray(cameras: Cameras, index: int) -> float:
    """Tangent of the largest angle between the optical axis and a ray through the picture's border.

    Infinite for a fisheye lens that sees 90° or more to the side. A polynomial lens may have no ray at the corners of a
    padded picture; what remains of the border then counts.
    """
    width, height = (float(size) for size in cameras.sizes[index])
    along_x, along_y = np.linspace(0, width, 17), np.linspace(0, height, 17)
    border = np.concatenate(
        [np.stack([along_x, np.full(17, edge)], axis=1) for edge in (0.0, height)]
        + [np.stack([np.full(17, edge), along_y], axis=1) for edge in (0.0, width)]
    )
    flat = _undistort(cameras, index, border)
    valid = np.isfinite(flat).all(axis=1)
    if not valid.any() or (cameras.lenses[index] in _WIDE and not valid.all()):
        return float("inf")
    return float(np.hypot(flat[valid, 0], flat[valid, 1]).max())
