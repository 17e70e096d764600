"""The surface of 3D Gaussian splats, from the PLY file that their trainers write.

B. Kerbl, G. Kopanas, T. Leimkühler, G. Drettakis, "3D Gaussian Splatting for Real-Time Radiance Field Rendering", 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..cameras import Cameras
from ..config import SegmentConfig
from ..errors import SceneError
from ..models import read_vertices
from .checks import check_cameras
from .cloud import cloud_surface, seen_among_discs
from .depth import GREY
from .fusion import MAX_POINTS
from .normalise import frame_around
from .points import cloud_in
from .spacing import nearest_points
from .surface import Surface

_CONSTANT_HARMONIC = 0.28209479177387814  # 1 / (2 √π), the spherical harmonic of degree 0
_NEIGHBORS = 4
_STRAY = 8.0  # distance of a stray from its neighbours, in median spacings and in sizes of its own, at least


@dataclass(frozen=True, eq=False)
class Splats:
    """N Gaussians.

    Attributes:
        means: [N, 3], float64, user's frame.
        normals: Shortest axis [N, 3], float64, unit length, of either sign.
        sizes: Standard deviation along the second axis by length [N], float64, user's units.
        opacities: In [0, 1] [N], float64.
        colors: [N, 3], uint8, as seen from all around.
    """

    means: np.ndarray
    normals: np.ndarray
    sizes: np.ndarray
    opacities: np.ndarray
    colors: np.ndarray


def surface_from_splats(path: str | Path, cameras: Cameras, *, config: SegmentConfig | None = None) -> Surface:
    """Take the Gaussians that are opaque and seen as points of a surface, 250,000 at most.

    A Gaussian counts if its opacity reaches `config.min_opacity`, if it is no stray far from all others, and if no
    other one hides it from every view: each is drawn as a disc across its shortest axis. Where there are more than
    250,000, or where `config.voxel` asks for it, they are thinned.

    Args:
        path: PLY file with the properties x y z, f_dc_0 … 2, opacity (logit), scale_0 … 2 (log), rot_0 … 3 (w x y z);
            two scales as of 2D Gaussians will do.
        cameras: V cameras, user's frame.
        config: Settings; the defaults if None. `voxel` is a fraction of half the longest edge of the points' box.

    Returns:
        The surface in a normalised frame of its own.

    Raises:
        TypeError: No cameras.
        SceneError: A file that cannot be read or lacks a property, no Gaussian that is opaque, or none that a camera
            sees.
    """
    check_cameras(cameras)
    config, splats = config or SegmentConfig(), read_splats(path)
    chosen = splats.opacities >= config.min_opacity
    if not chosen.any():
        raise SceneError(f"{path}: none of {len(chosen)} Gaussians has an opacity of {config.min_opacity:g} or more")
    frame = frame_around(splats.means[chosen] - cameras.c2w[0, :, 3], cameras)
    nearby = frame.cameras(cameras)
    voxel = config.voxel * frame.half_extent if config.voxel is not None else None
    chosen[chosen] = ~strays(splats.means[chosen], splats.sizes[chosen])
    means, normals = splats.means[chosen], _towards_nearest(splats.normals[chosen], splats.means[chosen], cameras)
    cloud = cloud_in(
        frame,
        means,
        normals,
        splats.colors[chosen],
        cameras,
        voxel,
        sided=False,
        sizes=splats.sizes[chosen],
        most=MAX_POINTS,
    )
    return cloud_surface(cloud, seen_among_discs(cloud, nearby), nearby, frame, keep_all=False)


def read_splats(path: str | Path) -> Splats:
    """Gaussians of a PLY file; those with a number that is not finite are left out.

    Raises:
        SceneError: A file that cannot be read, or that lacks a property.
    """
    rows = read_vertices(path).rows
    names = rows.dtype.names or ()
    needed = ["x", "y", "z", "opacity", "scale_0", "scale_1", "rot_0", "rot_1", "rot_2", "rot_3"]
    missing = [name for name in needed if name not in names]
    if missing:
        raise SceneError(f"{path}: no Gaussian splats; its vertices lack {', '.join(missing)}")
    rows = rows[np.all([np.isfinite(rows[name]) for name in needed], axis=0)]
    scales: list[str] = [name for name in ("scale_0", "scale_1", "scale_2") if name in names]
    with np.errstate(over="ignore"):
        lengths = np.exp(_columns(rows, scales))  # [N, 3], or [N, 2] of discs
    finite = np.isfinite(lengths).all(axis=1)
    rows, lengths = rows[finite], lengths[finite]
    if len(scales) == 2:
        lengths = np.concatenate([lengths, np.zeros((len(rows), 1))], axis=1)
    axes = _rotations(_columns(rows, ["rot_0", "rot_1", "rot_2", "rot_3"]))
    normals = np.take_along_axis(axes, lengths.argmin(axis=1)[:, None, None], axis=2)[:, :, 0]
    opacities = 1.0 / (1.0 + np.exp(-rows["opacity"].astype(np.float64).clip(-50.0, 50.0)))
    sizes = np.sort(lengths, axis=1)[:, 1]
    return Splats(_columns(rows, ["x", "y", "z"]), normals, sizes, opacities, _colors(rows))


def strays(means: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Which Gaussians float alone, far from all others [N] bool.

    Args:
        means: [N, 3].
        sizes: Standard deviation along the second axis by length [N].
    """
    distances = nearest_points(means, _NEIGHBORS)[0][:, -1]
    return distances > _STRAY * np.maximum(np.median(distances), sizes)


def _colors(rows: np.ndarray) -> np.ndarray:
    """Colours [N, 3] uint8 of the harmonics of degree 0; grey where the file has none."""
    names = ["f_dc_0", "f_dc_1", "f_dc_2"]
    if any(name not in (rows.dtype.names or ()) for name in names):
        return np.full((len(rows), 3), GREY, np.uint8)
    colors = 0.5 + _CONSTANT_HARMONIC * np.nan_to_num(_columns(rows, names))
    return np.rint(colors.clip(0.0, 1.0) * 255.0).astype(np.uint8)


def _columns(rows: np.ndarray, names: list[str]) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # NaNs that signal
        return np.stack([rows[name].astype(np.float64) for name in names], axis=1)


def _rotations(quaternions: np.ndarray) -> np.ndarray:
    """Rotations [N, 3, 3] of quaternions [N, 4] (w x y z) of any length."""
    from scipy.spatial.transform import Rotation

    length = np.linalg.norm(quaternions, axis=1)
    quaternions = np.where(length[:, None] > 0, quaternions, [1.0, 0.0, 0.0, 0.0])
    return Rotation.from_quat(quaternions[:, [1, 2, 3, 0]]).as_matrix().reshape(-1, 3, 3)


def _towards_nearest(normals: np.ndarray, means: np.ndarray, cameras: Cameras) -> np.ndarray:
    """Normals [N, 3] on the side of the nearest camera, so that those of one surface may be averaged."""
    from scipy.spatial import cKDTree

    centres = cameras.c2w[:, :, 3]
    _, nearest = cKDTree(centres).query(means)
    away = ((centres[nearest] - means) * normals).sum(axis=1) < 0
    return np.where(away[:, None], -normals, normals)
